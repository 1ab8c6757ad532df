"""The selection of messages to read from a log."""

from __future__ import annotations

from dataclasses import dataclass

U64_MAX = (1 << 64) - 1


@dataclass(frozen=True, slots=True)
class Query:
    """A selection of messages by topic and log time.

    Attributes:
        topics: The topics to read; None for all.
        start_ns: First log time to read; None from the beginning.
        end_ns: First log time no longer read; None to the end.
    """

    topics: frozenset[str] | None = None
    start_ns: int | None = None
    end_ns: int | None = None

    @property
    def low(self) -> int:
        """The start, clipped to the times that a log can hold."""
        return min(max(self.start_ns or 0, 0), U64_MAX + 1)

    @property
    def high(self) -> int:
        """The end (exclusive), clipped to the times that a log can hold."""
        return U64_MAX + 1 if self.end_ns is None else min(max(self.end_ns, 0), U64_MAX + 1)

    def wants(self, topic: str) -> bool:
        """Return whether messages of this topic are selected."""
        return self.topics is None or topic in self.topics

    def misses(self, first_ns: int, last_ns: int) -> bool:
        """Return whether an interval of log time lies entirely outside the range."""
        return first_ns >= self.high or last_ns < self.low

    def covers(self, first_ns: int, last_ns: int) -> bool:
        """Return whether an interval of log time lies entirely inside the range."""
        return self.low <= first_ns and last_ns < self.high


ALL = Query()
"""Every message."""
