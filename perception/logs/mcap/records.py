"""The records of MCAP (https://mcap.dev/spec), parsed strictly: a field that does not fit is `Malformed`.

The parsers of the `mcap` package are used where they are sound. They read past a record's end without
noticing, so they read from a stream that raises there; the records of every chunk or message are parsed here.
"""

from __future__ import annotations

import struct
from collections import ChainMap
from collections.abc import Iterator, MutableMapping
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

FOOTER_SIZE = HEAD.size + 20
FIRST_ALIAS = 1 << 16  # keys of channels whose id was declared before, as another stream


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
    """Schemas and channels of a log.

    A channel's key is its id. Where one id is declared again as another stream, as in logs that were joined,
    that one has a key of its own (`FIRST_ALIAS` and more).
    """

    def __init__(self, limit: int) -> None:
        self.channels: MutableMapping[int, Channel] = {}  # by key
        self.schema_ids: MutableMapping[int, int] = {}  # by key
        self._schemas: MutableMapping[int, Schema] = {}  # by id: the last one declared
        self._objects: MutableMapping[Schema, Schema] = {}  # one object for equal schemas
        self._keys: MutableMapping[tuple[bytes, Schema | None], int] = {}  # by declaration
        self._aliases = 0
        self._left = limit  # bytes of declarations that are still taken

    @property
    def ambiguous(self) -> bool:
        """Return whether a channel id stands for several streams."""
        return self._aliases > 0

    def overlay(self) -> Registry:
        """Return a registry on top of this one, for bytes whose declarations may be invalid."""
        other = Registry(self._left)
        other.channels, other.schema_ids = ChainMap({}, self.channels), ChainMap({}, self.schema_ids)
        other._schemas, other._objects = ChainMap({}, self._schemas), ChainMap({}, self._objects)
        other._keys, other._aliases = ChainMap({}, self._keys), self._aliases
        return other

    def adopt(self, overlay: Registry) -> None:
        """Add the channel ids that only an overlay knows."""
        assert isinstance(overlay.channels, ChainMap)
        for key, channel in overlay.channels.maps[0].items():
            if key not in self.channels and key < FIRST_ALIAS:
                self.channels[key] = channel
                self.schema_ids[key] = overlay.schema_ids[key]

    def add_schema(self, body: bytes) -> None:
        record = parse("Schema", body)
        schema = Schema(record.name, record.encoding, record.data)
        if record.id:
            if schema not in self._objects:
                self._take(len(body))
            self._schemas[record.id] = self._objects.setdefault(schema, schema)

    def add_channel(self, body: bytes) -> int:
        """Return the key of the channel that a record declares."""
        schema = self._schemas.get(int.from_bytes(body[2:4], "little"))
        if (key := self._keys.get((body, schema))) is not None:
            return key
        self._take(len(body))
        record = parse("Channel", body)
        channel = Channel(record.id, record.topic, record.message_encoding, schema, dict(record.metadata))
        key = record.id
        known = self.channels.get(key)
        if known is not None and not _compatible(known, channel):
            key, known = FIRST_ALIAS + self._aliases, None
            self._aliases += 1
        if known is None or (known.schema is None and schema is not None):
            self.channels[key] = channel
            self.schema_ids[key] = record.schema_id
        self._keys[body, schema] = key
        return key

    def complete(self, key: int) -> bool:
        """Return whether this channel and its schema are known."""
        return key in self.channels and (
            not self.schema_ids.get(key) or self.channels[key].schema is not None
        )

    def _take(self, size: int) -> None:
        self._left -= size
        if self._left < 0:
            raise Malformed("schemas and channels beyond the limit (docs/limits.md)")


def _compatible(a: Channel, other: Channel) -> bool:
    """Return whether two declarations of one id may mean the same stream."""
    return (a.topic, a.encoding, a.metadata) == (other.topic, other.encoding, other.metadata) and (
        a.schema is None or other.schema is None or a.schema == other.schema
    )
