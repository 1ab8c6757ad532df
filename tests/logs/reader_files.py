"""Logs in every shape that the `mcap` writer can give them, and what is in them, for the reader's tests."""

from __future__ import annotations

import io
import random
import struct
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from mcap.writer import CompressionType, IndexType, Writer

from perception.logs import MessageStream, Query, open_log
from perception.types import Message

NONE, LZ4, ZSTD = CompressionType.NONE, CompressionType.LZ4, CompressionType.ZSTD
TOPICS = ("/camera", "/scan", "/state")

VARIANTS: dict[str, dict[str, Any]] = {
    "plain": {"compression": NONE},
    "zstd": {"compression": ZSTD},
    "lz4": {"compression": LZ4},
    "loose": {"use_chunking": False, "enable_data_crcs": True},
    "loose-bare": {
        "use_chunking": False,
        "use_statistics": False,
        "repeat_channels": False,
        "repeat_schemas": False,
    },
    "no-message-index": {"compression": ZSTD, "index_types": IndexType.CHUNK},
    "no-chunk-index": {"compression": LZ4, "index_types": IndexType.MESSAGE},
    "no-index": {"compression": NONE, "index_types": IndexType.NONE},
    "no-repeats": {"compression": ZSTD, "repeat_channels": False, "repeat_schemas": False},
    "no-statistics": {"compression": NONE, "use_statistics": False},
    "no-summary": {
        "compression": ZSTD,
        "index_types": IndexType.NONE,
        "repeat_channels": False,
        "repeat_schemas": False,
        "use_statistics": False,
        "use_summary_offsets": False,
    },
    "no-crc": {"compression": LZ4, "enable_crcs": False},
    "no-crc-data-crc": {"compression": NONE, "enable_crcs": False, "enable_data_crcs": True},
}
CHECKED = [name for name in VARIANTS if "loose" not in name and "crc" not in name]
"""Variants whose every message is covered by the CRC of its chunk."""


class Original(NamedTuple):
    """One message as it was written."""

    log_time_ns: int
    publish_time_ns: int
    sequence: int
    topic: str
    data: bytes


def original(message: Message) -> Original:
    return Original(
        message.log_time_ns, message.publish_time_ns, message.sequence, message.topic, message.data
    )


def make_messages(count: int, seed: int = 0, jitter: int = 40) -> list[Original]:
    """Messages in the order they are recorded: nearly sorted by log time, with equal times among them."""
    rng = random.Random(seed)
    found = []
    for i in range(count):
        log_time = 1_000_000 + 10 * i + rng.randrange(jitter)
        size = rng.choice((0, 3, 40, 200, 900))
        data = rng.randbytes(size // 2) + b"\0" * (size - size // 2)
        found.append(Original(log_time, log_time - 5, i, rng.choice(TOPICS), data))
    return found


def write_log(messages: list[Original], chunk_size: int = 4000, **options: Any) -> bytes:
    """The bytes of a log, with a schema-less channel (`/state`), metadata and an attachment."""
    file = io.BytesIO()
    writer = Writer(file, chunk_size=chunk_size, **options)
    writer.start(profile="test")
    schema = writer.register_schema("Thing", "jsonschema", b'{"type": "object"}')
    ids = {
        topic: writer.register_channel(topic, "json", 0 if topic == "/state" else schema, {"a": topic})
        for topic in TOPICS
    }
    writer.add_metadata("drive", {"city": "Ulm"})
    for i, message in enumerate(messages):
        writer.add_message(
            ids[message.topic], message.log_time_ns, message.data, message.publish_time_ns, message.sequence
        )
        if i == len(messages) // 2:
            writer.add_attachment(1, 2, "notes.txt", "text/plain", b"\x06\x05" * 50)
    writer.finish()
    return file.getvalue()


def put(path: Path, data: bytes | bytearray) -> None:
    """Write a file in place of another. It is not truncated: then file systems wait for the disk."""
    path.unlink(missing_ok=True)
    path.write_bytes(data)


def read(path: Path, query: Query | None = None) -> tuple[list[Original], MessageStream]:
    """All messages of a log, and the stream they came from."""
    with open_log(path) as log:
        stream = log.messages(query or Query())
        return [original(message) for message in stream], stream


class Record(NamedTuple):
    opcode: int
    start: int
    end: int


def records(data: bytes, at: int = 8) -> Iterator[Record]:
    """Where every record of a file lies."""
    while at + 9 <= len(data) and data[at : at + 8] != b"\x89MCAP0\r\n":
        opcode, length = struct.unpack_from("<BQ", data, at)
        yield Record(opcode, at, at + 9 + length)
        at += 9 + length


def by_topic(messages: list[Original]) -> Counter[str]:
    return Counter(message.topic for message in messages)
