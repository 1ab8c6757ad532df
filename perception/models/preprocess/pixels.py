"""Images to pixels of the input size: decode, resize, uint8 [3, H, W] RGB.

An EXIF orientation is ignored: intrinsics and truth refer to the pixels as the sensor recorded them.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from perception.logs.decoding.checks import DecodeError
from perception.logs.decoding.image_header import ImageHeader, read_extent, read_header
from perception.models.preprocess.spec import InputSpec
from perception.models.preprocess.video_colours import picture_planes, to_rgb
from perception.types import CameraFrame
from perception.types.image_layouts import LAYOUTS, layout_name, needed_bytes

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

BESIDE = 114
"""Level of all colours beside a picture: a mean of pictures (as in YOLOv5)."""

_COLOURS = {  # of a layout without its bits; OpenCV's letters name the second pixels of the second row
    "bayer_rggb": cv2.COLOR_BayerBG2BGR,
    "bayer_bggr": cv2.COLOR_BayerRG2BGR,
    "bayer_gbrg": cv2.COLOR_BayerGR2BGR,
    "bayer_grbg": cv2.COLOR_BayerGB2BGR,
    "uyvy": cv2.COLOR_YUV2BGR_UYVY,
    "yuyv": cv2.COLOR_YUV2BGR_YUY2,
    "yvyu": cv2.COLOR_YUV2BGR_YVYU,
    "nv12": cv2.COLOR_YUV2BGR_NV12,
    "nv21": cv2.COLOR_YUV2BGR_NV21,
    "i420": cv2.COLOR_YUV2BGR_I420,
    "yv12": cv2.COLOR_YUV2BGR_YV12,
}


class UnusableImage(Exception):
    """An image that gives no pixels. The text becomes that of the absent input."""


def image_pixels(frame: CameraFrame, spec: InputSpec) -> Pixels:
    """Return the image at the input size: uint8 [3, H, W], RGB, grey where it does not fill the input.

    Raises:
        UnusableImage: The image is too large, cut short, or does not decode.
    """
    area = spec.area(frame.width, frame.height)
    if (area.width, area.height) == (spec.width, spec.height):
        return _whole_input(frame, spec)
    pixels = np.full((3, spec.height, spec.width), BESIDE, np.uint8)
    area.cut(pixels)[:] = _whole_input(frame, replace(spec, width=area.width, height=area.height))
    return pixels


def _whole_input(frame: CameraFrame, spec: InputSpec) -> Pixels:
    """Return an image that fills the input."""
    layout = layout_name(frame.format)
    if frame.colours:
        return _video_pixels(frame, spec)
    if layout is None:
        image, order = _decoded_image(bytes(frame.data), spec, frame.mosaic), "bgr"
    elif LAYOUTS[layout].kind == "depth":
        raise UnusableImage(f"a depth image ({frame.format}) has no colours")
    else:
        image, order = _raw_image(frame, layout)
    return _planes(_resized(image, spec), order)


def _video_pixels(frame: CameraFrame, spec: InputSpec) -> Pixels:
    """Return a decoded picture of a video at the input size.

    The planes are resized first and become colours at the input size: both are linear, so the order changes
    little but where colours are clipped, and it costs a third.
    """
    _check_size(frame.width, frame.height)
    try:
        planes = picture_planes(frame)
    except ValueError as error:
        raise UnusableImage(str(error)) from None
    y, u, v = (_resized_plane(plane, spec) for plane in planes)
    return _planes(to_rgb(np.asarray(cv2.merge((y, u, v)), np.uint8), frame.colours), "rgb")


def _resized_plane(plane: Pixels, spec: InputSpec) -> Pixels:
    """Return a plane at the input size; planes of colour may be smaller than it."""
    if plane.shape[0] < spec.height or plane.shape[1] < spec.width:
        return np.asarray(
            cv2.resize(plane, (spec.width, spec.height), interpolation=cv2.INTER_LINEAR), np.uint8
        )
    return _resized(plane, spec)


def _planes(image: Pixels, order: str) -> Pixels:
    """Return an image [h, w] or [h, w, 3 or 4] in `rgb` or `bgr` order as [3, h, w], RGB."""
    if image.ndim == 2:
        return np.stack((image,) * 3)
    channels = image.shape[2]
    planes = np.empty((channels, *image.shape[:2]), np.uint8)
    colours = planes[2::-1] if order == "bgr" else planes[:3]
    cv2.split(image, [*colours, *planes[3:]])  # into these: a stack of new planes takes four times as long
    return planes[:3]


def _decoded_image(data: bytes, spec: InputSpec, mosaic: str) -> Pixels:
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
    flags = cv2.IMREAD_UNCHANGED if mosaic else _REDUCED[_reduction(header, spec)]
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), flags | cv2.IMREAD_IGNORE_ORIENTATION)
    except cv2.error:
        image = None
    if image is None:
        raise UnusableImage("image does not decode")
    return _in_colour(np.asarray(image), mosaic) if mosaic else np.asarray(image, dtype=np.uint8)


def _resized(image: Pixels, spec: InputSpec) -> Pixels:
    """Return the image at the input size."""
    if spec.interpolation in ("auto", "box"):
        image = _halved(image, spec)
    if spec.interpolation == "box":
        image = _smoothed(image, spec)
    height, width = image.shape[:2]
    if (height, width) == (spec.height, spec.width):
        return image
    shrinks = height / spec.height, width / spec.width
    close = min(shrinks) >= 1 and max(shrinks) < NEARLY_THERE
    linear = spec.interpolation in ("linear", "box") or (spec.interpolation == "auto" and close)
    size, how = (spec.width, spec.height), cv2.INTER_LINEAR if linear else cv2.INTER_AREA
    return np.asarray(cv2.resize(image, size, interpolation=how), dtype=np.uint8)


def _halved(image: Pixels, spec: InputSpec) -> Pixels:
    """Return the means of 2 x 2 pixels, repeatedly, as long as the image covers the input size."""
    height, width = image.shape[:2]
    while height % 2 == width % 2 == 0 and height >= 2 * spec.height and width >= 2 * spec.width:
        height, width = height // 2, width // 2
        image = np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA), dtype=np.uint8)
    return image


def _smoothed(image: Pixels, spec: InputSpec) -> Pixels:
    """Return the means over as many pixels as linear interpolation would pass over along each axis."""
    height, width = image.shape[:2]
    kernel = 1 + 2 * (width // (2 * spec.width)), 1 + 2 * (height // (2 * spec.height))
    return image if kernel == (1, 1) else np.asarray(cv2.blur(image, kernel), dtype=np.uint8)


def _reduction(header: ImageHeader, spec: InputSpec) -> int:
    """Return the factor of reduction in the DCT of a JPEG; the result must cover the input size."""
    reduction = spec.decode_scale if header.format == "jpeg" else 1
    while reduction > 1 and (
        header.width < reduction * spec.width or header.height < reduction * spec.height
    ):
        reduction //= 2
    return reduction


def _raw_image(frame: CameraFrame, name: str) -> tuple[Pixels, str]:
    """Return a raw image as [h, w] or [h, w, 3 or 4], and the order of its colours."""
    _check_size(frame.width, frame.height)
    layout = LAYOUTS[name]
    row = frame.width * layout.channels * layout.sample
    step = frame.step or row
    if step < row:
        raise UnusableImage(f"rows of {step} bytes are too short for {frame.width} pixels of {name}")
    needed = needed_bytes(layout, step, row, frame.height)
    data = np.frombuffer(frame.data, np.uint8)
    if data.size < needed:
        raise UnusableImage(f"image data ends early: {data.size} bytes of {needed}")
    if name == "nv24":
        return _nv24(data, frame.width, frame.height, step), "bgr"
    if name in ("i420", "yv12") and step > row:
        image = _tight_planes(data, frame.width, frame.height, step)
    else:
        shape = frame.height + frame.height * layout.planes // 2, row
        rows = np.lib.stride_tricks.as_strided(data, shape, (step, 1), writeable=False)
        image = np.ascontiguousarray(rows)
    if layout.sample == 2:
        image = image.view("<u2")
    if layout.channels > 1:
        image = image.reshape(frame.height, frame.width, -1)
    if layout.kind != "packed":
        return _in_colour(image, name), "bgr"
    return _high_bytes(image), name[:3]


def _high_bytes(image: NDArray[Any]) -> Pixels:
    """Return an image of 8 or 16 bits in 8 bits."""
    return (image >> 8).astype(np.uint8) if image.dtype.itemsize == 2 else np.asarray(image, dtype=np.uint8)


def _in_colour(image: NDArray[Any], name: str) -> Pixels:
    """Return the colours, in BGR order, of a mosaic or of an image in YUV."""
    try:
        return _high_bytes(cv2.cvtColor(image, _COLOURS[name[: len("bayer_rggb")]]))
    except cv2.error:
        raise UnusableImage(f"an image of shape {list(image.shape)} is no {name}") from None


def _tight_planes(data: Pixels, width: int, height: int, step: int) -> Pixels:
    """Return the three planes of a padded 4:2:0 image without padding; rows of colour have half the step."""
    planes, at = [], 0
    for rows, columns, stride in (
        (height, width, step),
        (height // 2, width // 2, step // 2),
        (height // 2, width // 2, step // 2),
    ):
        planes.append(np.lib.stride_tricks.as_strided(data[at:], (rows, columns), (stride, 1)).ravel())
        at += rows * stride
    return np.concatenate(planes).reshape(-1, width)


def _nv24(data: Pixels, width: int, height: int, step: int) -> Pixels:
    """Return the colours of a 4:4:4 image: a plane of Y, then one of U and V in turn."""
    luma = np.lib.stride_tricks.as_strided(data, (height, width), (step, 1))
    chroma = np.lib.stride_tricks.as_strided(data[height * step :], (height, width, 2), (2 * step, 2, 1))
    # As OpenCV reads the other layouts: luma from 16 to 235 (ITU-R BT.601).
    y, u, v = 1.164 * (luma.astype(np.float32) - 16), *np.moveaxis(chroma.astype(np.float32) - 128, 2, 0)
    bgr = np.stack([y + 2.018 * u, y - 0.813 * v - 0.391 * u, y + 1.596 * v], axis=2)
    colours: Pixels = np.clip(np.rint(bgr), 0, 255).astype(np.uint8)
    return colours


def _check_size(width: int, height: int) -> None:
    if width < 1 or height < 1:
        raise UnusableImage(f"image of {width} x {height} pixels")
    if width * height > MAX_PIXELS:
        raise UnusableImage(f"image too large: {width} x {height} pixels, at most {MAX_PIXELS} are decoded")
