"""What the header of an encoded image says, read before anything is decoded.

Decoders of different versions answer a cut file differently: with an error, or with a picture that is
grey from there on. So whether the data is complete is found out here, from the container: the end marker
of a JPEG after its first scan (an embedded thumbnail has one too), the last chunk of a PNG, the declared
size of a WebP.
Bytes missing from the middle of a JPEG scan that still has its end marker are not found.
"""

from __future__ import annotations

from dataclasses import dataclass

_PNG = b"\x89PNG\r\n\x1a\n"
_JPEG_SIZE_MARKERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_JPEG_PROGRESSIVE_MARKERS = frozenset({0xC2, 0xC6, 0xCA, 0xCE})
_JPEG_BARE_MARKERS = frozenset(range(0xD0, 0xD9)) | {0x01}


@dataclass(frozen=True, slots=True)
class ImageHeader:
    """Size and completeness of an encoded image. `kind`: jpeg, png or webp. `scans`: how many a decoder goes
    through; only a JPEG has several."""

    kind: str
    width: int
    height: int
    complete: bool
    scans: int = 1


def read_header(data: bytes) -> ImageHeader | None:
    """The header of a JPEG, PNG or WebP image; None where it is none of them or ends before its size."""
    if data[:2] == b"\xff\xd8":
        return _jpeg(data)
    if data[:8] == _PNG:
        return _png(data)
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return _webp(data)
    return None


def _jpeg(data: bytes) -> ImageHeader | None:
    size, progressive, components = None, False, 0
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xFF:  # fill byte
            at += 1
            continue
        if marker in _JPEG_BARE_MARKERS:
            at += 2
            continue
        length = int.from_bytes(data[at + 2 : at + 4], "big")
        if marker in _JPEG_SIZE_MARKERS and size is None and at + 9 < len(data):
            size = int.from_bytes(data[at + 7 : at + 9], "big"), int.from_bytes(data[at + 5 : at + 7], "big")
            progressive, components = marker in _JPEG_PROGRESSIVE_MARKERS, data[at + 9]
        if marker == 0xDA:  # start of scan: entropy-coded data follows, in which FF D9 can only be the end
            if size is None:
                return None
            # Where the first scan holds all there is, it is the only one. Else they are counted, which goes
            # through all the data.
            several = progressive or data[at + 4 : at + 5] != bytes([components])
            scans = data.count(b"\xff\xda", at) if several else 1
            return ImageHeader("jpeg", *size, data.rfind(b"\xff\xd9", at) > 0, scans)
        at += 2 + max(length, 2)
    return None if size is None else ImageHeader("jpeg", *size, False)


def _png(data: bytes) -> ImageHeader | None:
    if len(data) < 24 or data[12:16] != b"IHDR":
        return None
    width, height = int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")
    at = 8
    while at + 8 <= len(data) and data[at + 4 : at + 8] != b"IEND":
        at += 12 + int.from_bytes(data[at : at + 4], "big")
    return ImageHeader("png", width, height, at + 8 <= len(data))


def _webp(data: bytes) -> ImageHeader | None:
    if len(data) < 30:
        return None
    complete = len(data) >= 8 + int.from_bytes(data[4:8], "little")
    kind = data[12:16]
    if kind == b"VP8X":
        width, height = (1 + int.from_bytes(data[i : i + 3], "little") for i in (24, 27))
    elif kind == b"VP8L" and data[20] == 0x2F:
        bits = int.from_bytes(data[21:25], "little")
        width, height = 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    elif kind == b"VP8 " and data[23:26] == b"\x9d\x01\x2a":
        width, height = (int.from_bytes(data[i : i + 2], "little") & 0x3FFF for i in (26, 28))
    else:
        return None
    return ImageHeader("webp", width, height, complete)
