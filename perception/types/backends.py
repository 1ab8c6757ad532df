"""The backends that compute a model, as data: one specification for each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal, NamedTuple


class Implementation(NamedTuple):
    """The class that computes on one kind of device (`module:class`), and its precisions."""

    path: str
    precisions: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class BackendSpec:
    """What is known of one backend.

    Attributes:
        name: In configurations, on the command line and in the records of runs.
        implementations: Device (`cpu` or `cuda`) -> the class that computes there.
        extra: The extra of this project that installs what it needs; empty: a core dependency.
        files: Suffixes of the model files that it runs as they are.
        own_threads: Whether it computes in threads of its own while the caller waits.
    """

    name: str
    implementations: Mapping[str, Implementation]
    extra: str = ""
    files: tuple[str, ...] = ()
    own_threads: bool = False


BACKENDS: Mapping[str, BackendSpec] = MappingProxyType(
    {
        spec.name: spec
        for spec in (
            BackendSpec(
                "openvino",
                {"cpu": Implementation("openvino_backend:OpenVinoBackend", ("fp32", "bf16", "int8"))},
                files=(".onnx", ".xml"),
                own_threads=True,
            ),
            BackendSpec(
                "torch",
                {
                    "cpu": Implementation("torch_backend:TorchBackend", ("fp32", "bf16")),
                    "cuda": Implementation("cuda_backend:CudaBackend", ("fp32", "bf16", "fp16")),
                },
            ),
            BackendSpec(
                "graph",
                {"cuda": Implementation("cuda_backend:GraphBackend", ("fp32", "bf16", "fp16"))},
            ),
            BackendSpec(
                "onnx",
                {"cpu": Implementation("onnx_backend:OnnxBackend", ("fp32",))},
                extra="export",
                files=(".onnx",),
            ),
        )
    }
)
"""Every backend by name."""

PRECISIONS = ("fp32", "bf16", "fp16", "int8")

if TYPE_CHECKING:
    BackendName = str
    PrecisionName = str
else:
    BackendName = Literal[("auto", *BACKENDS)]
    PrecisionName = Literal[("auto", *PRECISIONS)]


def only_on_cpu(backend: str) -> bool:
    """Return whether the backend of this name computes on no other device than the CPU."""
    spec = BACKENDS.get(backend)
    return spec is not None and set(spec.implementations) == {"cpu"}


def has_own_threads(backend: str) -> bool:
    """Return whether the backend of this name computes in threads of its own; False for an unknown name."""
    spec = BACKENDS.get(backend)
    return spec is not None and spec.own_threads
