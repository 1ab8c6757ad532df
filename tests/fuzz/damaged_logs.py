"""Damaged logs, and what must be readable of them, without the reader under test.

A log is written by the `mcap` package, its records are found by their lengths while it is sound, and each
byte keeps its origin while the file is damaged. A chunk is intact when every byte of its record is still
there, in a row.
"""

from __future__ import annotations

import io
import random
import struct
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from mcap.records import Channel as ChannelRecord
from mcap.records import Chunk
from mcap.records import Message as MessageRecord
from mcap.stream_reader import StreamReader, breakup_chunk
from mcap.writer import CompressionType, IndexType, Writer
from numpy.typing import NDArray

MESSAGE, CHUNK, MESSAGE_INDEX, STATISTICS, CHUNK_INDEX, CHANNEL = 5, 6, 7, 11, 8, 4
TOPICS = ("/camera", "/scan", "/state", "/odom")


class Written(NamedTuple):
    """One message as it was written; equal to what the reader must give."""

    log_time_ns: int
    publish_time_ns: int
    sequence: int
    topic: str
    data: bytes


class Span(NamedTuple):
    opcode: int
    start: int
    end: int


@dataclass
class SoundLog:
    """A log before it is damaged."""

    data: bytes
    messages: list[Written]
    spans: list[Span]
    in_chunk: dict[int, list[Written]]  # by the start of the chunk's record
    declares: dict[int, set[str]]  # topics that a chunk declares, by its start
    loose: dict[int, Written] = field(default_factory=dict)  # messages outside chunks, by start


@dataclass
class DamagedLog:
    """A log after it was damaged.

    Attributes:
        data: The bytes of the file.
        must_read: Messages that lie in intact chunks and whose channel an intact chunk declares.
        how: The damages, in words.
    """

    data: bytes
    must_read: Counter[Written]
    how: list[str]
    chunked: bool
    cut: bool  # the file ends without the end of a log: content of its last chunk may be unproven


