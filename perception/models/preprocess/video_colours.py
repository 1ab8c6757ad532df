"""Decoded pictures of videos: their planes, and from Y, U and V to red, green and blue.

Source: ITU-T H.273 (07/2021) table 4 and section 8.3, matrix coefficients; 8 bits a sample. A video that
names no matrix has that of BT.601, and one that names no range the limited one, as FFmpeg and OpenCV write
and read it.
"""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from perception.types import CameraFrame, Float32

Pixels = NDArray[np.uint8]

_LUMA = {"bt601": (0.299, 0.114), "bt709": (0.2126, 0.0722), "bt2020": (0.2627, 0.0593)}
"""The shares of red and of blue in the luma, by matrix."""


def picture_planes(frame: CameraFrame) -> tuple[Pixels, Pixels, Pixels]:
    """Return views of Y [h, w], U and V [ceil(h / 2), ceil(w / 2)]. Raises ValueError where they are cut."""
    height, width = frame.height, frame.width
    small = (height + 1) // 2, (width + 1) // 2
    luma, chroma = height * width, small[0] * small[1]
    data = np.frombuffer(frame.data, np.uint8)
    if data.size < luma + 2 * chroma:
        raise ValueError(f"image data ends early: {data.size} bytes of {luma + 2 * chroma}")
    u, v = luma + chroma, luma + 2 * chroma
    return data[:luma].reshape(height, width), data[luma:u].reshape(small), data[u:v].reshape(small)


def to_rgb(yuv: Pixels, colours: str) -> Pixels:
    """Return an image [h, w, 3] of Y, U, V as RGB.

    Args:
        colours: As `CameraFrame.colours` names matrix and range.
    """
    return np.asarray(cv2.transform(yuv, _matrix(colours)), np.uint8)


@lru_cache(maxsize=8)
def _matrix(colours: str) -> Float32:
    """Return the matrix [3, 4] from (Y, U, V, 1) of 8 bits to RGB of 8 bits."""
    name, _, extent = colours.partition(" ")
    red, blue = _LUMA.get(name, _LUMA["bt601"])
    green = 1 - red - blue
    u_to_blue, v_to_red = 2 * (1 - blue), 2 * (1 - red)
    rgb_from_yuv = np.array(
        [
            [1, 0, v_to_red],
            [1, -u_to_blue * blue / green, -v_to_red * red / green],
            [1, u_to_blue, 0],
        ]
    )
    full = extent == "full"
    scale = np.array([1.0, 1.0, 1.0]) if full else np.array([255 / 219, 255 / 224, 255 / 224])
    offset = np.array([0.0 if full else 16.0, 128.0, 128.0])
    scaled = rgb_from_yuv * scale
    return np.concatenate([scaled, -(scaled @ offset)[:, None]], axis=1).astype(np.float32)
