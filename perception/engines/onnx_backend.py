"""Models in ONNX Runtime, in float32, on the CPU. Only exporting a checkpoint takes torch."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perception.engines.graph_file_backend import GraphFileBackend, Port, cannot_load
from perception.engines.model_source import ModelSource
from perception.errors import MissingExtraError

DTYPES = {"float": "float32", "double": "float64", "float16": "float16", "bool": "bool"}
"""Names of ONNX Runtime that are not numpy's."""


class OnnxBackend(GraphFileBackend):
    """See `GraphFileBackend`. A session serves any number of threads at once, each computing by itself."""

    name, package, makers, graph = "onnx", "onnxruntime", ("onnx", "onnxscript"), "model.onnx"
    _session: Any = None

    def load(self) -> None:
        needed = (self.package, *(() if isinstance(self.source, Path) else self.makers))
        if any(find_spec(name) is None for name in needed):  # before half a minute of converting
            raise MissingExtraError("the backend onnx", "export")
        super().load()

    def _write(self, source: ModelSource, folder: Path) -> None:
        from perception.engines.exporting import program_of, write_onnx

        write_onnx(program_of(source, self.precision, 1), source, folder / self.graph)

    def _load(self, path: Path) -> None:
        import onnxruntime  # type: ignore[import-untyped,unused-ignore]

        onnxruntime.disable_telemetry_events()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self.threads or 0
        options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # workers share the cores
        options.log_severity_level = 3
        try:
            self._session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # of several classes without a common base
            raise cannot_load(path, "ONNX Runtime", str(error)) from None

    def metadata(self) -> Mapping[str, str]:
        return dict(self._session.get_modelmeta().custom_metadata_map)

    def _unload(self) -> None:
        self._session = None

    def _ports(self) -> tuple[list[Port], tuple[str, ...]]:
        ports = []
        for node in self._session.get_inputs():
            kind = node.type.removeprefix("tensor(").removesuffix(")")
            shape = tuple(size if isinstance(size, int) else None for size in node.shape)
            ports.append(Port(node.name, np.dtype(DTYPES.get(kind, kind)), shape))
        self._names = [port.name for port in ports]
        self._wanted = [node.name for node in self._session.get_outputs()]
        return ports, tuple(self._wanted)

    def _compute(self, arrays: list[NDArray[Any]]) -> list[NDArray[Any]]:
        outputs = self._session.run(self._wanted, dict(zip(self._names, arrays, strict=True)))
        return [np.array(output) for output in outputs]
