"""Walking a data section record by record, and going on behind damage."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import NamedTuple

from perception.logs.mcap.blocks import NO_ALIASES, ChannelTally, DataBlock, declare
from perception.logs.mcap.contents import Break, Contents
from perception.logs.mcap.limits import MAX_RECORD_BYTES
from perception.logs.mcap.message_index import read_index
from perception.logs.mcap.records import HEAD, MAGIC, MESSAGE_HEAD, U64_MAX, ChunkEntry, Malformed, Op, parse
from perception.logs.mcap.search import Search, chunk_block
from perception.logs.mcap.shape import CHUNK_FIELDS, MIN_MESSAGE, ChunkShape
from perception.logs.mcap.source import Source

_RUN = 1 << 20  # message records outside chunks are grouped into blocks of about this many bytes
_NEAR_NS = 3600 * 10**9  # a message with a damaged opcode is recognised by a log time this near to others
_DECLARING = (Op.SCHEMA, Op.CHANNEL, Op.METADATA, Op.ATTACHMENT)


class _RunState(NamedTuple):
    """What adding one message changes of a run of messages outside chunks."""

    length: int
    start_ns: int
    end_ns: int
    key: int  # of the message's channel
    tally: ChannelTally | None  # of that channel

    def restore(self, run: DataBlock) -> None:
        run.length, run.start_ns, run.end_ns = self.length, self.start_ns, self.end_ns
        assert run.tally is not None
        if self.tally is None:
            del run.tally[self.key]
        else:
            run.tally[self.key] = self.tally


class _Record(NamedTuple):
    """The record before the present offset, where its length may be wrong."""

    start: int
    end: int
    block: DataBlock | None = (
        None  # a chunk, or the run of messages that this one ends; None: of unknown kind
    )
    before: _RunState | None = None  # the run without this message


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
        self._search = Search(source, contents.registry, sorted(entries))
        self._shapes = self._search.shapes
        self._chunk: DataBlock | None = None  # message indexes that follow belong to it
        self._run: DataBlock | None = None  # messages outside chunks that follow join it
        self._last: _Record | None = None
        self._before: _Record | None = None  # `_last` as it was before this record
        self._gap = False  # unreadable bytes lie right before this record
        self._chunked = bool(entries)  # a chunk was seen: messages behind damage may be content of one
        self._complete = source.read(source.size - len(MAGIC), len(MAGIC)) == MAGIC  # it was not cut short
        self._aliases = NO_ALIASES

    def run(self, start: int, end: int, open_end: bool = False) -> None:
        """Walk from `start` to `end`. `open_end`: the end of the file, not of the data section."""
        self._chunk = self._run = self._last = None
        self._gap = False
        at = start
        while at < end:
            last = self._before = self._last
            self._last = None
            try:
                after = self._record(at, end, open_end)
            except _DamagedChunk as error:
                at = self._behind_chunk(at, end, str(error))
            except Malformed as error:
                at = self._recover(at, end, last, str(error))
            else:
                if after is None:
                    return
                at, self._gap = after, False
        if open_end:
            self._doubt_index()

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

    # --- behind damage ---------------------------------------------------------------------------

    def _recover(self, at: int, end: int, last: _Record | None, reason: str) -> int:
        """Return where the next sound record begins, and note the damage before it.

        `last` is the record that led here: it may be what is damaged.
        """
        self._run = None
        if last is not None and last.before is not None:
            return self._behind_message(at, end, last, reason)
        begin = at + 1
        if last is not None and last.block is None:
            begin = last.start + 1 if not self._search.checked(last.start, last.end) else at + 1
        elif last is not None and last.block is not None and not self._search.intact(last.block):
            begin = self._search.inside(last.block)
        found = self._search.find(begin, end, self._loose(begin, end), but=at)
        self._doubt_index()
        if found < at and last is not None:
            if last.block is None:
                self._break(last.start, found, reason)
            else:
                last.block.length = found - last.block.offset
            return found
        if self._has_message_head(at) and self._shapes.head(at)[0] == Op.MESSAGE:
            self._tear(at, found)
        else:
            self._break(at, found, reason)
        return found

    def _behind_chunk(self, at: int, end: int, reason: str) -> int:
        """Return where the next sound record begins behind a chunk whose lengths are wrong."""
        self._run, block = None, self._contents.blocks[-1]
        found = self._search.find(self._search.inside(block), end, loose=False, but=at)
        block.length = found - at
        return found

    def _behind_message(self, at: int, end: int, last: _Record, reason: str) -> int:
        """Return where the next sound record begins behind messages outside chunks.

        Nothing else tells which of two records is damaged: this one, if it can be recognised; else the
        message before it, whose content is then not believed.
        """
        assert last.block is not None
        assert last.before is not None
        found = self._search.find(at + 1, end, loose=True)
        opcode, length = self._shapes.head(at)
        header = self._has_message_head(at)
        if at + HEAD.size > end:  # the file was cut there
            found = end
            self._break(at, found, reason)
        elif header and (opcode == Op.MESSAGE or at + HEAD.size + length == found):
            self._tear(at, found)
        elif (
            at + HEAD.size + length == found
            or (earlier := self._search.find(last.start + 1, end, loose=True, but=at)) == end
        ):
            self._break(at, found, reason)
        else:
            found = earlier
            last.before.restore(last.block)
            if not last.block.length:
                self._contents.blocks.pop()
            self._tear(last.start, found)
        return found

    def _has_message_head(self, at: int) -> bool:
        """Return whether a message outside chunks has its header here, whatever its length says."""
        blocks = self._contents.blocks
        if self._chunked or not blocks:
            return False
        channel_id, log_time = self._message_head(at)
        near = blocks[-1].start_ns - _NEAR_NS <= log_time <= blocks[-1].end_ns + _NEAR_NS
        return near and self._key(channel_id) in self._contents.registry.channels

    def _message_head(self, at: int) -> tuple[int, int]:
        """Return channel id and log time of a message; zeros where the file ends."""
        head = self._source.peek(at + HEAD.size, MESSAGE_HEAD.size).ljust(MESSAGE_HEAD.size, b"\0")
        channel_id, _, log_time, _ = MESSAGE_HEAD.unpack(head)
        return channel_id, log_time

    def _key(self, channel_id: int) -> int:
        return self._aliases.get(channel_id, channel_id)

    def _tear(self, at: int, end: int) -> None:
        """Add a message of which only the header is sound."""
        channel_id, log_time = self._message_head(at)
        tally = {self._key(channel_id): ChannelTally(1, log_time, log_time)}
        self._contents.blocks.append(
            DataBlock(
                "loose",
                at,
                end - at,
                log_time,
                log_time,
                torn=True,
                tally=tally,
                bad=True,
                aliases=self._aliases,
            )
        )
        self._run = None

    def _doubt_index(self) -> None:
        """Mark the chunk before this place: it may have had more message indexes."""
        if self._chunk is not None:
            self._chunk.index_torn = True

    def _break(self, at: int, after: int, reason: str) -> None:
        """Note bytes that are not understood; together with those before if no block lies between."""
        breaks, blocks, size = self._contents.breaks, self._contents.blocks, after - at
        if breaks and not (blocks and blocks[-1].offset >= breaks[-1].start):
            size += breaks[-1].size
            at, reason = breaks[-1].start, breaks[-1].reason
            breaks.pop()
        breaks.append(Break(at, after, size, reason))
        self._gap = True

    # --- records ---------------------------------------------------------------------------------

    def _record(self, at: int, end: int, open_end: bool) -> int | None:
        """Add one record. Returns the offset of the next, or None at the end of the data."""
        if at + HEAD.size > min(end, self._source.size):
            raise Malformed("the file ends inside a record")
        opcode, length = self._shapes.head(at)
        after = at + HEAD.size + length
        if at in self._entries or (opcode == Op.CHUNK and self._shapes.chunk(at) is not None):
            return self._add_chunk(at, end, open_end)
        if opcode == Op.MESSAGE and length >= MIN_MESSAGE and not self._is_index(at):
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
            self._aliases = declare(self._contents.registry, opcode, content, self._aliases)
        if opcode not in (Op.SCHEMA, Op.CHANNEL):
            self._run = None
        self._chunk = None
        self._last = _Record(at, after)
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
        if self._is_chunk(at, end):
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
        if (opcode ^ Op.MESSAGE).bit_count() == 1 and self._has_message_head(at):
            self._tear(at, after)
        self._run = self._chunk = None
        self._last = _Record(at, after)
        return after

    def _add_chunk(self, at: int, end: int, open_end: bool) -> int:
        """Add a chunk. Where its lengths differ, the one with which its CRC holds counts."""
        self._run, self._chunked = None, True
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
        if cut and not (open_end and shape.certain and self._is_cut(self._search.inside(block), end)):
            length, cut = 0, False
        block.cut = cut
        if length < shape.payload:
            block.length = end - at
            self._take_chunk(block)
            raise _DamagedChunk("a chunk that does not fit the file")
        return self._take_chunk(block)

    def _is_chunk(self, at: int, end: int) -> bool:
        """Return whether a chunk begins here, whatever its opcode says."""
        shape = self._shapes.chunk(at)
        return shape is not None and (shape.certain or self._search.intact_length(at, end, shape) is not None)

    def _likely_length(self, at: int, end: int, shape: ChunkShape) -> int:
        """Return the length of a damaged chunk that leads to a record; 0 if none does."""
        fitting = [length for length in shape.lengths if shape.payload <= length <= end - at]
        return next((length for length in fitting if self._shapes.starts(at + length, end)), 0)

    def _take_chunk(self, block: DataBlock) -> int:
        self._contents.blocks.append(block)
        self._chunk, after = block, block.offset + block.length
        self._last = _Record(block.offset, after, block)
        block.aliases = self._aliases
        return after

    def _is_index(self, at: int, anywhere: bool = False) -> bool:
        """Return whether a message index stands here, whatever its opcode says; only behind a chunk."""
        if not anywhere and self._chunk is None:
            return False
        _, length = self._shapes.head(at)
        return length >= 6 and self._shapes.inner_length(Op.MESSAGE_INDEX, at + HEAD.size) == length

    def _add_index(self, at: int, after: int) -> int:
        """Add a message index to the chunk before it."""
        self._run = None
        if self._chunk is None or self._gap:
            self._chunk = self._owner(at, after)
        if not self._chunk.index_torn:
            self._chunk.index_length += after - at
        self._last = _Record(at, after)
        return after

    def _owner(self, at: int, after: int) -> DataBlock:
        """Return the chunk of a message index that stands behind damage or behind no chunk.

        It is the chunk before, if that holds such messages; else one that was lost in the damage.
        """
        breaks, blocks = self._contents.breaks, self._contents.blocks
        chunk = blocks[-1] if blocks and blocks[-1].kind == "chunk" else None
        lost = breaks[-1] if self._gap and breaks and breaks[-1].end == at else None
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
        channel_id, log_time = self._message_head(at)
        key = self._key(channel_id)
        if key not in self._contents.registry.channels and self._is_chunk(at, end):
            return self._add_chunk(at, end, open_end)
        cut = after > end
        if after - at > MAX_RECORD_BYTES or (cut and not (open_end and self._is_cut(at + 1, end))):
            raise Malformed("a message that does not fit the file")
        if self._chunked and not cut and self._is_content(after, end):
            raise Malformed("a message where none should be")
        run, self._chunk = self._run, None
        if run is None or run.length > _RUN:
            run = DataBlock("loose", at, 0, log_time, log_time, tally={}, aliases=self._aliases)
            self._run = run
            self._contents.blocks.append(run)
        assert run.tally is not None
        known = run.tally.get(key)
        before = _RunState(run.length, run.start_ns, run.end_ns, key, known)
        run.length = min(after, end) - run.offset
        if cut:
            run.cut, run.tally = True, None  # whether the last header is complete is known only after loading
            return end
        run.start_ns, run.end_ns = min(run.start_ns, log_time), max(run.end_ns, log_time)
        run.tally[key] = known.plus(1, log_time, log_time) if known else ChannelTally(1, log_time, log_time)
        self._last = _Record(at, after, run, before)
        return after

    def _is_content(self, after: int, end: int) -> bool:
        """Return whether a message in a chunked log is the content of a damaged chunk, or not a message."""
        chunk = self._before.block if self._before is not None else None
        if chunk is not None and chunk.kind == "chunk" and not self._search.intact(chunk):
            return True
        return not self._shapes.starts(after, end)

    def _is_cut(self, at: int, end: int) -> bool:
        """Return whether the file ends inside a record, rather than that its length is wrong.

        `at`: where in the record the search for others begins.
        """
        return not self._complete and self._search.find(at, end, self._loose(at, end)) == end

    def _loose(self, at: int, end: int) -> bool:
        """Return whether this is a log without chunks: what looks like a message is no chunk's content."""
        if not self._chunked and not self._contents.blocks:
            ahead = self._search.find(at, end, loose=False)
            self._chunked = ahead < end and (
                self._shapes.head(ahead)[0] == Op.MESSAGE_INDEX or self._is_chunk(ahead, end)
            )
        return not self._chunked


def entry_block(entry: ChunkEntry) -> DataBlock:
    """Return the block that an entry of a proven chunk index describes."""
    return DataBlock(
        "chunk",
        entry.offset,
        entry.length,
        entry.start_ns,
        entry.end_ns,
        entry.index_length,
        entry.channel_ids if entry.index_length and entry.channel_ids else None,
        entry.compression,
        entry.length - entry.compressed_size,
        entry.uncompressed_size,
    )


def _attachment_name(body: bytes) -> str:
    length = int.from_bytes(body[16:20], "little")
    return body[20 : 20 + length].decode("utf-8", errors="replace")