def write_sound(rng: random.Random) -> SoundLog:
    """Write a log of a random shape: chunked or not, with or without indexes, compressed or not."""
    options: dict[str, Any] = {
        "chunk_size": rng.choice((600, 4000, 20_000)),
        "compression": rng.choice((CompressionType.NONE, CompressionType.LZ4, CompressionType.ZSTD)),
        "index_types": rng.choice(
            (IndexType.ALL, IndexType.ALL, IndexType.NONE, IndexType.MESSAGE, IndexType.CHUNK)
        ),
        "use_statistics": rng.random() < 0.7,
        "repeat_channels": rng.random() < 0.6,
        "use_chunking": rng.random() < 0.85,
    }
    file = io.BytesIO()
    writer = Writer(file, **options)
    writer.start(profile="fuzz")
    schema = writer.register_schema("Thing", "jsonschema", b'{"type": "object"}')
    ids = {topic: writer.register_channel(topic, "json", schema) for topic in TOPICS}
    messages = []
    for i in range(rng.randrange(40, 250)):
        log_time = 1_700_000_000_000_000_000 + 10_000_000 * i + rng.randrange(30_000_000)
        size = rng.choice((0, 3, 40, 200, 900))
        data = rng.randbytes(size // 2) + bytes(size - size // 2)
        messages.append(Written(log_time, log_time - 5, i, rng.choice(TOPICS), data))
        writer.add_message(ids[messages[-1].topic], log_time, data, log_time - 5, i)
        if rng.random() < 0.01:
            writer.add_metadata("note", {"at": str(i)})
            writer.add_attachment(1, 2, "notes.txt", "text/plain", rng.randbytes(rng.randrange(300)))
    writer.finish()  # type: ignore[no-untyped-call]
    data = file.getvalue()
    if rng.random() < 0.25:  # a recording that was never finished
        end = next(span.start for span in _spans(data) if span.opcode == 15)
        data = data[:end]
    return _described(data, messages)


def _spans(data: bytes) -> list[Span]:
    spans, at = [], 8
    while at + 9 <= len(data) and data[at : at + 8] != b"\x89MCAP0\r\n":
        opcode, length = struct.unpack_from("<BQ", data, at)
        spans.append(Span(opcode, at, at + 9 + length))
        at += 9 + length
    return spans


def _described(data: bytes, messages: list[Written]) -> SoundLog:
    spans = _spans(data)
    log = SoundLog(data, messages, spans, {}, {})
    chunks = iter([record for record in _records(data) if isinstance(record, Chunk)])
    outside = iter(messages)
    for span in spans:
        if span.opcode == CHUNK:
            inner = breakup_chunk(next(chunks), True)
            log.in_chunk[span.start] = [messages[r.sequence] for r in inner if isinstance(r, MessageRecord)]
            log.declares[span.start] = {r.topic for r in inner if isinstance(r, ChannelRecord)}
        elif span.opcode == MESSAGE:
            log.loose[span.start] = next(outside)
    return log


def _records(data: bytes) -> list[Any]:
    found: list[Any] = []
    with suppress(Exception):  # an unfinished log ends without a footer
        found.extend(StreamReader(io.BytesIO(data), emit_chunks=True).records)
    if not any(isinstance(record, Chunk) for record in found):
        found = [Chunk(*_chunk_fields(data, span)) for span in _spans(data) if span.opcode == CHUNK]
    return found


def _chunk_fields(data: bytes, span: Span) -> tuple[Any, ...]:
    start, end, size, crc, name = struct.unpack_from("<QQQII", data, span.start + 9)
    at = span.start + 41
    compression = data[at : at + name].decode()
    return compression, data[at + name + 8 : span.end], end, start, crc, size


# --- damage --------------------------------------------------------------------------------------


def damage(log: SoundLog, rng: random.Random) -> DamagedLog:
    """Damage a log in one to three places."""
    data = np.frombuffer(log.data, np.uint8).copy()
    origin = np.arange(len(data), dtype=np.int64)
    how: list[str] = []
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        kind = rng.choice(("flip", "aimed", "aimed", "aimed", "delete", "insert", "zeros", "cut"))
        data, origin, text = _DAMAGES[kind](log, data, origin, rng)
        how.append(text)
    return DamagedLog(
        data.tobytes(),
        _must_read(log, data, origin),
        how,
        bool(log.in_chunk),
        data[-8:].tobytes() != b"\x89MCAP0\r\n",
    )


Bytes = NDArray[np.uint8]
Origin = NDArray[np.int64]
Result = tuple[Bytes, Origin, str]


def _flip(log: SoundLog, data: Bytes, origin: Origin, rng: random.Random) -> Result:
    return _flipped(data, origin, rng.randrange(8, len(data)), 1 << rng.randrange(8))


def _flipped(data: Bytes, origin: Origin, at: int, mask: int) -> Result:
    data[at] ^= mask
    origin[at] = -1
    return data, origin, f"flip {mask:#x} at {at}"


def _aimed(log: SoundLog, data: Bytes, origin: Origin, rng: random.Random) -> Result:
    """Flip a bit of an opcode, a length, a chunk's fields, an index or the statistics."""
    wanted = rng.choice((CHUNK, CHUNK, MESSAGE_INDEX, CHUNK_INDEX, STATISTICS, MESSAGE, CHANNEL, 2, 15))
    spans = [span for span in log.spans if span.opcode == wanted] or log.spans
    span = rng.choice(spans)
    reach = {CHUNK: 57, MESSAGE: 31}.get(span.opcode, 60)
    offset = rng.choice((0, rng.randrange(1, 9), rng.randrange(min(reach, span.end - span.start))))
    places = np.flatnonzero(origin == span.start + offset)
    if not len(places):
        return _flip(log, data, origin, rng)
    return _flipped(data, origin, int(places[0]), 1 << rng.randrange(8))


def _delete(log: SoundLog, data: Bytes, origin: Origin, rng: random.Random) -> Result:
    at, count = rng.randrange(8, len(data)), rng.choice((1, 1, 2, 31, rng.randrange(1, 3000)))
    kept = np.r_[0:at, min(at + count, len(data)) : len(data)]
    return data[kept], origin[kept], f"delete {count} at {at}"


def _insert(log: SoundLog, data: Bytes, origin: Origin, rng: random.Random) -> Result:
    at, count = rng.randrange(8, len(data)), rng.choice((1, 8, 31, rng.randrange(1, 3000)))
    if rng.random() < 0.4:
        places = np.flatnonzero(np.isin(origin, [span.start for span in log.spans]))
        at = int(rng.choice(list(places))) if len(places) else at
    new = np.frombuffer(rng.randbytes(count) if rng.random() < 0.7 else bytes(count), np.uint8)
    data = np.concatenate((data[:at], new, data[at:]))
    origin = np.concatenate((origin[:at], np.full(count, -1), origin[at:]))
    return data, origin, f"insert {count} at {at}"


def _zeros(log: SoundLog, data: Bytes, origin: Origin, rng: random.Random) -> Result:
    at, count = rng.randrange(8, len(data)), rng.choice((1, 16, 512, 4096))
    data[at : at + count] = 0
    origin[at : at + count] = -1
    return data, origin, f"zeros {count} at {at}"


def _cut(log: SoundLog, data: Bytes, origin: Origin, rng: random.Random) -> Result:
    at = rng.randrange(min(200, len(data) - 1), len(data))
    return data[:at], origin[:at], f"cut at {at}"


_DAMAGES = {
    "flip": _flip,
    "aimed": _aimed,
    "delete": _delete,
    "insert": _insert,
    "zeros": _zeros,
    "cut": _cut,
}


def _must_read(log: SoundLog, data: Bytes, origin: Origin) -> Counter[Written]:
    place = {int(source): i for i, source in enumerate(origin) if source >= 0}
    intact = []
    for start in log.in_chunk:
        end = next(span.end for span in log.spans if span.start == start)
        at = place.get(start)
        if at is not None and np.array_equal(origin[at : at + end - start], np.arange(start, end)):
            intact.append(start)
    declared = {topic for start in intact for topic in log.declares[start]}
    return Counter(
        message for start in intact for message in log.in_chunk[start] if message.topic in declared
    )
