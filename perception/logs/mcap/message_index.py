"""The messages of a chunk by the message indexes behind it, without reading the chunk."""

from __future__ import annotations

from perception.logs.mcap.blocks import ChannelTally, DataBlock, Tally
from perception.logs.mcap.limits import MAX_RECORD_BYTES
from perception.logs.mcap.records import (
    HEAD,
    MESSAGE_HEAD,
    U64_MAX,
    Malformed,
    Op,
    iter_records,
    parse_message_index,
)
from perception.logs.mcap.source import Source

_HEADS = HEAD.size + MESSAGE_HEAD.size


def read_index(
    source: Source, block: DataBlock, start_ns: int = 0, end_ns: int = U64_MAX + 1
) -> Tally | None:
    """Return the messages in a time range by a chunk's message indexes; None if they contradict themselves.

    They have no CRC, and one that is absent leaves no trace: what counts by them needs another proof. The
    tally has channel ids for keys.
    """
    if not block.index_length or block.index_torn or block.cut or block.index_length > MAX_RECORD_BYTES:
        return None
    try:
        data = source.read(block.offset + block.length, block.index_length)
        return _parse_index(data, block, start_ns, end_ns) if len(data) == block.index_length else None
    except Malformed:
        return None


def read_times(source: Source, block: DataBlock, keys: frozenset[int]) -> list[int]:
    """Return the log times of some channels in a chunk by its message indexes, sorted. Raises Malformed."""
    times: list[int] = []
    for opcode, body in iter_records(source.read(block.offset + block.length, block.index_length)):
        if opcode == Op.MESSAGE_INDEX:
            channel_id, entries = parse_message_index(body)
            if channel_id in keys:
                times += entries[:, 0].tolist()
    return sorted(times)


def _parse_index(data: bytes, block: DataBlock, start_ns: int, end_ns: int) -> Tally:
    tally: Tally = {}
    seen: set[int] = set()
    for opcode, body in iter_records(data):
        if opcode != Op.MESSAGE_INDEX:
            raise Malformed("not a message index")
        channel_id, entries = parse_message_index(body)
        if channel_id in seen:
            raise Malformed("two message indexes of one channel")
        seen.add(channel_id)
        if not len(entries):
            continue
        times, last_offset = entries[:, 0], int(entries[:, 1].max())
        first, last = int(times.min()), int(times.max())
        fits = not block.uncompressed_size or last_offset + _HEADS <= block.uncompressed_size
        if not fits or first < block.start_ns or last > block.end_ns:
            raise Malformed("a message index contradicts its chunk")
        if first < start_ns or last >= end_ns:
            kept = [time for time in times.tolist() if start_ns <= time < end_ns]
            if kept:
                tally[channel_id] = ChannelTally(len(kept), min(kept), max(kept))
        else:
            tally[channel_id] = ChannelTally(len(entries), first, last)
    return tally
