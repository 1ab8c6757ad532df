"""The checks that decoders share, and their error. Limits lie far above any sensor, far below harm."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, TypedDict

import numpy as np

from perception.geometry import Matrix, pose_matrix
from perception.logs.decoding.stamps import Stamp, read_stamp
from perception.types import FrameTransform, FrameTransforms, Message, TruthBox
from perception.types.stamp_rule import StampRule

MAX_PIXELS = 1 << 27
"""Of one image."""
MAX_DEPTH_PIXELS = 1 << 24
"""Of one encoded depth image, which is decoded at once."""
MAX_RETURNS = 1 << 24
"""Of one scan or cloud."""
MAX_ITEMS = 1 << 16
"""Boxes, transforms or tracks of one message."""
MAX_COEFFICIENT = 1e6
"""Of a lens; also of focal lengths and of what lies between pixels and metres (a projection, a pose: 1e9)."""
_MAX_LENGTH = 1e9
_MIN_SIZE = 1e-60  # smaller ones come from damaged bytes, and their inverse is infinite

Times = tuple[str, int, int]
"""Topic, stamp (ns) and log time (ns): the first fields of every decoded message."""
Head = tuple[str, int, int, str]
"""`Times` and the frame: the first fields of every decoded message of a sensor."""


class DecodeError(Exception):
    """A message cannot be decoded. `decode` turns it into an `Undecodable`."""


class Tail(TypedDict):
    """The last fields of every decoded message."""

    source: bytes
    stamped: bool
    stamp_problem: str


class Envelope(NamedTuple):
    """A raw message and how its stamp is to be read: what a decoded message takes over from it."""

    message: Message
    stamp_rule: StampRule | None = None

    def stamp(self, tree: Any) -> Stamp:
        """Return the stamp of the message's fields, or of an element of it."""
        return read_stamp(tree, self.message, self.stamp_rule)

    def times(self, stamp: Stamp) -> tuple[Times, Tail]:
        """Return the first and last fields of a decoded message without a frame."""
        message = self.message
        if self.stamp_rule is not None and self.stamp_rule.arrival:
            stamp = Stamp(message.log_time_ns, False, "as configured")
        tail = Tail(source=message.data, stamped=stamp.measured, stamp_problem=stamp.problem)
        return (message.topic, stamp.ns, message.log_time_ns), tail

    def head(self, tree: Any, frame_id: str) -> tuple[Head, Tail]:
        """Return the first and last fields of a decoded message with a frame."""
        times, tail = self.times(self.stamp(tree))
        return (*times, frame_id), tail


class Skipped:
    """The elements of a message that cannot be used; the others are."""

    def __init__(self) -> None:
        self.count = 0
        self.reason = ""

    def add(self, error: Exception) -> None:
        self.count += 1
        self.reason = self.reason or str(error)[:300]

    def check(self, kept: int, elements: str) -> None:
        """Raise DecodeError where no element of the message is left."""
        if self.count and not kept:
            raise DecodeError(f"none of {self.count} {elements} can be used: {self.reason}")


def checked_pose(
    translation: tuple[float, float, float], quaternion_xyzw: tuple[float, float, float, float], name: str
) -> Matrix:
    """Return the 4x4 pose. Raises DecodeError where a number is not finite, or as large as no length is."""
    (a, b, c), (d, e, f, g), low, high = translation, quaternion_xyzw, -_MAX_LENGTH, _MAX_LENGTH
    placed = low <= a <= high and low <= b <= high and low <= c <= high  # false for NaN
    turned = low <= d <= high and low <= e <= high and low <= f <= high and low <= g <= high
    if not (placed and turned):
        raise DecodeError(
            f"{name} has a pose that is not finite, or beyond {_MAX_LENGTH:g}: "
            f"{translation}, {quaternion_xyzw}"
        )
    return pose_matrix(translation, quaternion_xyzw)


def checked_transform(
    translation: tuple[float, float, float], quaternion_xyzw: tuple[float, float, float, float], name: str
) -> Matrix:
    """Return the 4x4 pose of a frame. Raises DecodeError as `checked_pose` does, and for a rotation of four
    zeros, which was never set: tf2 leaves such a transform out, too."""
    if not any(quaternion_xyzw):
        raise DecodeError(f"{name} has the rotation 0, 0, 0, 0, which is none: without a rotation w is 1")
    return checked_pose(translation, quaternion_xyzw, name)


