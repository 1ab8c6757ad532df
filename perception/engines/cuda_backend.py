"""Models on a GPU, in float32, bfloat16 or float16: eager torch, and the same recorded as a CUDA graph.

A batch is one computation there, padded with zeros. Not measured yet: no GPU was at hand.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import Any

import torch
from numpy.typing import NDArray
from torch import nn

from perception.engines.arrays import Arrays, by_name
from perception.engines.cuda_ring import Packed, Ring, packed
from perception.engines.model_source import ModelSource
from perception.engines.torch_backend import ModuleBackend

WARM_UPS = 3
"""Before recording: libraries choose kernels and allocate in their first calls."""

TIMED = 20
"""Replays that are timed, one after the other. Their time does not depend on the contents of the arrays."""

_RECORDING = threading.Lock()
"""Torch records one graph at a time."""


class CudaBackend(ModuleBackend):
    """Eager torch on a GPU."""

    name = "torch"

    def __init__(
        self,
        source: ModelSource,
        *,
        device: str = "cuda",
        precision: str = "fp32",
        batch: int = 1,
        threads: int | None = None,
    ) -> None:
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

    def run(self, inputs: Arrays | tuple[Any, ...]) -> dict[str, NDArray[Any]]:
        named = by_name(inputs)
        count = self._count(named)
        assert self._ring is not None
        found = self._ring.call([named[name] for name in self.source.inputs], count)
        return dict(zip(self.source.outputs, found, strict=True))

    def close(self) -> None:
        super().close()
        ring, self._ring = self._ring, None
        try:
            if ring is not None:
                ring.wait()
        finally:
            if self._exact:
                self._exact = False
                _EXACT.leave()

    def describe(self) -> Mapping[str, str]:
        return {**super().describe(), "device_name": torch.cuda.get_device_name(self.device)}

    def _placed(self, module: nn.Module) -> nn.Module:
        """Return the module on the device; in float32 in torch's default memory format, which suits cuDNN's
        exact kernels."""
        module = module if self.precision == "fp32" else super()._placed(module)
        return module.to(self.device)

    def _prepare(self, module: nn.Module) -> None:
        """Set the ring up around the module."""
        _EXACT.enter()
        self._exact = True
        zeros = [torch.from_numpy(spec.zeros(self.batch)) for spec in self.source.inputs.values()]
        inputs = packed(zeros, self.device)
        stream = torch.cuda.Stream(self.device)  # type: ignore[no-untyped-call]
        stream.wait_stream(torch.cuda.current_stream(self.device))  # weights are still being copied
        with torch.inference_mode(), torch.cuda.stream(stream):
            answers = packed(module(*inputs.parts), self.device)

            def compute() -> None:
                for output, place in zip(module(*inputs.parts), answers.parts, strict=True):
                    place.copy_(output)

            work = self._work(compute, inputs, answers, stream)
        stream.synchronize()
        self._ring = Ring(inputs, answers, work, stream)

    def _work(
        self, compute: Callable[[], object], inputs: Packed, answers: Packed, stream: torch.cuda.Stream
    ) -> Callable[[], object]:
        """Return the work of one call; `compute` reads inputs and writes outputs on the current stream."""
        return compute


class GraphBackend(CudaBackend):
    """The model as a CUDA graph: its kernels are recorded once and replayed, without the time to launch them.

    A graph that does not give the bits of what it records is not used.
    """

    name = "graph"
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
        self._compare(compute, graph.replay, inputs, answers)
        self._replay_s = _seconds_of(graph.replay)
        return graph.replay

    def _compare(
        self, compute: Callable[[], object], replay: Callable[[], object], inputs: Packed, answers: Packed
    ) -> None:
        """Compare both on noise.

        Raises:
            RuntimeError: The outputs differ.
        """
        noise = self.source.noise(self.batch, seed=0)
        for part, name in zip(inputs.parts, self.source.inputs, strict=True):
            part.copy_(torch.from_numpy(noise[name]))
        compute()
        expected = answers.whole.clone()
        answers.whole.zero_()
        replay()
        if not torch.equal(expected, answers.whole):
            raise RuntimeError("the CUDA graph does not repeat what was recorded; use the backend torch")
        inputs.whole.zero_()


def _seconds_of(replay: Callable[[], object]) -> float:
    """Return the seconds of one replay on the GPU, without the host's part: several are queued at once."""
    began, ended = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
    began.record()
    for _ in range(TIMED):
        replay()
    ended.record()
    ended.synchronize()
    return float(began.elapsed_time(ended)) / 1e3 / TIMED


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
