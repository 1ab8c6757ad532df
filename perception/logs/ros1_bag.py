"""ROS 1 bags: the reader that `perception.logs.open_log` finds.

`rosbags` reads closed bags with a sound index; this reads any bag, as far as it is sound.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter, OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from perception.errors import LogError
from perception.logs.damage import Damage
from perception.logs.mcap.limits import Budget, resident_limit
from perception.logs.mcap.records import Malformed
from perception.logs.mcap.source import Source
from perception.logs.message_table import MessageTable, TableLog, Unreadable
from perception.logs.readers import Accounting
from perception.logs.ros1_contents import TORN, BagContents, ChunkPlace, Row, count_lost
from perception.logs.ros1_records import CONNECTION, MAGIC, MESSAGE, ChunkData, number, read_record, time_ns
from perception.logs.ros1_spans import MessageSpans, holds_these_alone, message_spans
from perception.text import listed
from perception.types import Channel

FORMAT = "ROS 1 bag"
_HEADER_BYTES = 4200  # recorders fill it up to 4096
_ANY_VERSION = b"#ROSBAG V"


def reads(path: Path) -> bool:
    """Return whether a file starts as a ROS 1 bag does."""
    try:
        if not path.is_file():
            return False
        with path.open("rb", buffering=0) as file:
            return file.read(len(_ANY_VERSION)) == _ANY_VERSION
    except (OSError, ValueError):
        return False


def open(path: Path) -> TableLog:
    """Open a ROS 1 bag; one that is damaged, cut or was not closed, too.

    Raises:
        LogError: It cannot be opened, is of another version, is encrypted, or is cut off inside its header.
    """
    try:
        source = Source(path, path.open("rb", buffering=0), path.stat().st_size)
    except OSError as error:
        raise LogError(f"cannot be opened ({error.strerror or error}): {path}") from None
    try:
        return _open(source)
    except Malformed as error:
        source.close()
        raise LogError(f"{error}: {path}") from None
    except BaseException:
        source.close()
        raise


def _open(source: Source) -> TableLog:
    first = source.read(0, 32).partition(b"\n")[0].decode("latin-1")
    if first.encode("latin-1") + b"\n" != MAGIC:
        cure = "convert it with `rosbag fix`" if len(first) >= len(MAGIC) - 1 else "record or copy it again"
        raise LogError(f"expected a ROS 1 bag of version 2.0, found {first[:24]!r}; {cure}: {source.path}")
    contents = BagContents(source)
    if encryptor := contents.header.get(b"encryptor"):
        name = encryptor[:40].decode("latin-1")
        raise LogError(f"the bag is encrypted ({name}); decrypt it with `rosbag decrypt`: {source.path}")
    if not contents.chunks and not contents.channels and not contents.header:
        found = "cut off inside its header" if source.size < _HEADER_BYTES else "without any sound record"
        raise LogError(
            f"expected a ROS 1 bag, found one {found} ({source.size} bytes); record or copy it again: "
            f"{source.path}"
        )
    table, places, connections = _table(contents)
    proof = "the index and the entry of each chunk, which agree" if table.indexed else ""
    content = "the checksums of bz2 chunks; bags have no others"
    return TableLog(
        source.path,
        table,
        Accounting(proof, content if "bz2" in table.compression else ""),
        lambda: BagReading(contents, table, places, connections),
        source.close,
    )


def _table(contents: BagContents) -> tuple[MessageTable, NDArray[np.int64], NDArray[np.int64]]:
    """Return the table of a bag, of each row the chunk and the offset in its data, and its connection."""
    budget = Budget(contents.source.size)
    columns: list[NDArray[np.int64]] = []  # connection, time, chunk, offset
    damage, lost = contents.damage, Counter[str]()
    indexed = contents.closed
    for i, chunk in enumerate(contents.chunks):
        if contents.proven(chunk):
            columns.append(_indexed_rows(i, chunk))
            continue
        indexed = False
        if budget.records <= 0:
            reason = f"the log holds more records than the limit (docs/limits.md) (from byte {chunk.at})"
            damage.append(Damage(None, None, contents.source.size - chunk.at, None, reason))
            break
        rows, problem, unused = contents.split(chunk.load(contents.source, budget), budget)
        columns.append(np.array([(r.connection, r.time_ns, i, r.offset) for r in rows], np.int64))
        if problem:
            missing = count_lost(contents, chunk.at, rows)
            lost += missing
            known = missing.total() if chunk.at in contents.infos else None
            t0 = max((row.time_ns for row in rows), default=None)
            damage.append(Damage(t0, None, unused, known, f"{problem} (chunk at byte {chunk.at})"))
    starts = {chunk.at for chunk in contents.chunks}
    for at, info in contents.infos.items():
        if at not in starts:
            missing = count_lost(contents, at, [])
            lost += missing
            reason = f"a chunk cannot be found (at byte {at})"
            damage.append(Damage(info.start_ns, info.end_ns, 0, missing.total(), reason))
    rows4 = np.concatenate([column.reshape(-1, 4) for column in columns] or [np.zeros((0, 4), np.int64)])
    _find_connections(contents, rows4, budget)
    ids, channel_of = np.unique(rows4[:, 0], return_inverse=True)
    channels = [contents.channels.get(key) or _undeclared(contents, key) for key in ids.tolist()]
    undeclared = frozenset(i for i, key in enumerate(ids.tolist()) if key not in contents.channels)
    used = set(map(id, channels))
    channels += [channel for channel in contents.channels.values() if id(channel) not in used]
    table = MessageTable(
        channels=channels,
        channel_of=channel_of.astype(np.int32),
        time_ns=rows4[:, 1].copy(),
        undeclared=undeclared,
        damage=damage,
        lost=lost,
        indexed=indexed,
        compression=tuple(sorted({chunk.compression for chunk in contents.chunks} or {"none"})),
        profile="ros1",
        size_bytes=contents.source.size,
    )
    return table, rows4[:, 2:].copy(), rows4[:, 0].copy()


def _indexed_rows(i: int, chunk: ChunkPlace) -> NDArray[np.int64]:
    """Return the rows of a chunk by its index, in file order."""
    parts = []
    for connection, entries in chunk.index.items():
        part = np.empty((len(entries), 4), np.int64)
        part[:, 0], part[:, 2], part[:, 3] = connection, i, entries["offset"]
        part[:, 1] = entries["sec"].astype(np.int64) * 10**9 + entries["nsec"]
        parts.append(part)
    rows = np.concatenate(parts) if parts else np.zeros((0, 4), np.int64)
    return rows[np.argsort(rows[:, 3], kind="stable")]


def _undeclared(contents: BagContents, connection: int) -> Channel:
    return Channel(connection, contents.topic(connection), "", None)


def _find_connections(contents: BagContents, rows: NDArray[np.int64], budget: Budget) -> None:
    """Read the chunks whose connections the end of the file does not declare."""
    for i in np.unique(rows[~np.isin(rows[:, 0], list(contents.channels)), 2]).tolist():
        if contents.proven(contents.chunks[i]):
            contents.split(contents.chunks[i].load(contents.source, budget), budget)
    unknown = set(np.unique(rows[:, 0]).tolist()) - contents.channels.keys()
    if unknown:
        ids = listed(map(str, sorted(unknown)), 10)
        count = int(np.isin(rows[:, 0], list(unknown)).sum())
        reason = f"{count} messages are on connections that nothing declares ({ids})"
        contents.damage.append(Damage(None, None, 0, None, reason))


class _OpenChunk(NamedTuple):
    """A chunk in memory, with the places of the messages in the rows from `first` to before `last`."""

    unpacked: ChunkData
    spans: MessageSpans
    first: int
    last: int


class BagReading:
    """One pass over the messages of a bag; a chunk stays in memory for its messages while there is room."""

    def __init__(
        self,
        contents: BagContents,
        table: MessageTable,
        places: NDArray[np.int64],
        connections: NDArray[np.int64],
    ) -> None:
        self.damage: list[Damage] = []
        self._contents, self._table, self._places = contents, table, places
        self._connections = connections
        self._in_chunk = np.bincount(places[:, 0], minlength=len(contents.chunks))
        self._budget = Budget(contents.source.size)
        self._limit = resident_limit(contents.source.size)
        self._resident: OrderedDict[int, _OpenChunk] = OrderedDict()
        self._ends = np.cumsum(self._in_chunk).tolist()  # rows stand in the order of their chunks
        self._open: _OpenChunk | None = None
        self._checked: set[int] = set()
        self._final: set[int] = set()  # the last row of each chunk

    def plan(self, rows: Sequence[int]) -> None:
        """Take the rows that will be fetched, in this order: the last of a chunk releases its memory.

        The next chunk then takes the same memory; fresh memory costs more than reading the file does.
        """
        chunks = self._places[np.asarray(rows, np.int64), 0].tolist()
        self._final = set(dict(zip(chunks, rows, strict=True)).values())

    def fetch(self, row: int) -> bytes:
        """Return the content of a message. Raises Unreadable."""
        opened = self._open
        if opened is None or not opened.first <= row < opened.last:
            opened = self._open = self._load(bisect_right(self._ends, row))
        if row in self._final:
            self._open = None
            self._resident.pop(bisect_right(self._ends, row))
        place = row - opened.first
        if end := opened.spans.ends[place]:
            return opened.unpacked.data[opened.spans.starts[place] : end]
        return self._fetch_one(row, opened.unpacked)

    def _fetch_one(self, row: int, unpacked: ChunkData) -> bytes:
        """Return the content of a message that is not as all others."""
        i, offset = self._places[row].tolist()
        if self._table.channel_of[row] in self._table.undeclared:
            raise Unreadable("no connection record declares them")
        where = f"(chunk at byte {self._contents.chunks[i].at})"
        if offset == TORN:
            raise Unreadable(f"the content is cut off {where}")
        view = memoryview(unpacked.data)[: unpacked.sound]
        try:
            while True:
                record = read_record(lambda at, size: bytes(view[at : at + size]), offset)
                if record is None or record.op != CONNECTION or record.end > len(view):
                    break
                offset = record.end
            if record is None or record.op != MESSAGE or record.end > len(view):
                raise Malformed("no message")
            channel = self._contents.channels.get(number(record.fields, b"conn"))
            stamp = time_ns(record.fields, b"time")
        except Malformed:
            problem = unpacked.problem or "a record is damaged here"
            raise Unreadable(f"{problem} {where}", is_proven=True) from None
        if channel is not self._table.channels[self._table.channel_of[row]] or (
            stamp != self._table.time_ns[row]
        ):
            raise Unreadable(f"the index names another message than there is {where}", is_proven=True)
        return bytes(view[record.data_at : record.end])

    def _load(self, i: int) -> _OpenChunk:
        if i in self._resident:
            self._resident.move_to_end(i)
            return self._resident[i]
        chunk = self._contents.chunks[i]
        unpacked = chunk.load(self._contents.source, self._budget)
        opened = self._resident[i] = self._opened(i, unpacked)
        while len(self._resident) > 1 and (
            sum(len(other.unpacked.data) for other in self._resident.values()) > self._limit
        ):
            self._resident.popitem(last=False)
        if i not in self._checked and not unpacked.problem and self._contents.proven(chunk):
            self._check(i, chunk, opened)
        self._checked.add(i)
        return opened

    def _opened(self, i: int, unpacked: ChunkData) -> _OpenChunk:
        """Return a chunk with the places of its messages, of those on known connections."""
        last = self._ends[i]
        first = last - int(self._in_chunk[i])
        rows = slice(first, last)
        offsets, channels = self._places[rows, 1].copy(), self._table.channel_of[rows]
        offsets[np.isin(channels, list(self._table.undeclared))] = TORN
        spans = message_spans(
            unpacked.data, unpacked.sound, offsets, self._connections[rows], self._table.time_ns[rows]
        )
        return _OpenChunk(unpacked, spans, first, last)

    def _check(self, i: int, chunk: ChunkPlace, opened: _OpenChunk) -> None:
        """Name messages that stand in a chunk and not in its index."""
        unpacked, offsets = opened.unpacked, self._places[opened.first : opened.last, 1]
        if holds_these_alone(unpacked.data, unpacked.sound, offsets, opened.spans):
            return
        rows: list[Row] = self._contents.split(unpacked, self._budget)[0]
        if (more := len(rows) - int(self._in_chunk[i])) > 0:
            times = [row.time_ns for row in rows]
            reason = (
                f"{more} messages more than the index names (chunk at byte {chunk.at}); rebuild the index"
            )
            self.damage.append(Damage(min(times), max(times), 0, more, reason))
