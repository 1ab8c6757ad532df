"""What computes a model's answers: backends behind one small interface, chosen by name.

Importing this package imports no torch. A backend takes and gives numpy arrays.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from perception.models.tensors import Inputs, Predictions

if TYPE_CHECKING:
    from perception.models.fusion_model import FusionModel

BACKENDS = ("auto", "torch", "compile", "graph", "openvino", "onnx")
PRECISIONS = ("auto", "fp32", "bf16", "fp16")


class Backend(Protocol):
    """Runs one model at one batch shape, for any number of threads at once.

    `run` and `run_subsets` may be called from several threads: each thread gets buffers (or a request) of
    its own on its first call, and nobody waits for a lock while computing. Answers are the same bits
    whichever thread computes them and whatever the others do. `open` and `close` are for one thread,
    while no other calls.

    The answers are bit-equal for the same weights, precision, device, batch size and thread count. On the
    CPU they do not depend on the batch size either, nor on a sample's place and neighbours in its batch;
    elsewhere those may change the last bits (float32: 1e-4 relative, and the order of equal scores).
    """

    def open(self) -> None:
        """Load, move to the device, compute once so that the first answer is not late.

        Raises:
            CheckpointError: The weights cannot be loaded.
        """

    def run(self, inputs: Inputs) -> Predictions:
        """Answers for a batch of at most the run's batch size, as numpy arrays that the caller owns.

        Raises:
            ValueError: The arrays do not have the model's shapes.
        """

    def run_subsets(self, inputs: Inputs, subsets: NDArray[np.bool_]) -> list[Predictions]:
        """Answers on several subsets of the sensors (bool [N, 3]): what `run` gives with the others absent.

        What is the same for all subsets, such as the features of the camera, is computed once.

        Raises:
            ValueError: The arrays do not have the model's shapes.
        """

    def close(self) -> None:
        """Give everything back. The backend may be opened again."""

    def describe(self) -> Mapping[str, str]:
        """What made the answers: backend, precision, device (`cpu` or `cuda`), batch, threads, versions."""

    def device_s(self) -> float:
        """Seconds that a GPU has computed since `open`, all calls together; 0 where that is not known: on the
        CPU, and in eager torch, where it waits for the host between kernels."""


def open_backend(
    name: str,
    source: Path | FusionModel,
    *,
    device: str = "cpu",
    precision: str = "auto",
    batch: int = 1,
    threads: int | None = None,
) -> Backend:
    """A backend, opened.

    Args:
        name: One of `BACKENDS`. `auto`: see `perception.engines.choose`.
        source: A checkpoint, or a model.
        device: `cpu` or `cuda`.
        precision: One of `PRECISIONS`; `auto`: bfloat16 where the hardware has units for it, else float32.
        batch: The run's one batch size; shorter batches are padded with absent samples.
        threads: For computing one sample; process-wide for torch. None: the library's default.

    Raises:
        ValueError: A name is not known.
        ConfigError: The backend does not have this precision, or not this device.
        MissingExtraError: The backend needs a package that is not installed.
        CheckpointError: The weights cannot be loaded.
    """
    if name not in BACKENDS:
        raise ValueError(f"expected a backend of {', '.join(BACKENDS)}; found {name!r}")
    if precision not in PRECISIONS:
        raise ValueError(f"expected a precision of {', '.join(PRECISIONS)}; found {precision!r}")
    from perception.engines.choose import choose

    def opened(chosen: str) -> Backend:
        module, kind = _ON_A_GPU[chosen] if device == "cuda" and chosen in _ON_A_GPU else _HOMES[chosen]
        maker = getattr(import_module(f"perception.engines.{module}"), kind)
        backend: Backend = maker(source, device=device, precision=precision, batch=batch, threads=threads)
        backend.open()
        return backend

    chosen, precision = choose(name, precision, device, source, threads)
    try:
        return opened(chosen)
    except RuntimeError:  # a driver or a model of which no graph can be recorded
        if name != "auto" or chosen != "graph":
            raise
    return opened("torch")  # not before what failed is let go, and its memory


_HOMES = {
    "torch": ("torch_backend", "TorchBackend"),
    "compile": ("compile_backend", "CompileBackend"),
    "graph": ("graph_backend", "GraphBackend"),
    "openvino": ("openvino_backend", "OpenVinoBackend"),
    "onnx": ("onnx_backend", "OnnxBackend"),
}
_ON_A_GPU = {
    "torch": ("cuda_backend", "CudaBackend"),
    "compile": ("cuda_compile_backend", "CudaCompileBackend"),
}