def frame_transforms_of(
    envelope: Envelope, elements: Iterable[tuple[Any, str, str, Any]], pose_of: Any
) -> FrameTransforms:
    """Return the transforms of a message; one that cannot be used is left out and counted.

    Args:
        elements: What holds the stamp, parent frame, child frame, and what `pose_of` makes a pose of.
        pose_of: Called with the last and with a name for errors.
    """
    stamps, poses, skipped = [], [], Skipped()
    for holder, parent, child, value in elements:
        stamps.append(envelope.stamp(holder))
        try:
            if not child or child == parent:
                raise DecodeError(f"a transform from {child!r} to {parent!r} says nothing")
            poses.append((parent, child, pose_of(value, f"transform {child!r}"), stamps[-1]))
        except DecodeError as error:
            skipped.add(error)
    skipped.check(len(poses), "transforms")
    own = first_measured(stamps) or envelope.stamp(None)
    items = tuple(
        FrameTransform(parent, child, pose, stamp.ns if stamp.measured else own.ns)
        for parent, child, pose, stamp in poses
    )
    times, tail = envelope.times(own)
    return FrameTransforms(*times, items, **tail, ignored=skipped.count, ignored_reason=skipped.reason)


def first_measured(stamps: Sequence[Stamp]) -> Stamp | None:
    """Return the stamp of a message whose elements are stamped: the first measured, else the first."""
    return next((stamp for stamp in stamps if stamp.measured), stamps[0] if stamps else None)


def checked_intrinsics(values: object, name: str) -> Matrix:
    """Return K [3, 3] from its nine numbers. Raises DecodeError for anything but a calibrated camera."""
    k = np.asarray(values, dtype=np.float64).ravel()
    if k.size != 9 or not _bounded(k, MAX_COEFFICIENT):
        raise DecodeError(
            f"{name} needs nine finite numbers up to {MAX_COEFFICIENT:g} as K, found {k.tolist()[:9]}"
        )
    if not (k[0] > 0 and k[4] > 0):
        raise DecodeError(f"{name} is of an uncalibrated camera: focal lengths {k[0]} and {k[4]}")
    if k[3] or list(k[6:]) != [0, 0, 1]:
        raise DecodeError(f"{name} has a K that is no pinhole camera's: {k.tolist()}")
    return k.reshape(3, 3)


def checked_distortion(values: object, name: str) -> Matrix:
    """Return the distortion coefficients as float64. Raises DecodeError where one is none of a lens."""
    d = np.array(values, dtype=np.float64).ravel()
    if d.size > 14 or not _bounded(d, MAX_COEFFICIENT):
        raise DecodeError(f"{name} has distortion coefficients that are none: {d.tolist()[:14]}")
    return d


def rectification_of(values: object) -> Matrix | None:
    """Return R [3, 3] of a camera info; None where it is not set, or is none."""
    return _optional_matrix(values, (3, 3))


def projection_of(values: object) -> Matrix | None:
    """Return P [3, 4] of a camera info; None where it is not set, or is of no pinhole camera."""
    p = _optional_matrix(values, (3, 4))
    # KITTI's cameras also lie a few millimetres behind each other: P[2, 3] is not 0.
    straight = p is not None and p[0, 0] > 0 and p[1, 1] > 0 and p[2, :3].tolist() == [0, 0, 1]
    return p if straight else None


def _optional_matrix(values: object, shape: tuple[int, int]) -> Matrix | None:
    m = np.asarray(values, dtype=np.float64).ravel()
    sound = m.size == shape[0] * shape[1] and _bounded(m, _MAX_LENGTH)
    return m.reshape(shape) if sound and m.any() else None


def _bounded(values: Matrix, limit: float) -> bool:
    """Return whether numbers are zero or of a size that can be measured; false for NaN."""
    size = np.abs(values)
    return bool(((size <= limit) & ((size >= _MIN_SIZE) | (size == 0))).all())


def checked_size(width: int, height: int, limit: int = MAX_PIXELS) -> None:
    """Raise DecodeError where an image has no pixels or more than `limit`."""
    if width < 1 or height < 1 or width * height > limit:
        raise DecodeError(f"an image of {width}x{height} pixels; from 1 to {limit} are taken")


def limited(count: int, limit: int, name: str) -> int:
    """Return `count`. Raises DecodeError where it exceeds `limit`."""
    if count > limit:
        raise DecodeError(f"{count} {name}: more than {limit} are not taken")
    return count


def checked_box_size(x: float, y: float, z: float, name: str) -> tuple[float, float, float]:
    """Return the sides of a cuboid. Raises DecodeError where one is negative, not finite, or too large."""
    if not (0 <= x <= _MAX_LENGTH and 0 <= y <= _MAX_LENGTH and 0 <= z <= _MAX_LENGTH):  # false for NaN
        raise DecodeError(f"{name} has a size that is none: {x}, {y}, {z}")
    return float(x), float(y), float(z)


def checked_rectangle(box: TruthBox) -> TruthBox:
    """Return a box of an image. Raises DecodeError where it has no finite sides."""
    x1, y1, x2, y2 = box.xyxy
    if not (all(map(math.isfinite, box.xyxy)) and x1 <= x2 and y1 <= y2):
        raise DecodeError(f"box {box.track_id!r} has sides that are none: {x1}, {y1}, {x2}, {y2}")
    return box
