"""The returns of range sensors in the picture. Dimension letter: N returns."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from perception.geometry import project
from perception.types import CameraInfo, Float64, RangeScan, Rig, Sample

FLAT_M = 1e-3
"""A scan whose returns differ by less in height lies in one plane."""


class PlacedReturns(NamedTuple):
    """The returns in the picture.

    Attributes:
        u, v: Recorded pixels [N], by rising u.
        rank: The place of each [N] among all by rising range.
        range_m: Metres from the camera [N], rising: that of return i is `range_m[rank[i]]`.
        planar: Whether each [N] is of a scan in one plane, which sees no ground.
        sensors: Names of the sensors that the rig places, also where none of their returns is in the picture.
    """

    u: Float64
    v: Float64
    rank: NDArray[np.intp]
    range_m: Float64
    planar: NDArray[np.bool_]
    sensors: tuple[str, ...]


def placed_returns(sample: Sample, max_range_m: float) -> PlacedReturns | None:
    """Return the returns of a sample that the rig places in the picture; None where it can place no sensor's.

    A return counts when it is finite and within `max_range_m` of its sensor.
    """
    calibration = sample.rig.calibration
    if calibration is None or not calibration.can_project:
        return None
    parts, names = [], []
    for source in sample.ranges.values():
        if source.value is not None:
            part = _placed(source.value, sample.rig, calibration, max_range_m)
            if part is not None:
                parts.append(part)
                names.append(source.name)
    if not parts:
        return None
    columns = np.concatenate(parts, axis=1)
    u, v, range_m, planar = columns[:, np.argsort(columns[0])]
    outwards = np.argsort(range_m)
    rank = np.empty_like(outwards)
    rank[outwards] = np.arange(outwards.size)
    return PlacedReturns(u, v, rank, range_m[outwards], planar > 0, tuple(names))


def _placed(scan: RangeScan, rig: Rig, camera: CameraInfo, max_range_m: float) -> Float64 | None:
    """Return u, v, range and whether the scan is planar [4, N] of the returns of one scan that are in the
    picture; None: it is not placed."""
    camera_from_sensor = rig.camera_from(scan.frame_id, scan.stamp_ns)
    if camera_from_sensor is None:
        return None
    # One row for each axis: numpy is ten times as fast along rows as across three columns.
    xyz = np.ascontiguousarray(scan.points_m.T, dtype=np.float64)
    with np.errstate(over="ignore", invalid="ignore"):
        a, b, c, d = camera_from_sensor[:3].T[:, :, None]
        depth = a[2] * xyz[0] + b[2] * xyz[1] + c[2] * xyz[2] + d[2]
        xyz = xyz.compress(depth > 1e-3, axis=1)  # most of a turning scanner's are behind the camera
        from_sensor = _lengths(xyz)
        xyz = xyz.compress((from_sensor > 1e-3) & (from_sensor <= max_range_m), axis=1)
        moved = a * xyz[0] + b * xyz[1] + c * xyz[2] + d
        heights = xyz[1 if scan.optical else 2]
        planar = heights.size > 0 and float(np.ptp(heights)) < FLAT_M
        u, v = project(moved.T, camera.intrinsics, camera.distortion, camera.distortion_model).T
        inside = (u >= 0) & (u <= camera.width) & (v >= 0) & (v <= camera.height)
    return np.stack([u, v, _lengths(moved), np.full(u.size, planar)]).compress(inside, axis=1)


def _lengths(xyz: Float64) -> Float64:
    squares = xyz * xyz
    return np.asarray(np.sqrt(squares[0] + squares[1] + squares[2]))
