"""Returns of a range sensor as a fixed number of rows, the input of the range branch.

Returns are in the frame of the camera where the rig is known, else in that of their sensor. They are reduced
to M rows, which do not depend on the order of the returns:

1. the nearest return of each image cell (cells are the smallest squares of which at most M cover the image,
   so that every cell that was hit keeps its nearest return),
2. then the remaining returns by range, nearest first, while there is room.

The rows are in order of range; equal ranges are ordered by the other values of the return.
"""

from __future__ import annotations

from math import ceil
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from perception.geometry import Matrix, project
from perception.models.preprocess.spec import InputSpec
from perception.models.tensors import RETURN_CHANNELS
from perception.types import CameraInfo, Float32, RangeScan, Rig, Sample

_NEAREST_M = 1e-3
"""Nearer returns are unset points: drivers write zeros for a beam without an echo."""

_LOG_256 = np.log(256.0)


class UnusableScan(Exception):
    """A scan without a valid return. The text becomes that of the absent input."""


class _ValidReturns(NamedTuple):
    """The valid returns, each column [N]."""

    xyz: Float32  # [3, N]
    range_m: Float32
    u: Float32
    v: Float32
    in_image: NDArray[np.bool_]
    speed: Float32
    intensity: Float32


def merged_returns(sample: Sample, spec: InputSpec) -> tuple[Float32, Float32] | None:
    """Return the scans of all range sensors of a sample as rows; None where none is present.

    The returns of all scans are reduced together, so that their order does not matter. Of several scans those
    that the rig places take part; where it places none, the first alone, as seen from its own sensor.

    Raises:
        UnusableScan: No return is valid.
    """
    scans = [source.value for source in sample.ranges.values() if source.value is not None]
    rig = sample.rig
    placed = [scan for scan in scans if rig.camera_from(scan.frame_id, scan.stamp_ns) is not None]
    if len(placed) < 2:
        return returns_array((placed or scans)[0], rig, spec) if scans else None
    parts, problems = [], []
    for scan in placed:
        try:
            camera_from_sensor = rig.camera_from(scan.frame_id, scan.stamp_ns)
            parts.append(_valid_returns(scan, rig, camera_from_sensor, spec))
        except UnusableScan as error:
            problems.append(f"{scan.topic}: {error}")
    if not parts:
        raise UnusableScan("; ".join(problems))
    xyz, *columns = zip(*parts, strict=True)
    together = _ValidReturns(np.concatenate(xyz, axis=1), *(np.concatenate(column) for column in columns))
    return _rows(together, spec, ahead_is_x=False)


def returns_array(scan: RangeScan, rig: Rig, spec: InputSpec) -> tuple[Float32, Float32]:
    """Return a scan as rows of `RETURN_CHANNELS` [M, 8], and the validity of the rows [M].

    A return is valid when its position is finite, not at the sensor itself, and within `max_range_m` of the
    sensor. `radial_speed` is 0 where the sensor does not measure it. `intensity` is log(1 + value) /
    log(256): the largest value of a sensor is 1, 255 or 65535, and no message says which; unknown and
    negative values are 0.

    Raises:
        UnusableScan: No return is valid.
    """
    camera_from_sensor = rig.camera_from(scan.frame_id, scan.stamp_ns)
    seen = _valid_returns(scan, rig, camera_from_sensor, spec)
    return _rows(seen, spec, ahead_is_x=camera_from_sensor is None)


def _rows(seen: _ValidReturns, spec: InputSpec, ahead_is_x: bool) -> tuple[Float32, Float32]:
    """Return the rows that the returns are reduced to, and their validity.

    Args:
        ahead_is_x: The returns are in the axes of a sensor, else in those of the camera.
    """
    chosen = _reduce(seen, spec)
    x, y, z = seen.xyz[:, chosen]
    if ahead_is_x:  # x forward, y left, z up
        bearing, elevation = np.arctan2(y, x), np.arctan2(z, np.hypot(x, y))
    else:  # x right, y down, z forward
        bearing, elevation = np.arctan2(-x, z), np.arctan2(-y, np.hypot(x, z))
    rows = np.zeros((spec.returns, len(RETURN_CHANNELS)), dtype=np.float32)
    valid = np.zeros(spec.returns, dtype=np.float32)
    columns = (seen.u, seen.v, bearing, elevation, seen.range_m, seen.speed, seen.intensity, seen.in_image)
    for index, column in enumerate(columns):
        rows[: chosen.size, index] = column if index in (2, 3) else column[chosen]
    valid[: chosen.size] = 1.0
    return rows, valid


def _valid_returns(
    scan: RangeScan, rig: Rig, camera_from_sensor: Matrix | None, spec: InputSpec
) -> _ValidReturns:
    points = np.asarray(scan.points_m, dtype=np.float32).reshape(-1, 3)
    if not len(points):
        raise UnusableScan("scan without returns")
    xyz = np.ascontiguousarray(points.T)
    with np.errstate(over="ignore", invalid="ignore"):
        from_sensor = _lengths(xyz)
        valid = (from_sensor > _NEAREST_M) & (from_sensor <= spec.max_range_m)  # false for what is not finite
    (kept,) = valid.nonzero()
    if not kept.size:
        raise UnusableScan(f"none of {len(points)} returns is finite and within {spec.max_range_m:g} m")
    xyz = xyz.take(kept, 1)
    if camera_from_sensor is None:
        range_m = from_sensor[kept]
        if scan.optical:
            xyz = np.stack([xyz[2], -xyz[0], -xyz[1]])
    else:
        xyz = _moved(camera_from_sensor, xyz)
        range_m = _lengths(xyz)
    u, v, in_image = _input_pixels(xyz, None if camera_from_sensor is None else rig.calibration, spec)
    return _ValidReturns(
        xyz,
        range_m,
        u,
        v,
        in_image,
        _finite(scan.radial_speed_m_s, kept),
        _log_intensity(_finite(scan.intensity, kept)),
    )


