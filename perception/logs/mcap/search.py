"""The search for the next sound record behind damage."""

from __future__ import annotations

import re
import zlib
from bisect import bisect_left
from collections.abc import Iterator

from perception.logs.mcap.blocks import DataBlock, Tally, load, tally_places, unpack
from perception.logs.mcap.limits import search_budget
from perception.logs.mcap.records import HEAD, ChunkEntry, Malformed, Op, Registry
from perception.logs.mcap.shape import MIN_MESSAGE, ChunkShape, Shapes
from perception.logs.mcap.source import Source
from perception.logs.mcap.unpack import Broken

_FIRST_WINDOW, _WINDOW = 1 << 8, 1 << 20
_START = re.compile(rb"[\x03-\x07\x09\x0c\x0f](?=.{5}\0\0\0)", re.DOTALL)  # opcode, and a length below 2^40
_NAME = re.compile(rb"(?=\x04\0\0\0zstd|\x03\0\0\0lz4)")
_NAME_AT = 37  # where a chunk record holds its compression
_CANDIDATE_COST = 4096  # looking at one candidate takes as long as reading so many bytes
_CHAIN = 2  # so many records in a row make a message outside chunks credible


def chunk_block(at: int, length: int, shape: ChunkShape) -> DataBlock:
    """Return the block of a chunk of `length` bytes at an offset."""
    return DataBlock(
        "chunk",
        at,
        length,
        shape.start_ns,
        shape.end_ns,
        compression=shape.compression,
        payload=shape.payload,
        uncompressed_size=shape.uncompressed_size,
    )


class Search:
    """Finds sound records in bytes whose structure is lost.

    Args:
        source: The file.
        registry: What is declared; a message on an unknown channel is not looked for.
        hints: Offsets at which a summary, sound or not, says that chunks begin; sorted.
    """

    def __init__(self, source: Source, registry: Registry, hints: list[int]) -> None:
        self.shapes = Shapes(source)
        self._source = source
        self._registry = registry
        self._hints = hints
        self._budget = search_budget(source.size)

    def find(self, start: int, end: int, loose: bool, but: int = -1) -> int:
        """Return the offset of the next sound record, other than one at `but`; `end` if there is none.

        `loose`: also of a message outside chunks. In a chunked log those are the content of a damaged chunk,
        and declarations there are taken over on the way.
        """
        for at in self._candidates(start, end):
            self._budget.bytes -= _CANDIDATE_COST
            if self._budget.bytes < 0:
                break
            if at != but and self._sound(at, end, loose):
                return at
        return end

    def intact(self, block: DataBlock) -> bool:
        """Return whether the CRC of a chunk holds, or without one its sizes."""
        if self._budget.bytes < 0:
            return False
        self._budget.bytes -= block.length
        try:
            unpack(self._source, block, self._budget)
        except Broken:
            return False
        return True

    def checked(self, start: int, end: int) -> bool:
        """Return whether a record is an attachment whose CRC holds: then nothing is searched in it."""
        opcode, length = self.shapes.head(start)
        if opcode != Op.ATTACHMENT or length < 4 or self._budget.bytes < 0:
            return False
        self._budget.bytes -= length
        body = self._source.read(start + HEAD.size, end - start - HEAD.size)
        crc = int.from_bytes(body[-4:], "little")
        return bool(crc) and zlib.crc32(memoryview(body)[:-4]) == crc

    def intact_length(self, at: int, end: int, shape: ChunkShape) -> int | None:
        """Return the length with which a chunk is intact, of those that its head suggests.

        That is the shortest: compressed data may end before the bytes that are given for it do.
        """
        for length in sorted(shape.lengths):
            if at + length <= end and length >= shape.payload and self.intact(chunk_block(at, length, shape)):
                return length
        return None

    def holds(self, chunk: DataBlock, tally: Tally) -> bool:
        """Return whether the messages that an index counts may be those of a chunk."""
        if any(span.first_ns < chunk.start_ns or span.last_ns > chunk.end_ns for span in tally.values()):
            return False
        try:
            loaded = load(self._source, chunk, self._registry.overlay(), self._budget)
        except Broken:
            return True
        counted = tally_places(loaded.places)
        return bool(loaded.aliases) or all(counted.get(key) == span for key, span in tally.items())

    def inside(self, block: DataBlock) -> int:
        """Return where the sound records in a damaged block end: a search behind it begins there."""
        if block.kind == "loose":
            return block.offset + 1
        at = last = block.offset + max(block.payload, 1)
        end = block.offset + block.length
        while not block.compression and at + HEAD.size <= end:
            opcode, length = self.shapes.head(at)
            after = at + HEAD.size + length
            known = opcode in (Op.SCHEMA, Op.CHANNEL) and self.shapes.whole(at, end) is not None
            if after > end or not (known or (opcode == Op.MESSAGE and length >= MIN_MESSAGE)):
                break
            last, at = at, after
        return last + 1  # the length of the last one may be wrong

    def _candidates(self, start: int, end: int) -> Iterator[int]:
        """Yield the offsets where a record may begin, in order."""
        at, window, last = start, _FIRST_WINDOW, start - 1
        hint = bisect_left(self._hints, start)
        while at < end:
            data = self._source.read(at, min(window + 64, end - at))
            if not data:
                return
            places = {at + match.start() for match in _START.finditer(data, 0, window + 8)}
            places |= {at + match.start() - _NAME_AT for match in _NAME.finditer(data)}
            while hint < len(self._hints) and self._hints[hint] < at + window:
                places.add(self._hints[hint])
                hint += 1
            for place in sorted(places):
                if last < place:
                    last = place
                    yield place
            at += window
            window = min(2 * window, _WINDOW)

    def _sound(self, at: int, end: int, loose: bool) -> bool:
        opcode, length = self.shapes.head(at)
        if opcode == Op.MESSAGE and loose:
            return self._chained(at, end)
        if opcode in (Op.MESSAGE, Op.CHUNK, Op.FOOTER) or self.shapes.whole(at, end) is None:
            return self._is_chunk(at, end)
        if loose or opcode not in (Op.SCHEMA, Op.CHANNEL):
            return True
        self._declare(opcode, at + HEAD.size, length)
        return False

    def _is_chunk(self, at: int, end: int) -> bool:
        shape = self.shapes.chunk(at)
        if shape is None:
            return False
        if shape.certain:
            return at + shape.lengths[0] <= end
        return self.intact_length(at, end, shape) is not None

    def _declare(self, opcode: int, body: int, length: int) -> None:
        self._budget.bytes -= length
        try:
            data = self._source.read(body, length)
            if opcode == Op.SCHEMA:
                self._registry.add_schema(data)
            elif int.from_bytes(data[:2], "little") not in self._registry.channels:
                self._registry.add_channel(data)
        except Malformed:
            return

    def _chained(self, at: int, end: int) -> bool:
        """Return whether a message on a known channel begins here, and sound records follow it."""
        for _ in range(_CHAIN):
            if at == end:
                return True
            opcode, length = self.shapes.head(at)
            if opcode != Op.MESSAGE:
                return self.shapes.whole(at, end) is not None
            channel_id = int.from_bytes(self._source.peek(at + HEAD.size, 2), "little")
            at += HEAD.size + length
            if length < MIN_MESSAGE or at > end or channel_id not in self._registry.channels:
                return False
        return True


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
