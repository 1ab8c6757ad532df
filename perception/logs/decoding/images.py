"""Encoded and raw images to camera frames. Pixels are not touched, but for those of a depth image."""

from __future__ import annotations

import re
import struct
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from perception.logs.decoding.checks import DecodeError, Head, Tail, checked_size
from perception.logs.decoding.image_header import Bytes, read_header, read_samples
from perception.logs.decoding.image_layouts import raw_step
from perception.logs.decoding.video_packets import video_packet
from perception.logs.video.packet_header import codec_of
from perception.types import CameraFrame, DepthImage, Float32, VideoPacket
from perception.types.image_layouts import LAYOUTS, layout_name

_DEPTH = (
    "a depth image ({}) has no colours; to use it as ranges, configure its topic under sensors.range, "
    "with its camera info as sensors.range.calibration"
)
_DEPTH_HEADER = 12  # of compressed_depth_image_transport: an integer and two floats, A and B


class RawPixels(NamedTuple):
    """A raw image as a message has it; `size` is (width, height), `step` the bytes of a row or 0."""

    data: Bytes
    encoding: str
    size: tuple[int, int]
    step: int
    big_endian: bool = False


def encoded_frame(head: Head, tail: Tail, data: Bytes, format_text: str) -> CameraFrame | VideoPacket:
    """Return the frame of a JPEG, PNG or WebP image, recognised and measured by its own header.

    A message whose format names a codec of videos (`h264`) is a packet of one.

    `format_text` is the message's `format`. It says where a picture of one channel is the mosaic of a Bayer
    sensor (`bayer_rggb8; png compressed`) or depth (`16UC1; compressedDepth png`).
    """
    layout = _layout_of(format_text)
    if layout is not None and LAYOUTS[layout].kind == "depth":
        raise DecodeError(_DEPTH.format(format_text[:40].strip()))
    if codec_of(format_text) is not None:
        return video_packet(head, tail, data, format_text)
    header = read_header(data)
    checked_size(header.width, header.height)
    channels, bits = read_samples(data)
    if channels == 1 and bits == 16 and layout is None:
        raise DecodeError(
            f"a picture of one channel of 16 bits ({format_text[:40]!r}) may be depth or grey: expected a "
            "format that begins with 16UC1 or mono16"
        )
    mosaic = layout if layout and LAYOUTS[layout].kind == "bayer" and channels == 1 else ""
    size = header.width, header.height
    return CameraFrame(*head, data, header.format, *size, 0, **tail, mosaic=mosaic)


def encoded_depth(head: Head, tail: Tail, data: Bytes, format_text: str) -> DepthImage:
    """Return a depth image that was encoded as a PNG of 16 bits, by image_transport or otherwise."""
    packed = "compresseddepth" in format_text.lower()
    a = b = 0.0
    if packed:
        if len(data) < _DEPTH_HEADER:
            raise DecodeError(f"a compressed depth image of {len(data)} bytes")
        _, a, b = struct.unpack_from("<iff", data)
        data = data[_DEPTH_HEADER:]
    if "rvl" in format_text.lower():
        raise DecodeError("a depth image compressed as RVL is not decoded; expected PNG")
    header = read_header(data)
    checked_size(header.width, header.height)
    if header.format != "png" or read_samples(data) != (1, 16):
        raise DecodeError(f"expected depth as a PNG of one channel of 16 bits, found {format_text[:40]!r}")
    try:
        values = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error:
        values = None
    if values is None or values.dtype != np.uint16 or values.ndim != 2:
        raise DecodeError("the PNG of a depth image does not decode")
    if packed and _layout_of(format_text) == "32FC1":  # quantised inverse depth
        with np.errstate(divide="ignore", invalid="ignore"):
            depth = np.float32(a) / (values.astype(np.float32) - np.float32(b))
        return _depth_image(head, tail, np.where(values == 0, np.float32(np.nan), depth))
    return _depth_image(head, tail, values.astype(np.float32) / np.float32(1000))


def raw_frame(head: Head, tail: Tail, raw: RawPixels) -> CameraFrame:
    """Return the frame of a raw image; see `raw_step`."""
    layout, step = raw_step(raw.encoding, *raw.size, raw.step, len(raw.data))
    if LAYOUTS[layout].kind == "depth":
        raise DecodeError(_DEPTH.format(layout))
    pixels = little_endian(layout, step, raw.data) if raw.big_endian else raw.data
    return CameraFrame(*head, pixels, layout, *raw.size, step, **tail)


def raw_depth(head: Head, tail: Tail, raw: RawPixels) -> DepthImage:
    """Return a raw depth image: 16UC1 in millimetres or 32FC1 in metres."""
    layout, step = raw_step(raw.encoding, *raw.size, raw.step, len(raw.data))
    if LAYOUTS[layout].kind != "depth":
        raise DecodeError(f"expected a depth image (16UC1, 32FC1) to use as ranges, found {layout}")
    width, height = raw.size
    kind = (">" if raw.big_endian else "<") + ("u2" if layout == "16UC1" else "f4")
    values = np.ndarray((height, width), kind, raw.data, 0, (step, np.dtype(kind).itemsize))
    scale = np.float32(1000 if layout == "16UC1" else 1)
    return _depth_image(head, tail, values.astype(np.float32) / scale)


def _depth_image(head: Head, tail: Tail, depth_m: NDArray[np.floating]) -> DepthImage:
    """Return the depth with NaN for what is no distance: zero, negative, infinite."""
    with np.errstate(invalid="ignore"):
        known = (depth_m > 0) & (depth_m < np.inf)
    depth: Float32 = np.where(known, depth_m, np.float32(np.nan)).astype(np.float32)
    return DepthImage(*head, depth, **tail)


def _layout_of(format_text: str) -> str | None:
    """Return the layout that the `format` of an encoded image begins with; None where it names none."""
    first = re.split(r"[;,\s]", format_text.strip(), maxsplit=1)[0]
    layout = layout_name(first)
    return "16UC1" if layout is None and "compresseddepth" in format_text.lower() else layout


def little_endian(layout: str, step: int, data: Bytes) -> Bytes:
    """Return the same raw image with its 16 or 32 bit samples byte-swapped."""
    sample = LAYOUTS[layout].sample
    if sample == 1:
        return data
    if step % sample:
        raise DecodeError(f"a big-endian {layout} image with an odd step of {step} bytes")
    size = len(data) - len(data) % sample
    return np.frombuffer(data[:size], dtype=f">u{sample}").astype(f"<u{sample}").tobytes()
