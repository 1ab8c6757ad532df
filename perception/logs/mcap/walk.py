"""Walking a data section record by record, and finding the way back after damage."""

from __future__ import annotations

import re
from bisect import bisect_right
from contextlib import suppress

from perception.logs.mcap.blocks import ChannelTally, DataBlock
from perception.logs.mcap.contents import Break, Contents
from perception.logs.mcap.message_index import read_index
from perception.logs.mcap.records import (
    CHUNK_HEAD,
    HEAD,
    MAGIC,
    MAX_BYTES,
    MESSAGE_HEAD,
    U64,
    U64_MAX,
    Malformed,
    Op,
    parse,
    parse_chunk_head,
)
from perception.logs.mcap.source import Source

_SEARCH = 1 << 20
_CHUNK_START = re.compile(rb"\x06(?=.{5}\0\0\0)", re.DOTALL)  # opcode, and a length below 2^40
_MIN_CHUNK = HEAD.size + CHUNK_HEAD.size + U64.size
_RUN = 1 << 20  # message records outside chunks are grouped into blocks of about this many bytes


class Walk:
    """Reads records one after another from the file, collecting blocks."""

    def __init__(self, source: Source, contents: Contents, hints: list[int]) -> None:
        self._source = source
        self._contents = contents
        self._hints = hints
        self._chunk: DataBlock | None = None  # message indexes that follow belong to it
        self._run: DataBlock | None = None  # messages outside chunks that follow join it
        self._before = 0  # where the record before this one began
        self._sure = 0  # every record up to here was certain; an uncertain one may have led to a wrong offset

    def run(self, start: int, end: int, open_end: bool = False) -> None:
        """Walk from `start` to `end`. `open_end`: the end of the file, not of the data section."""
        self._chunk = self._run = None
        self._before = self._sure = at = start
        while at < end:
            try:
                after = self._record(at, end, open_end)
            except Malformed as error:
                after = self._resync(at, end)
                if after < at:
                    at = self._sure
                self._break(at, after, str(error))
                self._doubt_index()
                self._chunk = self._run = None
            if self._chunk is not None or self._run is not None:
                self._sure = after or at
            if after is None:
                return
            self._before, at = at, after
        if open_end:
            self._doubt_index()

    def _doubt_index(self) -> None:
        """Mark the chunk before this place: it may have had more message indexes, so it must be loaded."""
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

    def metadata(self, body: bytes) -> None:
        """Add a metadata record, if it is whole."""
        with suppress(Malformed):
            self._add_metadata(body)

    def _add_metadata(self, body: bytes) -> None:
        record = parse("Metadata", body)
        self._contents.metadata.append((record.name, dict(record.metadata)))

    def _resync(self, at: int, end: int) -> int:
        """Return the end of this record if its length leads to another, else the next known chunk."""
        head = self._source.peek(at, HEAD.size)
        if len(head) == HEAD.size and head[0]:
            after: int = at + HEAD.size + HEAD.unpack(head)[1]
            if after < end and self._plausible(after, end):
                return after
        i = bisect_right(self._hints, at)
        return min(self._hints[i], end) if i < len(self._hints) else self._find_chunk(self._sure + 1, end)

    def _find_chunk(self, at: int, end: int) -> int:
        """Return the offset of the next chunk whose two lengths agree; the end if there is none."""
        while at < end:
            data = self._source.read(at, min(_SEARCH, end - at))
            if not data:
                break
            for match in _CHUNK_START.finditer(data):
                if self._is_chunk(at + match.start(), end, certain=True) is not None:
                    return at + match.start()
            at += max(1, len(data) - HEAD.size)
            if at + HEAD.size >= end:
                break
        return end

    def _record(self, at: int, end: int, open_end: bool) -> int | None:
        """Add one record. Returns the offset of the next, or None at the end of the data."""
        head = self._source.peek(at, HEAD.size)
        if len(head) < HEAD.size or at + HEAD.size > end:
            raise Malformed("the file ends inside a record")
        opcode, length = HEAD.unpack(head)
        after: int = at + HEAD.size + length
        if opcode == Op.CHUNK:
            return self._add_chunk(at, after, end, open_end)
        if opcode == Op.MESSAGE and length >= MESSAGE_HEAD.size:
            return self._add_message(at, after, end, open_end)
        if opcode == 0 or after > end:
            if self._is_chunk(at, end) is not None:
                return self._add_chunk(at, after, end, open_end)
            raise Malformed(
                "a record does not fit the file" if opcode else "zeros stand where a record should be"
            )
        if opcode == Op.MESSAGE_INDEX and self._fits_index(at, length):
            return self._add_index(at, after)
        if opcode == Op.DATA_END and length == 4:
            crc = int.from_bytes(self._source.peek(at + HEAD.size, 4), "little")
            self._contents.data_end = at, crc
            return None
        if opcode == Op.FOOTER and length == 20 and open_end and after + len(MAGIC) >= end:
            return None
        return self._add_other(opcode, at, after, end, open_end)

    def _add_other(self, opcode: int, at: int, after: int, end: int, open_end: bool) -> int:
        """Add a record without messages, or a chunk whose opcode is damaged."""
        body_at, length = at + HEAD.size, after - at - HEAD.size
        try:
            if opcode == Op.SCHEMA:
                self._contents.registry.add_schema(self._body(body_at, length))
            elif opcode == Op.CHANNEL:
                self._contents.registry.add_channel(self._body(body_at, length))
            elif opcode == Op.METADATA:
                self._add_metadata(self._body(body_at, length))
            elif opcode == Op.ATTACHMENT:
                name = _attachment_name(self._source.peek(body_at, min(length, 4096)))
                self._contents.attachments.append(name)
            elif opcode < 16 and opcode != Op.HEADER:
                raise Malformed("a record that has no place here")
            elif opcode >= 16 and self._is_chunk(at, end) is not None:
                raise Malformed("a chunk under another opcode")
        except Malformed:
            if (chunk_end := self._is_chunk(at, end)) is None:
                raise
            return self._add_chunk(at, chunk_end, end, open_end) or end
        if opcode not in (Op.SCHEMA, Op.CHANNEL):
            self._run = None
        self._chunk = None
        return after

    def _body(self, at: int, length: int) -> bytes:
        if length > MAX_BYTES:
            raise Malformed("a record of absurd size")
        return self._source.read(at, length)

    def _is_chunk(self, at: int, end: int, certain: bool = False) -> int | None:
        """Return the end of a chunk that begins here, by its inner fields; None if this is no chunk.

        `certain`: only if the length of the record says the same.
        """
        try:
            head = parse_chunk_head(self._source.peek(at, 160))
        except Malformed:
            return None
        after = at + head.payload + head.compressed_size
        outer = at + HEAD.size + HEAD.unpack(self._source.peek(at, HEAD.size))[1]
        if after > end or head.compression not in ("", "zstd", "lz4") or head.start_ns > head.end_ns:
            return None
        return after if after == outer or (not certain and self._plausible(after, end)) else None

    def _plausible(self, at: int, end: int) -> bool:
        """Return whether a record may begin here: a known opcode with a length that fits."""
        if at == end:
            return True
        head = self._source.peek(at, HEAD.size)
        if len(head) < HEAD.size:
            return False
        opcode, length = HEAD.unpack(head)
        return bool(0 < opcode < 16 and at + HEAD.size + length <= end)

    def _fits_index(self, at: int, length: int) -> bool:
        inner = self._source.peek(at + HEAD.size, 6)
        return length == 6 + int.from_bytes(inner[2:6], "little") and len(inner) == 6

    def _add_chunk(self, at: int, after: int, end: int, open_end: bool) -> int:
        """Add a chunk. Its length stands twice; where they differ, the one that leads to a record counts."""
        self._run = None
        try:
            head = parse_chunk_head(self._source.peek(at, 160))
        except Malformed:
            if after > end:
                raise
            head = None
        inner = at + head.payload + head.compressed_size if head else after
        if inner != after and inner <= end and (after > end or self._plausible(inner, end)):
            after = inner
        if after - at < _MIN_CHUNK:
            raise Malformed("a chunk too short to be one")
        cut = after > end
        if cut and (not open_end or head is None or after - at > MAX_BYTES * 4):
            raise Malformed("a chunk that does not fit the file")
        block = DataBlock("chunk", at, min(after, end) - at, 0, 0, cut=cut)
        if head is not None:
            block.start_ns, block.end_ns = head.start_ns, head.end_ns
            block.compression, block.uncompressed_size = head.compression, head.uncompressed_size
        self._contents.blocks.append(block)
        self._chunk = block
        return min(after, end)

    def _add_index(self, at: int, after: int) -> int:
        """Add a message index to the chunk before it, valid or not."""
        self._run = None
        if self._chunk is None:
            self._chunk = DataBlock("chunk", self._before, at - self._before, 0, U64_MAX)
            if self._belongs(at, after):
                self._break(self._before, at, "a damaged message index")
            else:
                self._contents.blocks.append(self._chunk)
        self._chunk.index_length += after - at
        return after

    def _belongs(self, at: int, after: int) -> bool:
        """Return whether a message index behind a damaged record belongs to the chunk before that record."""
        chunk = self._contents.blocks[-1] if self._contents.blocks else None
        if (
            chunk is None
            or chunk.kind != "chunk"
            or chunk.offset + chunk.length + chunk.index_length != self._before
        ):
            return False
        index = DataBlock("chunk", at, 0, chunk.start_ns, chunk.end_ns, index_length=after - at)
        if read_index(self._source, index) is None:
            return False
        chunk.index_length = 0  # no longer complete: the chunk must be loaded
        return True

    def _add_message(self, at: int, after: int, end: int, open_end: bool) -> int:
        """Add a message outside chunks to the run of messages before it."""
        channel_id, _, log_time, _ = MESSAGE_HEAD.unpack(
            self._source.peek(at + HEAD.size, MESSAGE_HEAD.size).ljust(MESSAGE_HEAD.size, b"\0")
        )
        if channel_id not in self._contents.registry.channels and (chunk_end := self._is_chunk(at, end)):
            return self._add_chunk(at, chunk_end, end, open_end)
        cut = after > end
        if (cut and not open_end) or after - at > MAX_BYTES:
            raise Malformed("a message that does not fit the file")
        run, self._chunk = self._run, None
        if run is None or run.length > _RUN:
            run = self._run = DataBlock("loose", at, 0, log_time, log_time, tally={})
            self._contents.blocks.append(run)
        run.length = min(after, end) - run.offset
        if cut:
            run.cut, run.tally = True, None  # whether the last header is complete is known only after loading
            return end
        run.start_ns, run.end_ns = min(run.start_ns, log_time), max(run.end_ns, log_time)
        assert run.tally is not None
        known = run.tally.get(channel_id)
        run.tally[channel_id] = (
            known.plus(1, log_time, log_time) if known else ChannelTally(1, log_time, log_time)
        )
        return after


def _attachment_name(body: bytes) -> str:
    length = int.from_bytes(body[16:20], "little")
    if len(body) < 20 or 20 + length > len(body):
        raise Malformed("an attachment that does not fit its record")
    return body[20 : 20 + length].decode("utf-8", errors="replace")
