"""What every decoder checks, and how it says no. Bounds are far above any sensor, far below harm."""

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

_NEVER_NS = 1 << 63


class Fault(Exception):
    """Why a message cannot be decoded. Never leaves this package: it becomes an `Undecodable`."""


def stamp_or_publish(stamp_ns: int, message: Message) -> int:
    """The message's own stamp where it is a time (0 < t < 2**63), else publish time, else log time."""
    if 0 < stamp_ns < _NEVER_NS:
        return stamp_ns
    return message.publish_time_ns if 0 < message.publish_time_ns < _NEVER_NS else message.log_time_ns


def checked_pose(
    translation: tuple[float, float, float], quaternion_xyzw: tuple[float, float, float, float], what: str
) -> Matrix:
    """The 4x4 pose. Raises Fault where a number is not finite."""
    if not math.isfinite(sum(translation) + sum(quaternion_xyzw)):
        raise Fault(f"{what} has a pose that is not finite: {translation}, {quaternion_xyzw}")
    return pose_matrix(translation, quaternion_xyzw)


def checked_intrinsics(values: object, what: str) -> Matrix:
    """K [3, 3] from its nine numbers. Raises Fault for anything but a calibrated camera."""
    k = np.asarray(values, dtype=np.float64).ravel()
    if k.size != 9 or not np.isfinite(k).all():
        raise Fault(f"{what} needs nine finite numbers as K, found {k.tolist()[:9]}")
    if not (k[0] > 0 and k[4] > 0):
        raise Fault(f"{what} is of an uncalibrated camera: focal lengths {k[0]} and {k[4]}")
    return k.reshape(3, 3)


def checked_distortion(values: object, what: str) -> Matrix:
    """The distortion coefficients as float64. Raises Fault where one is not finite."""
    d = np.array(values, dtype=np.float64).ravel()
    if d.size > 14 or not np.isfinite(d).all():
        raise Fault(f"{what} has distortion coefficients that are none: {d.tolist()[:14]}")
    return d


def limited(count: int, limit: int, what: str) -> int:
    """`count`, or a Fault when it is out of all proportion."""
    if count > limit:
        raise Fault(f"{count} {what}: more than {limit} are not taken")
    return count
