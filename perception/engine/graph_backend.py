"""The model as a CUDA graph: its kernels are recorded once and replayed, so that launching them is free.

A graph reads and writes the same memory at every replay, so nothing of it is ever handed out. A call takes
a slot of a ring: its samples go into the slot's pinned memory, up on a stream of their own, from there into
the graph's memory on the stream of the replays, and the answers come back through the slot likewise, while
another call is computed. A call waits for its own answers only. Not measured yet: no GPU was at hand.
"""

from __future__ import annotations

import queue
import threading
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from perception.engine.torch_backend import TorchBackend, exact_kernels
from perception.errors import ConfigError
from perception.models.fusion_model import FusionModel
from perception.tensors import Inputs, Predictions

SLOTS = 4
"""Calls under way at once; further ones wait for a slot."""

WARM_UPS = 3
"""Before recording: libraries choose kernels and allocate in their first calls."""


class _Slot(NamedTuple):
    """What one call under way owns."""

    host: Inputs  # pinned
    device: Inputs
    answers: Predictions  # on the device
    host_answers: Predictions  # pinned
    uploaded: torch.cuda.Event
    computed: torch.cuda.Event
    done: torch.cuda.Event


class GraphBackend(TorchBackend):
    """See `TorchBackend`. Answers on subsets of the sensors are computed without the graph."""

    name: ClassVar[str] = "graph"

    def open(self) -> None:
        if self.device.type != "cuda":
            raise ConfigError(
                ["engine.backend: graph needs a CUDA device, found the device cpu; use torch, or openvino"]
            )
        super().open()

    def _prepared(self, model: FusionModel) -> FusionModel:
        self._lock = threading.Lock()
        self._up, self._down, self._compute_on = (
            torch.cuda.Stream(self.device)  # type: ignore[no-untyped-call]
            for _ in range(3)
        )
        self._inputs = Inputs(*(t.to(self.device) for t in self._buffers()))
        self._record(model)
        self._slots: queue.SimpleQueue[_Slot] = queue.SimpleQueue()
        for _ in range(SLOTS):
            self._slots.put(self._slot())
        torch.cuda.synchronize(self.device)
        return model

    def _record(self, model: FusionModel) -> None:
        """The graph, from the memory of `_inputs` to that of `_answers`."""
        with torch.inference_mode(), exact_kernels(self.device), torch.cuda.stream(self._compute_on):
            for _ in range(WARM_UPS):
                model(self._inputs)
            self._compute_on.synchronize()
            self._graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(self._graph, stream=self._compute_on):
                self._answers: Predictions = model(self._inputs)

    def _slot(self) -> _Slot:
        host = Inputs(*(torch.zeros_like(t).pin_memory() for t in self._buffers()))
        host_answers = Predictions(
            *(torch.empty(t.shape, dtype=t.dtype, pin_memory=True) for t in self._answers)
        )
        events = (torch.cuda.Event() for _ in range(3))  # type: ignore[no-untyped-call]
        return _Slot(
            host,
            Inputs(*map(torch.empty_like, self._inputs)),
            Predictions(*map(torch.empty_like, self._answers)),
            host_answers,
            *events,
        )

    def _compute(self, inputs: Inputs) -> Predictions:
        slot, count = self._slots.get(), len(inputs.present)
        try:
            with torch.inference_mode():
                _fill(slot.host, inputs)
                self._submit(slot)
                slot.done.synchronize()
                return Predictions(*(t[:count].numpy().copy() for t in slot.host_answers))
        finally:
            self._slots.put(slot)

    def _submit(self, slot: _Slot) -> None:
        """Put one call on the streams. The lock keeps the order of two calls the same on all of them."""
        with self._lock:
            with torch.cuda.stream(self._up):
                _copy(slot.host, slot.device)
                slot.uploaded.record()
            with torch.cuda.stream(self._compute_on):
                self._compute_on.wait_event(slot.uploaded)
                _copy(slot.device, self._inputs)
                self._graph.replay()
                _copy(self._answers, slot.answers)
                slot.computed.record()
            with torch.cuda.stream(self._down):
                self._down.wait_event(slot.computed)
                _copy(slot.answers, slot.host_answers)
                slot.done.record()


def _fill(host: Inputs, inputs: Inputs) -> None:
    """The samples into pinned memory; the rest of the batch is absent samples."""
    count = len(inputs.present)
    for array, target in zip(inputs, host, strict=True):
        target.numpy()[:count] = array
        target.numpy()[count:] = 0


def _copy(source: tuple[Tensor, ...], target: tuple[Tensor, ...]) -> None:
    for a, b in zip(source, target, strict=True):
        b.copy_(a, non_blocking=True)
