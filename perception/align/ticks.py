"""Ticks and the arrival clock: when ticks are made, and when they close.

The messages of the reference sensor make ticks. A tick closes at the first message or `advance` at or after
its arrival plus `wait_ms`, before that message is added: only messages that had arrived by then take part.
While the reference is silent, substitute ticks are made on a grid: the first 1.5 periods after its last
arrival, then one each period, each only if another sensor sent a message since the tick before. The grid
depends on the last arrival alone, so a timer that calls `advance` changes nothing.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Literal, NamedTuple

from perception.types import Tick
from perception.types.times import LATEST_NS

BACKWARD_NS = 1_000_000_000
FORWARD_NS = 10_000_000_000
SLACK_NS = 1_000_000_000  # how far a reference stamp may lie behind a substitute tick's


class OpenTick(NamedTuple):
    """A tick, with stamp and arrival of the last reference message before it was made."""

    tick: Tick
    last: tuple[int, int] | None


class Ticks:
    """The open ticks, and the state that determines the next one.

    Args:
        reference: The name of the reference sensor.
        period_ns: Its nominal period.
        wait_ns: How long after its arrival a tick closes.
    """

    def __init__(self, reference: str, period_ns: int, wait_ns: int) -> None:
        self._reference = reference
        self._period_ns = period_ns
        self._wait_ns = wait_ns
        self._count = 0
        self._open: deque[OpenTick] = deque()
        self.clock_ns: int | None = None
        self._last: tuple[int, int] | None = None  # stamp and arrival of the last reference message
        # Where the grid of substitute ticks starts: the last reference message, or the log's first message.
        self._anchor: tuple[int, int] | None = None
        self._substitute_ns: int | None = None  # arrival time of the next substitute tick
        self._spoken = False  # a sensor other than the reference sent a message since the last tick
        self._floor_ns: int | None = None  # reference stamps at or below it are late

    @property
    def heard(self) -> bool:
        """Whether a sensor has sent a message, since the last break in time if there was one."""
        return self._anchor is not None

    # --- jumps of clocks -------------------------------------------------------------------------

    def arrival_jump(self, arrival_ns: int) -> str:
        """Return how the arrival clock jumps with a message that arrives then; empty where it does not."""
        step_ns = 0 if self.clock_ns is None else arrival_ns - self.clock_ns
        if -BACKWARD_NS <= step_ns <= FORWARD_NS:
            return ""
        moved = "went back" if step_ns < 0 else "jumped forward"
        return f"arrival time {moved} by {abs(step_ns) / 1e9:.3f} s"

    def stamp_jump(self, stamp_ns: int, arrival_ns: int) -> str:
        """Return how the clock of the reference jumps with a message of it; empty where it does not."""
        if self._last is None:
            return ""
        step_ns = stamp_ns - self._last[0]
        if step_ns < -BACKWARD_NS:
            return f"{self._reference} stamp went back by {-step_ns / 1e9:.3f} s"
        # A reference that was silent for long and speaks again has not jumped.
        if step_ns - (arrival_ns - self._last[1]) > FORWARD_NS:
            return f"{self._reference} stamp jumped forward by {step_ns / 1e9:.3f} s"
        return ""

    def forget(self) -> None:
        """Start again after a break in time. Open ticks stay open."""
        self.clock_ns = self._last = self._anchor = self._substitute_ns = self._floor_ns = None
        self._spoken = False

    # --- ticks that close ------------------------------------------------------------------------

    def run(self, now_ns: int) -> Iterator[OpenTick]:
        """Move the clock: make substitute ticks, and yield the ticks that are due, in order of time."""
        while True:
            close_ns = self._open[0].tick.log_time_ns + self._wait_ns if self._open else None
            substitute_ns = self._substitute_ns
            if (
                close_ns is not None
                and close_ns <= now_ns
                and (substitute_ns is None or close_ns <= substitute_ns)
            ):
                yield self._open.popleft()
            elif substitute_ns is not None and substitute_ns <= now_ns:
                self._make_substitute(substitute_ns, now_ns)
            else:
                break
        self.clock_ns = now_ns if self.clock_ns is None else max(self.clock_ns, now_ns)

    def due_ns(self) -> int | None:
        """Return the time from which `run` makes or closes a tick; None: not before the next message."""
        close_ns = self._open[0].tick.log_time_ns + self._wait_ns if self._open else None
        substitute_ns = self._substitute_ns if self._spoken else None
        times = [time_ns for time_ns in (close_ns, substitute_ns) if time_ns is not None]
        return min(times, default=None)

    def rest(self) -> Iterator[OpenTick]:
        """Close all open ticks."""
        while self._open:
            yield self._open.popleft()

    def _make_substitute(self, arrival_ns: int, now_ns: int) -> None:
        assert self._anchor is not None
        stamp_ns, anchor_ns = self._anchor
        if self._spoken:
            self._make("substitute", stamp_ns + arrival_ns - anchor_ns, arrival_ns)
            self._substitute_ns = arrival_ns + self._period_ns
        else:
            # No sensor sent a message: go to the first moment of the grid after now.
            missed = (now_ns - arrival_ns) // self._period_ns
            self._substitute_ns = arrival_ns + (missed + 1) * self._period_ns

    # --- messages that make ticks ----------------------------------------------------------------

    def hear_reference(self, stamp_ns: int, arrival_ns: int) -> None:
        """Make a tick for a message of the reference."""
        self._make("reference", stamp_ns, arrival_ns)
        self._last = (stamp_ns, arrival_ns)
        self._set_anchor(stamp_ns, arrival_ns)

    def hear_other(self, stamp_ns: int, arrival_ns: int) -> None:
        """Note a message of another sensor, which allows the next substitute tick."""
        self._spoken = True
        if self._anchor is None:
            self._set_anchor(stamp_ns, arrival_ns)

    def is_late(self, stamp_ns: int) -> bool:
        """Return whether a reference message of that stamp comes after a tick that it should precede."""
        return self._floor_ns is not None and stamp_ns <= self._floor_ns

    def horizon_ns(self) -> int | None:
        """Return a stamp at or below that of every open or future tick; None before the first.

        A slow reference message may have a stamp below that of an open substitute tick.
        """
        if self._floor_ns is None:
            return None
        return min([self._floor_ns, *(one.tick.stamp_ns for one in self._open)])

    def _make(self, kind: Literal["reference", "substitute"], stamp_ns: int, arrival_ns: int) -> None:
        stamp_ns, arrival_ns = min(stamp_ns, LATEST_NS), min(arrival_ns, LATEST_NS)
        self._open.append(OpenTick(Tick(self._count, kind, stamp_ns, arrival_ns), self._last))
        self._count += 1
        self._spoken = False
        reach_ns = stamp_ns if kind == "reference" else stamp_ns - SLACK_NS
        self._floor_ns = reach_ns if self._floor_ns is None else max(self._floor_ns, reach_ns)

    def _set_anchor(self, stamp_ns: int, arrival_ns: int) -> None:
        self._anchor = (stamp_ns, arrival_ns)
        self._substitute_ns = arrival_ns + self._period_ns + self._period_ns // 2