def _lengths(xyz: Float32) -> Float32:
    squares = xyz * xyz
    lengths: Float32 = np.sqrt(squares[0] + squares[1] + squares[2])
    return lengths


def _log_intensity(values: Float32) -> Float32:
    return np.asarray(np.log1p(np.maximum(values, 0)) / _LOG_256, dtype=np.float32)


def _moved(target_from_source: Matrix, xyz: Float32) -> Float32:
    """Return points [3, N] in another frame. A matrix product may round a point by its place in the array."""
    a, b, c, d = target_from_source[:3].T.astype(np.float32)[:, :, None]
    moved: Float32 = a * xyz[0] + b * xyz[1] + c * xyz[2] + d
    return moved


def _input_pixels(
    xyz: Float32, calibration: CameraInfo | None, spec: InputSpec
) -> tuple[Float32, Float32, NDArray[np.bool_]]:
    """Return u, v in input pixels, and whether they are in the image; zeros where they are not."""
    count = xyz.shape[1]
    u, v = np.zeros(count, dtype=np.float32), np.zeros(count, dtype=np.float32)
    in_image = np.zeros(count, dtype=bool)
    if calibration is None or not calibration.can_project:
        return u, v, in_image
    (ahead,) = (xyz[2] > 1e-3).nonzero()
    lens = calibration.distortion, calibration.distortion_model
    pixels = project(xyz.take(ahead, 1).T, calibration.intrinsics, *lens)
    area = spec.area(calibration.width, calibration.height)
    pixels = area.to_input(pixels).astype(np.float32)
    low, size = (area.left, area.top), (area.width, area.height)
    inside = ((pixels >= low) & (pixels - low < size)).all(1)
    hits = ahead[inside]
    u[hits], v[hits] = pixels[inside].T
    in_image[hits] = True
    return u, v, in_image


def _finite(values: Float32 | None, kept: NDArray[np.intp]) -> Float32:
    if values is None:
        return np.zeros(kept.size, dtype=np.float32)
    kept_values = np.asarray(values, dtype=np.float32)[kept]
    return np.where(np.isfinite(kept_values), kept_values, np.float32(0.0))


# --- reduction -----------------------------------------------------------------------------------


def cell_size(spec: InputSpec) -> int:
    """Return the edge, in input pixels, of the smallest square cells of which at most M cover the image."""
    size = max(1, int((spec.width * spec.height / spec.returns) ** 0.5))
    while ceil(spec.width / size) * ceil(spec.height / size) > spec.returns:
        size += 1
    return size


def _reduce(seen: _ValidReturns, spec: InputSpec) -> NDArray[np.intp]:
    """Return the indices of the kept returns, at most M, in order of range."""
    # The bits of floats from 0 have the order of their values.
    range_bits = seen.range_m.view(np.int32).astype(np.int64)
    everything = np.arange(range_bits.size)
    if range_bits.size <= spec.returns:
        return _ordered(everything, range_bits, seen)
    inside = np.flatnonzero(seen.in_image)
    size = cell_size(spec)
    column = seen.u[inside].astype(np.int64) // size
    cell = seen.v[inside].astype(np.int64) // size * ceil(spec.width / size) + column
    by_cell = _ordered(inside, cell << 32 | range_bits[inside], seen)
    of_cell = np.empty(range_bits.size, dtype=np.int64)
    of_cell[inside] = cell
    cells = of_cell[by_cell]
    nearest = by_cell[np.concatenate([[True], cells[1:] != cells[:-1]])] if by_cell.size else by_cell
    room = spec.returns - nearest.size
    if room:
        rest = np.setdiff1d(everything, nearest, assume_unique=True)
        limit = np.partition(range_bits[rest], room - 1)[room - 1]
        rest = rest[range_bits[rest] <= limit]
        nearest = np.concatenate([nearest, _ordered(rest, range_bits[rest], seen)[:room]])
    return _ordered(nearest, range_bits[nearest], seen)


def _ordered(rows: NDArray[np.intp], key: NDArray[np.int64], seen: _ValidReturns) -> NDArray[np.intp]:
    """Return `rows` sorted by `key` [rows]; equal keys are sorted by the other values, not by place."""
    order = np.argsort(key)
    sorted_rows, sorted_key = rows[order], key[order]
    equal = sorted_key[1:] == sorted_key[:-1]
    if equal.any():
        tied = np.zeros(rows.size, dtype=bool)
        tied[1:] |= equal
        tied[:-1] |= equal
        at = np.flatnonzero(tied)
        among = sorted_rows[at]
        sorted_rows[at] = among[
            np.lexsort((seen.speed[among], seen.intensity[among], *seen.xyz[:, among], sorted_key[at]))
        ]
    return sorted_rows
