"""Pacing: samples as soon as possible, or at a multiple of the recorded speed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator

from perception.pipeline.stage_times import DurationHistogram
from perception.types import Sample


class Pace:
    """Delays samples until they are due, and measures how late they are.

    A sample is due when the wall clock has run as far since the first sample as the arrival clock of the
    log has, divided by `rate`. Without `live_drop` every sample is yielded, however late.

    Args:
        rate: 1 is the speed of the recording; None: as soon as possible.
        live_drop: Skip a sample while a newer one is already due, as a live robot would.
        on_drop: Called with every skipped sample.
        period_s: Of the reference sensor, in the log's time. An answer that comes later than one period
            (divided by `rate`) after its sample was due has missed its deadline.
        clock, sleep: For tests.
    """

    def __init__(
        self,
        rate: float | None = None,
        live_drop: bool = False,
        on_drop: Callable[[Sample], None] = lambda sample: None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        period_s: float | None = None,
    ) -> None:
        self._rate = rate
        self._live_drop = live_drop
        self.on_drop = on_drop
        self._clock = clock
        self._sleep = sleep
        self._began: tuple[float, int] | None = None
        self._due_at = 0.0
        self.period_s = period_s / rate if period_s is not None and rate is not None else None
        self.misses = 0
        self.lateness = DurationHistogram()
        self.dropped = 0

    def through(self, samples: Iterable[Sample]) -> Iterator[Sample]:
        """Yield the samples, each when it is due."""
        if self._rate is None:
            yield from samples
            return
        iterator = iter(samples)
        sample = next(iterator, None)
        while sample is not None:
            self._due(sample)  # the first one starts the clock
            following = next(iterator, None)
            if self._live_drop and self._is_overtaken_by(following):
                self.dropped += 1
                self.on_drop(sample)
            else:
                self._wait(sample)
                yield sample
            sample = following

    def _is_overtaken_by(self, following: Sample | None) -> bool:
        """Return whether the next sample is due already; behind a break in time it never is."""
        if following is None or following.reset is not None:
            return False
        return self._due(following) <= self._clock()

    def answered(self) -> None:
        """Record that the output of the last sample is complete."""
        if self.period_s is not None:
            self.misses += self._clock() - self._due_at > self.period_s

    def _due(self, sample: Sample) -> float:
        if self._began is None or sample.reset is not None:
            self._began = (self._clock(), sample.tick.log_time_ns)
        assert self._rate is not None
        began, first_ns = self._began
        return began + (sample.tick.log_time_ns - first_ns) / 1e9 / self._rate

    def _wait(self, sample: Sample) -> None:
        self._due_at = self._due(sample)
        early = self._due_at - self._clock()
        if early > 0:
            self._sleep(early)
        self.lateness.add(max(-early, 0.0) * 1e3)
