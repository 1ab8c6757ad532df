"""The model as a CUDA graph: its kernels are recorded once and replayed, so that launching them is free."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import ClassVar

import torch

from perception.engines.cuda_backend import CudaBackend
from perception.engines.cuda_ring import Packed
from perception.models.tensors import Inputs

WARM_UPS = 3
"""Before recording: libraries choose kernels and allocate in their first calls."""

TIMED = 20
"""Replays that are timed, one after the other. What they take does not depend on what is in the arrays."""

_RECORDING = threading.Lock()
"""Torch records one graph at a time."""


class GraphBackend(CudaBackend):
    """See `CudaBackend`. A graph that does not give the bits of what it records is not used."""

    name: ClassVar[str] = "graph"
    _replay_s = 0.0

    def device_s(self) -> float:
        return 0.0 if self._ring is None else self._ring.calls * self._replay_s

    def _work(
        self, compute: Callable[[], object], inputs: Packed, answers: Packed, stream: torch.cuda.Stream
    ) -> Callable[[], object]:
        for _ in range(WARM_UPS):
            compute()
        stream.synchronize()
        graph = torch.cuda.CUDAGraph()
        with _RECORDING, torch.cuda.graph(graph, stream=stream, capture_error_mode="thread_local"):
            compute()
        _compare(compute, graph.replay, inputs, answers)
        self._replay_s = _seconds_of(graph.replay)
        return graph.replay


def _compare(
    compute: Callable[[], object], replay: Callable[[], object], inputs: Packed, answers: Packed
) -> None:
    """On noise, all sensors present.

    Raises:
        RuntimeError: They do not say the same.
    """
    draw = torch.Generator(inputs.whole.device).manual_seed(0)
    noise = Inputs(*inputs.parts)
    noise.image.random_(0, 256, generator=draw)
    for part in noise[1:]:
        part.uniform_(0, 1, generator=draw)
    noise.returns_valid.fill_(1)
    noise.present.fill_(1)
    compute()
    expected = answers.whole.clone()
    answers.whole.zero_()
    replay()
    if not torch.equal(expected, answers.whole):
        raise RuntimeError("the CUDA graph does not repeat what was recorded; use the backend torch")
    inputs.whole.zero_()


def _seconds_of(replay: Callable[[], object]) -> float:
    """What one replay takes on the GPU, the host's part left out: several are queued at once."""
    began, ended = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
    began.record()
    for _ in range(TIMED):
        replay()
    ended.record()
    ended.synchronize()
    return float(began.elapsed_time(ended)) / 1e3 / TIMED
