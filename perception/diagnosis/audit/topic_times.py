"""Arrivals and stamps of the messages of a topic: rates, gaps, delays."""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from perception.logs import Damage, Log

MS = 1e-6  # milliseconds in a nanosecond


@dataclass(slots=True)
class TopicTimes:
    """Arrivals (and, of decoded messages, stamps) of one topic, ns, in arrival order."""

    arrivals: array[int] = field(default_factory=lambda: array("q"))
    stamps: array[int] = field(default_factory=lambda: array("q"))

    def add(self, log_time_ns: int, stamp_ns: int | None = None) -> None:
        self.arrivals.append(min(log_time_ns, (1 << 63) - 1))
        if stamp_ns is not None:
            self.stamps.append(min(max(stamp_ns, -1 << 63), (1 << 63) - 1))

    @property
    def count(self) -> int:
        return len(self.arrivals)

    def steps_s(self) -> NDArray[np.float64]:
        """Return the seconds between arrivals."""
        return np.diff(np.asarray(self.arrivals, dtype=np.int64)).astype(np.float64) / 1e9

    def period_s(self) -> float | None:
        """Return the median step between arrivals, s; None if there is none."""
        steps = self.steps_s()
        steps = steps[steps > 0]
        return float(np.median(steps)) if steps.size else None

    def largest_gap(self) -> tuple[float, int] | None:
        """Return the longest step, s, and the arrival before it, ns."""
        steps = self.steps_s()
        if not steps.size:
            return None
        at = int(steps.argmax())
        return float(steps[at]), self.arrivals[at]

    def dropouts(self) -> tuple[int, int]:
        """Return the number of steps longer than 1.5 periods, and of the messages missing in them."""
        period = self.period_s()
        if period is None:
            return 0, 0
        steps = self.steps_s()
        long = steps[steps > 1.5 * period]
        return int(long.size), int(np.round(long / period - 1).sum())

    def delays_ms(self) -> NDArray[np.float64]:
        """Return arrival less stamp of each message."""
        arrivals = np.asarray(self.arrivals, dtype=np.int64)
        return (arrivals - np.asarray(self.stamps, dtype=np.int64)).astype(np.float64) * MS

    def stamp_steps_s(self) -> NDArray[np.float64]:
        """Return the seconds between stamps, in the order of arrival; negative where they go back."""
        return np.diff(np.asarray(self.stamps, dtype=np.int64)).astype(np.float64) / 1e9


@dataclass(frozen=True, slots=True)
class Delay:
    """Arrival less stamp over a topic, ms: median, 95th percentile, spread from the 5th to the 95th."""

    median_ms: float
    p95_ms: float
    jitter_ms: float

    @classmethod
    def of(cls, times: TopicTimes) -> Delay | None:
        if not times.stamps:
            return None
        low, middle, high = np.percentile(times.delays_ms(), [5, 50, 95])
        return cls(float(middle), float(high), float(high - low))


def survey_times(log: Log) -> tuple[dict[str, TopicTimes], list[Damage]]:
    """Return the arrivals of every topic, and the damage of the file: one reading, nothing is decoded."""
    times: dict[str, TopicTimes] = {}
    stream = log.messages()
    for message in stream:
        times.setdefault(message.topic, TopicTimes()).add(message.log_time_ns)
    return times, stream.damage
