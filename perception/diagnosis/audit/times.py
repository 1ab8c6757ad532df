"""When the messages of a topic arrived and were measured: rates, gaps, delays."""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from perception.logs import Damage, Log

MS = 1e-6  # milliseconds in a nanosecond


@dataclass(slots=True)
class Times:
    """Arrivals (and, where messages were decoded, stamps) of one topic, nanoseconds, in arrival order."""

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
        """Seconds between arrivals."""
        return np.diff(np.asarray(self.arrivals, dtype=np.int64)).astype(np.float64) / 1e9

    def period_s(self) -> float | None:
        """The median step between arrivals; None where there is none."""
        steps = self.steps_s()
        steps = steps[steps > 0]
        return float(np.median(steps)) if steps.size else None

    def largest_gap(self) -> tuple[float, int] | None:
        """The longest step, s, and the arrival it began at, ns."""
        steps = self.steps_s()
        if not steps.size:
            return None
        at = int(steps.argmax())
        return float(steps[at]), self.arrivals[at]

    def dropouts(self) -> tuple[int, int]:
        """How many steps are longer than 1.5 periods, and how many messages would have filled them."""
        period = self.period_s()
        if period is None:
            return 0, 0
        steps = self.steps_s()
        long = steps[steps > 1.5 * period]
        return int(long.size), int(np.round(long / period - 1).sum())

    def delays_ms(self) -> NDArray[np.float64]:
        """Arrival less stamp of each message."""
        arrivals = np.asarray(self.arrivals, dtype=np.int64)
        return (arrivals - np.asarray(self.stamps, dtype=np.int64)).astype(np.float64) * MS

    def stamp_steps_s(self) -> NDArray[np.float64]:
        """Seconds between stamps, in the order of arrival; negative where they go back."""
        return np.diff(np.asarray(self.stamps, dtype=np.int64)).astype(np.float64) / 1e9


@dataclass(frozen=True, slots=True)
class Delay:
    """Arrival less stamp over a topic, ms: median, 95th percentile, spread from the 5th to the 95th."""

    median_ms: float
    p95_ms: float
    jitter_ms: float

    @classmethod
    def of(cls, times: Times) -> Delay | None:
        if not times.stamps:
            return None
        low, middle, high = np.percentile(times.delays_ms(), [5, 50, 95])
        return cls(float(middle), float(high), float(high - low))


def survey_times(log: Log) -> tuple[dict[str, Times], list[Damage]]:
    """The arrivals of every topic, and the damage found on the way: one reading, nothing is decoded."""
    found: dict[str, Times] = {}
    stream = log.messages()
    for message in stream:
        times = found.get(message.topic)
        if times is None:
            times = found[message.topic] = Times()
        times.add(message.log_time_ns)
    return found, stream.damage
