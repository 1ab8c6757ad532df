"""The rows of a bag's table of messages from the pages of a damaged SQLite file.

A file that was cut lacks the pages that lead to its rows, and SQLite then reads none of them. The rows lie in
leaf pages (https://sqlite.org/fileformat2.html), which are recognised by themselves: four columns, the first
one empty (the row number stands for it), two whole numbers, and bytes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from perception.logs.mcap.source import Source

_LEAF = 13
_INTEGER_BYTES = {1: 1, 2: 2, 3: 3, 4: 4, 5: 6, 6: 8, 8: 0, 9: 0}  # by serial type; 8 and 9 are 0 and 1


class SalvagedRow(NamedTuple):
    """A row, and where its bytes lie: `local` in the page at `at`, the rest in a chain of pages."""

    number: int
    topic: int
    time_ns: int
    at: int  # of the record, in the file
    skip: int  # bytes of the record before the message
    size: int  # of the record
    local: int


class Pages:
    """The pages of a SQLite file."""

    def __init__(self, source: Source) -> None:
        self._source = source
        head = source.read(0, 100)
        self.size = int.from_bytes(head[16:18], "big") or 4096
        self.size = 65536 if self.size == 1 else self.size
        if self.size < 512 or self.size & (self.size - 1):
            self.size = 4096
        self._usable = self.size - (head[20] if len(head) > 20 and head[20] <= 32 else 0)
        self.is_cut = int.from_bytes(head[28:32], "big") * self.size > source.size

    def rows(self) -> Iterator[SalvagedRow]:
        """Yield the rows of messages in every leaf page, in file order. Numbers may occur twice."""
        for at in range(0, self._source.size, self.size):
            page = self._source.read(at, self.size)
            head = 100 if at == 0 else 0
            if len(page) < head + 8 or page[head] != _LEAF:
                continue
            count = int.from_bytes(page[head + 3 : head + 5], "big")
            pointers = page[head + 8 : head + 8 + 2 * min(count, self.size // 6)]
            for i in range(0, len(pointers) - 1, 2):
                row = self._row(page, at, int.from_bytes(pointers[i : i + 2], "big"))
                if row is not None and 0 < row.number <= self._source.size:  # a row takes bytes
                    yield row

    def content(self, row: SalvagedRow) -> bytes | None:
        """Return the message of a row; None where a page of it is missing."""
        data = self._source.read(row.at, row.local)
        room = self._usable - 4
        if len(data) < row.local:
            return None
        if row.local < row.size:
            parts, left = [data], row.size - row.local
            following = self._source.read(row.at + row.local, 4)
            while left > 0:
                page = int.from_bytes(following, "big")
                piece = self._source.read((page - 1) * self.size, 4 + min(room, left)) if page else b""
                if len(piece) < 4 + min(room, left):
                    return None
                following, left = piece[:4], left - (len(piece) - 4)
                parts.append(piece[4:])
            data = b"".join(parts)
        return data[row.skip :]

    def _row(self, page: bytes, at: int, cell: int) -> SalvagedRow | None:
        """Return the row in a cell; None where it is none of the table of messages."""
        size, begin = _varint(page, cell)
        number, begin = _varint(page, begin)
        head, place = _varint(page, begin)
        kinds: list[int] = []
        end = begin + head
        while place < end and len(kinds) < 5:
            kind, place = _varint(page, place)
            kinds.append(kind)
        if len(kinds) != 4 or place != end or kinds[0] or kinds[3] < 12 or kinds[3] % 2:
            return None
        if kinds[1] not in _INTEGER_BYTES or kinds[2] not in _INTEGER_BYTES:
            return None
        values = []
        for kind in kinds[1:3]:
            length = _INTEGER_BYTES[kind]
            stored = int.from_bytes(page[place : place + length], "big", signed=True)
            values.append(kind - 8 if kind >= 8 else stored)
            place += length
        skip = place - begin
        if skip + (kinds[3] - 12) // 2 != size or size > self._source.size:
            return None
        local = self._local(size)
        if begin + local > len(page) and local == size:
            return None
        return SalvagedRow(number, values[0], values[1], at + begin, skip, size, local)

    def _local(self, size: int) -> int:
        """Return how many bytes of a record stand in its page."""
        most = self._usable - 35
        if size <= most:
            return size
        least = (self._usable - 12) * 32 // 255 - 23
        wanted = least + (size - least) % (self._usable - 4)
        return wanted if wanted <= most else least


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """Return a number of variable length, and where it ends; zeros behind the end."""
    value = 0
    for i in range(8):
        byte = data[at + i] if at + i < len(data) else 0
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value, at + i + 1
    return value << 8 | (data[at + 8] if at + 8 < len(data) else 0), at + 9
