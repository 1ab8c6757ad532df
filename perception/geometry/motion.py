"""Frames that move: the pose of a frame in its parent at any moment, from the poses that were measured.

Between two measurements the translation is linear and the rotation turns at a constant rate (slerp; Shoemake
1985), as tf2 does it. Shortly after the last one the motion goes on; later, the last pose is held.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Pose = NDArray[np.float64]

MAX_GAP_NS = 10_000_000_000
"""Across longer gaps nothing is interpolated, and older poses are forgotten: the length of tf2's buffer."""

MAX_POSES = 4096
"""Of one frame."""

MAX_AHEAD_NS = 500_000_000
"""A motion is continued for twice the time between its last two poses, at most for this long."""


class PoseAt(NamedTuple):
    """A pose at one moment. `held_ns`: how far away it was measured, where it is held for long; else 0."""

    parent_from_child: Pose
    held_ns: int


def interpolated_pose(first: Pose, second: Pose, fraction: float) -> Pose:
    """Return the rigid 4x4 pose at a fraction of the way between two; beyond 0 and 1, on the same motion."""
    pose = np.eye(4)
    pose[:3, 3] = first[:3, 3] + (second[:3, 3] - first[:3, 3]) * fraction
    axis, angle = _axis_angle(first[:3, :3].T @ second[:3, :3])
    pose[:3, :3] = first[:3, :3] @ _rotation(axis, angle * fraction)
    return pose


def _axis_angle(rotation: Pose) -> tuple[Pose, float]:
    """Return the unit axis [3] and the angle (0 to pi) of a rotation, by way of its quaternion."""
    r = rotation
    # Four times the products of the quaternion's parts w, x, y, z: the largest row is the best conditioned.
    products = np.array(
        [
            [1 + r[0, 0] + r[1, 1] + r[2, 2], r[2, 1] - r[1, 2], r[0, 2] - r[2, 0], r[1, 0] - r[0, 1]],
            [r[2, 1] - r[1, 2], 1 + r[0, 0] - r[1, 1] - r[2, 2], r[0, 1] + r[1, 0], r[0, 2] + r[2, 0]],
            [r[0, 2] - r[2, 0], r[0, 1] + r[1, 0], 1 - r[0, 0] + r[1, 1] - r[2, 2], r[1, 2] + r[2, 1]],
            [r[1, 0] - r[0, 1], r[0, 2] + r[2, 0], r[1, 2] + r[2, 1], 1 - r[0, 0] - r[1, 1] + r[2, 2]],
        ]
    )
    quaternion = products[np.argmax(np.diag(products))]
    quaternion = quaternion / np.linalg.norm(quaternion)
    if quaternion[0] < 0:
        quaternion = -quaternion
    sine = float(np.linalg.norm(quaternion[1:]))
    axis = quaternion[1:] / sine if sine > 0 else np.array([1.0, 0.0, 0.0])
    return axis, 2 * float(np.arctan2(sine, quaternion[0]))


def _rotation(axis: Pose, angle: float) -> Pose:
    """Return the 3x3 rotation about a unit axis (Rodrigues)."""
    x, y, z = axis
    cross = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    rotation: Pose = np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross
    return rotation


class PoseHistory:
    """The recent poses of one frame in its parent, by stamp. Of a frame that rests, at most two are kept.

    Args:
        parent: The parent frame.
    """

    def __init__(self, parent: str) -> None:
        self.parent = parent
        self._stamps: list[int] = []
        self._poses: list[Pose] = []

    @property
    def moves(self) -> bool:
        """Whether different poses are known."""
        return any(pose is not self._poses[0] for pose in self._poses)

    def add(self, stamp_ns: int, parent_from_child: Pose) -> bool:
        """Add a pose, in any order of stamps; of two with one stamp the later one counts.

        Returns:
            Whether anything but the time of a frame that rests has changed.
        """
        at = bisect_left(self._stamps, stamp_ns)
        for neighbour in self._poses[max(at - 1, 0) : at + 1]:
            if np.array_equal(neighbour, parent_from_child):
                parent_from_child = neighbour  # equal poses are one object: a frame that rests has one pose
        if at < len(self._stamps) and self._stamps[at] == stamp_ns:
            changed = self._poses[at] is not parent_from_child
            self._poses[at] = parent_from_child
            return changed
        self._stamps.insert(at, stamp_ns)
        self._poses.insert(at, parent_from_child)
        changed = len(self._poses) == 1 or self.moves
        self._thin(at)
        return changed

    def settle(self, parent_from_child: Pose) -> bool:
        """Forget the times: one pose holds from now on, until another is added. Return whether it is new."""
        changed = len(self._poses) != 1 or not np.array_equal(self._poses[0], parent_from_child)
        if changed:
            self._stamps, self._poses = [0], [parent_from_child]
        return changed

    def latest(self) -> Pose:
        """Return the pose with the newest stamp."""
        return self._poses[-1]

    def at(self, stamp_ns: int) -> PoseAt:
        """Return the pose at a moment."""
        count = len(self._stamps)
        if count == 1 or not self.moves:
            return PoseAt(self._poses[0], 0)
        after = bisect_right(self._stamps, stamp_ns)
        right = min(max(after, 1), count - 1)
        left = right - 1
        gap_ns = self._stamps[right] - self._stamps[left]
        outside_ns, ahead_ns = (
            max(stamp_ns - self._stamps[-1], self._stamps[0] - stamp_ns, 0),
            min(2 * gap_ns, MAX_AHEAD_NS),
        )
        if gap_ns > MAX_GAP_NS or outside_ns > ahead_ns:
            held = min(max(after - 1, 0), count - 1)
            away_ns = abs(stamp_ns - self._stamps[held])
            return PoseAt(self._poses[held], away_ns if away_ns > ahead_ns else 0)
        first, second = self._poses[left], self._poses[right]
        if first is second:
            return PoseAt(first, 0)
        return PoseAt(interpolated_pose(first, second, (stamp_ns - self._stamps[left]) / gap_ns), 0)

    def _thin(self, at: int) -> None:
        """Drop what no moment needs: the middle of three equal poses in a row, and old poses."""
        for middle in range(min(at + 1, len(self._poses) - 2), max(at - 1, 1) - 1, -1):
            before, here, after = self._poses[middle - 1 : middle + 2]
            if before is here and here is after:
                del self._stamps[middle], self._poses[middle]
        oldest_ns = self._stamps[-1] - MAX_GAP_NS
        old = max(bisect_right(self._stamps, oldest_ns) - 1, len(self._stamps) - MAX_POSES, 0)
        del self._stamps[:old], self._poses[:old]
