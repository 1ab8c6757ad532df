"""Reading of the table of contents, by the chunk index and by walking the file.

An index whose CRC holds is believed for the blocks that it covers; the rest of the file is walked record by
record. Without one that is the whole file, so both ways give the same table.
"""

from __future__ import annotations

from collections.abc import Container
from contextlib import suppress

from perception.logs.mcap.blocks import DataBlock
from perception.logs.mcap.contents import Break, Contents
from perception.logs.mcap.limits import MAX_RECORD_BYTES, declared_limit
from perception.logs.mcap.records import HEAD, MAGIC, Malformed, Op, Registry
from perception.logs.mcap.search import entry_block
from perception.logs.mcap.shape import SUMMARY_KINDS
from perception.logs.mcap.source import Source
from perception.logs.mcap.summary import McapSummary, points_at_chunk, read_summary
from perception.logs.mcap.walk import Walk
from perception.remote.fetched import NotInRangesError

_MOST_BETWEEN = 1 << 20  # bytes of a remote file that no index covers


def read_contents(source: Source, first: int) -> tuple[Contents, Walk]:
    """Return the table, and the walk that found it.

    `first` is the offset of the first record after the header.
    """
    registry = Registry(declared_limit(source.size))
    summary = read_summary(source, registry)
    contents = Contents(registry, summary)
    if source.is_remote and not (summary.proven and summary.indexed and summary.statistics):
        raise NotInRangesError("it has no index and statistics whose CRC holds")
    walk = Walk(source, contents, {entry.offset: entry for entry in summary.chunks})
    if summary.proven:
        _follow_index(source, contents, walk, first)
    else:
        walk.run(first, source.size, open_end=True)
        contents.closed = contents.data_end is not None
        named = bool(contents.blocks) and contents.blocks[-1].cut
        named = named or (bool(contents.breaks) and contents.breaks[-1].end == source.size)
        if not contents.closed and not named:
            reason = "the recording was cut here: there is no end of the data; what followed is not known"
            contents.breaks.append(Break(source.size, source.size, 0, reason))
        _look_beyond(source, contents)
    summary.chunks.clear()  # the blocks hold their content
    return contents, walk


def _follow_index(source: Source, contents: Contents, walk: Walk, first: int) -> None:
    """Take the blocks from the index, and walk the bytes between them."""
    summary, at = contents.summary, first
    indexed, starts = 0, {entry.offset for entry in summary.chunks}
    regions = _regions(source, summary, first)
    if (
        source.is_remote
        and summary.start - first - sum(end - start for start, end, _ in regions) > _MOST_BETWEEN
    ):
        raise NotInRangesError("its index does not cover its content")
    for start, end, block in regions:
        if start > at:
            walk.run(_gap_start(contents, at, starts), start)
        if block is not None:
            contents.blocks.append(block)
            indexed += 1
        at = max(at, end)
    walk.run(_gap_start(contents, at, starts), summary.start)
    if contents.data_end is None:
        contents.data_end = _data_end_before(source, summary.start)
    for offset, length in summary.metadata_at:
        with suppress(Malformed):
            walk.metadata(source.read(offset, min(length, MAX_RECORD_BYTES))[HEAD.size :])
    contents.attachments.extend(summary.attachments)
    chunks = sum(block.kind == "chunk" for block in contents.blocks)
    contents.doubtful = chunks > indexed or bool(contents.breaks)


def _gap_start(contents: Contents, at: int, starts: Container[int]) -> int:
    """Return where to begin walking bytes from `at` on that the index does not cover.

    If a chunk should begin there by the index (`starts`) and none does, bytes were lost or added before: it
    may begin among the message indexes of the chunk before.
    """
    before = contents.blocks[-1] if contents.blocks else None
    if at not in starts or before is None or before.offset + before.length + before.index_length != at:
        return at
    before.index_torn = True
    return before.offset + before.length


def _look_beyond(source: Source, contents: Contents) -> None:
    """Note the bytes behind the end of the log: a second one, where files were joined, is not read."""
    if contents.data_end is None:
        return
    at = contents.data_end[0]
    while True:
        head = source.read(at, HEAD.size)
        if len(head) < HEAD.size:
            return
        opcode, length = HEAD.unpack(head)
        at += HEAD.size + length
        if opcode == Op.FOOTER:
            break
        if opcode not in SUMMARY_KINDS and opcode != Op.DATA_END:
            return  # a damaged summary: the end of the log is unknown
    at += len(MAGIC)
    if source.read(at - len(MAGIC), len(MAGIC)) != MAGIC or at >= source.size:
        return
    second = source.read(at, len(MAGIC)) == MAGIC
    what_follows = (
        "another log begins here: were two joined? Give each by itself" if second else "nothing known follows"
    )
    contents.breaks.append(Break(at, source.size, source.size - at, f"the log ends; {what_follows}"))


def _regions(source: Source, summary: McapSummary, first: int) -> list[tuple[int, int, DataBlock | None]]:
    """Return the intervals that the index covers, in file order, without overlaps or impossible entries."""
    regions: list[tuple[int, int, DataBlock | None]] = [(start, end, None) for start, end in summary.regions]
    for entry in summary.chunks:
        if source.is_remote or points_at_chunk(source, entry):
            block = entry_block(entry)
            regions.append((entry.offset, entry.offset + entry.length + entry.index_length, block))
    kept: list[tuple[int, int, DataBlock | None]] = []
    for region in sorted(regions, key=lambda region: region[:2]):
        start, end, _ = region
        if first <= start < end <= summary.start and (not kept or start >= kept[-1][1]):
            kept.append(region)
    return kept


def _data_end_before(source: Source, end: int) -> tuple[int, int] | None:
    """Return the data end record in its usual place, where the walk did not arrive."""
    at = end - HEAD.size - 4
    record = source.read(at, HEAD.size + 4) if at > 0 else b""
    if record[: HEAD.size] != HEAD.pack(Op.DATA_END, 4):
        return None
    return at, int.from_bytes(record[HEAD.size :], "little")
