"""Recognition of records by the lengths inside them, without reading their content.

Most records state their size twice: once before the content, and once more by the lengths of its parts. A
damaged length contradicts the other, a damaged opcode neither.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from perception.logs.mcap.records import HEAD, Op
from perception.logs.mcap.source import Source

CHUNK_FIELDS = 49  # bytes of a chunk record before its data, without the name of the compression
MIN_MESSAGE = 22
_NAMES = (b"zstd", b"lz4", b"")
_FIELDS = struct.Struct("<BQQQQII")  # opcode, length, start, end, uncompressed size, CRC, length of the name
_MAX_NAME = 64
SUMMARY_KINDS = frozenset(
    (
        *(Op.SCHEMA, Op.CHANNEL, Op.STATISTICS, Op.CHUNK_INDEX, Op.ATTACHMENT_INDEX),
        *(Op.METADATA_INDEX, Op.SUMMARY_OFFSET, Op.FOOTER),
    )
)


class ChunkShape(NamedTuple):
    """What the head of a chunk says.

    Attributes:
        payload: Offset of the data in the record.
        lengths: What the length of the whole record may be, one or several; the likeliest first.
        certain: Two independent fields agree that this is a chunk; else only its CRC can tell.
    """

    start_ns: int
    end_ns: int
    uncompressed_size: int
    compression: str
    payload: int
    lengths: tuple[int, ...]
    certain: bool


def chunk_shape(head: bytes) -> ChunkShape | None:
    """Return what the first bytes of a record say if they may be a chunk's, whatever its opcode is.

    Args:
        head: 128 bytes from the start of the record; fewer at the end of the file.
    """
    if len(head) < CHUNK_FIELDS:
        return None
    _, length, start, end, size, crc, name_length = _FIELDS.unpack_from(head)
    outer = HEAD.size + length
    stated = head[41 : 41 + name_length] if name_length <= _MAX_NAME else None
    best: tuple[int, ChunkShape] | None = None
    for name in dict.fromkeys((*((stated,) if stated is not None else ()), *_NAMES)):
        payload = CHUNK_FIELDS + len(name)
        if len(head) < payload:
            continue
        inner = payload + int.from_bytes(head[payload - 8 : payload], "little")
        plain = payload + size if name == b"" else None  # plain data states its size a third time
        votes = 2 * (inner == outer) + 2 * (plain == inner) + 2 * (plain == outer)
        votes += (2 if name in _NAMES[:2] else 1) * (name == stated)
        lengths = tuple(dict.fromkeys((inner, outer) if plain is None else (inner, outer, plain)))
        if inner == outer or plain == outer:
            lengths = (outer, *(other for other in lengths if other != outer))
        certain = votes >= 3 and inner == outer
        if votes >= 2 and (best is None or votes > best[0]):
            best = (
                votes,
                ChunkShape(
                    start, end, size, _compression(name), payload, (outer,) if certain else lengths, certain
                ),
            )
    if best is None or not (best[1].certain or (crc and start <= end)):
        return None
    return best[1]


def _compression(name: bytes) -> str:
    """Return the compression, also where one letter of its name is damaged."""
    for known in _NAMES[:2]:
        if len(known) == len(name) and sum(a != b for a, b in zip(name, known, strict=True)) == 1:
            return known.decode()
    return name.decode("utf-8", errors="replace")


class Shapes:
    """Looks at records of a file by their lengths."""

    def __init__(self, source: Source) -> None:
        self._source = source

    def head(self, at: int) -> tuple[int, int]:
        """Return opcode and length of the record at an offset; zeros where the file ends."""
        head = self._source.peek(at, HEAD.size)
        return HEAD.unpack(head) if len(head) == HEAD.size else (0, 0)

    def chunk(self, at: int) -> ChunkShape | None:
        return chunk_shape(self._source.peek(at, 128))

    def inner_length(self, opcode: int, body: int) -> int | None:
        """Return how long the content at offset `body` is by its own parts; None where they say nothing."""
        if opcode == Op.MESSAGE_INDEX:
            entries = self._number(body + 2, 4)
            return 6 + entries if entries % 16 == 0 else None
        at: int | None = body
        if opcode == Op.SCHEMA:
            at = self._behind(self._behind(self._behind(body + 2)))
        elif opcode == Op.CHANNEL:
            at = self._behind(self._behind(self._behind(body + 4)))
        elif opcode == Op.METADATA:
            at = self._behind(self._behind(body))
        elif opcode == Op.ATTACHMENT:
            at = self._behind(self._behind(body + 16))
            at = self._behind(at, 8)
            at = None if at is None else at + 4
        else:
            return None
        return None if at is None else at - body

    def whole(self, at: int, end: int, opcode: int | None = None) -> int | None:
        """Return the end of a record whose two lengths agree; None for others, and for chunks and messages.

        `opcode`: take it for this kind, whatever its opcode says.
        """
        stated, length = self.head(at)
        opcode = stated if opcode is None else opcode
        after = at + HEAD.size + length
        if after > end or length < 4:
            return None
        if opcode == Op.DATA_END:
            follows = self.head(after)[0] in SUMMARY_KINDS if after < end else True
            return after if length == 4 and follows else None
        trivial = {Op.MESSAGE_INDEX: 6, Op.METADATA: 8, Op.ATTACHMENT: 36, Op.SCHEMA: 14, Op.CHANNEL: 16}
        if length <= trivial.get(opcode, length):
            return None
        return after if self.inner_length(opcode, at + HEAD.size) == length else None

    def starts(self, at: int, end: int) -> bool:
        """Return whether a record seems to begin here."""
        if at == end:
            return True
        opcode, length = self.head(at)
        fits = at + HEAD.size + length <= end
        if opcode == Op.MESSAGE:
            return fits and length >= MIN_MESSAGE
        if self.whole(at, end) is not None:
            return True
        shape = self.chunk(at)
        if shape is not None and shape.certain and at + shape.lengths[0] <= end:
            return True
        return fits and (
            opcode in SUMMARY_KINDS or opcode in (Op.MESSAGE_INDEX, Op.METADATA) or opcode >= 128
        )

    def _number(self, at: int, size: int) -> int:
        data = self._source.peek(at, size)
        return int.from_bytes(data, "little") if len(data) == size else 1 << 63

    def _behind(self, at: int | None, size: int = 4) -> int | None:
        """Return the offset behind a part that begins with its length of `size` bytes."""
        if at is None:
            return None
        after = at + size + self._number(at, size)
        return after if after <= self._source.size else None
