"""Averages over a time window, and alarms with hysteresis."""

from __future__ import annotations

from math import exp, isfinite

SECOND_NS = 1_000_000_000


class FadingAverage:
    """An exponential moving average over about the last `window_s`."""

    def __init__(self, window_s: float) -> None:
        self._window_s = window_s
        self._share = 0.0  # of the window that has passed: until it is full, new values count for more
        self.value: float | None = None

    @property
    def settled(self) -> bool:
        """Whether values have come for as long as the window."""
        return self._share > 1.0 - exp(-1.0)

    def add(self, value: float, elapsed_s: float) -> None:
        """Add a value that has held for a time. One that is not finite is ignored."""
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
    """Raised by a problem that lasts for `raise_s` without a break, cleared after `clear_s` without one."""

    def __init__(self, raise_s: float, clear_s: float) -> None:
        self._raise_ns, self._clear_ns = round(raise_s * SECOND_NS), round(clear_s * SECOND_NS)
        self._since_ns: int | None = None  # since when the state differs from `raised`
        self.raised = False
        self.text = ""

    def update(self, now_ns: int, problem: str) -> bool:
        """Add the problem of one moment, empty if there is none; return whether the alarm is raised."""
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
