"""The model in eager torch on the CPU, in float32 or bfloat16. On a GPU see `cuda_backend`.

The samples of a batch are computed one after the other. A larger batch gains next to nothing (10 % measured)
and torch rounds a value differently by where it stands in a batch; one by one, answers are the same bits
whatever the batch, the place in it and the neighbours.
"""

from __future__ import annotations

import copy
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from perception.engines.arrays import count_of, joined, parts_of, zero_inputs
from perception.engines.lowering import fold_batch_norms, lower_precision
from perception.engines.recording import RecordedModel
from perception.errors import ConfigError
from perception.models.checkpoint import load_checkpoint
from perception.models.fusion_model import FusionModel
from perception.models.tensors import Inputs, Predictions

DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


class TorchBackend:
    """Eager torch. See `perception.engines.Backend` for the contract and `open_backend` for the arguments.

    What other backends compute with a model in torch, they compute as this one but for what they override.
    """

    name: ClassVar[str] = "torch"

    def __init__(
        self,
        source: Path | FusionModel,
        *,
        device: str = "cpu",
        precision: str = "fp32",
        batch: int = 1,
        threads: int | None = None,
    ) -> None:
        if precision == "fp16" and device != "cuda":
            raise ConfigError(["engine.precision: fp16 needs a CUDA device; on the cpu use bf16 or fp32"])
        self.source, self.device, self.precision = source, torch.device(device), precision
        self.batch, self.threads = batch, threads
        self.sha256 = ""
        self._like: Inputs | None = None
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
        self._like = zero_inputs(model.config, 1)
        self._model = self._prepared(self._lowered(model.eval().requires_grad_(False)))
        self.run(self._like)  # so that the first answer is not late

    def _lowered(self, model: FusionModel) -> FusionModel:
        """The model as this precision and device compute it fastest."""
        model = fold_batch_norms(model)
        if self.precision != "fp32":
            model = lower_precision(model, DTYPES[self.precision])
        return model.to(memory_format=torch.channels_last)

    def _prepared(self, model: FusionModel) -> FusionModel:
        """What is called for answers."""
        self._own = threading.local()
        self._recording = RecordedModel(model)
        return model

    def run(self, inputs: Inputs) -> Predictions:
        self._count(inputs)
        return joined([self._compute(part) for part in parts_of(inputs, 1)])

    def run_subsets(self, inputs: Inputs, subsets: NDArray[np.bool_]) -> list[Predictions]:
        self._count(inputs)
        masks = torch.from_numpy(np.ascontiguousarray(subsets))
        parts = [self._compute_subsets(part, masks) for part in parts_of(inputs, 1)]
        return [joined(part) for part in zip(*parts, strict=True)]

    def close(self) -> None:
        if self._recording is not None:
            self._recording.close()
        self._model = self._recording = self._like = None
        if self._threads_before is not None:
            torch.set_num_threads(self._threads_before)
            self._threads_before = None

    def describe(self) -> Mapping[str, str]:
        return {
            "backend": self.name,
            "precision": self.precision,
            "device": self.device.type,
            "batch": str(self.batch),
            "threads": str(self.threads or torch.get_num_threads()),
            "torch": torch.__version__,
            "weights_sha256": self.sha256,
        }

    def device_s(self) -> float:
        return 0.0

    def _count(self, inputs: Inputs) -> int:
        """How many samples there are. ValueError if the arrays do not have the model's shapes."""
        if self._like is None:
            raise ValueError("the backend is not open")
        return count_of(inputs, self._like, self.batch)

    def _compute(self, inputs: Inputs) -> Predictions:
        """The answers for one sample."""
        assert self._recording is not None
        with torch.inference_mode():
            return _taken(self._recording(self._loaded(inputs)))

    def _compute_subsets(self, inputs: Inputs, masks: Tensor) -> list[Predictions]:
        """The answers on each subset, likewise."""
        assert self._model is not None
        with torch.inference_mode():
            return [_taken(found) for found in self._model.on_subsets(self._loaded(inputs), masks)]

    def _loaded(self, inputs: Inputs) -> Inputs:
        """The inputs in the calling thread's own memory."""
        if not hasattr(self._own, "buffers"):
            self._own.buffers = Inputs(*(torch.from_numpy(array) for array in zero_inputs(self.config, 1)))
        buffers: Inputs = self._own.buffers
        for array, buffer in zip(inputs, buffers, strict=True):
            buffer.numpy()[:] = array
        return buffers


def _taken(predictions: Predictions) -> Predictions:
    """The answers as numpy arrays that the caller owns."""
    return Predictions(*(tensor.numpy() for tensor in predictions))
