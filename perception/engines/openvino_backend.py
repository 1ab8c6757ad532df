"""Models in OpenVINO on the CPU, in float32 or bfloat16. Only converting a checkpoint takes torch.

In bfloat16 the graph itself says what is lowered, as `lower_precision` does, and OpenVINO is told to keep
to it (`dynamic`). Its own hint `bf16` lowers everything, pixels of returns and logits too, and is no faster:
a fifth of the boxes then moved (measured against float32 on a sample log). A file that is no checkpoint has
no such marks: in bfloat16 it is computed under that hint.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perception.engines.graph_file_backend import GraphFileBackend, Port, cannot_load
from perception.engines.model_source import FusionSource, ModelSource
from perception.engines.openvino_graph import convert, last_line, openvino_package
from perception.engines.processor import usable_cores
from perception.engines.shipped_graph import read_shipped_graph, shipped_path
from perception.errors import ConfigError
from perception.files import file_sha256

COMPILED = "model.blob"
"""The model as compiled for this processor; it loads in 0.4 of the time of a compilation."""


class OpenVinoBackend(GraphFileBackend):
    """See `GraphFileBackend`. Each thread has a request of its own; as many compute at once as there are
    streams (`_at_once`)."""

    name, package, makers, graph = "openvino", "openvino", ("openvino",), "model.xml"
    _compiled: Any = None
    _metadata: Mapping[str, str] = MappingProxyType({})

    def _fill(self, source: ModelSource, folder: Path) -> None:
        shipped = read_shipped_graph(source, self.precision) if isinstance(source, FusionSource) else None
        if shipped is None and self.precision == "int8":
            raise ConfigError([_needs_samples(source)])
        if shipped is None:
            super()._fill(source, folder)
        else:
            for suffix, data in shipped.items():
                (folder / self.graph).with_suffix(suffix).write_bytes(data)
        self._compiled = self._compile(folder / self.graph)
        (folder / COMPILED).write_bytes(self._compiled.export_model().getvalue())

    def _variant(self, source: ModelSource) -> str:
        """Return the variant of the graph: an int8 graph also depends on the samples it was quantised on."""
        path = source.path if isinstance(source, FusionSource) and self.precision == "int8" else None
        if path is None or not shipped_path(path).is_file():
            return self.precision
        return f"{self.precision}-{file_sha256(shipped_path(path))[:12]}"

    def _write(self, source: ModelSource, folder: Path) -> None:
        convert(source, self.precision, folder / self.graph)

    def _load(self, path: Path) -> None:
        blob = path.with_name(COMPILED)
        if isinstance(self.source, Path):
            self._compiled = self._compile(path)
        elif self._compiled is None:  # else it was compiled just now
            core, settings = openvino_package().Core(), self._settings()
            try:
                self._compiled = core.import_model(blob.read_bytes(), "CPU", settings)
            except (OSError, RuntimeError):  # what was compiled does not fit this processor after all
                self._compiled = self._compile(path)
        self._own = threading.local()

    def _compile(self, path: Path) -> Any:
        try:
            core = openvino_package().Core()
            model = core.read_model(path)
            if isinstance(self.source, Path):
                self._metadata = _texts(model.get_rt_info())
            return core.compile_model(model, "CPU", self._settings())
        except RuntimeError as error:
            if not isinstance(self.source, Path):
                raise
            raise cannot_load(path, "OpenVINO", last_line(error)) from None

    def metadata(self) -> Mapping[str, str]:
        return self._metadata

    def _settings(self) -> dict[str, Any]:
        """Return OpenVINO's settings. A graph compiled under one number of threads runs under any other."""
        threads = self.threads or usable_cores()
        lowered = "bf16" if isinstance(self.source, Path) else "dynamic"
        return {
            "INFERENCE_PRECISION_HINT": "f32" if self.precision in ("fp32", "int8") else lowered,
            "INFERENCE_NUM_THREADS": threads * self._at_once,
            "NUM_STREAMS": self._at_once,
            "ENABLE_CPU_PINNING": False,  # threads are the caller's, and stay where it puts them
            "CACHE_DIR": "",
        }

    def _unload(self) -> None:
        self._compiled, self._own = None, threading.local()

    def _ports(self) -> tuple[list[Port], tuple[str, ...]]:
        def name(port: Any) -> str:
            """Return the name in the file. A tensor has others, of operations that were left out."""
            names = port.get_names()
            own = port.get_node().get_friendly_name().removesuffix("/sink_port_0")
            return str(own if own in names else port.get_any_name()) if names else ""

        ports = [
            Port(
                name(port),
                np.dtype(port.element_type.to_dtype()),
                tuple(None if size.is_dynamic else size.get_length() for size in port.partial_shape),
            )
            for port in self._compiled.inputs
        ]
        return ports, tuple(name(port) for port in self._compiled.outputs)

    def _compute(self, arrays: list[NDArray[Any]]) -> list[NDArray[Any]]:
        if not hasattr(self._own, "request"):
            self._own.request = self._compiled.create_infer_request()
        request = self._own.request
        request.infer([np.ascontiguousarray(array) for array in arrays], share_inputs=True)
        return [np.array(request.get_output_tensor(index).data) for index in range(len(self._outputs))]


def _texts(info: Any) -> dict[str, str]:
    """Return the texts of a graph's runtime information: of an ONNX file they are under `framework`, of a
    graph of Ultralytics' under `model_info`; the rest as it is."""
    found: dict[str, str] = {}
    for key, value in info.items():
        plain = getattr(value, "value", value)
        if isinstance(plain, Mapping):
            found |= {name: str(getattr(text, "value", text)) for name, text in plain.items()}
        else:
            found[key] = str(plain)
    return found


def _needs_samples(source: ModelSource) -> str:
    path = source.path if isinstance(source, FusionSource) else None
    if path is None:
        return "engine.precision: int8 needs a checkpoint in a file; save the model, or take fp32"
    return (
        f"engine.precision: there is no int8 graph of these weights beside {path}; "
        f"`perception export {shipped_path(path)} --checkpoint {path} --precision int8 --log LOG` writes it"
    )
