"""The model in eager torch on a GPU, in float32, bfloat16 or float16. A batch is one computation there,
padded with absent samples. Not measured yet: no GPU was at hand.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from perception.engine.arrays import only, zero_inputs
from perception.engine.cuda_ring import Ring, packed
from perception.engine.lowering import fold_batch_norms
from perception.engine.torch_backend import TorchBackend
from perception.errors import ConfigError
from perception.models.fusion_model import FusionModel
from perception.tensors import Inputs, Predictions


class CudaBackend(TorchBackend):
    """See `perception.engine.Backend` for the contract and `open_backend` for the arguments."""

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
        if self._ring is not None:
            torch.cuda.synchronize(self.device)
            self._ring = None
        if self._exact:
            self._exact = False
            _EXACT.leave()

    def describe(self) -> Mapping[str, str]:
        return {**super().describe(), "device_name": torch.cuda.get_device_name(self.device)}

    def device_s(self) -> float:
        return 0.0 if self._ring is None else self._ring.computed_s

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
        self._inputs = packed([torch.from_numpy(array) for array in zeros], self.device)
        self._compute_on = torch.cuda.Stream(self.device)  # type: ignore[no-untyped-call]
        self._compute_on.wait_stream(torch.cuda.current_stream(self.device))  # weights are still on their way
        with torch.inference_mode(), torch.cuda.stream(self._compute_on):
            self._answers = packed(model(Inputs(*self._inputs.parts)), self.device)
            work = self._work(model)
        self._compute_on.synchronize()
        self._ring = Ring(self._inputs, self._answers, work, self._compute_on)
        return model

    def _work(self, model: FusionModel) -> Callable[[], object]:
        """What reads `_inputs` and writes `_answers`, on the current stream."""

        def work() -> None:
            for found, place in zip(model(Inputs(*self._inputs.parts)), self._answers.parts, strict=True):
                place.copy_(found)

        return work


class _ExactKernels:
    """As long as any backend is open: kernels that repeat bit by bit, and float32 that is float32.

    The flags hold for the whole process: set around each call, one thread would reset them under another's.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open = 0
        self._flags: AbstractContextManager[object] | None = None

    def enter(self) -> None:
        with self._lock:
            self._open += 1
            if self._open == 1:
                flags = torch.backends.cudnn.flags
                self._flags = flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False)
                self._flags.__enter__()

    def leave(self) -> None:
        with self._lock:
            self._open -= 1
            if self._open == 0 and self._flags is not None:
                self._flags.__exit__(None, None, None)
                self._flags = None


_EXACT = _ExactKernels()
