"""Encoded and raw images to camera frames. Pixels are not touched, but for those of a depth image."""

from __future__ import annotations

import re
import struct
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from perception.logs.decoding.checks import MAX_DEPTH_PIXELS, DecodeError, Head, Tail, checked_size
from perception.logs.decoding.image_header import TIFF, Bytes, read_header, read_samples, read_tiff_header
from perception.logs.decoding.image_layouts import raw_step
from perception.logs.decoding.rvl import decode_rvl
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
    """Return a depth image that was encoded by image_transport or otherwise.

    A PNG of 16 bits (mm), a TIFF of 16 bits (mm) or of floats (m), or RVL (`compressedDepth rvl`). A floating
    depth that `compressedDepth` has quantised (`32FC1`) comes back as A / (value - B), by its header.
    """
    words = format_text.lower()
    a = b = 0.0
    if "compresseddepth" in words:
        if len(data) < _DEPTH_HEADER:
            raise DecodeError(f"a compressed depth image of {len(data)} bytes")
        _, a, b = struct.unpack_from("<iff", data)
        data = data[_DEPTH_HEADER:]
    values = _rvl_values(data) if "rvl" in words else _decoded_values(data, format_text)
    if values.dtype == np.float32:
        return _depth_image(head, tail, values.astype(np.float32, copy=False))
    if "compresseddepth" in words and _layout_of(format_text) == "32FC1":  # quantised inverse depth
        with np.errstate(divide="ignore", invalid="ignore"):
            depth = np.float32(a) / (values.astype(np.float32) - np.float32(b))
        return _depth_image(head, tail, np.where(values == 0, np.float32(np.nan), depth))
    return _depth_image(head, tail, values.astype(np.float32) / np.float32(1000))


def _rvl_values(data: Bytes) -> NDArray[np.uint16]:
    """Return the values of RVL data, which begin with width and height."""
    if len(data) < 8:
        raise DecodeError(f"a depth image compressed as RVL of {len(data)} bytes")
    width, height = struct.unpack_from("<II", data)
    checked_size(width, height, MAX_DEPTH_PIXELS)
    return decode_rvl(data[8:], width * height).reshape(height, width)


def _decoded_values(data: Bytes, format_text: str) -> NDArray[np.uint16] | NDArray[np.float32]:
    """Return the values [H, W] of a PNG or TIFF of one channel: uint16 or float32."""
    tiff = bytes(data[:4]) in TIFF
    header = read_tiff_header(data) if tiff else read_header(data)
    checked_size(header.width, header.height, MAX_DEPTH_PIXELS)
    if not tiff and (header.format != "png" or read_samples(data) != (1, 16)):
        expected = "a PNG or TIFF of one channel of 16 bits, a TIFF of floats, or RVL"
        raise DecodeError(f"expected depth as {expected}, found {format_text[:40]!r}")
    import cv2  # here: most logs have no such depth images, and it takes 0.1 s

    try:
        values = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error:
        values = None
    kind = "TIFF" if tiff else "PNG"
    if values is None or values.ndim != 2:
        raise DecodeError(f"the {kind} of a depth image does not decode")
    if values.dtype == np.uint16:
        return np.asarray(values, np.uint16)
    if values.dtype == np.float32:
        return np.asarray(values, np.float32)
    raise DecodeError(f"expected depth as uint16 or float32, found a {kind} of {values.dtype}")


def raw_frame(head: Head, tail: Tail, raw: RawPixels) -> CameraFrame:
    """Return the frame of a raw image; see `raw_step`."""
    layout, step = raw_step(raw.encoding, *raw.size, raw.step, len(raw.data))
    if LAYOUTS[layout].kind == "depth":
        raise DecodeError(_DEPTH.format(layout))
    pixels = little_endian(layout, step, raw.data) if raw.big_endian else raw.data
    return CameraFrame(*head, pixels, layout, *raw.size, step, **tail)


def raw_depth(head: Head, tail: Tail, raw: RawPixels) -> DepthImage:
    """Return a raw depth image: 16UC1 or mono16 (in RealSense bags) in millimetres, 32FC1 in metres."""
    layout, step = raw_step(raw.encoding, *raw.size, raw.step, len(raw.data))
    if LAYOUTS[layout].kind != "depth" and layout != "mono16":
        raise DecodeError(f"expected a depth image (16UC1, mono16, 32FC1) to use as ranges, found {layout}")
    width, height = raw.size
    kind = (">" if raw.big_endian else "<") + ("f4" if layout == "32FC1" else "u2")
    values = np.ndarray((height, width), kind, raw.data, 0, (step, np.dtype(kind).itemsize))
    scale = np.float32(1 if layout == "32FC1" else 1000)
    return _depth_image(head, tail, values.astype(np.float32) / scale)


def _depth_image(head: Head, tail: Tail, depth_m: NDArray[np.floating[Any]]) -> DepthImage:
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
