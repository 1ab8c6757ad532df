"""Ranges and packed clouds to points [N, 3] float32, vectorised and bounds-checked."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from perception.geometry import Matrix
from perception.logs.decoding.checks import MAX_RETURNS, DecodeError, limited
from perception.types import Float32

T = TypeVar("T")

_INTENSITY = (
    *("intensity", "intensities", "reflectivity", "rcs", "reflectance", "remission", "amplitude", "power"),
)
_SPEED = (
    *("radial_speed", "radial_velocity", "radialvelocity", "radial_vel", "v_radial", "range_rate"),
    *("doppler", "doppler_velocity", "doppler_vel", "doppler_speed", "velocity", "v_r", "vr"),
)
"""Field names of intensity and of radial speed, in small letters; the first that a cloud has is read."""
_MOST_TURNS = 1.05
_SPAN_SLACK = 0.02
_CACHED_RETURNS = 1 << 14  # a scanner repeats its angles; a hostile log must not fill the cache


class PackedField(NamedTuple):
    """One field of a packed point: numpy kind (`f4`, `u2`) at a byte offset."""

    name: str
    offset: int
    kind: str


def as_float32(values: NDArray[Any]) -> Float32:
    """Return a copy in float32: a double beyond it becomes inf, a signalling NaN a quiet one."""
    with np.errstate(over="ignore", invalid="ignore"):
        return values.astype(np.float32)


def planar_points(
    ranges: NDArray[Any], first: float, step: float, low: float = 0.0, high: float = math.inf
) -> Float32:
    """Return the points of a planar scan: `[r cos a, r sin a, 0]`, NaN where there is no return.

    Args:
        ranges: [N], metres. Valid from `low` to below `high`, and above 0: a reading of exactly the largest
            range is what simulators and ultrasonic drivers write where nothing came back (REP 117 was later).
        first, step: Angle of the first return and between two, radians, left positive.
    """
    count = limited(len(ranges), MAX_RETURNS, "ranges")
    if not math.isfinite(first + step):
        raise DecodeError(f"a scan whose angles are not finite: first {first}, step {step}")
    directions = _cached_directions if count <= _CACHED_RETURNS else _directions
    r = as_float32(ranges)
    valid = (r > 0) & (r < math.inf)
    if low > 0:
        valid &= ranges >= low
    if high < math.inf:
        valid &= ranges < high
    if np.count_nonzero(valid) < count:
        r[~valid] = math.nan
    points: Float32 = directions(first, step, count) * r[:, None]
    return points


def angle_doubt(first: float, step: float, last: float, count: int) -> str:
    """Return how the angles of a planar scan contradict each other; empty: they do not.

    Args:
        first, step, last: Radians, as the message has them; the points are at `first + i * step`.
        count: Of ranges.
    """
    span, stated = step * (count - 1), last - first
    if count < 2 or not step or not math.isfinite(stated + span):
        return ""
    if abs(span) > _MOST_TURNS * math.tau:
        return f"its angles span {abs(span):.4g} rad, more than a turn: they may be in degrees"
    apart = abs(math.remainder(stated - span, math.tau))
    if apart <= max(2 * abs(step), _SPAN_SLACK * abs(span)):  # drivers differ in what the last angle is
        return ""
    return (
        f"{count} ranges with steps of {step:.4g} rad span {span:.4g} rad, but it says that they go from "
        f"{first:.4g} to {last:.4g} rad; the steps are used"
    )


def _directions(first: float, step: float, count: int) -> Float32:
    angles = first + step * np.arange(count)
    return np.stack([np.cos(angles), np.sin(angles), np.zeros(count)], axis=1).astype(np.float32)


_cached_directions = lru_cache(maxsize=16)(_directions)


def spherical_points(range_m: NDArray[Any], azimuth: NDArray[Any], elevation: NDArray[Any]) -> Float32:
    """Return the points of a radar: azimuth left positive, elevation up positive, radians."""
    r = np.where((range_m > 0) & (range_m < math.inf), range_m, math.nan)
    with np.errstate(invalid="ignore"):  # an infinite angle is no direction: NaN
        flat = np.cos(elevation)
        directions = np.stack([flat * np.cos(azimuth), flat * np.sin(azimuth), np.sin(elevation)], axis=1)
    return as_float32(r[:, None] * directions)


def packed_points(
    data: bytes | memoryview,
    fields: Sequence[PackedField],
    *,
    stride: int,
    width: int,
    height: int = 1,
    row_stride: int | None = None,
    big_endian: bool = False,
) -> tuple[Float32, Float32 | None, Float32 | None]:
    """Return points, intensity and radial speed of a packed cloud; the last two None where it has none.

    Raises DecodeError where x, y or z is missing, or the sizes do not agree with the data.
    """
    count = limited(width * height, MAX_RETURNS, "points")
    if not count:  # of a cloud that was never filled not even the fields are set
        return np.empty((0, 3), np.float32), None, None
    by_name = {field.name.lower(): field for field in fields} | {field.name: field for field in fields}
    missing = [name for name in "xyz" if name not in by_name]
    if missing:
        raise DecodeError(f"a cloud needs the fields x, y, z; found {sorted(by_name)[:16]}")
    row = row_stride if row_stride and height > 1 else width * stride
    if stride < 1 or row < width * stride:
        raise DecodeError(f"{width} points of {stride} bytes do not fit into rows of {row} bytes")
    if len(data) < row * (height - 1) + width * stride:
        raise DecodeError(
            f"{width}x{height} points of {stride} bytes in rows of {row}: found {len(data)} bytes"
        )

    def column(field: PackedField) -> NDArray[Any]:
        dtype = np.dtype((">" if big_endian else "<") + field.kind)
        if field.offset < 0 or field.offset + dtype.itemsize > stride:
            raise DecodeError(
                f"field {field.name!r} at byte {field.offset} lies outside a point of {stride} bytes"
            )
        return np.ndarray((height, width), dtype, data, field.offset, (row, stride))

    points = np.empty((count, 3), np.float32)
    with np.errstate(over="ignore", invalid="ignore"):  # a double beyond float32 is no return: inf
        for axis, name in enumerate("xyz"):
            points[:, axis].reshape(height, width)[...] = column(by_name[name])

    def extra(field: PackedField | None) -> Float32 | None:
        return None if field is None else as_float32(column(field)).reshape(count)

    return points, extra(intensity_of(by_name)), _radial_speed(points, by_name, extra)


def _radial_speed(
    points: Float32,
    by_name: Mapping[str, PackedField],
    column_of: Callable[[PackedField | None], Float32 | None],
) -> Float32 | None:
    """Return the radial speeds [N] of a cloud, or those of its velocities (nuScenes), or None."""
    if (named := speed_of(by_name)) is not None or not {"vx", "vy"} <= by_name.keys():
        return column_of(named)
    parts = (column_of(by_name.get(name)) for name in ("vx", "vy", "vz"))
    columns = [np.zeros(len(points), np.float32) if part is None else part for part in parts]
    return speed_away(points, np.stack(columns, axis=1))


def speed_away(points: Float32, velocity: Float32) -> Float32:
    """Return the speed [N] away from the sensor of points [N, 3] (m) with velocities [N, 3] (m/s).

    NaN at the sensor itself.
    """
    with np.errstate(all="ignore"):  # whatever a file holds
        distance = np.linalg.norm(points, axis=1)
        along = np.einsum("ni,ni->n", points, velocity) / np.where(distance > 0, distance, np.nan)
    return as_float32(along)


def intensity_of(columns: Mapping[str, T]) -> T | None:
    """Return the column that is the intensity, by names in small letters; None: there is none."""
    return next((columns[name] for name in _INTENSITY if name in columns), None)


def speed_of(columns: Mapping[str, T]) -> T | None:
    """Return the column that is the radial speed, by names in small letters; None: there is none."""
    return next((columns[name] for name in _SPEED if name in columns), None)


def moved(points_m: Float32, frame_from_points: Matrix) -> Float32:
    """Return the points in the frame of the pose; the same array where the pose is the identity.

    A point at the sensor itself was not set: it becomes NaN, as the pose would make a return of it.
    """
    if np.array_equal(frame_from_points, np.eye(4)):
        return points_m
    points: Float32 = points_m @ frame_from_points[:3, :3].T.astype(np.float32)
    points += frame_from_points[:3, 3].astype(np.float32)
    points[~points_m.any(axis=1)] = np.nan
    return points
