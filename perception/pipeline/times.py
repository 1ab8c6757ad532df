"""How long each stage takes, in memory that does not grow with the run."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

import numpy as np

STAGES = ("read", "align", "prepare", "step", "sink")
"""What happens to a sample, in order; `total` is their sum."""

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


class StageTimes:
    """Collects durations by stage. `spend` adds to the sample under way; `finish` ends it."""

    def __init__(self) -> None:
        self.spreads = {stage: Spread() for stage in (*STAGES, "total")}
        self._spent_ms = dict.fromkeys(STAGES, 0.0)

    def spend(self, stage: str, seconds: float) -> None:
        self._spent_ms[stage] += seconds * 1e3

    def take(self) -> dict[str, float]:
        """What was spent since the last call, in ms: the part of reading and aligning of one sample."""
        spent, self._spent_ms = self._spent_ms, dict.fromkeys(STAGES, 0.0)
        return spent

    def finish(self, spent_ms: dict[str, float]) -> None:
        """A sample is done."""
        for stage, duration_ms in spent_ms.items():
            self.spreads[stage].add(duration_ms)
        self.spreads["total"].add(sum(spent_ms.values()))

    def watched(self, stage: str, items: Iterable[T], inner: str | None = None) -> Iterator[T]:
        """The same items; the time that making each of them takes is spent on `stage`.

        Time that the items' own making spent on `inner` meanwhile is not counted twice.
        """
        iterator = iter(items)
        while True:
            before_ms = self._spent_ms[inner] if inner else 0.0
            began = time.perf_counter()
            try:
                item = next(iterator)
            except StopIteration:
                return
            finally:
                inner_ms = (self._spent_ms[inner] - before_ms) if inner else 0.0
                self.spend(stage, time.perf_counter() - began - inner_ms / 1e3)
            yield item
