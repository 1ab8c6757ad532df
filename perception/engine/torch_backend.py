"""The model in eager torch, in float32 or bfloat16, on the CPU or a GPU.

On the CPU the samples of a batch are computed one after the other. A larger batch gains next to nothing
there (measured: 10 %), and torch rounds a value differently by where it stands in a batch; one by one,
answers are the same bits whatever the batch, the place in it and the neighbours. On a GPU a batch is one
computation, padded with absent samples.
"""

from __future__ import annotations

import copy
import threading
from collections.abc import Mapping
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from perception.checkpoint import load_checkpoint
from perception.engine.arrays import count_of, joined, parts_of, zero_inputs
from perception.engine.lowering import fold_batch_norms, lower_precision
from perception.engine.recording import RecordedModel
from perception.errors import ConfigError
from perception.models.config import ModelConfig
from perception.models.fusion_model import FusionModel
from perception.tensors import Inputs, Predictions

DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


class TorchBackend:
    """Eager torch. See `perception.engine.Backend` for the contract and `open_backend` for the arguments."""

    name: ClassVar[str] = "torch"
    recording: ClassVar[bool] = True  # whether long runs on a CPU go over to a recording of the model

    def __init__(
        self,
        source: Path | FusionModel,
        *,
        device: str = "cpu",
        precision: str = "fp32",
        batch: int = 1,
        threads: int | None = None,
    ) -> None:
        if device == "cuda" and not torch.cuda.is_available():
            raise ValueError("expected a CUDA device, found none; use the device cpu")
        if precision == "fp16" and device != "cuda":
            raise ConfigError(["engine.precision: fp16 needs a CUDA device; on the cpu use bf16 or fp32"])
        self.source, self.device, self.precision = source, torch.device(device), precision
        self.batch, self.threads = batch, threads
        self.sha256 = ""
        self._model: FusionModel | None = None
        self._recording: RecordedModel | None = None
        self._own = threading.local()  # each thread's buffers
        self._threads_before: int | None = None

    def open(self) -> None:
        self.close()
        if isinstance(self.source, FusionModel):
            model = copy.deepcopy(self.source)
        else:
            model, meta = load_checkpoint(self.source)
            self.sha256 = meta.sha256
        if self.threads is not None:
            self._threads_before = torch.get_num_threads()
            torch.set_num_threads(self.threads)
        self.config = model.config
        self._model = self._prepared(self._lowered(model.eval().requires_grad_(False)))
        self._own = threading.local()
        if self.device.type == "cpu" and self.recording:
            self._recording = RecordedModel(self._model)
        self._warm()

    def _lowered(self, model: FusionModel) -> FusionModel:
        """The model as this precision and device compute it fastest."""
        model = fold_batch_norms(model)
        if self.precision != "fp32":
            model = lower_precision(model, DTYPES[self.precision])
        if self.precision != "fp32" or self.device.type == "cpu":
            model = model.to(memory_format=torch.channels_last)
        return model.to(self.device)

    def _prepared(self, model: FusionModel) -> FusionModel:
        """What is called for answers."""
        return model

    def _warm(self) -> None:
        """Compute once, so that the first answer is not late."""
        self.run(Inputs(*(array[:1].copy() for array in _arrays(self._buffers()))))

    def run(self, inputs: Inputs) -> Predictions:
        if self._model is None:
            raise ValueError("the backend is not open")
        self._check(inputs)
        return joined([self._compute(part) for part in parts_of(inputs, self._rows)])

    def run_subsets(self, inputs: Inputs, subsets: NDArray[np.bool_]) -> list[Predictions]:
        if self._model is None:
            raise ValueError("the backend is not open")
        masks = torch.from_numpy(np.ascontiguousarray(subsets)).to(self.device)
        self._check(inputs)
        parts = [self._compute_subsets(part, masks) for part in parts_of(inputs, self._rows)]
        return [joined(part) for part in zip(*parts, strict=True)]

    def close(self) -> None:
        if self._recording is not None:
            self._recording.close()
        self._model = self._recording = None
        if self._threads_before is not None:
            torch.set_num_threads(self._threads_before)
            self._threads_before = None

    def describe(self) -> Mapping[str, str]:
        name = torch.cuda.get_device_name(self.device) if self.device.type == "cuda" else "cpu"
        return {
            "backend": self.name,
            "precision": self.precision,
            "device": name,
            "batch": str(self.batch),
            "threads": str(self.threads or torch.get_num_threads()),
            "torch": torch.__version__,
            "weights_sha256": self.sha256,
        }

    @property
    def _rows(self) -> int:
        """How many samples are computed at once."""
        return self.batch if self.device.type == "cuda" else 1

    def _buffers(self) -> Inputs:
        """The calling thread's own, for as many samples as are computed at once."""
        if not hasattr(self._own, "buffers"):
            self._own.buffers = _empty_batch(self.config, self._rows, pin=self.device.type == "cuda")
        buffers: Inputs = self._own.buffers
        return buffers

    def _compute(self, inputs: Inputs) -> Predictions:
        """The answers for what fits into the run's buffers; what is left of them is absent samples."""
        assert self._model is not None
        with torch.inference_mode(), exact_kernels(self.device):
            predictions: Predictions = (self._recording or self._model)(self._loaded(inputs))
            return _taken(predictions, len(inputs.present))

    def _compute_subsets(self, inputs: Inputs, masks: Tensor) -> list[Predictions]:
        """The answers on each subset, likewise."""
        assert self._model is not None
        with torch.inference_mode(), exact_kernels(self.device):
            found = self._model.on_subsets(self._loaded(inputs), masks)
            return [_taken(predictions, len(inputs.present)) for predictions in found]

    def _loaded(self, inputs: Inputs) -> Inputs:
        """The inputs in the thread's buffers, on the device."""
        count, buffers = len(inputs.present), self._buffers()
        for array, target in zip(inputs, _arrays(buffers), strict=True):
            target[:count] = array
            target[count:] = 0
        return Inputs(*(t.to(self.device, non_blocking=True) for t in buffers))

    def _check(self, inputs: Inputs) -> None:
        """Raise ValueError if the arrays do not have the model's shapes."""
        count_of(inputs, Inputs(*_arrays(self._buffers())), self.batch)


def _taken(predictions: Predictions, count: int) -> Predictions:
    """The first `count` answers, as numpy arrays that the caller owns."""
    return Predictions(*(p[:count].cpu().numpy() for p in predictions))


def _empty_batch(config: ModelConfig, rows: int, pin: bool) -> Inputs:
    buffers = [torch.from_numpy(array) for array in zero_inputs(config, rows)]
    return Inputs(*(buffer.pin_memory() if pin else buffer for buffer in buffers))


def _arrays(buffers: Inputs) -> list[NDArray[np.generic]]:
    tensors: list[Tensor] = list(buffers)
    return [tensor.numpy() for tensor in tensors]


def exact_kernels(device: torch.device) -> AbstractContextManager[object]:
    """On a GPU: kernels that repeat bit by bit, and float32 that is float32."""
    stack = ExitStack()
    if device.type == "cuda":
        flags = torch.backends.cudnn.flags
        stack.enter_context(flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False))
    return stack
