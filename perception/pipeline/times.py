"""How long each stage takes, in memory that does not grow with the run."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TypeVar

import numpy as np

STAGES = ("read", "align", "prepare", "infer", "step", "sink")
"""What happens to a sample, in order; `total` is their sum. A plugin that does not offer `Infers` computes
in `step`, and spends nothing on `infer`."""

_LOWEST_MS = 1e-4
_PER_DECADE = 232  # bins 1 % apart
_BINS = 9 * _PER_DECADE  # up to 1e5 ms
T = TypeVar("T")


class Spread:
    """A histogram of durations with bins 1 % wide: quantiles to half a percent, 16 KiB for any length."""

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
        """The duration below which that fraction lies; NaN without any."""
        if self.count == 0:
            return float("nan")
        rank = min(int(fraction * self.count), self.count - 1)
        place = int(np.searchsorted(np.cumsum(self._bins), rank, side="right"))
        return float(_LOWEST_MS * 10 ** ((place + 0.5) / _PER_DECADE))


class Spent:
    """What one sample has cost so far, by stage, in ms: by the wall clock, and of the processor.

    Args:
        cpu_clock: Seconds of processor time. That of the thread by default; a run in which only one thing
            happens at a time can take that of the process, which sees also what libraries do in threads.
    """

    __slots__ = ("_cpu_clock", "cpu_ms", "wall_ms")

    def __init__(self, cpu_clock: Callable[[], float] = time.thread_time) -> None:
        self.wall_ms = dict.fromkeys(STAGES, 0.0)
        self.cpu_ms = dict.fromkeys(STAGES, 0.0)
        self._cpu_clock = cpu_clock

    @contextmanager
    def on(self, stage: str) -> Iterator[None]:
        """What happens inside is spent on `stage`."""
        wall, cpu = time.perf_counter(), self._cpu_clock()
        try:
            yield
        finally:
            self.cpu_ms[stage] += (self._cpu_clock() - cpu) * 1e3
            self.wall_ms[stage] += (time.perf_counter() - wall) * 1e3

    def fresh(self) -> Spent:
        """Nothing spent yet, by the same clock."""
        return Spent(self._cpu_clock)

    def add(self, other: Spent, share: float = 1.0) -> None:
        """Take over a share of what was spent on several samples together."""
        for stage in STAGES:
            self.wall_ms[stage] += other.wall_ms[stage] * share
            self.cpu_ms[stage] += other.cpu_ms[stage] * share


class StageTimes:
    """Collects durations by stage. What is read and aligned adds to the sample under way; `take` gives it.

    Args:
        cpu_clock: As `Spent` takes it.
    """

    def __init__(self, cpu_clock: Callable[[], float] = time.thread_time) -> None:
        self.spreads = {stage: Spread() for stage in (*STAGES, "total")}
        self.wall_s = dict.fromkeys(STAGES, 0.0)
        self.cpu_s = dict.fromkeys(STAGES, 0.0)
        self._cpu_clock = cpu_clock
        self._spent = Spent(cpu_clock)

    def take(self) -> Spent:
        """What was spent since the last call: the part of reading and aligning of one sample."""
        spent, self._spent = self._spent, self._spent.fresh()
        return spent

    def finish(self, spent: Spent) -> None:
        """A sample is done."""
        self.count(spent)
        for stage, duration_ms in spent.wall_ms.items():
            self.spreads[stage].add(duration_ms)
        self.spreads["total"].add(sum(spent.wall_ms.values()))

    def count(self, spent: Spent) -> None:
        """Only the totals: for a sample that nobody sees."""
        for stage in STAGES:
            self.wall_s[stage] += spent.wall_ms[stage] / 1e3
            self.cpu_s[stage] += spent.cpu_ms[stage] / 1e3

    def watched(self, stage: str, items: Iterable[T], inner: str | None = None) -> Iterator[T]:
        """The same items; the time that making each of them takes is spent on `stage`.

        Time that the items' own making spent on `inner` meanwhile is not counted twice.
        """
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


def quantiles(spread: Spread) -> Mapping[str, float]:
    """`p50`, `p99` and `max` in ms; empty without any."""
    if not spread.count:
        return {}
    return {
        "p50": round(spread.quantile_ms(0.5), 4),
        "p99": round(spread.quantile_ms(0.99), 4),
        "max": round(spread.worst_ms, 4),
    }
