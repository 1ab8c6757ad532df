"""Truth that arrives after the samples it is of have left, which had to go without it."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil

from perception.config.schema import MOST_TRUTH_WAIT_MS
from perception.text import plural
from perception.types import Decoded

MOST_MISSES = 10_000
"""Ticks without truth that one topic is known to have; the oldest leave."""


@dataclass(slots=True)
class _LateTopic:
    """Ticks whose truth came too late, and the longest time after the arrival of one of them."""

    ticks: int = 0
    longest_ns: int = 0


class LateTruth:
    """Counts the ticks whose truth came too late, by topic.

    Args:
        wait_ms: How long it is waited for.
    """

    def __init__(self, wait_ms: float) -> None:
        self._wait_ms = wait_ms
        self._missed: dict[str, list[tuple[int, int]]] = {}  # topic -> stamp and arrival of ticks, by stamp
        self._late: dict[str, _LateTopic] = {}

    def miss(self, topic: str, stamp_ns: int, arrival_ns: int) -> None:
        """Note a tick that left without truth of a topic.

        Args:
            topic: The topic.
            stamp_ns: The stamp that its truth would have.
            arrival_ns: The arrival of the tick.
        """
        missed = self._missed.setdefault(topic, [])
        insort(missed, (stamp_ns, arrival_ns))
        del missed[: max(len(missed) - MOST_MISSES, 0)]

    def begin_anew(self) -> None:
        """Forget the ticks without truth: time starts again, and what comes is of other ticks."""
        self._missed.clear()

    def arrive(self, message: Decoded, tolerance_ns: float) -> None:
        """Count the ticks whose truth a message would have been."""
        missed = self._missed.get(message.topic)
        if not missed:
            return
        first = bisect_left(missed, message.stamp_ns - tolerance_ns, key=lambda tick: tick[0])
        end = bisect_right(missed, message.stamp_ns + tolerance_ns, key=lambda tick: tick[0])
        for _, arrival_ns in missed[first:end]:
            late = self._late.setdefault(message.topic, _LateTopic())
            late.ticks += 1
            late.longest_ns = max(late.longest_ns, message.log_time_ns - arrival_ns)
        del missed[first:end]

    def texts(self) -> Iterator[tuple[str, str, int]]:
        """Yield each topic with late truth, a text that says how late and what to do, and how many ticks."""
        for topic, late in self._late.items():
            in_time = late.longest_ns / 1e6 < self._wait_ms
            why = "behind truth of a later stamp, and was not joined" if in_time else "too late to be joined"
            text = (
                f"{topic}: the truth of {plural(late.ticks, 'tick')} arrived {why}, up to "
                f"{late.longest_ns / 1e6:.0f} ms after its tick: {self._cure(late)}"
            )
            yield topic, text, late.ticks

    def _cure(self, late: _LateTopic) -> str:
        wait_ms = ceil(late.longest_ns / 1e7) * 10
        if self._wait_ms < wait_ms <= MOST_TRUTH_WAIT_MS:
            return f"set truth.wait_ms: {wait_ms}"
        return "write it into the log in the order of its stamps, at their times"
