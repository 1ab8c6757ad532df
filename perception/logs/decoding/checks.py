"""The checks that decoders share, and their error. Limits lie far above any sensor, far below harm."""

from __future__ import annotations

import math

import numpy as np

from perception.geometry import Matrix, pose_matrix
from perception.types import Message

MAX_PIXELS = 1 << 27
"""Of one image."""
MAX_RETURNS = 1 << 24
"""Of one scan or cloud."""
MAX_ITEMS = 1 << 16
"""Boxes, transforms or tracks of one message."""

Edges = dict[str, tuple[str, Matrix]]
"""Child frame -> (parent frame, 4x4 `parent_from_child`)."""
Head = tuple[str, int, int, str]
"""Topic, stamp (ns), log time (ns) and frame: the first fields of every decoded sensor message."""
_TIME_LIMIT_NS = 1 << 63


class DecodeError(Exception):
    """A message cannot be decoded. `decode` turns it into an `Undecodable`."""


def stamp_or_publish(stamp_ns: int, message: Message) -> int:
    """Return the message's own stamp where it is a time (0 < t < 2**63), else publish time, else log time."""
    if 0 < stamp_ns < _TIME_LIMIT_NS:
        return stamp_ns
    return message.publish_time_ns if 0 < message.publish_time_ns < _TIME_LIMIT_NS else message.log_time_ns


def head_of(message: Message, stamp_ns: int, frame_id: str) -> Head:
    """Return the first fields of a decoded message that has its own stamp and frame."""
    return message.topic, stamp_or_publish(stamp_ns, message), message.log_time_ns, frame_id


def checked_pose(
    translation: tuple[float, float, float], quaternion_xyzw: tuple[float, float, float, float], name: str
) -> Matrix:
    """Return the 4x4 pose. Raises DecodeError where a number is not finite."""
    if not math.isfinite(sum(translation) + sum(quaternion_xyzw)):
        raise DecodeError(f"{name} has a pose that is not finite: {translation}, {quaternion_xyzw}")
    return pose_matrix(translation, quaternion_xyzw)


def add_edge(edges: Edges, parent: str, child: str, parent_from_child: Matrix) -> None:
    """Add a transform to `edges`. Raises DecodeError where it connects no two frames."""
    if not child or child == parent:
        raise DecodeError(f"a transform from {child!r} to {parent!r} says nothing")
    edges[child] = (parent, parent_from_child)


def checked_intrinsics(values: object, name: str) -> Matrix:
    """Return K [3, 3] from its nine numbers. Raises DecodeError for anything but a calibrated camera."""
    k = np.asarray(values, dtype=np.float64).ravel()
    if k.size != 9 or not np.isfinite(k).all():
        raise DecodeError(f"{name} needs nine finite numbers as K, found {k.tolist()[:9]}")
    if not (k[0] > 0 and k[4] > 0):
        raise DecodeError(f"{name} is of an uncalibrated camera: focal lengths {k[0]} and {k[4]}")
    return k.reshape(3, 3)


def checked_distortion(values: object, name: str) -> Matrix:
    """Return the distortion coefficients as float64. Raises DecodeError where one is not finite."""
    d = np.array(values, dtype=np.float64).ravel()
    if d.size > 14 or not np.isfinite(d).all():
        raise DecodeError(f"{name} has distortion coefficients that are none: {d.tolist()[:14]}")
    return d


def checked_size(width: int, height: int) -> None:
    """Raise DecodeError where an image has no pixels or more than `MAX_PIXELS`."""
    if width < 1 or height < 1 or width * height > MAX_PIXELS:
        raise DecodeError(f"an image of {width}x{height} pixels; from 1 to {MAX_PIXELS} are taken")


def limited(count: int, limit: int, name: str) -> int:
    """Return `count`. Raises DecodeError where it exceeds `limit`."""
    if count > limit:
        raise DecodeError(f"{count} {name}: more than {limit} are not taken")
    return count
