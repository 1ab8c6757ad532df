"""Files of at most 1 MB that are made to cost time or memory."""

from __future__ import annotations

import random
import struct
import zlib
from collections.abc import Callable

import lz4.frame  # type: ignore[import-untyped]
import zstandard

SIZE = 1_000_000
MAGIC = b"\x89MCAP0\r\n"


def record(opcode: int, body: bytes) -> bytes:
    return struct.pack("<BQ", opcode, len(body)) + body


def text(value: bytes) -> bytes:
    return struct.pack("<I", len(value)) + value


def channel(channel_id: int, topic: bytes = b"/a", metadata: bytes = b"", schema: int = 0) -> bytes:
    fields = struct.pack("<HH", channel_id, schema) + text(topic) + text(b"json")
    return record(4, fields + text(metadata))


def schema(schema_id: int, content: bytes) -> bytes:
    return record(3, struct.pack("<H", schema_id) + text(b"S") + text(b"jsonschema") + text(content))


def message(log_time: int, content: bytes = b"", channel_id: int = 1, sequence: int = 0) -> bytes:
    return record(5, struct.pack("<HIQQ", channel_id, sequence, log_time, log_time) + content)


def chunk(content: bytes, first: int = 0, last: int = 0, compression: bytes = b"zstd") -> bytes:
    packed = content
    if compression == b"zstd":
        packed = zstandard.ZstdCompressor(level=1).compress(content)
    elif compression == b"lz4":
        packed = lz4.frame.compress(content)
    head = struct.pack("<QQQI", first, last, len(content), zlib.crc32(content))
    return record(6, head + text(compression) + struct.pack("<Q", len(packed)) + packed)


def log(content: bytes, closed: bool = True) -> bytes:
    end = record(15, bytes(4)) + record(2, bytes(20)) + MAGIC
    return MAGIC + record(1, text(b"") + text(b"")) + content + (end if closed else b"")


