"""Encoded and raw images to camera frames. Pixels are not touched."""

from __future__ import annotations

import numpy as np

from perception.logs.decoding.checks import DecodeError, Head, checked_size
from perception.logs.decoding.image_header import Bytes, read_header
from perception.types import CameraFrame, Message

BYTES_PER_PIXEL = {
    **dict.fromkeys(("rgb8", "bgr8"), 3),
    **dict.fromkeys(("rgba8", "bgra8"), 4),
    "mono8": 1,
    "mono16": 2,
    "16UC1": 2,
    "32FC1": 4,
    **dict.fromkeys(("bayer_rggb8", "bayer_bggr8", "bayer_gbrg8", "bayer_grbg8"), 1),
    **dict.fromkeys(("yuv422", "uyvy", "yuv422_yuy2", "yuyv"), 2),
}
"""Raw layouts. A depth image keeps its name (`16UC1` millimetres, `32FC1` metres)."""
_ALIASES = {"8UC1": "mono8", "8UC3": "bgr8", "8UC4": "bgra8", "rgb": "rgb8", "bgr": "bgr8"}


def encoded_frame(head: Head, data: Bytes, message: Message) -> CameraFrame:
    """Return the frame of a JPEG, PNG or WebP image, recognised and measured by its own header."""
    header = read_header(data)
    checked_size(header.width, header.height)
    return CameraFrame(*head, data, header.format, header.width, header.height, 0, message.data)


def raw_frame(
    head: Head,
    data: Bytes,
    encoding: str,
    size: tuple[int, int],
    step: int,
    message: Message,
    big_endian: bool = False,
) -> CameraFrame:
    """Return the frame of a raw image of `size` (width, height); see `raw_step`."""
    layout, step = raw_step(encoding, *size, step, len(data))
    pixels = little_endian(layout, step, data) if big_endian else data
    return CameraFrame(*head, pixels, layout, *size, step, message.data)


def raw_step(encoding: str, width: int, height: int, step: int, size: int) -> tuple[str, int]:
    """Return the layout's usual name and its bytes a row (`step` 0: rows without padding).

    Raises DecodeError for an unknown layout, and where `size` bytes do not hold the image.
    """
    layout = _ALIASES.get(encoding, encoding)
    bytes_per_pixel = BYTES_PER_PIXEL.get(layout)
    if bytes_per_pixel is None:
        raise DecodeError(f"raw images are read as {', '.join(BYTES_PER_PIXEL)}; found {encoding[:40]!r}")
    checked_size(width, height)
    row = width * bytes_per_pixel
    step = step or row
    if step < row:
        raise DecodeError(f"a row of {width} pixels {layout} has {row} bytes, the step is {step}")
    needed = step * (height - 1) + row
    if size < needed:
        raise DecodeError(f"{width}x{height} {layout} with step {step} needs {needed} bytes, found {size}")
    return layout, step


def little_endian(layout: str, step: int, data: Bytes) -> Bytes:
    """Return the same raw image with its 16 or 32 bit samples byte-swapped."""
    sample = {"mono16": 2, "16UC1": 2, "32FC1": 4}.get(layout, 1)
    if sample == 1:
        return data
    if step % sample:
        raise DecodeError(f"a big-endian {layout} image with an odd step of {step} bytes")
    size = len(data) - len(data) % sample
    return np.frombuffer(data[:size], dtype=f">u{sample}").astype(f"<u{sample}").tobytes()
