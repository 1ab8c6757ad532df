"""Footer and summary at the end of a file, believed as far as their CRC and the file's shape allow."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass, field
from typing import Any

from perception.logs.mcap.limits import MAX_RECORD_BYTES, declared_limit
from perception.logs.mcap.records import (
    FOOTER_SIZE,
    HEAD,
    MAGIC,
    ChunkEntry,
    Malformed,
    Op,
    Registry,
    iter_records,
    parse,
    parse_chunk_index,
)
from perception.logs.mcap.source import Source


@dataclass(slots=True)
class McapSummary:
    """The content of a summary section. `sound`: it parses, and its CRC holds or it has none."""

    start: int = 0  # offset; the data section ends before it
    sound: bool = False
    indexed: bool = False  # sound, and with a chunk index
    proven: bool = False  # its CRC holds
    chunks: list[ChunkEntry] = field(default_factory=list)
    statistics: Any = None
    regions: list[tuple[int, int]] = field(default_factory=list)  # [start, end) of attachments and metadata
    metadata_at: list[tuple[int, int]] = field(default_factory=list)  # offset, length
    attachments: list[str] = field(default_factory=list)


def read_summary(source: Source, registry: Registry) -> McapSummary:
    """Return the summary of a file; empty and not sound where there is none, or where it is damaged.

    An unsound summary keeps the chunk entries that could be parsed: they tell where to look for chunks.
    """
    summary = McapSummary()
    at = source.size - len(MAGIC) - FOOTER_SIZE
    if at < len(MAGIC):
        return summary
    footer = source.read(at, FOOTER_SIZE)
    opcode, length, start, _, crc = struct.unpack("<BQQQI", footer)
    if opcode != Op.FOOTER or length != 20 or not len(MAGIC) <= start <= at or at - start > MAX_RECORD_BYTES:
        return summary
    data = source.read(start, at - start)
    summary.start = start
    holds = zlib.crc32(footer[:-4], zlib.crc32(data)) == crc
    trial = registry if holds or not crc else Registry(declared_limit(source.size))
    try:
        _parse(data, summary, trial)
        summary.sound = holds or not crc
        summary.indexed = summary.sound and bool(summary.chunks)
        summary.proven = holds and crc != 0
    except Malformed:
        summary.sound = False
    counts = summary.statistics
    if not summary.sound or (
        counts and sum(counts.channel_message_counts.values()) != counts.message_count and not summary.proven
    ):
        summary.statistics = None
    return summary


def _parse(data: bytes, summary: McapSummary, registry: Registry) -> None:
    for opcode, body in iter_records(data):
        if opcode == 0:
            raise Malformed("a record of the summary has no kind")
        if opcode == Op.SCHEMA:
            registry.add_schema(body)
        elif opcode == Op.CHANNEL:
            registry.add_channel(body)
        elif opcode == Op.CHUNK_INDEX:
            summary.chunks.append(parse_chunk_index(body))
        elif opcode == Op.STATISTICS:
            summary.statistics = parse("Statistics", body)
        elif opcode == Op.METADATA_INDEX:
            index = parse("MetadataIndex", body)
            summary.metadata_at.append((index.offset, index.length))
            summary.regions.append((index.offset, index.offset + index.length))
        elif opcode == Op.ATTACHMENT_INDEX:
            index = parse("AttachmentIndex", body)
            summary.attachments.append(index.name)
            summary.regions.append((index.offset, index.offset + index.length))


def points_at_chunk(source: Source, entry: ChunkEntry) -> bool:
    """Return whether a chunk record of the indexed length begins at the indexed offset."""
    if entry.offset + entry.length > source.size or entry.length < HEAD.size:
        return False
    opcode, length = HEAD.unpack(source.read(entry.offset, HEAD.size))
    return bool(opcode == Op.CHUNK and length == entry.length - HEAD.size)
