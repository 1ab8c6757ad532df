"""The returns of range sensors in the picture of a camera, and their colours by range."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from perception.geometry import project, transform_points
from perception.sinks.canvas import ramp
from perception.sinks.palette import RANGE_RAMP
from perception.types import Float64, Sample

NEAR_M, FAR_M = 1.0, 100.0  # the ends of the range ramp, which is logarithmic


def picture_returns(
    sample: Sample, source: tuple[int, int], most: int | None = None
) -> tuple[Float64, Float64] | None:
    """Return the pixels [N, 2] and the ranges [N] (m) of the returns inside the image, the farthest first.

    None where the rig places no scan in the image.

    Args:
        sample: As one camera sees it.
        source: Width and height of its image.
        most: Of more returns than that only every n-th is projected; None: all are.
    """
    calibration = sample.rig.calibration
    if calibration is None or not calibration.can_project:
        return None
    placed = []
    for source_input in sample.ranges.values():
        scan = source_input.value
        pose = None if scan is None else sample.rig.camera_from(scan.frame_id, scan.stamp_ns)
        if scan is not None and pose is not None:
            placed.append(transform_points(pose, scan.points_m))
    if not placed:
        return None
    points = placed[0] if len(placed) == 1 else np.concatenate(placed)
    if most is not None and len(points) > most:
        points = points[:: -(-len(points) // most)]
    points = points[points[:, 2] > 0]  # those behind it would project to NaN
    pixels = project(points, calibration.intrinsics, calibration.distortion, calibration.distortion_model)
    pixels = pixels * (source[0] / calibration.width, source[1] / calibration.height)
    (u, v), (width, height) = pixels.T, source  # by columns: a reduction over pairs is ten times as slow
    inside = (u >= 0) & (u < width) & (v >= 0) & (v < height)
    pixels, (x, y, z) = pixels[inside], points[inside].T
    range_m: Float64 = np.sqrt(x * x + y * y + z * z)
    order = np.argsort(-range_m, kind="stable")
    return pixels[order], range_m[order]


def range_colours(range_m: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Return [N, 3] colours: near is bright, far is darker."""
    fraction: Float64 = np.log(range_m / NEAR_M) / np.log(FAR_M / NEAR_M)
    return ramp(fraction, RANGE_RAMP)


def packed_range_colours(range_m: NDArray[np.floating]) -> NDArray[np.uint32]:
    """Return [N] colours as 0xRRGGBBAA, in 256 steps: enough for a viewer, and ten times as fast."""
    with np.errstate(divide="ignore"):
        fraction = np.log(range_m / np.float32(NEAR_M)) * np.float32(255 / np.log(FAR_M / NEAR_M))
    colours: NDArray[np.uint32] = _steps()[np.clip(fraction, 0, 255).astype(np.uint8)]
    return colours


@lru_cache(maxsize=1)
def _steps() -> NDArray[np.uint32]:
    red, green, blue = ramp(np.linspace(0, 1, 256), RANGE_RAMP).astype(np.uint32).T
    packed: NDArray[np.uint32] = red << 24 | green << 16 | blue << 8 | np.uint32(255)
    return packed
