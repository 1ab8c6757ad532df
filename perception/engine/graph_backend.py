"""The model as a CUDA graph: its kernels are recorded once and replayed, so that launching them is free."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import ClassVar

import torch

from perception.engine.cuda_backend import CudaBackend
from perception.models.fusion_model import FusionModel

WARM_UPS = 3
"""Before recording: libraries choose kernels and allocate in their first calls."""

_RECORDING = threading.Lock()
"""Torch records one graph at a time."""


class GraphBackend(CudaBackend):
    """See `CudaBackend`. A graph that does not give the bits of eager torch is not used."""

    name: ClassVar[str] = "graph"

    def _work(self, model: FusionModel) -> Callable[[], object]:
        work = super()._work(model)
        for _ in range(WARM_UPS):
            work()
        self._compute_on.synchronize()
        graph = torch.cuda.CUDAGraph()
        with (
            _RECORDING,
            torch.cuda.graph(graph, stream=self._compute_on, capture_error_mode="thread_local"),
        ):
            work()
        self._compare(work, graph.replay)
        return graph.replay

    def _compare(self, eager: Callable[[], object], replay: Callable[[], object]) -> None:
        """On noise, all sensors present.

        Raises:
            RuntimeError: They do not say the same.
        """
        draw = torch.Generator(self.device).manual_seed(0)
        image, *others = self._inputs.parts
        image.random_(0, 256, generator=draw)
        for part in others:
            part.uniform_(0, 1, generator=draw)
        for index in (2, 4):  # returns_valid, present
            self._inputs.parts[index].fill_(1)
        eager()
        expected = self._answers.whole.clone()
        self._answers.whole.zero_()
        replay()
        if not torch.equal(expected, self._answers.whole):
            raise RuntimeError("the CUDA graph does not repeat what eager torch says; use the backend torch")
        self._inputs.whole.zero_()
