"""The proof of a table of contents: by its statistics, or by reading the log once.

A message index has no CRC, and one that is absent leaves no trace. So what is not read counts by message
indexes only where all of them together hold what the statistics say. Everywhere else each chunk is read once
before anything is yielded; then times and numbers are exact, whatever its fields say.
"""

from __future__ import annotations

from collections import Counter

from perception.logs.mcap.blocks import NO_ALIASES, Aliases, DataBlock, Tally, load, tally_places
from perception.logs.mcap.contents import Contents, adopt_channels
from perception.logs.mcap.limits import Budget
from perception.logs.mcap.message_index import read_index
from perception.logs.mcap.source import Source
from perception.logs.mcap.unpack import Broken
from perception.logs.mcap.walk import Walk


def settle(source: Source, contents: Contents, walk: Walk) -> None:
    """Make the tally of every block known. Does nothing the second time."""
    with contents.lock:
        if not contents.settled and contents.tally is None:
            if contents.doubtful or not _prove(source, contents):
                _examine(source, contents, walk)
            contents.settled = True


def _prove(source: Source, contents: Contents) -> bool:
    """Take the tallies of all blocks from their message indexes, if the statistics confirm them."""
    statistics, size = contents.summary.statistics, sum(block.uncompressed_size for block in contents.blocks)
    if statistics is None or contents.registry.ambiguous or size > Budget(source.size).bytes:
        return False
    tallies: list[Tally] = []
    sums: Counter[int] = Counter()
    for block in contents.blocks:
        tally = read_index(source, block) if block.tally is None else block.tally
        if tally is None:
            return False
        tallies.append(tally)
        for channel_id, span in tally.items():
            sums[channel_id] += span.messages
    if sums != +Counter(statistics.channel_message_counts):
        return False
    for block, tally in zip(contents.blocks, tallies, strict=True):
        block.tally = tally
    return True


def _examine(source: Source, contents: Contents, walk: Walk) -> None:
    """Read every chunk once, in file order."""
    budget = Budget(source.size)
    outside = aliases = NO_ALIASES
    for block in list(contents.blocks):
        if block.aliases is not outside:  # channels were declared outside chunks
            outside = block.aliases
            aliases = {**aliases, **outside}
        if block.kind == "loose" and block.tally is not None and aliases == block.aliases:
            continue
        block.aliases = aliases
        if block.bad:  # only its message indexes are left
            spans = (read_index(source, block) or {}).values()
            block.start_ns = min((span.first_ns for span in spans), default=0)
            block.end_ns = max((span.last_ns for span in spans), default=block.start_ns)
            continue
        aliases = _read(source, contents, walk, block, budget)
    for block in contents.blocks:
        if block.bad and block.kind == "chunk":
            adopt_channels(source, contents, block, budget)
    contents.searched = True


def _read(source: Source, contents: Contents, walk: Walk, block: DataBlock, budget: Budget) -> Aliases:
    """Read one block; return the aliases in force at its end."""
    left = budget.records
    try:
        loaded = load(source, block, contents.registry, budget)
    except Broken as broken:
        block.bad = True
        if budget.bytes <= 0 or budget.records <= 0:
            block.refused = str(broken)
        elif block.kind == "chunk":
            walk.look_inside(block)
        return block.aliases
    if loaded.records == left:
        block.records = left
    block.bad = bool(loaded.problem)
    places = loaded.places
    block.tally = tally_places(places + ([loaded.torn] if loaded.torn else []))
    if places and block.kind == "chunk":
        first, last = min(places).log_time_ns, max(places).log_time_ns
        block.start_ns, block.end_ns = first, max(last, block.end_ns) if block.bad else last
    return loaded.aliases
