"""Averages that forget, and alarms that neither flicker nor stick."""

from __future__ import annotations

from math import exp, isfinite

SECOND_NS = 1_000_000_000


class Average:
    """A mean over about the last `window_s`; older values fade."""

    def __init__(self, window_s: float) -> None:
        self._window_s = window_s
        self._share = 0.0  # of the window that was watched: until it is whole, what was counts for more
        self.value: float | None = None

    @property
    def settled(self) -> bool:
        """Whether it was watched for as long as the window."""
        return self._share > 1.0 - exp(-1.0)

    def add(self, value: float, elapsed_s: float) -> None:
        """Take in a value that has held for a time. One that is no number is passed over."""
        if not isfinite(value):
            return
        if self.value is None:
            self.value = value
            return
        weight = 1.0 - exp(-max(elapsed_s, 0.0) / self._window_s)
        self._share += weight * (1.0 - self._share)
        if self._share > 0.0:
            self.value += weight / self._share * (value - self.value)


class Alarm:
    """Raised by what is bad for `raise_s` without a break, cleared by what is good for `clear_s`."""

    def __init__(self, raise_s: float, clear_s: float) -> None:
        self._raise_ns, self._clear_ns = round(raise_s * SECOND_NS), round(clear_s * SECOND_NS)
        self._since_ns: int | None = None  # when it began to be otherwise than the alarm says
        self.raised = False
        self.text = ""

    def update(self, now_ns: int, problem: str) -> bool:
        """One moment later: `problem` says what is bad; empty: nothing. Returns whether it is raised."""
        if problem:
            self.text = problem
        if bool(problem) == self.raised:
            self._since_ns = None
            return self.raised
        if self._since_ns is None or now_ns < self._since_ns:
            self._since_ns = now_ns
        if now_ns - self._since_ns >= (self._clear_ns if self.raised else self._raise_ns):
            self.raised, self._since_ns = not self.raised, None
        return self.raised