def filled(piece: bytes) -> bytes:
    return log(channel(1) + piece * max(1, (SIZE - 200) // len(piece)))


def zeros_in_one_message() -> bytes:
    return filled(chunk(channel(1) + message(5, bytes((64 << 20) - 100)), 5, 5))


def a_message_of_a_gibibyte() -> bytes:
    head = zstandard.ZstdCompressor(level=1)
    pieces = head.compressobj(size=1 << 30)
    content = bytes(1 << 20)
    packed = b"".join(pieces.compress(content) for _ in range(1 << 10)) + pieces.flush()
    fields = struct.pack("<QQQI", 5, 5, 1 << 30, 7)
    return log(channel(1) + record(6, fields + text(b"zstd") + struct.pack("<Q", len(packed)) + packed))


def small_messages() -> bytes:
    return filled(chunk(channel(1) + message(5) * 1_600_000, 5, 5))


def small_messages_of_other_times() -> bytes:
    content = channel(1) + b"".join(message(i, sequence=i) for i in range(150_000))
    return filled(chunk(content, 0, 150_000))


def chunks_that_overlap() -> bytes:
    pieces, size = [], 0
    for i in range(400):
        content = channel(1) + b"".join(message(1000 * j + i, bytes(4_000_000)) for j in range(12))
        pieces.append(chunk(content, i, 11_000 + i))
        size += len(pieces[-1])
        if size > SIZE - 5000:
            break
    return log(b"".join(pieces))


def chunks_inside_chunks() -> bytes:
    """Each head claims the rest of the file."""
    out, left = bytearray(), SIZE - 1000
    while left > 60:
        head = struct.pack("<QQQI", 0, 0, left - 49, 1) + text(b"") + struct.pack("<Q", left - 49)
        out += struct.pack("<BQ", 6, left - 9) + head
        left -= 49
    return log(channel(1) + bytes(out) + bytes(left))


def chunks_of_differing_lengths_inside_chunks() -> bytes:
    out, left = bytearray(), SIZE - 1000
    while left > 60:
        head = struct.pack("<QQQI", 0, 0, left - 49, 1) + text(b"") + struct.pack("<Q", left - 49)
        out += struct.pack("<BQ", 6, left + 5) + head
        left -= 49
    return log(channel(1) + bytes(out) + bytes(left))


def garbage_between_small_chunks() -> bytes:
    small = chunk(message(5), 5, 5, b"")
    return filled(small + b"\xa5" * 7)


def garbage_between_bombs() -> bytes:
    return filled(chunk(channel(1) + message(5, bytes(60 << 20)), 5, 5) + b"\xa5" * 7)


def broken_chunks_after_65000_channels() -> bytes:
    declared = b"".join(channel(i, b"/%d" % i) for i in range(15_000))
    broken = bytearray(chunk(message(5), 5, 5, b""))
    broken[-1] ^= 1
    return log(declared + bytes(broken) * ((SIZE - len(declared)) // len(broken)), closed=False)


def undeclared_channels() -> bytes:
    return log(
        b"".join(chunk(message(i, channel_id=i % 65_536), i, i, b"") for i in range(SIZE // 90)), closed=False
    )


def channels_in_a_bomb() -> bytes:
    return filled(chunk(b"".join(channel(i % 65_000, b"/" * 60) for i in range(500_000)), 0, 0))


def metadata_in_a_bomb() -> bytes:
    entries = (text(b"k") + text(b"")) * 1_000_000
    return filled(chunk(b"".join(channel(i, metadata=entries) for i in range(6)), 0, 0))


def schemas_in_a_bomb() -> bytes:
    return filled(chunk(b"".join(schema(i, bytes([i]) * (1 << 20)) for i in range(1, 60)), 0, 0))


def starts_of_records() -> bytes:
    return filled(struct.pack("<BQ", 5, 1 << 30))


def starts_of_declarations() -> bytes:
    return filled(struct.pack("<BQ", 4, SIZE // 2) + b"\x01\0\0\0\x02\0\0\0")


def small_loose_messages_with_wrong_lengths() -> bytes:
    wrong = bytearray(message(5))
    wrong[3] = 1
    return filled(message(5) + bytes(wrong))


def empty_metadata() -> bytes:
    return filled(record(12, text(b"n") + text(b"")))


def indexes_without_chunks() -> bytes:
    return filled(record(7, struct.pack("<HIQQ", 1, 16, 5, 5)) + b"\xa5" * 60)


def zeros() -> bytes:
    return filled(bytes(1000))


def noise() -> bytes:
    return log(random.Random(1).randbytes(SIZE - 200))


def chunk_entries() -> bytes:
    """A summary whose CRC holds, with entries of one chunk over and over."""
    content = MAGIC + record(1, text(b"") + text(b"")) + channel(1)
    at = len(content)
    body = chunk(message(5), 5, 5, b"")
    content += body + record(15, bytes(4))
    fields = struct.pack("<QQQQI", 5, 5, at, len(body), 0) + struct.pack("<Q", 0) + text(b"")
    entry = record(8, fields + struct.pack("<QQ", len(body) - 49, len(body) - 49))
    start = len(content)
    content += entry * ((SIZE - start) // len(entry))
    content += struct.pack("<BQQQ", 2, 20, start, 0)
    return content + struct.pack("<I", zlib.crc32(content[start:])) + MAGIC


HOSTILE: dict[str, Callable[[], bytes]] = {
    make.__name__: make
    for make in (
        *(zeros_in_one_message, a_message_of_a_gibibyte, small_messages, small_messages_of_other_times),
        *(chunks_that_overlap, chunks_inside_chunks, chunks_of_differing_lengths_inside_chunks),
        *(garbage_between_small_chunks, garbage_between_bombs, broken_chunks_after_65000_channels),
        *(undeclared_channels, channels_in_a_bomb, metadata_in_a_bomb, schemas_in_a_bomb, starts_of_records),
        *(starts_of_declarations, small_loose_messages_with_wrong_lengths, empty_metadata),
        *(indexes_without_chunks, zeros, noise, chunk_entries),
    )
}
