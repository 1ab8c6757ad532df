"""Descriptors of prepared inputs: some numbers that tell one world of pictures or scans from another.

They do not say what is in a picture but how it looks: brightness, colour, the detail on three scales, how
these vary over the picture and go together. Statistics of natural images are alike everywhere and unlike
drawn ones (Ruderman, "The statistics of natural images", 1994; Simoncelli and Olshausen, 2001), so few are
enough.

Dimension letters: B blocks, F features of a block, M returns, H x W input pixels.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from perception.models.tensors import RETURN_CHANNELS
from perception.types import Float64

ROWS = 16
"""Rows of blocks; the blocks are square."""

_SCALES = ("fine", "middle", "coarse", "coarsest")
_BLOCK = ("brightness", "blue", "red", "fine detail", "middle detail", "coarse detail", "direction", "hues")
_LEVELS = {"low": 0.1, "middle": 0.5, "high": 0.9}

PICTURE = (
    *_BLOCK,
    *(f"spread of {name}" for name in _BLOCK),
    *(f"{level} {name}" for level in _LEVELS for name in _BLOCK),
    *(f"sparseness of {scale} detail" for scale in _SCALES),
    *(f"usual {scale} detail" for scale in _SCALES),
    *("detail of colour", "usual detail of colour"),
)
"""Names of the numbers of `describe_picture`."""

RETURNS = (
    "returns",
    *("near ranges", "middle ranges", "far ranges", "spread of ranges"),
    *("right edge", "left edge", "lowest", "middle height", "highest"),
    *("intensity", "spread of intensity", "radial speed", "returns in the picture"),
)
"""Names of the numbers of `describe_returns`."""

Plane = NDArray[np.float32]
_COLUMN = {name: index for index, name in enumerate(RETURN_CHANNELS)}


def describe_picture(image: NDArray[np.uint8]) -> Float64:
    """Return the numbers named `PICTURE` of an image [3, H, W], RGB."""
    red, green, blue = image.astype(np.float32)
    luma = 0.299 * red + 0.587 * green + 0.114 * blue
    detail = _pyramid(luma, len(_SCALES))
    (colour,) = _pyramid(blue - luma, 1)
    blocks = _blocks(luma, blue - luma, red - luma, detail)
    return np.concatenate(
        [
            blocks.mean(axis=0),
            np.log(blocks.std(axis=0) + 1e-2),
            np.quantile(blocks, list(_LEVELS.values()), axis=0).ravel(),
            [np.log((_rms(band) + 0.2) / (np.abs(band).mean() + 0.2)) for band in detail],
            [_usual(band) for band in detail],
            [np.log(_rms(colour) + 0.2), _usual(colour)],
        ]
    )


def _pyramid(plane: Plane, levels: int) -> list[Plane]:
    """Return the detail of a plane on each scale: a Laplacian pyramid (Burt and Adelson, 1983)."""
    details = []
    for _ in range(levels):
        smaller = np.asarray(cv2.pyrDown(plane), np.float32)
        details.append(plane - cv2.pyrUp(smaller, dstsize=(plane.shape[1], plane.shape[0])))
        plane = smaller
    return details


def _blocks(luma: Plane, to_blue: Plane, to_red: Plane, detail: list[Plane]) -> Float64:
    """Return the features of each block [B, F]."""
    height, width = luma.shape
    columns = max(round(ROWS * width / height), 1)

    def mean(plane: Plane) -> Plane:
        return np.asarray(cv2.resize(plane, (columns, ROWS), interpolation=cv2.INTER_AREA), np.float32)

    across = np.diff(luma, axis=1, append=luma[:, -1:])
    down = np.diff(luma, axis=0, append=luma[-1:])
    variance = np.maximum(mean(to_blue * to_blue) - mean(to_blue) ** 2, 0)
    features = [
        *(mean(luma), mean(to_blue), mean(to_red)),
        *(_log_rms(mean(band * band)) for band in detail[:3]),
        _log_rms(mean(across * across)) - _log_rms(mean(down * down)),
        _log_rms(variance),
    ]
    return np.stack([feature.ravel() for feature in features], axis=1).astype(np.float64)


def _log_rms(mean_square: Plane) -> Plane:
    return np.asarray(0.5 * np.log(mean_square + 0.25), np.float32)


def _rms(band: Plane) -> float:
    return float(np.sqrt((band * band).mean()))


def _usual(band: Plane) -> float:
    return float(np.log(np.median(np.abs(band)) + 0.1))


def describe_returns(rows: NDArray[np.float32], valid: NDArray[np.float32]) -> Float64 | None:
    """Return the numbers named `RETURNS` of returns [M, 8] and their validity [M]; None without a return."""
    table = rows[valid > 0].astype(np.float64)
    if not len(table):
        return None
    ranges = np.log(np.maximum(table[:, _COLUMN["range_m"]], 0.1))
    bearing, elevation = table[:, _COLUMN["bearing"]], table[:, _COLUMN["elevation"]]
    intensity = table[:, _COLUMN["intensity"]]
    return np.array(
        [
            len(table) / len(rows),
            *np.quantile(ranges, (0.1, 0.5, 0.9)),
            ranges.std(),
            *np.quantile(bearing, (0.05, 0.95)),
            *np.quantile(elevation, (0.05, 0.5, 0.95)),
            intensity.mean(),
            intensity.std(),
            np.abs(table[:, _COLUMN["radial_speed"]]).mean(),
            table[:, _COLUMN["in_image"]].mean(),
        ]
    )
