"""AV1 and VP9 packets: key frames and picture size.

Sources: AV1 Bitstream & Decoding Process Specification sections 5.3 to 5.5 and 5.9, VP9 Bitstream & Decoding
Process Specification section 6.2.
"""

from __future__ import annotations

from collections.abc import Iterator

from perception.logs.video.bits import BitReader, OutOfBits

SEQUENCE_HEADER, FRAME_HEADER, FRAME = 1, 3, 6
_MOST_UNITS = 4096


def obus(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield type and first 64 bytes of each OBU of a temporal unit. Raises OutOfBits where it is cut."""
    at = 0
    for _ in range(_MOST_UNITS):
        if at >= len(data):
            return
        header = data[at]
        kind, extended, sized = header >> 3 & 15, header >> 2 & 1, header >> 1 & 1
        at += 1 + extended
        size = len(data) - at
        if sized:
            size, at = _leb128(data, at)
        if header & 0x80 or size < 0 or at + size > len(data):
            raise OutOfBits
        yield kind, data[at : at + min(size, 64)]
        at += size


def _leb128(data: bytes, at: int) -> tuple[int, int]:
    """Return a number in 7 bits a byte, and where it ends."""
    value = 0
    for index in range(8):
        if at >= len(data):
            raise OutOfBits
        value |= (data[at] & 0x7F) << 7 * index
        at += 1
        if not data[at - 1] & 0x80:
            break
    return value, at


def is_av1_key(frame: bytes) -> bool:
    """Return whether a frame header begins a key frame."""
    read = BitReader(frame)
    return not read.flag() and read.bits(2) == 0


def av1_size(header: bytes) -> tuple[int, int]:
    """Return width and height from a sequence header. Raises OutOfBits where it is cut."""
    read = BitReader(header)
    read.bits(4)
    if read.flag():
        read.bits(5)
        return _av1_frame_size(read)
    model = buffer_bits = 0
    if read.flag():
        read.bits(64)
        if read.flag():
            read.unsigned()
        model = read.flag()
        if model:
            buffer_bits = read.bits(5) + 1
            read.bits(32 + 10)
    initial_delay = read.flag()
    for _ in range(read.bits(5) + 1):
        read.bits(12)
        if read.bits(5) > 7:
            read.bits(1)
        if model and read.flag():
            read.bits(2 * buffer_bits + 1)
        if initial_delay and read.flag():
            read.bits(4)
    return _av1_frame_size(read)


def _av1_frame_size(read: BitReader) -> tuple[int, int]:
    width_bits, height_bits = read.bits(4) + 1, read.bits(4) + 1
    return read.bits(width_bits) + 1, read.bits(height_bits) + 1


def vp9_key(data: bytes) -> tuple[bool, tuple[int, int]]:
    """Return whether a frame is a key frame, and its size; (0, 0) where it does not say. Raises OutOfBits."""
    read = BitReader(data[:32])
    if read.bits(2) != 2:
        raise OutOfBits
    profile = read.bits(1) + 2 * read.bits(1)
    if profile == 3:
        read.bits(1)
    if read.flag() or read.flag():
        return False, (0, 0)
    read.bits(2 + 24)
    if profile >= 2:
        read.bits(1)
    if read.bits(3) != 7:
        read.bits(1 + (3 if profile in (1, 3) else 0))
    elif profile in (1, 3):
        read.bits(1)
    return True, (read.bits(16) + 1, read.bits(16) + 1)
