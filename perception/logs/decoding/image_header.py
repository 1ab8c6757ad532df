"""Format, size and completeness of encoded images, read from their headers without decoding a pixel.

Sources: ITU T.81 annex B (JPEG), the PNG specification section 11.2.2, RFC 9649 (WebP), TIFF 6.0.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from perception.logs.decoding.checks import DecodeError

Bytes = bytes | memoryview

_MAX_SEGMENTS = 4096  # of a JPEG header; a camera writes about ten
_MAX_FILL = 1 << 10  # bytes before a marker; usually none
_MAX_CHUNKS = 1 << 18  # of a PNG
_PNG_CHANNELS = {0: 1, 2: 3, 3: 3, 4: 2, 6: 4}  # by colour type; a palette holds colours
_START_OF_FRAME = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_PROGRESSIVE = frozenset({0xC2, 0xC6, 0xCA, 0xCE})
_STANDALONE = frozenset(range(0xD0, 0xD9)) | {0x01}
_END, _START_OF_SCAN = 0xD9, frozenset({0xDA})
_PNG = b"\x89PNG\r\n\x1a\n"
TIFF = (b"II*\0", b"MM\0*")
"""The first bytes of a TIFF."""
_TIFF_SIZE, _TIFF_SHORT = (256, 257), 3  # the tags of width and height; the type of numbers of 16 bits
_MAX_TIFF_ENTRIES = 256
_VIDEO_STARTS = (b"\x00\x00\x00\x01", b"\x00\x00\x01")


class ImageHeader(NamedTuple):
    """Format (`jpeg`, `png` or `webp`) and size in pixels of an encoded image."""

    format: str
    width: int
    height: int


class ImageExtent(NamedTuple):
    """Whether the data of an encoded image reaches its end, and the scans a decoder goes through.

    Only a JPEG has several scans.
    """

    complete: bool
    scans: int = 1


def read_header(data: Bytes) -> ImageHeader:
    """Return format and size. Raises DecodeError where the bytes are no image or end in its header."""
    head = bytes(data[:32])
    if head[:2] == b"\xff\xd8":
        frame = _jpeg_frame(data)
        if frame < 0:
            raise DecodeError(f"a JPEG that is cut or broken in its header, {len(data)} bytes")
        width, height = data[frame + 5] << 8 | data[frame + 6], data[frame + 3] << 8 | data[frame + 4]
        return ImageHeader("jpeg", width, height)
    if head[:8] == _PNG:
        if len(head) < 24 or head[12:16] != b"IHDR":
            raise DecodeError(f"a PNG that ends in its header, {len(data)} bytes")
        return ImageHeader("png", int.from_bytes(head[16:20], "big"), int.from_bytes(head[20:24], "big"))
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return ImageHeader("webp", *_webp_size(head))
    if not head:
        raise DecodeError("an image without bytes")
    expected = "expected a JPEG, PNG or WebP image, found"
    if head.startswith(_VIDEO_STARTS):
        raise DecodeError(f"{expected} a video stream whose format names no codec (h264, h265, av1)")
    raise DecodeError(f"{expected} {len(data)} bytes that start with {head[:8].hex()}")


def read_tiff_header(data: Bytes) -> ImageHeader:
    """Return the size of the first image of a TIFF (TIFF 6.0, section 2).

    Raises DecodeError where its first directory is cut or names no size.
    """
    order: Literal["little", "big"] = "little" if bytes(data[:2]) == b"II" else "big"

    def number(at: int, length: int) -> int:
        part = bytes(data[at : at + length])
        if len(part) < length:
            raise DecodeError(f"a TIFF that is cut in its header, {len(data)} bytes")
        return int.from_bytes(part, order)

    first = number(4, 4)
    size = {}
    for entry in range(first + 2, first + 2 + 12 * min(number(first, 2), _MAX_TIFF_ENTRIES), 12):
        tag, kind = number(entry, 2), number(entry + 2, 2)
        if tag in _TIFF_SIZE:
            size[tag] = number(entry + 8, 2 if kind == _TIFF_SHORT else 4)
    if len(size) < len(_TIFF_SIZE):
        raise DecodeError("a TIFF without a size")
    return ImageHeader("tiff", size[_TIFF_SIZE[0]], size[_TIFF_SIZE[1]])


def read_samples(data: Bytes) -> tuple[int, int]:
    """Return the channels of an image that `read_header` accepts, and the bits of a sample."""
    head = bytes(data[:32])
    if head[:8] == _PNG and len(head) >= 26:
        return _PNG_CHANNELS.get(head[25], 3), head[24]
    if head[:2] == b"\xff\xd8":
        frame = _jpeg_frame(data)
        return data[frame + 7] if frame > 0 and frame + 7 < len(data) else 3, 8
    return 3, 8


def read_extent(data: bytes) -> ImageExtent:
    """Return the extent of a JPEG, PNG or WebP image; not complete where it ends in its header.

    Decoders of different versions answer a cut file differently: with an error, or with a picture that is
    grey from there on. So the container is asked: for the end marker of a JPEG after its first scan (an
    embedded thumbnail has one too), the last chunk of a PNG, the declared size of a WebP. Bytes missing from
    the middle of a JPEG scan that still has its end marker go unnoticed.
    """
    if data[:2] == b"\xff\xd8":
        return _jpeg_extent(data)
    if data[:8] == _PNG:
        at = 8
        for _ in range(_MAX_CHUNKS):
            if at + 8 > len(data) or data[at + 4 : at + 8] == b"IEND":
                return ImageExtent(at + 8 <= len(data))
            at += 12 + int.from_bytes(data[at : at + 4], "big")
        return ImageExtent(False)
    return ImageExtent(len(data) >= 8 + int.from_bytes(data[4:8], "little"))


def _jpeg_extent(data: bytes) -> ImageExtent:
    frame = _jpeg_frame(data)
    after = frame + (data[frame] << 8 | data[frame + 1]) if frame > 0 else len(data)
    scan = _jpeg_segment(data, after, _START_OF_SCAN)
    if scan < 0:
        return ImageExtent(False)
    complete = data.rfind(b"\xff\xd9", scan) > 0  # entropy-coded data follows: FF D9 can only be the end
    # A first scan of all components is the only one. Else they are counted, which goes through all the data.
    several = data[frame - 1] in _PROGRESSIVE or data[scan + 2 : scan + 3] != data[frame + 7 : frame + 8]
    return ImageExtent(complete, data.count(b"\xff\xda", scan) if several else 1)


def _jpeg_frame(data: Bytes) -> int:
    """Return the offset of the length field of the first start-of-frame segment; -1 where it is cut."""
    at = _jpeg_segment(data, 2, _START_OF_FRAME)
    return at if at > 0 and at + 7 <= len(data) and (data[at] << 8 | data[at + 1]) >= 8 else -1


def _jpeg_segment(data: Bytes, at: int, wanted: frozenset[int]) -> int:
    """Return the offset of the length field of the first wanted segment from `at`; -1 if there is none."""
    end = len(data)
    for _ in range(_MAX_SEGMENTS):
        if at >= end or data[at] != 0xFF:
            break
        fill = bytes(data[at : at + _MAX_FILL])  # a marker may be preceded by fill bytes
        at += len(fill) - len(fill.lstrip(b"\xff"))
        if at >= end or data[at] in (0x00, 0xFF):
            break
        marker = data[at]
        at += 1
        if marker in _STANDALONE:
            continue
        if at + 2 > end:
            break
        if marker in wanted:
            return at
        length = data[at] << 8 | data[at + 1]
        if marker == _END or marker in _START_OF_SCAN or length < 2:
            break
        at += length
    return -1


def _webp_size(head: bytes) -> tuple[int, int]:
    """Return the canvas size from the first chunk: lossy, lossless or extended."""
    kind = head[12:16]
    if kind == b"VP8X" and len(head) >= 30:
        return 1 + int.from_bytes(head[24:27], "little"), 1 + int.from_bytes(head[27:30], "little")
    if kind == b"VP8 " and len(head) >= 30 and head[23:26] == b"\x9d\x01\x2a":
        return int.from_bytes(head[26:28], "little") & 0x3FFF, int.from_bytes(head[28:30], "little") & 0x3FFF
    if kind == b"VP8L" and len(head) >= 25 and head[20] == 0x2F:
        bits = int.from_bytes(head[21:25], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    raise DecodeError("a WebP image that is cut or broken in its header")
