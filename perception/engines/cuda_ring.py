"""How several threads share one model on a GPU: calls under way go round a ring of slots, over three streams.

The model reads and writes the same memory in every call, so nothing of it is ever handed out. A call takes a
slot: its samples go into the slot's pinned memory, up on a stream of their own, from there into the model's
memory on the stream of the computing, and the answers come back through the slot likewise, while another
call is computed. A call waits for its own answers only, and sleeps meanwhile. Not measured yet: no GPU was
at hand.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

SLOTS = 4
"""Calls under way at once; further ones wait for a slot."""

ALIGNMENT = 64
"""Bytes. Each part of a piece of memory begins at a multiple: kernels load whole vectors."""


class Packed(NamedTuple):
    """Several tensors in one piece of memory: one copy moves them all."""

    whole: Tensor  # uint8 [bytes]
    parts: tuple[Tensor, ...]


def packed(like: Sequence[Tensor], device: torch.device | str, pin: bool = False) -> Packed:
    """Return zeros of these shapes and types, each contiguous, in one piece of memory."""
    starts = [0]
    for tensor in like:
        used = starts[-1] + tensor.numel() * tensor.element_size()
        starts.append(-(-used // ALIGNMENT) * ALIGNMENT)
    whole = torch.zeros(starts[-1], dtype=torch.uint8, device=device, pin_memory=pin)
    parts = []
    for tensor, start in zip(like, starts, strict=False):
        part = whole[start : start + tensor.numel() * tensor.element_size()]
        parts.append(part.view(tensor.dtype).view(tensor.shape))
    return Packed(whole, tuple(parts))


class _Slot(NamedTuple):
    """The memory and the events of one call under way."""

    host: Packed  # pinned
    device: Packed
    answers: Packed  # on the device
    host_answers: Packed  # pinned
    uploaded: torch.cuda.Event
    computed: torch.cuda.Event
    done: torch.cuda.Event


class Ring:
    """Calls of one model from any thread.

    Args:
        inputs, answers: The model's own memory, on the GPU.
        work: Reads the one and writes the other, on the current stream, without waiting for it.
        compute_on: The stream on which it does.
    """

    def __init__(
        self, inputs: Packed, answers: Packed, work: Callable[[], object], compute_on: torch.cuda.Stream
    ) -> None:
        self._inputs, self._answers, self._work, self._compute_on = inputs, answers, work, compute_on
        self._device = inputs.whole.device
        self._up, self._down = _stream(self._device), _stream(self._device)
        self.calls = 0
        self._lock = threading.Lock()
        self._slots: queue.SimpleQueue[_Slot] = queue.SimpleQueue()
        for _ in range(SLOTS):
            self._slots.put(self._slot())
        torch.cuda.current_stream(self._device).synchronize()  # the slots are zeros

    def call(self, arrays: Sequence[NDArray[Any]], count: int) -> list[NDArray[Any]]:
        """Return the answers for `count` samples, as arrays that the caller owns. The rest of the model's
        batch is absent samples."""
        slot = self._slots.get()
        try:
            for array, part in zip(arrays, slot.host.parts, strict=True):
                target = part.numpy()
                target[:count] = array
                target[count:] = 0
            with torch.inference_mode():
                self._submit(slot)
            slot.done.synchronize()
            return [np.array(part.numpy()[:count]) for part in slot.host_answers.parts]
        finally:
            self._slots.put(slot)

    def wait(self) -> None:
        """Wait until no call is under way on these streams, interrupted calls included.

        The rest of the device is not waited for: that would break a graph that another backend is recording.
        """
        for stream in (self._up, self._compute_on, self._down):
            stream.synchronize()

    def _submit(self, slot: _Slot) -> None:
        """Put one call on the streams. The lock keeps the order of two calls the same on all of them."""
        with self._lock:
            self.calls += 1
            with torch.cuda.stream(self._up):
                slot.device.whole.copy_(slot.host.whole, non_blocking=True)
                slot.uploaded.record()
            with torch.cuda.stream(self._compute_on):
                self._compute_on.wait_event(slot.uploaded)
                self._inputs.whole.copy_(slot.device.whole, non_blocking=True)
                self._work()
                slot.answers.whole.copy_(self._answers.whole, non_blocking=True)
                slot.computed.record()
            with torch.cuda.stream(self._down):
                self._down.wait_event(slot.computed)
                slot.host_answers.whole.copy_(slot.answers.whole, non_blocking=True)
                slot.done.record()

    def _slot(self) -> _Slot:
        inputs, answers = self._inputs.parts, self._answers.parts
        return _Slot(
            packed(inputs, "cpu", pin=True),
            packed(inputs, self._device),
            packed(answers, self._device),
            packed(answers, "cpu", pin=True),
            *(torch.cuda.Event(blocking=name == "done") for name in ("uploaded", "computed", "done")),  # type: ignore[no-untyped-call]
        )


def _stream(device: torch.device) -> torch.cuda.Stream:
    return torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
