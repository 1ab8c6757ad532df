"""The table of contents of a ROS 1 bag: connections, chunks, and the messages in them.

The file is walked record by record, whether it was closed or not. The index records behind a chunk are
believed where they agree with the chunk's entry at the end of the file; any other chunk is read.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from perception.logs.damage import Damage
from perception.logs.mcap.limits import MAX_RECORD_BYTES, Budget, chunk_limit
from perception.logs.mcap.records import Malformed
from perception.logs.mcap.source import Source
from perception.logs.ros1_records import (
    BAG,
    CHUNK,
    CHUNK_INFO,
    CONNECTION,
    INDEX,
    MAGIC,
    MESSAGE,
    ChunkData,
    Fields,
    Record,
    find_record,
    number,
    parse_fields,
    read_record,
    time_ns,
    unpack,
)
from perception.types import Channel, Schema

_ENTRY = np.dtype([("sec", "<u4"), ("nsec", "<u4"), ("offset", "<u4")])
_COUNT = np.dtype([("connection", "<u4"), ("messages", "<u4")])
_BZ2_COST = 8  # it unpacks several times as slowly as others, and the limits stand for time, too
TORN = -1  # the offset of a message whose content is cut off


class Row(NamedTuple):
    """A message: its connection, its log time, and where its record begins in the data of its chunk."""

    connection: int
    time_ns: int
    offset: int


@dataclass(slots=True, eq=False)
class ChunkPlace:
    """A chunk in the file, or one message record outside chunks."""

    at: int
    data_at: int
    stored: int  # bytes in the file
    size: int  # bytes of data, by the header
    compression: str
    cut: str = ""  # why its end is not known, if it is not
    index: dict[int, NDArray[np.void]] = field(default_factory=dict)  # entries by connection

    def load(self, source: Source, budget: Budget) -> ChunkData:
        """Read and decompress the chunk, as far as the limits allow."""
        if self.stored > MAX_RECORD_BYTES:
            return ChunkData(
                b"", 0, f"a chunk of {self.stored:,} bytes; at most {MAX_RECORD_BYTES:,} are read"
            )
        if budget.bytes <= 0:
            return ChunkData(b"", 0, "the log unpacks to more than the limit (docs/limits.md)")
        try:
            payload = source.read(self.data_at, self.stored)
        except Malformed as error:
            return ChunkData(b"", 0, str(error))
        limit = chunk_limit(self.stored)
        unpacked = unpack(payload, self.compression, self.size, limit, is_cut=bool(self.cut))
        budget.take(len(unpacked.data) * (_BZ2_COST if self.compression == "bz2" else 1))
        return unpacked._replace(problem=self.cut) if self.cut and unpacked.sound else unpacked


class ChunkInfo(NamedTuple):
    """The entry of a chunk at the end of the file."""

    start_ns: int
    end_ns: int
    counts: dict[int, int]  # messages by connection


class BagContents:
    """Walks a bag. After that, what it found."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.channels: dict[int, Channel] = {}  # by connection
        self.chunks: list[ChunkPlace] = []
        self.infos: dict[int, ChunkInfo] = {}  # by the chunk's offset
        self.damage: list[Damage] = []
        self.header: Fields = {}
        self._streams: dict[tuple[str, Schema], Channel] = {}
        self._walk()

    @property
    def closed(self) -> bool:
        """Whether the recorder wrote an index."""
        return any(self.header.get(b"index_pos", b""))

    def topic(self, connection: int) -> str:
        channel = self.channels.get(connection)
        return channel.topic if channel else f"(connection {connection})"

    def proven(self, chunk: ChunkPlace) -> bool:
        """Return whether the index of a chunk agrees with its entry at the end of the file."""
        info = self.infos.get(chunk.at)
        found = {connection: len(entries) for connection, entries in chunk.index.items()}
        return not chunk.cut and info is not None and found == info.counts

    def split(self, unpacked: ChunkData, budget: Budget) -> tuple[list[Row], str, int]:
        """Return the messages in a chunk's data, why some are missing, and how many bytes are not used."""
        data, sound, problem = unpacked
        rows: list[Row] = []
        unused, at = 0, 0
        view = memoryview(data)[:sound]

        def read(offset: int, length: int) -> bytes:
            return bytes(view[offset : offset + length])

        while at < sound:
            budget.records -= 1
            if budget.records < 0:
                return rows, "the log holds more records than the limit (docs/limits.md)", sound - at
            try:
                record = read_record(read, at)
                if record is None or record.op not in (MESSAGE, CONNECTION):
                    raise Malformed("no message")
                whole = record.end <= sound
                if record.op == CONNECTION and whole:
                    self._connect(record, read(record.data_at, record.size))
                elif record.op == MESSAGE:
                    connection, stamp = number(record.fields, b"conn"), time_ns(record.fields, b"time")
                    if not whole:
                        rows.append(Row(connection, stamp, TORN))
                if not whole:
                    raise Malformed("cut off")
                if record.op == MESSAGE:
                    rows.append(Row(connection, stamp, at))
                at = record.end
            except Malformed:
                found = find_record(read, at + 1, sound, (MESSAGE, CONNECTION))
                problem = problem or "a record is damaged here"
                unused += found - at
                at = found
        return rows, problem, unused + len(data) - sound

    # --- the walk --------------------------------------------------------------------------------

    def _walk(self) -> None:
        at, size, read = len(MAGIC), self.source.size, self.source.peek
        while at < size:
            try:
                record = read_record(read, at)
                if record is None:
                    break
                at = self._take(at, record)
            except Malformed:
                found = find_record(self.source.read, at + 1, size, (MESSAGE, CHUNK, CONNECTION))
                reason = "the file is cut off" if found == size else "the records are damaged"
                self.damage.append(Damage(None, None, found - at, None, f"{reason} (at byte {at})"))
                at = found
        if not self.closed:
            reason = "the recording was not closed: it has no index; what followed is not known"
            self.damage.append(Damage(None, None, 0, None, reason))
        elif len(self.infos) < int.from_bytes(self.header.get(b"chunk_count", b""), "little"):
            reason = "the index at the end of the file is cut off or damaged"
            self.damage.append(Damage(None, None, 0, None, reason))

    def _take(self, at: int, record: Record) -> int:
        """Take one record; return where the next one begins. Raises Malformed."""
        fields, end = record.fields, record.end
        if record.op == CHUNK:
            return self._take_chunk(at, record)
        if end > self.source.size:
            raise Malformed("cut off")
        if record.op == MESSAGE:
            self.chunks.append(ChunkPlace(at, at, end - at, end - at, "none"))
        elif record.op == BAG:
            self.header = fields
        elif record.op == CONNECTION:
            self._connect(record, self.source.read(record.data_at, record.size))
        elif record.op == INDEX:
            self._take_index(number(fields, b"conn"), self.source.read(record.data_at, record.size))
        elif record.op == CHUNK_INFO:
            counts = np.frombuffer(self.source.read(record.data_at, record.size // 8 * 8), _COUNT).tolist()
            span = time_ns(fields, b"start_time"), time_ns(fields, b"end_time")
            self.infos[number(fields, b"chunk_pos", 8)] = ChunkInfo(*span, dict(counts))
        return end

    def _take_chunk(self, at: int, record: Record) -> int:
        size, compression = number(record.fields, b"size"), record.fields.get(b"compression", b"")
        chunk = ChunkPlace(at, record.data_at, record.size, size, compression.decode("latin-1"))
        open_end = not record.size and not self.closed  # its recorder had not yet written its length
        if open_end or record.end > self.source.size:
            end = find_record(self.source.read, record.data_at, self.source.size, (CHUNK,))
            chunk.stored = end - record.data_at
            chunk.cut = "the file is cut off" if end == self.source.size else "the chunk's length is damaged"
        self.chunks.append(chunk)
        return chunk.data_at + chunk.stored

    def _take_index(self, connection: int, data: bytes) -> None:
        if self.chunks:
            entries = np.frombuffer(data[: len(data) // _ENTRY.itemsize * _ENTRY.itemsize], _ENTRY)
            index = self.chunks[-1].index
            known = index.get(connection)
            index[connection] = entries if known is None else np.concatenate([known, entries])

    def _connect(self, record: Record, data: bytes) -> None:
        """Add a connection. Raises Malformed."""
        connection = number(record.fields, b"conn")
        inner = parse_fields(data)
        topic = record.fields.get(b"topic", b"").decode("utf-8", "replace")
        if not topic:
            raise Malformed(f"the connection {connection} names no topic")
        name = inner.get(b"type", b"").decode("utf-8", "replace")
        schema = Schema(name, "ros1msg", inner.get(b"message_definition", b""))
        channel = self._streams.setdefault((topic, schema), Channel(connection, topic, "ros1", schema))
        old = self.channels.setdefault(connection, channel)
        if old is not channel:
            reason = f"the connection {connection} is declared twice, as {old.topic} and as {topic}"
            damage = Damage(None, None, 0, None, f"{reason}: its messages are read as {old.topic}")
            if damage not in self.damage:
                self.damage.append(damage)


def count_lost(contents: BagContents, chunk_at: int, rows: list[Row]) -> Counter[str]:
    """Return the messages of a chunk that the end of the file proves and that are not among `rows`."""
    info = contents.infos.get(chunk_at)
    missing = Counter(info.counts if info else {})
    missing.subtract(Counter(row.connection for row in rows))
    lost: Counter[str] = Counter()
    for connection, count in missing.items():
        if count > 0:
            lost[contents.topic(connection)] += count
    return lost
