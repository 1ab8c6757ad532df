"""The returns of range sensors in the picture. Dimension letter: N returns."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from perception.geometry import project
from perception.types import CameraInfo, RangeScan, Rig, Sample

Float64 = NDArray[np.float64]


class PlacedReturns(NamedTuple):
    """The returns in the picture.

    Attributes:
        u, v: Recorded pixels [N], by rising u.
        rank: The place of each [N] among all by rising range.
        range_m: Metres from the camera [N], rising: that of return i is `range_m[rank[i]]`.
        sensors: Names of the sensors that the rig places, also where none of their returns is in the picture.
    """

    u: Float64
    v: Float64
    rank: NDArray[np.intp]
    range_m: Float64
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
    u, v, range_m = np.concatenate(parts, axis=1)
    across = np.argsort(u)
    u, v, range_m = u[across], v[across], range_m[across]
    outwards = np.argsort(range_m)
    rank = np.empty_like(outwards)
    rank[outwards] = np.arange(outwards.size)
    return PlacedReturns(u, v, rank, range_m[outwards], tuple(names))


def _placed(scan: RangeScan, rig: Rig, camera: CameraInfo, max_range_m: float) -> Float64 | None:
    """Return u, v and range [3, N] of the returns of one scan that are in the picture; None: not placed."""
    camera_from_sensor = rig.camera_from(scan.frame_id, scan.stamp_ns)
    if camera_from_sensor is None:
        return None
    # One row for each axis: numpy is ten times as fast along rows as across three columns.
    xyz = np.ascontiguousarray(scan.points_m.T, dtype=np.float64)
    with np.errstate(over="ignore", invalid="ignore"):
        from_sensor = _lengths(xyz)
        a, b, c, d = camera_from_sensor[:3].T[:, :, None]
        moved = a * xyz[0] + b * xyz[1] + c * xyz[2] + d
        counts = (from_sensor > 1e-3) & (from_sensor <= max_range_m) & (moved[2] > 1e-3)
        moved = moved.compress(counts, axis=1)
        u, v = project(moved.T, camera.intrinsics, camera.distortion, camera.distortion_model).T
        inside = (u >= 0) & (u <= camera.width) & (v >= 0) & (v <= camera.height)
    return np.stack([u, v, _lengths(moved)]).compress(inside, axis=1)


def _lengths(xyz: Float64) -> Float64:
    squares = xyz * xyz
    return np.asarray(np.sqrt(squares[0] + squares[1] + squares[2]))
