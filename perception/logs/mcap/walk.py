"""Walking a data section record by record."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress

from perception.logs.mcap.blocks import ChannelTally, DataBlock, declare
from perception.logs.mcap.contents import Contents
from perception.logs.mcap.limits import MAX_RECORD_BYTES
from perception.logs.mcap.message_index import read_index
from perception.logs.mcap.records import HEAD, MAGIC, U64_MAX, ChunkEntry, Malformed, Op, parse
from perception.logs.mcap.resume import behind_chunk, behind_damage
from perception.logs.mcap.search import chunk_block, entry_block
from perception.logs.mcap.shape import CHUNK_FIELDS, MIN_MESSAGE, ChunkShape
from perception.logs.mcap.source import Source
from perception.logs.mcap.walk_state import PriorRecord, RunState, WalkState

_RUN = 1 << 20  # message records outside chunks are grouped into blocks of about this many bytes
_DECLARING = (Op.SCHEMA, Op.CHANNEL, Op.METADATA, Op.ATTACHMENT)


class _DamagedChunk(Malformed):
    """A chunk of which no length is right."""


class Walk:
    """Reads records one after another from the file, collecting blocks.

    A length is believed where another record begins behind it. Where none does, the bytes are searched from
    the last sound content on.
    """

    def __init__(self, source: Source, contents: Contents, entries: Mapping[int, ChunkEntry]) -> None:
        self._source = source
        self._contents = contents
        self._entries = entries if contents.summary.proven else {}
        self._state = WalkState(source, contents, sorted(entries))
        self._search = self._state.search
        self._shapes = self._state.shapes
        self._before: PriorRecord | None = None  # the last record as it was before this one

    def run(self, start: int, end: int, open_end: bool = False) -> None:
        """Walk from `start` to `end`. `open_end`: the end of the file, not of the data section."""
        state = self._state
        state.begin()
        at = start
        while at < end:
            last = self._before = state.last
            state.last = None
            try:
                after = self._record(at, end, open_end)
            except _DamagedChunk:
                at = behind_chunk(state, at, end)
            except Malformed as error:
                at = behind_damage(state, at, end, last, str(error))
            else:
                if after is None:
                    return
                at, state.gap = after, False
        if open_end:
            state.doubt_index()

    def look_inside(self, block: DataBlock) -> None:
        """Walk what lies in a chunk that is damaged: its lengths may hide others."""
        contents, end = self._contents, block.offset + block.length
        begin = self._search.find(self._search.inside(block), end, loose=False)
        if begin == end:
            return
        block.length, block.index_torn = begin - block.offset, True
        blocks, breaks = contents.blocks, contents.breaks
        contents.blocks, contents.breaks = [block], []
        self.run(begin, end)
        contents.blocks = sorted(blocks + contents.blocks[1:], key=lambda block: block.offset)
        contents.breaks = sorted(breaks + contents.breaks)

    def _record(self, at: int, end: int, open_end: bool) -> int | None:
        """Add one record. Returns the offset of the next, or None at the end of the data."""
        if at + HEAD.size > min(end, self._source.size):
            raise Malformed("the file ends inside a record")
        opcode, length = self._shapes.head(at)
        after = at + HEAD.size + length
        if at in self._entries or (opcode == Op.CHUNK and self._shapes.chunk(at) is not None):
            return self._add_chunk(at, end, open_end)
        if opcode == Op.MESSAGE and length >= MIN_MESSAGE and not self._is_index(at):
            if self._is_channel(at, end):
                return self._add_declaration(Op.CHANNEL, at, after, end)
            return self._add_message(at, after, end, open_end)
        if opcode == Op.MESSAGE_INDEX and self._is_index(at, anywhere=True) and after <= end:
            return self._add_index(at, after)
        if opcode == Op.DATA_END and length == 4:
            crc = int.from_bytes(self._source.peek(at + HEAD.size, 4), "little")
            self._contents.data_end = at, crc
            return None
        if opcode == Op.FOOTER and length == 20 and open_end and after + len(MAGIC) >= end:
            return None
        if opcode in _DECLARING:
            with suppress(Malformed):
                return self._add_declaration(opcode, at, after, end)
        return self._add_disguised(opcode, at, after, end, open_end)

    def _add_declaration(self, opcode: int, at: int, after: int, end: int) -> int:
        """Add a schema, a channel, metadata or an attachment."""
        body = at + HEAD.size
        inner = self._shapes.inner_length(opcode, body)
        if inner is None or body + inner > end:
            raise Malformed("a record that contradicts itself")
        if body + inner != after and not self._extended(body + inner, after, end):
            after = body + inner
        length = after - body
        if opcode == Op.ATTACHMENT:
            self._contents.attachments.append(_attachment_name(self._source.peek(body, min(length, 4096))))
        elif length > MAX_RECORD_BYTES:
            raise Malformed("a record of absurd size")
        elif opcode == Op.METADATA:
            self.metadata(self._source.read(body, length))
        else:
            content = self._source.read(body, length)
            self._state.aliases = declare(self._contents.registry, opcode, content, self._state.aliases)
        if opcode not in (Op.SCHEMA, Op.CHANNEL):
            self._state.run = None
        self._state.chunk = None
        self._state.last = PriorRecord(at, after)
        return after

    def _extended(self, inner: int, after: int, end: int) -> bool:
        """Return whether a record has fields of a later version here, and hides no other record."""
        return inner < after <= end and (
            self._shapes.starts(after, end) and self._search.find(inner, after, loose=False) == after
        )

    def metadata(self, body: bytes) -> None:
        """Add a metadata record."""
        record = parse("Metadata", body)
        self._contents.metadata.append((record.name, dict(record.metadata)))

    def _add_disguised(self, opcode: int, at: int, after: int, end: int, open_end: bool) -> int:
        """Add a record whose opcode is damaged, or pass over one of a kind that is not known."""
        if self._state.is_chunk(at, end):
            return self._add_chunk(at, end, open_end)
        if opcode != Op.MESSAGE_INDEX and after <= end and self._is_index(at):
            return self._add_index(at, after)
        for kind in (*_DECLARING, Op.MESSAGE_INDEX):
            likely = opcode < 16 or (opcode ^ kind).bit_count() == 1
            if opcode != kind and likely and self._shapes.whole(at, end, kind) is not None:
                if kind == Op.MESSAGE_INDEX:
                    return self._add_index(at, after)
                return self._add_declaration(kind, at, after, end)
        if opcode == 0 or after > end:
            reason = "a record does not fit the file" if opcode else "zeros stand where a record should be"
            raise Malformed(reason)
        if opcode < 16:
            raise Malformed("a chunk is damaged or cut off" if opcode == Op.CHUNK else "a misplaced record")
        if not self._shapes.starts(after, end):
            raise Malformed("a record of unknown kind, and none behind it")
        if (opcode ^ Op.MESSAGE).bit_count() == 1 and self._state.has_message_head(at):
            self._state.tear(at, after)
        self._state.run = self._state.chunk = None
        self._state.last = PriorRecord(at, after)
        return after

    def _add_chunk(self, at: int, end: int, open_end: bool) -> int:
        """Add a chunk. Where its lengths differ, the one with which its CRC holds counts."""
        self._state.run, self._state.chunked = None, True
        shape = self._shapes.chunk(at)
        entry = self._entries.get(at)
        if entry is not None and (shape is None or not shape.certain or at + shape.lengths[0] > end):
            block = entry_block(entry)
            block.index_length = 0  # the walk finds them
            if at + block.length <= end and self._search.intact(block):
                return self._take_chunk(block)
        if shape is None:
            raise Malformed("a chunk whose fields are damaged")
        if shape.certain or len(set(shape.lengths)) == 1:
            length = shape.lengths[0]
        else:
            length = self._search.intact_length(at, end, shape) or self._likely_length(at, end, shape)
        cut = at + length > end
        block = chunk_block(at, min(length, end - at), shape)
        if cut and not (open_end and shape.certain and self._state.is_cut(self._search.inside(block), end)):
            length, cut = 0, False
        block.cut = cut
        if length < shape.payload:
            block.length = end - at
            self._take_chunk(block)
            raise _DamagedChunk("a chunk that does not fit the file")
        return self._take_chunk(block)

    def _likely_length(self, at: int, end: int, shape: ChunkShape) -> int:
        """Return the length of a damaged chunk that leads to a record; 0 if none does."""
        fitting = [length for length in shape.lengths if shape.payload <= length <= end - at]
        return next((length for length in fitting if self._shapes.starts(at + length, end)), 0)

    def _take_chunk(self, block: DataBlock) -> int:
        self._contents.blocks.append(block)
        self._state.chunk, after = block, block.offset + block.length
        self._state.last = PriorRecord(block.offset, after, block)
        block.aliases = self._state.aliases
        return after

    def _is_index(self, at: int, anywhere: bool = False) -> bool:
        """Return whether a message index stands here, whatever its opcode says; only behind a chunk."""
        if not anywhere and self._state.chunk is None:
            return False
        _, length = self._shapes.head(at)
        return length >= 6 and self._shapes.inner_length(Op.MESSAGE_INDEX, at + HEAD.size) == length

    def _is_channel(self, at: int, end: int) -> bool:
        """Return whether what says it is a message is a channel: one bit of the opcode tells them apart.

        As a message it would be far in time from all others, and its lengths are those of a channel.
        """
        blocks = self._contents.blocks
        if blocks and self._state.near(self._state.message_head(at)[1]):
            return False
        return self._shapes.whole(at, end, Op.CHANNEL) is not None

    def _add_index(self, at: int, after: int) -> int:
        """Add a message index to the chunk before it."""
        self._state.run = None
        if self._state.chunk is None or self._state.gap:
            self._state.chunk = self._owner(at, after)
        if not self._state.chunk.index_torn:
            self._state.chunk.index_length += after - at
        self._state.last = PriorRecord(at, after)
        return after

    def _owner(self, at: int, after: int) -> DataBlock:
        """Return the chunk of a message index that stands behind damage or behind no chunk.

        It is the chunk before, if that holds such messages; else one that was lost in the damage.
        """
        breaks, blocks = self._contents.breaks, self._contents.blocks
        chunk = blocks[-1] if blocks and blocks[-1].kind == "chunk" else None
        lost = breaks[-1] if self._state.gap and breaks and breaks[-1].end == at else None
        index = DataBlock("chunk", at, 0, 0, U64_MAX, index_length=after - at)
        tally = read_index(self._source, index)
        if chunk is not None and (
            tally is None or lost is None or lost.size < CHUNK_FIELDS or self._search.holds(chunk, tally)
        ):
            chunk.index_torn = True
            return chunk
        block = DataBlock("chunk", at, 0, 0, U64_MAX, bad=True, refused="a message index without a chunk")
        if lost is not None:
            breaks.pop()
            block.offset, block.length, block.refused = lost.start, at - lost.start, lost.reason
        blocks.append(block)
        return block

    def _add_message(self, at: int, after: int, end: int, open_end: bool) -> int:
        """Add a message outside chunks to the run of messages before it."""
        channel_id, log_time = self._state.message_head(at)
        key = self._state.key(channel_id)
        if key not in self._contents.registry.channels and self._state.is_chunk(at, end):
            return self._add_chunk(at, end, open_end)
        cut = after > end
        if after - at > MAX_RECORD_BYTES or (cut and not (open_end and self._state.is_cut(at + 1, end))):
            raise Malformed("a message that does not fit the file")
        if self._state.chunked and not cut and self._is_content(after, end):
            raise Malformed("a message where none should be")
        run, self._state.chunk = self._state.run, None
        if run is None or run.length > _RUN:
            run = DataBlock("loose", at, 0, log_time, log_time, tally={}, aliases=self._state.aliases)
            self._state.run = run
            self._contents.blocks.append(run)
        assert run.tally is not None
        known = run.tally.get(key)
        before = RunState(run.length, run.start_ns, run.end_ns, key, known)
        run.length = min(after, end) - run.offset
        if cut:
            run.cut, run.tally = True, None  # whether the last header is complete is known only after loading
            return end
        run.start_ns, run.end_ns = min(run.start_ns, log_time), max(run.end_ns, log_time)
        run.tally[key] = known.plus(1, log_time, log_time) if known else ChannelTally(1, log_time, log_time)
        self._state.last = PriorRecord(at, after, run, before)
        return after

    def _is_content(self, after: int, end: int) -> bool:
        """Return whether a message in a chunked log is the content of a damaged chunk, or not a message."""
        chunk = self._before.block if self._before is not None else None
        if chunk is not None and chunk.kind == "chunk" and not self._search.intact(chunk):
            return True
        return not self._shapes.starts(after, end)


def _attachment_name(body: bytes) -> str:
    length = int.from_bytes(body[16:20], "little")
    return body[20 : 20 + length].decode("utf-8", errors="replace")
