"""A model recorded as a list of torch operations, worked off without Python.

Eager torch holds Python's lock while it goes from one operation to the next: a fifth of the time of a small
model, in which no other thread prepares or computes. TorchScript works off the same operations with the same
kernels in the same order, so that the answers are the same bits, and lets the lock go. To record takes as
long as some thirty answers, so it is done for runs that last, beside them.
"""

from __future__ import annotations

import itertools
import threading
import warnings
from collections.abc import Callable

import torch
from torch import Tensor

from perception.engines.exporting import Flat
from perception.models.fusion_model import FusionModel
from perception.models.tensors import Inputs, Predictions

RECORD_AFTER = 100
"""Calls that are answered eagerly before it is worth while."""

SETTLES_AFTER = 2
"""Calls in which TorchScript looks at the shapes before it settles."""

Recorded = Callable[..., tuple[Tensor, ...]]


class RecordedModel:
    """Answers as the model does, and from some call on faster. For inputs of one shape; `close` after use.

    A recording that does not give the bits of the model, for the inputs it was made with, is not used.
    """

    def __init__(self, model: FusionModel) -> None:
        self.model = model
        self._calls = itertools.count(1)
        self._recorded: Recorded | None = None
        self._recorder: threading.Thread | None = None

    @property
    def recorded(self) -> bool:
        """Whether the next call is answered by the recording."""
        return self._recorded is not None

    def __call__(self, inputs: Inputs) -> Predictions:
        if self._recorded is not None:
            return Predictions(*self._recorded(*inputs))
        if next(self._calls) == RECORD_AFTER:
            example = Inputs(*(tensor.clone() for tensor in inputs))  # the caller's are used again
            self._recorder = threading.Thread(target=self._record, args=(example,), name="recorder")
            self._recorder.start()
        found: Predictions = self.model(inputs)
        return found

    def close(self) -> None:
        """Wait until nothing is being recorded."""
        if self._recorder is not None:
            self._recorder.join()

    def _record(self, example: Inputs) -> None:
        found = record(self.model, example)
        if found is not None and _same_bits(self.model, found, example):
            self._recorded = found


def record(model: FusionModel, example: Inputs) -> Recorded | None:
    """The model as a function of the fields of `Inputs` to those of `Predictions`, for inputs of these shapes
    alone; None where this version of torch cannot record."""
    try:
        with warnings.catch_warnings(), torch.inference_mode():
            warnings.simplefilter("ignore")  # that it is deprecated; that shapes become constants
            traced = torch.jit.trace(Flat(model).eval(), tuple(example), check_trace=False)  # type: ignore[no-untyped-call]
            frozen: Recorded = torch.jit.freeze(traced, optimize_numerics=False)
            for _ in range(SETTLES_AFTER):
                frozen(*example)
    except (AttributeError, RuntimeError, NotImplementedError):
        return None
    return frozen


def _same_bits(model: FusionModel, found: Recorded, example: Inputs) -> bool:
    with torch.inference_mode():
        return all(map(torch.equal, model(example), found(*example)))
