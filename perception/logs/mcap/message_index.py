"""What the message indexes behind a chunk prove of it, without reading the chunk."""

from __future__ import annotations

from perception.logs.mcap.blocks import Block, Span, Tally
from perception.logs.mcap.records import (
    HEAD,
    MAX_BYTES,
    MESSAGE_HEAD,
    MESSAGE_INDEX,
    U64_MAX,
    Malformed,
    parse_message_index,
)
from perception.logs.mcap.source import Source

_HEADS = HEAD.size + MESSAGE_HEAD.size


def read_index(source: Source, block: Block, start_ns: int = 0, end_ns: int = U64_MAX + 1) -> Tally | None:
    """What a chunk's message indexes prove of it, within a time range; None where they prove nothing.

    They have no CRC. They are believed when every record fits and every time and offset is possible.
    """
    if not block.index_length or block.index_torn or block.cut or block.index_length > MAX_BYTES:
        return None
    try:
        data = source.read(block.offset + block.length, block.index_length)
        return _parse_index(data, block, start_ns, end_ns) if len(data) == block.index_length else None
    except Malformed:
        return None


def _parse_index(data: bytes, block: Block, start_ns: int, end_ns: int) -> Tally:
    tally: Tally = {}
    seen: set[int] = set()
    at = 0
    while at < len(data):
        if at + HEAD.size > len(data):
            raise Malformed("the message index is cut off")
        opcode, length = HEAD.unpack_from(data, at)
        body = data[at + HEAD.size : at + HEAD.size + length]
        at += HEAD.size + length
        if opcode != MESSAGE_INDEX or len(body) < length:
            raise Malformed("not a message index")
        channel_id, entries = parse_message_index(body)
        if channel_id in seen:
            raise Malformed("two message indexes of one channel")
        seen.add(channel_id)
        if not len(entries):
            continue
        times, last_offset = entries[:, 0], int(entries[:, 1].max())
        first, last = int(times.min()), int(times.max())
        size = block.uncompressed_size
        if (
            first < block.start_ns
            or last > block.end_ns
            or (size is not None and last_offset + _HEADS > size)
        ):
            raise Malformed("a message index says what cannot be")
        if first < start_ns or last >= end_ns:
            kept = [time for time in times.tolist() if start_ns <= time < end_ns]
            if kept:
                tally[channel_id] = Span(len(kept), min(kept), max(kept))
        else:
            tally[channel_id] = Span(len(entries), first, last)
    return tally
