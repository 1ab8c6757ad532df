"""Durations by stage, in memory that does not grow with the run."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TypeVar

import numpy as np

STAGES = ("read", "align", "prepare", "infer", "step", "sink")
"""The stages of a sample, in order; `total` is their sum. A plugin that does not offer `Infers` computes in
`step`, and its `infer` takes no time."""

_LOWEST_MS = 1e-4
_PER_DECADE = 232  # bins 1 % apart
_BINS = 9 * _PER_DECADE  # up to 1e5 ms
T = TypeVar("T")


class DurationHistogram:
    """Durations in bins 1 % wide: quantiles to half a percent, in 16 KiB."""

    def __init__(self) -> None:
        self._bins = np.zeros(_BINS, np.int64)
        self.count = 0
        self.worst_ms = 0.0

    def add(self, duration_ms: float) -> None:
        place = int(np.log10(max(duration_ms, _LOWEST_MS) / _LOWEST_MS) * _PER_DECADE)
        self._bins[min(place, _BINS - 1)] += 1
        self.count += 1
        self.worst_ms = max(self.worst_ms, duration_ms)

    def quantile_ms(self, fraction: float) -> float:
        """Return the duration in ms below which that fraction lies, at most `worst_ms`; NaN without any."""
        if self.count == 0:
            return float("nan")
        rank = min(int(fraction * self.count), self.count - 1)
        place = int(np.searchsorted(np.cumsum(self._bins), rank, side="right"))
        if place >= _BINS - 1:  # the last bin has no upper end
            return self.worst_ms
        return min(float(_LOWEST_MS * 10 ** ((place + 0.5) / _PER_DECADE)), self.worst_ms)


class Spent:
    """The time spent on one sample so far, by stage, in ms: wall clock and processor.

    Args:
        cpu_clock: Returns seconds of processor time: the thread's by default. A run that does one thing at a
            time can use the process's, which includes the threads of libraries.
    """

    __slots__ = ("_cpu_clock", "cpu_ms", "wall_ms")

    def __init__(self, cpu_clock: Callable[[], float] = time.thread_time) -> None:
        self.wall_ms = dict.fromkeys(STAGES, 0.0)
        self.cpu_ms = dict.fromkeys(STAGES, 0.0)
        self._cpu_clock = cpu_clock

    @contextmanager
    def on(self, stage: str) -> Iterator[None]:
        """Time the block, and add it to `stage`."""
        wall, cpu = time.perf_counter(), self._cpu_clock()
        try:
            yield
        finally:
            self.cpu_ms[stage] += (self._cpu_clock() - cpu) * 1e3
            self.wall_ms[stage] += (time.perf_counter() - wall) * 1e3

    def fresh(self) -> Spent:
        """Return a new object with the same clock."""
        return Spent(self._cpu_clock)

    def add(self, other: Spent, share: float = 1.0) -> None:
        """Add a share of the time that was spent on several samples together."""
        for stage in STAGES:
            self.wall_ms[stage] += other.wall_ms[stage] * share
            self.cpu_ms[stage] += other.cpu_ms[stage] * share


class StageTimes:
    """Durations by stage. Reading and aligning count for the next sample, whose times `take` returns.

    Args:
        cpu_clock: As `Spent` takes it.
    """

    def __init__(self, cpu_clock: Callable[[], float] = time.thread_time) -> None:
        self.histograms = {stage: DurationHistogram() for stage in (*STAGES, "total")}
        self.wall_s = dict.fromkeys(STAGES, 0.0)
        self.cpu_s = dict.fromkeys(STAGES, 0.0)
        self._cpu_clock = cpu_clock
        self._spent = Spent(cpu_clock)

    def take(self) -> Spent:
        """Return the time spent since the last call: reading and aligning one sample."""
        spent, self._spent = self._spent, self._spent.fresh()
        return spent

    def finish(self, spent: Spent) -> None:
        """Add the times of a sample that went to the sinks."""
        self.count(spent)
        for stage, duration_ms in spent.wall_ms.items():
            self.histograms[stage].add(duration_ms)
        self.histograms["total"].add(sum(spent.wall_ms.values()))

    def count(self, spent: Spent) -> None:
        """Add the times of a sample to the totals only."""
        for stage in STAGES:
            self.wall_s[stage] += spent.wall_ms[stage] / 1e3
            self.cpu_s[stage] += spent.cpu_ms[stage] / 1e3

    def watched(self, stage: str, items: Iterable[T], inner: str | None = None) -> Iterator[T]:
        """Yield the items; the time to make each is added to `stage`, less the time it adds to `inner`."""
        iterator = iter(items)
        while True:
            inner_ms = self._of(inner)
            wall, cpu = time.perf_counter(), self._cpu_clock()
            try:
                item = next(iterator)
            except StopIteration:
                return
            finally:  # without a context manager: this runs for every message
                cpu, wall = self._cpu_clock() - cpu, time.perf_counter() - wall
                inner_wall_ms, inner_cpu_ms = self._of(inner)
                self._spent.wall_ms[stage] += wall * 1e3 - (inner_wall_ms - inner_ms[0])
                self._spent.cpu_ms[stage] += cpu * 1e3 - (inner_cpu_ms - inner_ms[1])
            yield item

    def _of(self, stage: str | None) -> tuple[float, float]:
        if stage is None:
            return 0.0, 0.0
        return self._spent.wall_ms[stage], self._spent.cpu_ms[stage]


def quantiles(histogram: DurationHistogram) -> Mapping[str, float]:
    """Return `p50`, `p99` and `max` in ms; empty without any duration."""
    if not histogram.count:
        return {}
    return {
        "p50": round(histogram.quantile_ms(0.5), 4),
        "p99": round(histogram.quantile_ms(0.99), 4),
        "max": round(histogram.worst_ms, 4),
    }
