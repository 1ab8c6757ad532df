"""The messages of a log by its summary alone, for files of which little is read.

The CRC of a summary covers its statistics and its chunk index. The statistics count the messages of each
channel, the index says which channels a chunk holds and between which times. The first and the last time of a
channel stand in the message index of one chunk at each end.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from math import ceil

from perception.logs.mcap.blocks import ChannelTally, DataBlock, Tally
from perception.logs.mcap.contents import Contents
from perception.logs.mcap.message_index import read_index, read_times
from perception.logs.mcap.records import Malformed
from perception.logs.mcap.source import Source


def tally_by_summary(source: Source, contents: Contents) -> Tally | None:
    """Return the messages of each channel; None where the summary does not say them."""
    statistics, summary = contents.summary.statistics, contents.summary
    if statistics is None or not summary.proven or contents.doubtful or contents.registry.ambiguous:
        return None
    blocks: dict[int, list[DataBlock]] = defaultdict(list)
    for block in contents.blocks:
        if block.kind != "chunk" or block.channel_ids is None:
            return None
        for key in block.channel_ids:
            blocks[key].append(block)
    counts = {key: count for key, count in statistics.channel_message_counts.items() if count}
    if counts.keys() - blocks.keys():
        return None
    indexes: dict[int, Tally | None] = {}

    def span(block: DataBlock, key: int) -> ChannelTally | None:
        if block.offset not in indexes:
            indexes[block.offset] = read_index(source, block)
        return (indexes[block.offset] or {}).get(key)

    ends = {id(block): block for key in counts for block in (_first(blocks[key]), _last(blocks[key]))}
    indexed = [(block.offset + block.length, block.index_length) for block in ends.values()]
    first = min(contents.blocks, key=lambda block: block.start_ns, default=None)
    looked_at = [(first.offset, first.length)] if first and first.length <= _LARGEST_FIRST else []
    source.fetch_all([*indexed, *looked_at])  # a look at the messages, which follows, begins there
    tally: Tally = {}
    for key, count in counts.items():
        first_ns = _edge(sorted(blocks[key], key=lambda block: block.start_ns), key, span, -1)
        last_ns = _edge(sorted(blocks[key], key=lambda block: -block.end_ns), key, span, 1)
        if first_ns is None or last_ns is None:
            return None
        tally[key] = ChannelTally(count, first_ns, last_ns)
    return tally


def _edge(
    blocks: Sequence[DataBlock], key: int, span: Callable[[DataBlock, int], ChannelTally | None], side: int
) -> int | None:
    """Return the first (side -1) or last (1) time of a channel; None where a message index is not sound.

    `blocks` are in the order in which they may hold it: none behind one that cannot is looked at.
    """
    best: int | None = None
    for block in blocks:
        if best is not None and (block.start_ns >= best if side < 0 else block.end_ns <= best):
            break
        found = span(block, key)
        if found is None:
            return None
        time_ns = found.first_ns if side < 0 else found.last_ns
        best = time_ns if best is None else (min if side < 0 else max)(best, time_ns)
    return best


def _first(blocks: Sequence[DataBlock]) -> DataBlock:
    return min(blocks, key=lambda block: block.start_ns)


def _last(blocks: Sequence[DataBlock]) -> DataBlock:
    return max(blocks, key=lambda block: block.end_ns)


_FIRST, _AT_ONCE = 4, 128  # message indexes that are fetched together
_LARGEST_FIRST = 3 << 20  # bytes of the first chunk, for it to be fetched beside them


def arrival_times(source: Source, contents: Contents, keys: frozenset[int], count: int) -> list[int] | None:
    """Return the first `count` log times of channels by message indexes; None where one is not sound."""
    blocks = [
        block for block in contents.blocks if block.channel_ids is not None and block.channel_ids & keys
    ]
    blocks.sort(key=lambda block: block.start_ns)
    times: list[int] = []
    fetched = 0
    statistics = contents.summary.statistics
    total = sum(statistics.channel_message_counts.get(key, 0) for key in keys) if statistics else 0
    for place, block in enumerate(blocks):
        if sum(time_ns < block.start_ns for time_ns in times) >= count:
            break
        if place == fetched:  # as many as it takes, by the messages of those before
            share = len(times) / place if place else total / len(blocks)
            missing = ceil((count - len(times)) / share) if share else _FIRST
            group = blocks[place : place + min(max(missing, _FIRST), _AT_ONCE)]
            source.fetch_all((other.offset + other.length, other.index_length) for other in group)
            fetched += len(group)
        try:
            times += read_times(source, block, keys)
        except Malformed:
            return None
    return sorted(times)[:count]
