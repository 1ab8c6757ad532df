"""Images are recognised by their own bytes and measured by their own header. Pixels are not touched.

Sources of the layouts: ITU T.81 annex B (JPEG), the PNG specification section 11.2.2, RFC 9649 (WebP).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from perception.logs.decoding.checks import MAX_PIXELS, Fault

Bytes = bytes | memoryview

_MOST_SEGMENTS = 4096  # of a JPEG header; a camera writes about ten
_START_OF_FRAME = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_STANDALONE = frozenset(range(0xD0, 0xD9)) | {0x01}
_PNG = b"\x89PNG\r\n\x1a\n"
_VIDEO_STARTS = (b"\x00\x00\x00\x01", b"\x00\x00\x01")

BYTES_PER_PIXEL = {
    "rgb8": 3,
    "bgr8": 3,
    "rgba8": 4,
    "bgra8": 4,
    "mono8": 1,
    "mono16": 2,
    "16UC1": 2,
    "32FC1": 4,
    "bayer_rggb8": 1,
    "bayer_bggr8": 1,
    "bayer_gbrg8": 1,
    "bayer_grbg8": 1,
    "yuv422": 2,
    "uyvy": 2,
    "yuv422_yuy2": 2,
    "yuyv": 2,
}
"""Raw layouts. A depth image keeps its name (`16UC1` millimetres, `32FC1` metres)."""
_ALIASES = {"8UC1": "mono8", "8UC3": "bgr8", "8UC4": "bgra8", "rgb": "rgb8", "bgr": "bgr8"}


class ImageHeader(NamedTuple):
    """What an encoded image says of itself."""

    format: str  # jpeg, png or webp
    width: int
    height: int


def read_header(data: Bytes) -> ImageHeader:
    """Format and size of an encoded image. Raises Fault where the bytes are none, or end in the header."""
    head = bytes(data[:32])
    if head[:2] == b"\xff\xd8":
        found = ImageHeader("jpeg", *_jpeg_size(data))
    elif head[:8] == _PNG:
        if len(head) < 24 or head[12:16] != b"IHDR":
            raise Fault(f"a PNG that ends in its header, {len(data)} bytes")
        found = ImageHeader("png", int.from_bytes(head[16:20], "big"), int.from_bytes(head[20:24], "big"))
    elif head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        found = ImageHeader("webp", *_webp_size(head))
    elif not head:
        raise Fault("an image without bytes")
    elif head.startswith(_VIDEO_STARTS):
        raise Fault("expected a JPEG, PNG or WebP image, found a video stream (H.264 or H.265): not decoded")
    else:
        raise Fault(
            f"expected a JPEG, PNG or WebP image, found {len(data)} bytes that start with {head[:8].hex()}"
        )
    _check_size(found.width, found.height)
    return found


def raw_step(encoding: str, width: int, height: int, step: int, size: int) -> tuple[str, int]:
    """The layout's usual name and its bytes a row (`step` 0: rows without padding).

    Raises Fault for a layout that is not known, and where `size` bytes do not hold the image.
    """
    layout = _ALIASES.get(encoding, encoding)
    bytes_per_pixel = BYTES_PER_PIXEL.get(layout)
    if bytes_per_pixel is None:
        raise Fault(f"raw images are read as {', '.join(BYTES_PER_PIXEL)}; found {encoding[:40]!r}")
    _check_size(width, height)
    row = width * bytes_per_pixel
    step = step or row
    if step < row:
        raise Fault(f"a row of {width} pixels {layout} has {row} bytes, the step is {step}")
    needed = step * (height - 1) + row
    if size < needed:
        raise Fault(f"{width}x{height} {layout} with step {step} needs {needed} bytes, found {size}")
    return layout, step


def little_endian(layout: str, step: int, data: Bytes) -> Bytes:
    """The same raw image with its 16 or 32 bit samples byte-swapped."""
    sample = {"mono16": 2, "16UC1": 2, "32FC1": 4}.get(layout, 1)
    if sample == 1:
        return data
    if step % sample:
        raise Fault(f"a big-endian {layout} image with an odd step of {step} bytes")
    whole = len(data) - len(data) % sample
    return np.frombuffer(data[:whole], dtype=f">u{sample}").astype(f"<u{sample}").tobytes()


def _check_size(width: int, height: int) -> None:
    if width < 1 or height < 1 or width * height > MAX_PIXELS:
        raise Fault(f"an image of {width}x{height} pixels; from 1 to {MAX_PIXELS} are taken")


def _jpeg_size(data: Bytes) -> tuple[int, int]:
    """Width and height from the first start-of-frame segment."""
    at, end = 2, len(data)
    for _ in range(_MOST_SEGMENTS):
        while at < end and data[at] == 0xFF:  # a marker may be preceded by any number of fill bytes
            at += 1
            if at < end and data[at] not in (0x00, 0xFF):
                break
        else:
            break
        marker = data[at]
        at += 1
        if marker in _STANDALONE:
            continue
        if at + 2 > end:
            break
        length = data[at] << 8 | data[at + 1]
        if marker in _START_OF_FRAME:
            if at + 7 > end or length < 8:
                break
            return data[at + 5] << 8 | data[at + 6], data[at + 3] << 8 | data[at + 4]
        if marker in (0xD9, 0xDA) or length < 2:  # end or scan before any frame
            break
        at += length
    raise Fault(f"a JPEG that is cut or broken in its header, {end} bytes")


def _webp_size(head: bytes) -> tuple[int, int]:
    """Canvas size from the first chunk: lossy, lossless or extended."""
    kind = head[12:16]
    if kind == b"VP8X" and len(head) >= 30:
        return 1 + int.from_bytes(head[24:27], "little"), 1 + int.from_bytes(head[27:30], "little")
    if kind == b"VP8 " and len(head) >= 30 and head[23:26] == b"\x9d\x01\x2a":
        return int.from_bytes(head[26:28], "little") & 0x3FFF, int.from_bytes(head[28:30], "little") & 0x3FFF
    if kind == b"VP8L" and len(head) >= 25 and head[20] == 0x2F:
        bits = int.from_bytes(head[21:25], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    raise Fault("a WebP image that is cut or broken in its header")
