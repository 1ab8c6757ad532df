"""Images to pixels of the input size: decode, resize, uint8 [3, H, W] RGB.

An EXIF orientation is ignored: intrinsics and truth refer to the pixels as the sensor recorded them.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from perception.logs.decoding.checks import DecodeError
from perception.logs.decoding.image_header import ImageHeader, read_extent, read_header
from perception.models.preprocess.spec import InputSpec
from perception.types import CameraFrame

Pixels = NDArray[np.uint8]

MAX_PIXELS = 64_000_000
"""Larger images are refused before they are decoded."""

MAX_SCANS = 64
"""A progressive JPEG has about ten scans; a hostile one has thousands, each as slow as the whole image."""

_REDUCED = {
    1: cv2.IMREAD_COLOR,
    2: cv2.IMREAD_REDUCED_COLOR_2,
    4: cv2.IMREAD_REDUCED_COLOR_4,
    8: cv2.IMREAD_REDUCED_COLOR_8,
}

NEARLY_THERE = 1.5
"""Linear interpolation loses nothing on an axis that shrinks by less (`spec` has the measurements)."""

_CONVERSIONS = {  # OpenCV's letters name the second pixels of the second row
    "bayer_rggb8": cv2.COLOR_BayerBG2BGR,
    "bayer_bggr8": cv2.COLOR_BayerRG2BGR,
    "bayer_gbrg8": cv2.COLOR_BayerGR2BGR,
    "bayer_grbg8": cv2.COLOR_BayerGB2BGR,
    "yuv422": cv2.COLOR_YUV2BGR_UYVY,
    "uyvy": cv2.COLOR_YUV2BGR_UYVY,
    "yuv422_yuy2": cv2.COLOR_YUV2BGR_YUY2,
    "yuyv": cv2.COLOR_YUV2BGR_YUY2,
}
_RAW_BYTES = {  # a pixel
    "rgb8": 3,
    "bgr8": 3,
    "rgba8": 4,
    "bgra8": 4,
    "mono8": 1,
    "mono16": 2,
    **{layout: 1 if layout.startswith("bayer") else 2 for layout in _CONVERSIONS},
}
_DEPTH = frozenset({"16uc1", "32fc1"})


class UnusableImage(Exception):
    """An image that gives no pixels. The text becomes that of the absent input."""


def image_pixels(frame: CameraFrame, spec: InputSpec) -> Pixels:
    """Return the image at the input size: uint8 [3, H, W], RGB.

    Raises:
        UnusableImage: The image is too large, cut short, or does not decode.
    """
    layout = frame.format.lower()
    if layout in _DEPTH:
        raise UnusableImage(f"a depth image ({frame.format}) has no colours")
    if layout in _RAW_BYTES:
        image, order = _raw_image(frame, layout)
    else:
        image, order = _decoded_image(bytes(frame.data), spec), "bgr"
    return _planes(_resized(image, spec), order)


def _planes(image: Pixels, order: str) -> Pixels:
    """Return an image [h, w] or [h, w, 3 or 4] in `rgb` or `bgr` order as [3, h, w], RGB."""
    if image.ndim == 2:
        return np.stack((image,) * 3)
    channels = image.shape[2]
    planes = np.empty((channels, *image.shape[:2]), np.uint8)
    colours = planes[2::-1] if order == "bgr" else planes[:3]
    cv2.split(image, [*colours, *planes[3:]])  # into these: a stack of new planes takes four times as long
    return planes[:3]


def _decoded_image(data: bytes, spec: InputSpec) -> Pixels:
    try:
        header = read_header(data)
    except DecodeError:
        raise UnusableImage("not a JPEG, PNG or WebP image" if data else "image without data") from None
    _check_size(header.width, header.height)
    extent = read_extent(data)
    if not extent.complete:
        raise UnusableImage("image data ends early")
    if extent.scans > MAX_SCANS:
        raise UnusableImage(f"image of {extent.scans} scans, at most {MAX_SCANS} are decoded")
    flags = _REDUCED[_reduction(header, spec)] | cv2.IMREAD_IGNORE_ORIENTATION
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error:
        image = None
    if image is None:
        raise UnusableImage("image does not decode")
    return np.asarray(image, dtype=np.uint8)


def _resized(image: Pixels, spec: InputSpec) -> Pixels:
    """Return the image at the input size."""
    if spec.interpolation == "auto":
        image = _halved(image, spec)
    height, width = image.shape[:2]
    if (height, width) == (spec.height, spec.width):
        return image
    shrinks = height / spec.height, width / spec.width
    close = min(shrinks) >= 1 and max(shrinks) < NEARLY_THERE
    linear = spec.interpolation == "linear" or (spec.interpolation == "auto" and close)
    size, how = (spec.width, spec.height), cv2.INTER_LINEAR if linear else cv2.INTER_AREA
    return np.asarray(cv2.resize(image, size, interpolation=how), dtype=np.uint8)


def _halved(image: Pixels, spec: InputSpec) -> Pixels:
    """Return the means of 2 x 2 pixels, repeatedly, as long as the image covers the input size."""
    height, width = image.shape[:2]
    while height % 2 == width % 2 == 0 and height >= 2 * spec.height and width >= 2 * spec.width:
        height, width = height // 2, width // 2
        image = np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA), dtype=np.uint8)
    return image


def _reduction(header: ImageHeader, spec: InputSpec) -> int:
    """Return the factor of reduction in the DCT of a JPEG; the result must cover the input size."""
    reduction = spec.decode_scale if header.format == "jpeg" else 1
    while reduction > 1 and (
        header.width < reduction * spec.width or header.height < reduction * spec.height
    ):
        reduction //= 2
    return reduction


def _raw_image(frame: CameraFrame, layout: str) -> tuple[Pixels, str]:
    """Return a raw image as [h, w] or [h, w, 3 or 4], and the order of its colours."""
    _check_size(frame.width, frame.height)
    row = frame.width * _RAW_BYTES[layout]
    step = frame.step or row
    if step < row:
        raise UnusableImage(f"rows of {step} bytes are too short for {frame.width} pixels of {layout}")
    needed = step * (frame.height - 1) + row
    data = np.frombuffer(frame.data, np.uint8)
    if data.size < needed:
        raise UnusableImage(f"image data ends early: {data.size} bytes of {needed}")
    rows = np.lib.stride_tricks.as_strided(data, (frame.height, row), (step, 1), writeable=False)
    if layout == "mono16":  # little-endian: the high byte
        return np.ascontiguousarray(rows[:, 1::2]), "rgb"
    image = np.ascontiguousarray(rows)
    if _RAW_BYTES[layout] > 1:
        image = image.reshape(frame.height, frame.width, -1)
    if layout not in _CONVERSIONS:
        return image, layout[:3]
    try:
        return np.asarray(cv2.cvtColor(image, _CONVERSIONS[layout]), dtype=np.uint8), "bgr"
    except cv2.error:
        raise UnusableImage(f"{frame.width} x {frame.height} pixels are not a {layout} image") from None


def _check_size(width: int, height: int) -> None:
    if width < 1 or height < 1:
        raise UnusableImage(f"image of {width} x {height} pixels")
    if width * height > MAX_PIXELS:
        raise UnusableImage(f"image too large: {width} x {height} pixels, at most {MAX_PIXELS} are decoded")
