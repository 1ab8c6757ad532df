"""The records of MCAP (https://mcap.dev/spec), parsed strictly: a field that does not fit is `Malformed`.

The parsers of the `mcap` package are used where they are sound. They read past a record's end without
noticing, so they read from a stream that raises there; the records of every chunk or message are parsed here.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from mcap import records as _records
from mcap.data_stream import ReadDataStream
from numpy.typing import NDArray

from perception.logs.query import U64_MAX as U64_MAX
from perception.types import Channel, Schema

MAGIC = b"\x89MCAP0\r\n"
HEAD = struct.Struct("<BQ")  # opcode, length: every record starts so
MESSAGE_HEAD = struct.Struct("<HIQQ")  # channel id, sequence, log time, publish time
CHUNK_HEAD = struct.Struct("<QQQII")  # start and end time, uncompressed size, CRC, length of compression
U64 = struct.Struct("<Q")

FOOTER_SIZE = HEAD.size + 20
MAX_BYTES = 1 << 30  # no chunk or record is believed to be larger than this


class Op:
    """The opcodes of records."""

    HEADER, FOOTER, SCHEMA, CHANNEL, MESSAGE, CHUNK, MESSAGE_INDEX = 1, 2, 3, 4, 5, 6, 7
    CHUNK_INDEX, ATTACHMENT, ATTACHMENT_INDEX, STATISTICS, METADATA, METADATA_INDEX = 8, 9, 10, 11, 12, 13
    SUMMARY_OFFSET, DATA_END = 14, 15


class Malformed(ValueError):
    """Bytes that violate the format at their position."""


class _Exact(ReadDataStream):
    """The stream the parsers of `mcap` read from: never beyond the end of one record."""

    def __init__(self, body: bytes) -> None:
        self._body = body
        self._count = 0

    def read(self, length: int) -> bytes:
        end = self._count + length
        if end > len(self._body):
            raise Malformed("a field runs beyond the end of its record")
        data = self._body[self._count : end]
        self._count = end
        return data

    def read_prefixed_string(self) -> str:
        return self.read(self.read4()).decode("utf-8", errors="replace")


def parse(kind: str, body: bytes) -> Any:
    """Parse one record by the parser of the `mcap` package (`Schema`, `Channel`, `Statistics` and so on)."""
    return getattr(_records, kind).read(_Exact(body))


def iter_records(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield opcode and content of each record of a byte string that holds nothing else."""
    at = 0
    while at < len(data):
        if at + HEAD.size > len(data):
            raise Malformed("the data ends inside a record")
        opcode, length = HEAD.unpack_from(data, at)
        begin, at = at + HEAD.size, at + HEAD.size + length
        if at > len(data):
            raise Malformed("a record does not fit")
        yield opcode, data[begin:at]


def parse_header(body: bytes) -> tuple[str, str, int]:
    """Return profile, library, and the bytes they take."""
    stream = _Exact(body)
    return stream.read_prefixed_string(), stream.read_prefixed_string(), stream.count


class ChunkHead(NamedTuple):
    """The fields of a chunk. `payload` is the offset of its data in the record."""

    start_ns: int
    end_ns: int
    uncompressed_size: int
    crc: int
    compression: str
    compressed_size: int
    payload: int


def parse_chunk_head(record: bytes) -> ChunkHead:
    """Parse the fields before a chunk's data, from the start of its record (opcode and length included)."""
    if len(record) < HEAD.size + CHUNK_HEAD.size:
        raise Malformed("the chunk's fields are cut off")
    start, end, size, crc, name_length = CHUNK_HEAD.unpack_from(record, HEAD.size)
    at = HEAD.size + CHUNK_HEAD.size + name_length
    if name_length > 64 or len(record) < at + U64.size:
        raise Malformed("the chunk's fields are damaged or cut off")
    name = record[at - name_length : at].decode("utf-8", errors="replace")
    return ChunkHead(start, end, size, crc, name, U64.unpack_from(record, at)[0], at + U64.size)


class ChunkEntry(NamedTuple):
    """An entry of the summary's chunk index."""

    start_ns: int
    end_ns: int
    offset: int
    length: int
    index_length: int
    channel_ids: frozenset[int]
    compression: str
    compressed_size: int
    uncompressed_size: int


def parse_chunk_index(body: bytes) -> ChunkEntry:
    try:
        start, end, offset, length, map_length = struct.unpack_from("<QQQQI", body)
        at = 36 + map_length
        channel_ids = frozenset(body[i] | body[i + 1] << 8 for i in range(36, at, 10))
        index_length, name_length = struct.unpack_from("<QI", body, at)
        at += 12 + name_length
        compressed, uncompressed = struct.unpack_from("<QQ", body, at)
    except (struct.error, IndexError):
        raise Malformed("a chunk index is cut off") from None
    name = body[at - name_length : at].decode("utf-8", errors="replace")
    return ChunkEntry(start, end, offset, length, index_length, channel_ids, name, compressed, uncompressed)


def parse_message_index(body: bytes) -> tuple[int, NDArray[np.uint64]]:
    """Return the channel id, and [N, 2]: log time and offset in the chunk of each message."""
    if len(body) < 6:
        raise Malformed("a message index is cut off")
    channel_id, length = struct.unpack_from("<HI", body)
    if length != len(body) - 6 or length % 16:
        raise Malformed("a message index does not fit its record")
    return channel_id, np.frombuffer(body, "<u8", offset=6).reshape(-1, 2)


class Registry:
    """Schemas and channels of a log by id; one `Channel` object for one declaration."""

    def __init__(self) -> None:
        self.schemas: dict[int, Schema] = {}
        self.channels: dict[int, Channel] = {}
        self.schema_ids: dict[int, int] = {}  # by channel id
        self._seen: dict[bytes, Channel] = {}

    def copy(self) -> Registry:
        """Return a copy, for bytes whose declarations may be invalid."""
        other = Registry()
        other.schemas, other.channels = dict(self.schemas), dict(self.channels)
        other.schema_ids, other._seen = dict(self.schema_ids), dict(self._seen)
        return other

    def adopt(self, other: Registry) -> None:
        """Add the channels that only the other registry has."""
        for channel_id, channel in other.channels.items():
            if channel_id not in self.channels:
                self.channels[channel_id] = channel
                self.schema_ids[channel_id] = other.schema_ids[channel_id]

    def add_schema(self, body: bytes) -> None:
        record = parse("Schema", body)
        if record.id:
            self.schemas.setdefault(record.id, Schema(record.name, record.encoding, record.data))

    def add_channel(self, body: bytes) -> Channel:
        """Return the channel that a record declares: the known one if it is the same."""
        if (seen := self._seen.get(body)) is not None:
            return seen
        record = parse("Channel", body)
        schema = self.schemas.get(record.schema_id)
        channel = Channel(record.id, record.topic, record.message_encoding, schema, dict(record.metadata))
        known = self.channels.get(record.id)
        same = known is not None and _same_stream(known, channel)
        if known is not None and (known == channel or (same and channel.schema is None)):
            channel = known
        elif known is None or (same and known.schema is None):
            self.channels[record.id] = channel
            self.schema_ids[record.id] = record.schema_id
        if schema is not None or not record.schema_id:
            self._seen[body] = channel
        return channel

    def complete(self, channel_id: int) -> bool:
        """Return whether this channel and its schema are known."""
        return channel_id in self.channels and (
            not self.schema_ids.get(channel_id) or self.channels[channel_id].schema is not None
        )


def _same_stream(a: Channel, other: Channel) -> bool:
    return (a.topic, a.encoding, a.metadata) == (other.topic, other.encoding, other.metadata)
