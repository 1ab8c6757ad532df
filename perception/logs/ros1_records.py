"""The records of ROS 1 bags, version 2.0 (http://wiki.ros.org/Bags/Format/2.0), parsed strictly.

A record is a header of `name=value` fields and data, each after its length. In a chunk's data stand records
of connections and messages.
"""

from __future__ import annotations

import bz2
import re
import struct
from collections.abc import Callable
from typing import NamedTuple

from perception.logs.mcap.records import Malformed
from perception.logs.mcap.unpack import Broken, decompress, decompress_head

MAGIC = b"#ROSBAG V2.0\n"
MESSAGE, BAG, INDEX, CHUNK, CHUNK_INFO, CONNECTION = 2, 3, 4, 5, 6, 7
_U32 = struct.Struct("<I")
_MOST_HEADER = 1 << 16
_OP = re.compile(rb"\x04\x00\x00\x00op=[\x02\x05\x07]", re.DOTALL)
_BEFORE_OP = 4 + 512  # a record begins at most as many bytes before its `op` field
_MOST_CANDIDATES = 2000
_BZ2_BLOCK = 900_000  # bz2 proves its data in blocks of at most as many bytes

Fields = dict[bytes, bytes]
Read = Callable[[int, int], bytes]  # offset, length: fewer bytes at the end


class Record(NamedTuple):
    """The place of a record: its header, and where its data lies."""

    op: int
    fields: Fields
    data_at: int
    size: int

    @property
    def end(self) -> int:
        return self.data_at + self.size


def parse_fields(header: bytes) -> Fields:
    """Return the fields of a header. Raises Malformed."""
    fields, at, end = {}, 0, len(header)
    while at < end:
        size = _U32.unpack_from(header.ljust(at + 4, b"\0"), at)[0]
        name, equals, value = header[at + 4 : at + 4 + size].partition(b"=")
        at += 4 + size
        if at > end or not equals:
            raise Malformed("a record's header is damaged")
        fields[name] = value
    return fields


def number(fields: Fields, name: bytes, size: int = 4) -> int:
    """Return a whole number of a header. Raises Malformed."""
    value = fields.get(name, b"")
    if len(value) != size:
        raise Malformed(f"the field {name.decode()!r} is missing or damaged")
    return int.from_bytes(value, "little")


def time_ns(fields: Fields, name: bytes) -> int:
    """Return a time of a header. Raises Malformed."""
    value = number(fields, name, 8)
    return (value & 0xFFFFFFFF) * 10**9 + (value >> 32)


def read_record(read: Read, at: int) -> Record | None:
    """Return the record at an offset; None at the end of the bytes. Its data may lie beyond the end.

    Raises:
        Malformed: No record begins here, or its header is cut off.
    """
    head = read(at, 4)
    if not head:
        return None
    size = int.from_bytes(head, "little")
    header = read(at + 4, size + 4) if len(head) == 4 and 0 < size <= _MOST_HEADER else b""
    if len(header) < size + 4 or not header:
        raise Malformed("no record begins here")
    fields = parse_fields(header[:-4])
    return Record(number(fields, b"op", 1), fields, at + 8 + size, _U32.unpack_from(header, size)[0])


def find_record(read: Read, at: int, end: int, ops: tuple[int, ...]) -> int:
    """Return where the next record of these kinds begins at or after `at`; `end` where none does.

    Gives up after a bounded number of places that look like one.
    """
    window, candidates = 1 << 18, 0
    while at < end:
        data = read(at, min(window + _BEFORE_OP + 8, end - at))
        for match in _OP.finditer(data):
            if data[match.end() - 1] not in ops:
                continue
            candidates += 1
            if candidates > _MOST_CANDIDATES:
                return end
            for begin in range(max(0, match.start() - _BEFORE_OP), match.start() - 3):
                size = _U32.unpack_from(data, begin)[0]
                if match.end() - begin - 4 <= size <= match.end() - begin - 4 + 512:
                    try:
                        record = read_record(read, at + begin)
                    except Malformed:
                        continue
                    if record is not None and record.op in ops and record.end <= end:
                        return at + begin
        at += window
    return end


class ChunkData(NamedTuple):
    """The data of a chunk: `sound` bytes of it can be used; `problem` says why not all."""

    data: bytes
    sound: int
    problem: str = ""


def unpack(payload: bytes, compression: str, size: int, limit: int, *, is_cut: bool) -> ChunkData:
    """Decompress a chunk.

    Args:
        payload: Its bytes in the file.
        compression: By its header: none, bz2 or lz4.
        size: The size of its data by its header.
        limit: The most bytes to make.
        is_cut: The file ends inside it.
    """
    if compression == "none":
        return ChunkData(payload, len(payload), "the file is cut off" if is_cut else "")
    if compression not in ("bz2", "lz4"):
        name = compression[:20]
        return ChunkData(b"", 0, f"the compression {name!r} is not known; none, bz2 and lz4 are")
    if size > limit:
        return ChunkData(b"", 0, f"the chunk claims {size:,} bytes; at most {limit:,} are read")
    if compression == "bz2":
        unpacked = _unpack_bz2(payload, limit if is_cut else size)
    elif is_cut:
        data = decompress_head("lz4", memoryview(payload), limit)
        unpacked = ChunkData(data, len(data))
    else:
        try:
            data = decompress("lz4", memoryview(payload), size)
            unpacked = ChunkData(data, len(data))
        except Broken as broken:  # lz4 proves its data at their end, if at all
            unpacked = ChunkData(broken.data, 0, str(broken))
    if is_cut:
        return unpacked._replace(problem="the file is cut off")
    if not unpacked.problem and len(unpacked.data) != size:
        problem = f"the chunk holds {len(unpacked.data)} bytes and claims {size}"
        return unpacked._replace(problem=problem)
    return unpacked


def _unpack_bz2(payload: bytes, size: int) -> ChunkData:
    decoder, data = bz2.BZ2Decompressor(), bytearray()
    try:
        piece = payload
        while len(data) <= size and not decoder.eof:
            data += (made := decoder.decompress(piece, min(1 << 20, size + 1 - len(data))))
            if not made and decoder.needs_input:
                break
            piece = b""
    except (OSError, EOFError, ValueError) as error:
        sound = max(0, len(data) - _BZ2_BLOCK)
        return ChunkData(bytes(data), sound, f"the chunk does not decompress ({error})")
    if len(data) > size:
        return ChunkData(b"", 0, "the chunk decompresses to more than it claims")
    return ChunkData(bytes(data), len(data))
