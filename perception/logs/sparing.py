"""Looks into a log before it is replayed: of a remote one they read little."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol, runtime_checkable

from perception.logs.query import ALL, Query
from perception.logs.readers import Log
from perception.types import Message

LOOK_BYTES = 3 << 20
"""What is fetched of a remote log before its looks end early; what was fetched already costs nothing."""


@runtime_checkable
class SparingLog(Protocol):
    """A log that may be remote, and then reads little where little is needed."""

    bytes_fetched: int | None

    def look(self, query: Query, most_bytes: int) -> Iterator[Message]:
        """Return the first messages of a query, as many as so many bytes give."""

    def arrival_times(self, topics: frozenset[str], count: int) -> list[int] | None:
        """Return the first log times of topics by the index; None where messages must be read."""


def is_sparing(log: Log) -> bool:
    """Return whether a log is remote and read in ranges, so that each look into it costs."""
    return isinstance(log, SparingLog) and log.bytes_fetched is not None


def look(log: Log, query: Query = ALL) -> Iterator[Message]:
    """Return the messages of a query for a look into a log: of a remote one the first alone."""
    return log.look(query, LOOK_BYTES) if isinstance(log, SparingLog) else iter(log.messages(query))


def arrival_times(log: Log, topics: frozenset[str], count: int) -> list[int] | None:
    """Return the first log times of topics by the index of a remote log; None where messages must be read."""
    return log.arrival_times(topics, count) if isinstance(log, SparingLog) else None
