"""The model in eager torch on a GPU, in float32, bfloat16 or float16. A batch is one computation there,
padded with absent samples. Not measured yet: no GPU was at hand.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from perception.engines.arrays import only, zero_inputs
from perception.engines.cuda_ring import Packed, Ring, packed
from perception.engines.lowering import fold_batch_norms
from perception.engines.torch_backend import TorchBackend
from perception.errors import ConfigError
from perception.models.fusion_model import FusionModel
from perception.models.tensors import Inputs, Predictions


class CudaBackend(TorchBackend):
    """See `perception.engines.Backend` for the contract and `open_backend` for the arguments."""

    name: ClassVar[str] = "torch"

    def __init__(
        self,
        source: Path | FusionModel,
        *,
        device: str = "cuda",
        precision: str = "fp32",
        batch: int = 1,
        threads: int | None = None,
    ) -> None:
        if device != "cuda":
            raise ConfigError(
                [
                    f"engine.backend: {self.name} needs a CUDA device, found the device {device}; "
                    "use torch, compile or openvino"
                ]
            )
        if not torch.cuda.is_available():
            raise ValueError("expected a CUDA device, found none; use the device cpu")
        super().__init__(source, device=device, precision=precision, batch=batch, threads=threads)
        self._ring: Ring | None = None
        self._inputs: Packed | None = None  # the model's own memory
        self._answers: Packed | None = None
        self._exact = False

    def open(self) -> None:
        try:
            super().open()
        except BaseException:
            self.close()
            raise

    def run(self, inputs: Inputs) -> Predictions:
        count = self._count(inputs)
        assert self._ring is not None
        return Predictions(*self._ring.call(inputs, count))

    def run_subsets(self, inputs: Inputs, subsets: NDArray[np.bool_]) -> list[Predictions]:
        return [self.run(only(inputs, subset)) for subset in subsets]

    def close(self) -> None:
        super().close()
        ring, self._ring, self._inputs, self._answers = self._ring, None, None, None
        try:
            if ring is not None:
                ring.wait()
        finally:
            if self._exact:
                self._exact = False
                _EXACT.leave()

    def describe(self) -> Mapping[str, str]:
        return {**super().describe(), "device_name": torch.cuda.get_device_name(self.device)}

    def _lowered(self, model: FusionModel) -> FusionModel:
        """In float32 the maps lie as torch has them by default: cuDNN's exact kernels are made for that."""
        if self.precision == "fp32":
            return fold_batch_norms(model).to(self.device)
        return super()._lowered(model).to(self.device)

    def _prepared(self, model: FusionModel) -> FusionModel:
        """Sets the ring up around the model."""
        _EXACT.enter()
        self._exact = True
        zeros = zero_inputs(self.config, self.batch)
        self._inputs = inputs = packed([torch.from_numpy(array) for array in zeros], self.device)
        stream = torch.cuda.Stream(self.device)  # type: ignore[no-untyped-call]
        stream.wait_stream(torch.cuda.current_stream(self.device))  # weights are still on their way
        with torch.inference_mode(), torch.cuda.stream(stream):
            self._answers = answers = packed(model(Inputs(*inputs.parts)), self.device)

            def compute() -> None:
                for found, place in zip(model(Inputs(*inputs.parts)), answers.parts, strict=True):
                    place.copy_(found)

            work = self._work(compute, inputs, answers, stream)
        stream.synchronize()
        self._ring = Ring(inputs, answers, work, stream)
        return model

    def _work(
        self, compute: Callable[[], object], inputs: Packed, answers: Packed, stream: torch.cuda.Stream
    ) -> Callable[[], object]:
        """What calls do. `compute` reads the inputs and writes the answers, on the current stream."""
        return compute


class _ExactKernels:
    """As long as any backend is open: kernels that repeat bit by bit, and float32 that is float32.

    The flags hold for the whole process: set around each call, one thread would reset them under another's.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open = 0
        self._before = ExitStack()

    def enter(self) -> None:
        with self._lock:
            if not self._open:
                with ExitStack() as stack:
                    flags = torch.backends.cudnn.flags
                    exact = flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False)
                    stack.enter_context(exact)
                    stack.callback(torch.set_float32_matmul_precision, torch.get_float32_matmul_precision())
                    torch.set_float32_matmul_precision("highest")
                    self._before = stack.pop_all()
            self._open += 1

    def leave(self) -> None:
        with self._lock:
            self._open -= 1
            if not self._open:
                self._before.close()


_EXACT = _ExactKernels()
