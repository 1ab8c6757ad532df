"""Logs whose messages are rows of a table, in memory without their content: what ROS bags have in common.

A row has a log time and a channel; the content is fetched when its turn comes. So order, selection and
account are the same for every container, and each format gives only its table and its `fetch`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from perception.logs.damage import Damage, ReadAccount
from perception.logs.query import ALL, Query
from perception.logs.readers import Accounting
from perception.logs.survey import Survey, TopicSurvey
from perception.types import Channel, Message


class Unreadable(Exception):
    """The content of one row cannot be read. `is_proven`: an index alone says that the message was there."""

    def __init__(self, reason: str, *, is_proven: bool = False) -> None:
        super().__init__(reason)
        self.is_proven = is_proven


class Reading(Protocol):
    """One pass over the rows."""

    damage: list[Damage]
    """Damage beside the rows that cannot be read."""

    def fetch(self, row: int) -> bytes:
        """Return the content of a row. Raises Unreadable."""


@runtime_checkable
class PlannedReading(Protocol):
    """A reading that fetches several rows together."""

    def plan(self, rows: Sequence[int]) -> None:
        """Take the rows that will be fetched, in this order."""


@dataclass(slots=True, eq=False)
class MessageTable:
    """The messages of a log in file order, and what is known of them.

    Attributes:
        channels: What `channel_of` points into.
        channel_of: [N] int32.
        time_ns: [N] int64, the log times, none below zero.
        undeclared: Indices of channels that stand for ids that the log does not declare.
        damage: What could not be read.
        lost: Messages proven to be missing, by topic.
    """

    channels: Sequence[Channel]
    channel_of: NDArray[np.int32]
    time_ns: NDArray[np.int64]
    undeclared: frozenset[int] = frozenset()
    damage: list[Damage] = field(default_factory=list)
    lost: Counter[str] = field(default_factory=Counter)
    indexed: bool = False
    compression: tuple[str, ...] = ("none",)
    metadata: tuple[tuple[str, Mapping[str, str]], ...] = ()
    notes: tuple[str, ...] = ()
    profile: str = ""
    library: str = ""
    size_bytes: int = 0


class TableLog:
    """An open log of messages in a table; see `perception.logs.Log`."""

    def __init__(
        self,
        path: Path,
        table: MessageTable,
        accounting: Accounting,
        begin: Callable[[], Reading],
        close: Callable[[], None],
    ) -> None:
        self.path = path
        self.accounting = accounting
        self._table, self._begin, self._close = table, begin, close

    @cached_property
    def channels(self) -> Mapping[str, Channel]:
        """The channels by topic. Where a topic has several, messages carry their own."""
        by_topic: dict[str, Channel] = {}
        for index, channel in enumerate(self._table.channels):
            if index not in self._table.undeclared:
                by_topic.setdefault(channel.topic, channel)
        return MappingProxyType(by_topic)

    @cached_property
    def survey(self) -> Survey:
        """Channels, counts, times, metadata."""
        table = self._table
        topics = {}
        names, codes = _topics(table)
        order = np.argsort(codes, kind="stable")
        bounds = np.searchsorted(codes[order], np.arange(len(names) + 1))
        for code, topic in enumerate(names):
            times = table.time_ns[order[bounds[code] : bounds[code + 1]]]
            if len(times):
                topics[topic] = TopicSurvey(len(times), int(times.min()), int(times.max()))
        return Survey(
            topics=MappingProxyType(topics),
            channels=self.channels,
            start_ns=min((topic.first_ns for topic in topics.values()), default=None),
            end_ns=max((topic.last_ns for topic in topics.values()), default=None),
            indexed=table.indexed,
            compression=table.compression,
            metadata=table.metadata,
            attachments=(),
            profile=table.profile,
            library=table.library,
            size_bytes=table.size_bytes,
            damage=tuple(table.damage),
            notes=table.notes,
        )

    def messages(self, query: Query = ALL) -> TableStream:
        """Return the messages of a query, in arrival order."""
        return TableStream(self._table, self._begin(), query)

    def close(self) -> None:
        self._close()

    def __enter__(self) -> TableLog:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class TableStream(Iterator[Message]):
    """The messages of one query in arrival order: by log time, equal times in file order.

    Attributes:
        account: The outcome of every row; complete when the stream is exhausted.
        damage: The parts of the log that could not be read, as far as they are known.
    """

    def __init__(self, table: MessageTable, reading: Reading, query: Query) -> None:
        self.account = ReadAccount()
        self.damage = list(table.damage)
        self._table, self._reading, self._query = table, reading, query
        self._messages = self._run()

    def __iter__(self) -> Iterator[Message]:
        return self._messages

    def __next__(self) -> Message:
        return next(self._messages)

    def _run(self) -> Iterator[Message]:
        table, account = self._table, self.account
        channels, fetch = table.channels, self._reading.fetch
        failed: dict[str, list[int]] = {}
        rows = self._select()
        order = rows.tolist()
        if isinstance(self._reading, PlannedReading):
            self._reading.plan(order)
        fields = zip(order, table.channel_of[rows].tolist(), table.time_ns[rows].tolist(), strict=True)
        read, codes = account.read, [channel.topic for channel in channels]
        for row, code, time_ns in fields:
            channel = channels[code]
            try:
                data = fetch(row)
            except Unreadable as error:
                (account.lost if error.is_proven else account.corrupt)[channel.topic] += 1
                failed.setdefault(str(error), []).append(time_ns)
                continue
            read[codes[code]] += 1
            yield Message(channel, time_ns, time_ns, 0, data)
        for reason, times in failed.items():
            self.damage.append(Damage(min(times), max(times), 0, len(times), reason))
        self.damage += self._reading.damage
        account.lost.update(table.lost)

    def _select(self) -> NDArray[np.int64]:
        """Return the rows that are asked for, in arrival order, and count the others."""
        table, query = self._table, self._query
        names, codes = _topics(table)
        wanted = np.array([query.wants(name) for name in names], bool)[codes]
        low, high = (min(bound, np.iinfo(np.int64).max) for bound in (query.low, query.high))
        inside = (table.time_ns >= low) & ((table.time_ns < high) | (query.high > high))
        for row, mask in (("not_configured", ~wanted), ("outside_range", wanted & ~inside)):
            counts = np.bincount(codes[mask], minlength=len(names))
            getattr(self.account, row).update({names[i]: int(counts[i]) for i in np.flatnonzero(counts)})
        rows = np.flatnonzero(wanted & inside)
        ordered: NDArray[np.int64] = rows[np.argsort(table.time_ns[rows], kind="stable")]
        return ordered


def _topics(table: MessageTable) -> tuple[list[str], NDArray[np.int64]]:
    """Return the topics, and the index of each row's topic."""
    codes: dict[str, int] = {}
    of_channel = [codes.setdefault(channel.topic, len(codes)) for channel in table.channels]
    return list(codes), np.array(of_channel, np.int64)[table.channel_of]
