"""The model in ONNX Runtime, in float32, on the CPU. Making the file takes torch; running it does not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from perception.engines.exported_backend import ExportedBackend, in_order
from perception.errors import MissingExtraError
from perception.models.tensors import Inputs, Predictions


class OnnxBackend(ExportedBackend):
    """See `ExportedBackend`. A session serves any number of threads at once, each computing by itself."""

    name, package, makers, extra = "onnx", "onnxruntime", ("onnx", "onnxscript"), "export"
    precisions = ("fp32",)
    _session: Any = None

    def _write(self, folder: Path) -> None:
        from perception.engines.exporting import flat_program, write_onnx

        write_onnx(flat_program(self._model(), 1), folder / "model.onnx")

    def _load(self, folder: Path) -> None:
        try:
            import onnxruntime  # type: ignore[import-untyped,unused-ignore]
        except ModuleNotFoundError:
            raise MissingExtraError("the backend onnx", self.extra) from None
        onnxruntime.disable_telemetry_events()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self.threads or 0
        options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # workers share the cores
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(
            folder / "model.onnx", options, providers=["CPUExecutionProvider"]
        )

    def _unload(self) -> None:
        self._session = None

    def _answer(self, sample: Inputs) -> Predictions:
        return in_order(self._session.run(list(Predictions._fields), sample._asdict()))
