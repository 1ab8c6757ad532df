"""Whether the x axis of a velocity points forward: by its y axis, and by the pose that an odometry states.

Many estimators fill the velocity of an Odometry along the axes of the world (Gazebo's P3D, MAVROS' global
position), or not at all (LIO), where its definition asks for those of the child frame.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from statistics import median

import numpy as np

from perception.geometry import rotation_from_quaternion
from perception.types import Float64, StatusReading

NOT_FILLED = "it is not filled"
"""The end of the reason of a velocity that is always 0."""

SIDEWAYS = 0.6
"""A vehicle does not drift by more than this share of its speed: its velocity is along other axes."""
_MOVES_M_S = 0.5
"""A slower motion tells nothing."""
_STEP_NS, _MOST_STEP_NS = 100_000_000, 1_000_000_000
"""Between poses that are compared; nearer ones differ by noise."""
_MOST_M_S = 100.0
"""A faster pose has jumped."""
_FEWEST = 5  # steps that tell anything
_SHAKES = 0.5
"""The share of the speed by which a pose that is no noise changes its velocity from step to step."""
_SAME, _OTHER = 0.15, 0.3
"""Shares of the speed up to which two velocities are the same, and from which they are different."""


def sideways(speed: str, readings: Sequence[StatusReading]) -> str:
    """Return how much of a velocity is along y, where that is more than a vehicle has; else empty.

    Args:
        speed: The path of its x axis.
        readings: Some messages, also from when the vehicle moves.
    """
    other = f"{speed[:-1]}{'Y' if speed[-1:] == 'X' else 'y'}"
    axes = [
        (abs(r.values[speed]), abs(r.values[other])) for r in readings if {speed, other} <= r.values.keys()
    ]
    moving = [(x, y) for x, y in axes if np.hypot(x, y) > _MOVES_M_S]
    if len(moving) < _FEWEST:
        return ""
    x, y = (median(values) for values in zip(*moving, strict=True))
    if y <= SIDEWAYS * x:
        return ""
    return f"{other} is {y:.2g} m/s where it is {x:.2g} m/s: its axes are not those of the vehicle"


def against_pose(speed: str, readings: Sequence[StatusReading]) -> tuple[str, str]:
    """Return why the velocity of an odometry is none of the vehicle, and why it may be none; else empty.

    Args:
        speed: The path of its x axis (`twist.twist.linear.x`).
        readings: Some messages, in parts of the log in the order of their stamps.
    """
    steps = np.array([step for pair in _steps(readings) if (step := _step(speed, *pair)) is not None])
    if len(steps) < _FEWEST:
        return "", ""
    moved = float(np.median(steps[:, 5]))
    if np.median(np.linalg.norm(np.diff(steps[:, 2:4], axis=0), axis=1)) > _SHAKES * moved:
        return "", ""
    if not steps[:, 0:2].any() and not any(r.values.get(f"{speed[:-1]}z") for r in readings):
        return f"{speed} is 0 while the pose moves at {moved:.2g} m/s: {NOT_FILLED}", ""
    steps = steps[np.isfinite(steps[:, 4])]
    if len(steps) < _FEWEST:
        return "", ""
    said, world, own = steps[:, 0:2], steps[:, 2:4], steps[:, 4]
    from_world = float(np.median(np.hypot(*(said - world).T))) / moved
    from_own = float(np.median(np.abs(said[:, 0] - own))) / moved
    value = float(np.median(np.abs(said[:, 0])))
    if from_world < _SAME and from_own > _OTHER:
        return f"{speed} is along an axis of the world: the pose beside it says so", ""
    if from_own > _OTHER or value < SIDEWAYS * moved:
        return "", f"{speed} is {value:.2g} m/s where the pose beside it moves at {moved:.2g} m/s"
    return "", ""


def _steps(readings: Sequence[StatusReading]) -> list[tuple[StatusReading, StatusReading]]:
    """Return pairs of readings that follow each other after a time in which a pose changes."""
    kept = list(readings[:1])
    for reading in readings[1:]:
        if not 0 <= reading.stamp_ns - kept[-1].stamp_ns < _STEP_NS:
            kept.append(reading)
    return [(a, b) for a, b in pairwise(kept) if 0 < b.stamp_ns - a.stamp_ns <= _MOST_STEP_NS]


def _step(speed: str, before: StatusReading, after: StatusReading) -> Float64 | None:
    """Return said x and y, x and y of the world, x of the vehicle, and speed by the pose; None: unknown.

    Of an orientation that is not filled, or along the axes of the world, x of the vehicle is not known (NaN).
    """
    velocity = [f"{speed[:-1]}{axis}" for axis in "xy"]
    said = np.mean([_numbers(velocity, reading) for reading in (before, after)], axis=0)
    places = [_numbers([f"pose.pose.position.{axis}" for axis in "xyz"], r) for r in (before, after)]
    turn = _numbers([f"pose.pose.orientation.{axis}" for axis in "xyzw"], before)
    turn = turn + _numbers([f"pose.pose.orientation.{axis}" for axis in "xyzw"], after)
    world = (places[1] - places[0]) / ((after.stamp_ns - before.stamp_ns) / 1e9)
    moved = float(np.linalg.norm(world))
    if not (_MOVES_M_S < moved < _MOST_M_S and np.isfinite(said).all()):
        return None
    is_turned = np.linalg.norm(turn) > 1 and turn[:3].any()
    own = (rotation_from_quaternion(*turn.tolist()).T @ world)[0] if is_turned else np.nan
    return np.array([*said, *world[:2], own, moved])


def _numbers(paths: Sequence[str], reading: StatusReading) -> Float64:
    return np.array([reading.values.get(path, np.nan) for path in paths])
