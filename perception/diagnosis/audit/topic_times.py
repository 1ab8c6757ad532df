"""Arrivals and stamps of the messages of a topic: rates, gaps, delays."""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from perception.autoconfig.first_messages import FASTEST_HZ
from perception.logs import Damage, Log

MS = 1e-6  # milliseconds in a nanosecond
LONE_MS = 1e4  # no path delays a single message by more
PAUSE_S = 0.9  # a recorder that stood still for as long wrote late what it received


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
        return _period(self.steps_s())

    def rate_hz(self) -> float | None:
        """Return how many messages come a second: one each period; the mean, where that is the step within
        bursts. None if there is no step."""
        period, steps = self.period_s(), self.steps_s()
        if period is None:
            return None
        return 1 / period if period * FASTEST_HZ >= 1 else float(len(steps) / steps.sum())

    def largest_gap(self) -> tuple[float, int] | None:
        """Return the longest step, s, and the arrival before it, ns."""
        steps = self.steps_s()
        if not steps.size:
            return None
        at = int(steps.argmax())
        return float(steps[at]), self.arrivals[at]

    def measured_steps_s(self) -> NDArray[np.float64]:
        """Return the seconds between measurements: between stamps where these rise, else between arrivals.

        Stamps that rise are counted by the sensor; arrivals jitter.
        """
        steps = self.stamp_steps_s()
        rising = len(self.stamps) == self.count and steps.size > 0 and bool((steps > 0).all())
        return steps if rising else self.steps_s()

    def dropouts(self) -> tuple[int, int]:
        """Return the number of gaps in which measurements are missing, and how many these are.

        A step longer than 1.5 periods is a gap as far as the steps around it do not make up for it, as they
        do after a message that came late: then nothing is missing.
        """
        steps = self.measured_steps_s()
        period = _period(steps)
        if period is None:
            return 0, 0
        missing = [_missing(steps, int(at), period) for at in np.flatnonzero(steps > 1.5 * period)]
        return sum(count > 0 for count in missing), sum(missing)

    def delays_ms(self) -> NDArray[np.float64]:
        """Return arrival less stamp of each message."""
        arrivals = np.asarray(self.arrivals, dtype=np.int64)
        return (arrivals - np.asarray(self.stamps, dtype=np.int64)).astype(np.float64) * MS

    def behind_ms(self, reference: TopicTimes) -> NDArray[np.float64]:
        """Return arrival less stamp of each message, less that of the reference's messages around it.

        The clock of the recorder cancels out: zeros where the sensors share a clock and arrive equally fast,
        whatever that clock is and however fast it runs. Messages that the recorder held back say nothing of
        either, and are left out.
        """
        if not self.stamps or not reference.stamps:
            return np.zeros(0)
        own, others = self._came_through(), reference._came_through()
        origin = reference.arrivals[0]
        at = (np.asarray(self.arrivals, dtype=np.int64) - origin).astype(np.float64)[own]
        known = (np.asarray(reference.arrivals, dtype=np.int64) - origin).astype(np.float64)[others]
        return self.delays_ms()[own] - np.interp(at, known, _without_lone(reference.delays_ms()[others]))

    def _came_through(self) -> NDArray[np.bool_]:
        """Return which messages did not wait for others: all but those of a burst behind a pause, whose last
        alone came as it was measured. So a recorder writes what it received while it stood still."""
        through = np.ones(self.count, dtype=np.bool_)
        arrived, measured, delays_ms = self.steps_s(), self.stamp_steps_s(), self.delays_ms()
        quick = (measured > 0) & (arrived < measured / 10)
        pauses = np.flatnonzero(arrived > PAUSE_S)
        for pause in [-1, *pauses.tolist()] if pauses.size else []:
            first = last = pause + 1
            while last < quick.size and quick[last]:
                last += 1
            if delays_ms[first] - delays_ms[last] > PAUSE_S * 500:
                through[first:last] = False
        return through

    def stamp_steps_s(self) -> NDArray[np.float64]:
        """Return the seconds between stamps, in the order of arrival; negative where they go back."""
        return np.diff(np.asarray(self.stamps, dtype=np.int64)).astype(np.float64) / 1e9

    def overtaken(self) -> int:
        """Return how many stamps are not beyond that of an earlier message, by up to a second: after a
        larger step back, replay starts anew."""
        count, newest_ns = 0, -1
        for stamp_ns in self.stamps:
            if newest_ns - 1_000_000_000 <= stamp_ns <= newest_ns:
                count += 1
            else:
                newest_ns = stamp_ns
        return count


def _without_lone(delays_ms: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return delays in which one that is far from both of its neighbours is that of a neighbour.

    A single bad stamp of the reference says nothing of the messages of others around it.
    """
    if delays_ms.size < 3:
        return delays_ms
    before = np.concatenate([delays_ms[2:3], delays_ms[:-1]])
    after = np.concatenate([delays_ms[1:], delays_ms[-3:-2]])
    middle = np.median([before, delays_ms, after], axis=0)
    return np.where(np.abs(delays_ms - middle) > LONE_MS, middle, delays_ms)


def _period(steps: NDArray[np.float64]) -> float | None:
    steps = steps[steps > 0]
    return float(np.median(steps)) if steps.size else None


def _missing(steps: NDArray[np.float64], at: int, period: float) -> int:
    """Return how many measurements are missing in a long step, given the steps around it."""
    most = round(float(steps[at]) / period) - 1
    reach = most + 1
    around = steps[max(at - reach, 0) : at + reach + 1]
    around = np.where((around > 1.5 * period) & (np.arange(around.size) != min(at, reach)), period, around)
    return max(min(most, round(float(around.sum()) / period) - around.size), 0)


@dataclass(frozen=True, slots=True)
class Delay:
    """Arrival less stamp over a topic, ms: median, 95th percentile, spread from the 5th to the 95th."""

    median_ms: float
    p95_ms: float
    jitter_ms: float

    @classmethod
    def of(cls, times: TopicTimes) -> Delay | None:
        return cls.of_values(times.delays_ms()) if times.stamps else None

    @classmethod
    def of_values(cls, delays_ms: NDArray[np.float64]) -> Delay:
        """Return the summary of some delays; there must be one."""
        low, middle, high = np.percentile(delays_ms, [5, 50, 95])
        return cls(float(middle), float(high), float(high - low))


def survey_times(log: Log) -> tuple[dict[str, TopicTimes], list[Damage]]:
    """Return the arrivals of every topic, and the damage of the file: one reading, nothing is decoded."""
    times: dict[str, TopicTimes] = {}
    stream = log.messages()
    for message in stream:
        times.setdefault(message.topic, TopicTimes()).add(message.log_time_ns)
    return times, stream.damage
