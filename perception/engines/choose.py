"""What `auto` means on this machine: the fastest backend that is right and costs the user no wait. No torch.

On the CPU an exported graph is the fastest, but making one takes 10 to 60 s, which nobody is charged unasked:
`auto` takes it once it lies in the cache, that is after one run that named its backend. Else it is eager
torch. On a GPU it is the CUDA graph, which takes no time to record, and which is compared with eager torch.
bfloat16 is chosen where the hardware has units for it; without them it would only be slower.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from perception.engines.compile_backend import CompileBackend
from perception.engines.cuda_driver import compute_capability
from perception.engines.exported_backend import ExportedBackend
from perception.engines.onnx_backend import OnnxBackend
from perception.engines.openvino_backend import OpenVinoBackend
from perception.engines.processor import processor

if TYPE_CHECKING:
    from perception.models.fusion_model import FusionModel

EXPORTED: dict[str, type[ExportedBackend]] = {
    "openvino": OpenVinoBackend,
    "compile": CompileBackend,
    "onnx": OnnxBackend,
}
"""In the order of their speed."""


def choose(
    backend: str, precision: str, device: str, source: Path | FusionModel, threads: int | None = 1
) -> tuple[str, str]:
    """A backend and a precision, neither of them `auto`."""
    has_units = compute_capability() >= 8 if device == "cuda" else processor().bf16
    wanted = precision if precision != "auto" else "bf16" if has_units else "fp32"
    if backend != "auto":
        lowest = EXPORTED[backend].precisions if backend in EXPORTED and device == "cpu" else (wanted,)
        return backend, wanted if precision != "auto" or wanted in lowest else "fp32"
    if device == "cuda":
        return "graph", wanted
    for name, kind in EXPORTED.items():
        if not find_spec(kind.package) or wanted not in kind.precisions:
            continue
        if kind.is_ready(source, wanted, threads):
            return name, wanted
    return "torch", wanted
