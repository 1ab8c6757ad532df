"""The model in OpenVINO on the CPU, in float32 or bfloat16. Only making the file takes torch.

In bfloat16 the graph itself says what is lowered, as `lower_precision` does, and OpenVINO is told to keep
to it (`dynamic`). Its own hint `bf16` lowers everything, pixels of returns and logits too, and is no faster:
a fifth of the boxes then moved (measured against float32 on a sample log).
"""

from __future__ import annotations

import sys
import threading
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from perception.engines.exported_backend import ExportedBackend, in_order
from perception.engines.processor import usable_cores
from perception.errors import MissingExtraError
from perception.models.tensors import Inputs, Predictions

GRAPH, COMPILED = "model.xml", "model.blob"
"""The graph, and what OpenVINO made of it for this processor: loading that takes 0.4 of the time."""


class OpenVinoBackend(ExportedBackend):
    """See `ExportedBackend`. Each thread has a request of its own; as many compute at once as there are
    streams (`_at_once`)."""

    name, package, makers, extra = "openvino", "openvino", ("openvino",), "openvino"
    precisions = ("fp32", "bf16")
    _compiled: Any = None

    def _write(self, folder: Path) -> None:
        import torch

        from perception.engines.exporting import example, flat_program, quiet

        openvino = _openvino()
        model = self._model()
        program = flat_program(model, 1, torch.float32 if self.precision == "fp32" else torch.bfloat16)
        shapes = [tuple(tensor.shape) for tensor in example(model, 1)]
        with quiet():
            converted = openvino.convert_model(program, input=shapes)
        # Halved weights would be other weights.
        openvino.save_model(converted, folder / GRAPH, compress_to_fp16=False)
        compiled = openvino.Core().compile_model(folder / GRAPH, "CPU", self._settings())
        (folder / COMPILED).write_bytes(compiled.export_model().getvalue())

    def _load(self, folder: Path) -> None:
        openvino, settings = _openvino(), self._settings()
        core = openvino.Core()
        try:
            self._compiled = core.import_model((folder / COMPILED).read_bytes(), "CPU", settings)
        except (OSError, RuntimeError):  # what was compiled does not fit this processor after all
            self._compiled = core.compile_model(folder / GRAPH, "CPU", settings)
        self._own = threading.local()

    def _settings(self) -> dict[str, Any]:
        """How it computes. What was compiled under some number of threads runs under any other."""
        threads = self.threads or usable_cores()
        return {
            "INFERENCE_PRECISION_HINT": "f32" if self.precision == "fp32" else "dynamic",
            "INFERENCE_NUM_THREADS": threads * self._at_once,
            "NUM_STREAMS": self._at_once,
            "ENABLE_CPU_PINNING": False,  # threads are the caller's, and stay where it puts them
            "CACHE_DIR": "",
        }

    def _unload(self) -> None:
        self._compiled, self._own = None, threading.local()

    def _answer(self, sample: Inputs) -> Predictions:
        if not hasattr(self._own, "request"):
            self._own.request = self._compiled.create_infer_request()
        request = self._own.request
        arrays = [np.ascontiguousarray(array) for array in sample]
        request.infer(arrays, share_inputs=True)
        return in_order([request.get_output_tensor(index).data for index in range(len(Predictions._fields))])


def _openvino() -> Any:
    """The package without its converter, which takes half as long again to import, and which only `_write`
    needs; `openvino.convert_model` is there all the same, for whoever else is in this process."""
    converter = "openvino.tools.ovc"
    if "openvino" in sys.modules or converter in sys.modules:
        return _imported()
    sys.modules[converter] = None  # type: ignore[assignment]  # fails its import, which the package allows
    try:
        openvino = _imported()
    finally:
        del sys.modules[converter]
    openvino.convert_model = lambda *args, **named: import_module(converter).convert_model(*args, **named)
    return openvino


def _imported() -> Any:
    try:
        return import_module("openvino")
    except ModuleNotFoundError:
        raise MissingExtraError("the backend openvino", "openvino") from None
