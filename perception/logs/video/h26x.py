"""H.264 and H.265 packets: their NAL units, picture size, key frames and frame numbers.

Sources: ITU-T H.264 sections 7.3 and 7.4.3, ITU-T H.265 sections 7.3 and 7.4.2.2.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from perception.logs.video.bits import BitReader, OutOfBits

_HEADER = 512
"""Bytes of a NAL unit that are read: parameter sets and slice headers end long before."""
_MOST_UNITS = 4096
_WITH_CHROMA = frozenset({100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135})
_START = b"\x00\x00\x01"
_SEI_AFTER, _PICTURE_HASH = 40, 132  # of H.265: the NAL unit behind a picture, and the message in it


class H264Parameters(NamedTuple):
    """The fields of a sequence parameter set: the size, and the end of frame numbers (0: they may skip)."""

    width: int
    height: int
    frame_numbers: int
    number_bits: int
    separate_planes: bool


class H264Slice(NamedTuple):
    """The first slice of a picture: its frame number, and whether later pictures refer to it."""

    key: bool
    reference: bool
    frame_number: int


def units(data: bytes | memoryview) -> Iterator[tuple[int, int]]:
    """Yield begin and end of each NAL unit between start codes (Annex B), at most `_MOST_UNITS`."""
    stream = bytes(data)
    begin = stream.find(_START)
    for _ in range(_MOST_UNITS):
        if begin < 0:
            return
        begin += len(_START)
        following = stream.find(_START, begin)
        yield begin, len(stream) if following < 0 else following
        begin = following


def h264_parameters(unit: bytes) -> H264Parameters:
    """Return what a sequence parameter set (NAL unit type 7) says. Raises OutOfBits where it is cut."""
    read = BitReader(unit[1:_HEADER], escaped=True)
    profile = read.bits(8)
    read.bits(16)
    read.unsigned()
    chroma, separate = 1, False
    if profile in _WITH_CHROMA:
        chroma = read.unsigned()
        separate = chroma == 3 and read.flag()
        read.unsigned(), read.unsigned(), read.flag()
        if read.flag():
            _skip_scaling_lists(read, 12 if chroma == 3 else 8)
    number_bits = read.unsigned() + 4
    _skip_order_count(read)
    read.unsigned()
    may_skip = read.flag()
    width, height = 16 * (read.unsigned() + 1), 16 * (read.unsigned() + 1)
    frames_only = read.flag()
    height *= 1 if frames_only else 2
    if not frames_only:
        read.flag()
    read.flag()
    if read.flag():
        left, right, top, bottom = (read.unsigned() for _ in range(4))
        across = 2 if chroma in (1, 2) else 1
        down = (2 if chroma == 1 else 1) * (1 if frames_only else 2)
        width, height = width - across * (left + right), height - down * (top + bottom)
    return H264Parameters(width, height, 0 if may_skip else 1 << number_bits, number_bits, separate)


def _skip_scaling_lists(read: BitReader, count: int) -> None:
    for index in range(count):
        if not read.flag():
            continue
        last = following = 8
        for _ in range(16 if index < 6 else 64):
            if following:
                following = (last + read.signed()) % 256
            last = following or last


def _skip_order_count(read: BitReader) -> None:
    kind = read.unsigned()
    if kind == 0:
        read.unsigned()
    elif kind == 1:
        read.flag(), read.signed(), read.signed()
        for _ in range(min(read.unsigned(), 255)):
            read.signed()


def h264_slice(unit: bytes, parameters: H264Parameters) -> H264Slice:
    """Return the header of a slice (NAL unit types 1 and 5). Raises OutOfBits where it is cut."""
    read = BitReader(unit[1:64], escaped=True)
    read.unsigned(), read.unsigned(), read.unsigned()
    if parameters.separate_planes:
        read.bits(2)
    return H264Slice(unit[0] & 31 == 5, bool(unit[0] >> 5 & 3), read.bits(parameters.number_bits))


def h265_has_hash(data: bytes | memoryview) -> bool:
    """Return whether a packet of H.265 carries a hash of its picture (SEI of type 132), which proves it."""
    return any(
        end - begin > 3 and (data[begin] >> 1) & 63 == _SEI_AFTER and data[begin + 2] == _PICTURE_HASH
        for begin, end in units(data)
    )


def h265_size(unit: bytes) -> tuple[int, int]:
    """Return width and height from a sequence parameter set (NAL unit type 33). Raises OutOfBits."""
    read = BitReader(unit[2:_HEADER], escaped=True)
    read.bits(4)
    layers = read.bits(3)
    read.bits(1 + 96)
    present = [(read.flag(), read.flag()) for _ in range(layers)]
    if layers:
        read.bits(2 * (8 - layers))
    for profile, level in present:
        read.bits(88 * profile + 8 * level)
    read.unsigned()
    chroma = read.unsigned()
    if chroma == 3:
        read.flag()
    width, height = read.unsigned(), read.unsigned()
    if read.flag():
        left, right, top, bottom = (read.unsigned() for _ in range(4))
        across, down = (2 if chroma in (1, 2) else 1), (2 if chroma == 1 else 1)
        width, height = width - across * (left + right), height - down * (top + bottom)
    return width, height


__all__ = ["H264Parameters", "H264Slice", "OutOfBits", "h264_parameters", "h264_slice", "h265_size", "units"]
