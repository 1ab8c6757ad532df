"""Which messages of a log to read."""

from __future__ import annotations

from dataclasses import dataclass

from perception.logs.mcap.records import U64_MAX


@dataclass(frozen=True, slots=True)
class Query:
    """Which messages of a log to read.

    Attributes:
        topics: The topics wanted; None for all.
        start_ns: First log time wanted; None from the beginning.
        end_ns: First log time no longer wanted; None to the end.
    """

    topics: frozenset[str] | None = None
    start_ns: int | None = None
    end_ns: int | None = None

    @property
    def low(self) -> int:
        """The start as a time that a log can hold."""
        return min(max(self.start_ns or 0, 0), U64_MAX + 1)

    @property
    def high(self) -> int:
        """The end as a time that a log can hold, or the one after the last."""
        return U64_MAX + 1 if self.end_ns is None else min(max(self.end_ns, 0), U64_MAX + 1)

    def wants(self, topic: str) -> bool:
        """Whether messages of this topic are wanted."""
        return self.topics is None or topic in self.topics

    def misses(self, first_ns: int, last_ns: int) -> bool:
        """Whether a stretch of log time lies wholly outside the range."""
        return first_ns >= self.high or last_ns < self.low

    def covers(self, first_ns: int, last_ns: int) -> bool:
        """Whether a stretch of log time lies wholly inside the range."""
        return self.low <= first_ns and last_ns < self.high
