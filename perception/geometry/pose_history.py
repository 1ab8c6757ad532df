"""Frames that move: the pose of a frame in its parent at any moment, from the poses that were measured.

Between two measurements the translation is linear and the rotation turns at a constant rate (slerp; Shoemake
1985), as tf2 does it. Shortly after the last one the motion goes on; later, the last pose is held.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
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
    """A pose at one moment: a fraction of the way from one measured pose to another.

    `held_ns`: how far away it was measured, where one pose is held for long; else 0.
    """

    first: Pose
    second: Pose
    fraction: float
    held_ns: int

    @property
    def parent_from_child(self) -> Pose:
        """The 4x4 pose."""
        return poses_at([self])[0]


def poses_at(moments: Sequence[PoseAt]) -> list[Pose]:
    """Return the 4x4 pose of each; one that lies on a measured pose is the same object."""
    poses = [moment.first for moment in moments]
    moving = [i for i, moment in enumerate(moments) if moment.first is not moment.second]
    if moving:
        first, second = (np.stack([moments[i][end] for i in moving]) for end in (0, 1))
        found = interpolated_poses(first, second, np.array([moments[i].fraction for i in moving]))
        for i, pose in zip(moving, found, strict=True):
            poses[i] = pose
    return poses


def interpolated_poses(first: Pose, second: Pose, fraction: Pose) -> Pose:
    """Return rigid poses [N, 4, 4] on the way between two; beyond it, on the same motion.

    Args:
        first, second: [N, 4, 4].
        fraction: [N].
    """
    poses = np.tile(np.eye(4), (len(first), 1, 1))
    poses[:, :3, 3] = first[:, :3, 3] + (second[:, :3, 3] - first[:, :3, 3]) * fraction[:, None]
    turn = _quaternions(np.swapaxes(first[:, :3, :3], 1, 2) @ second[:, :3, :3])
    sine = np.linalg.norm(turn[:, 1:], axis=1)
    half = np.arctan2(sine, turn[:, 0]) * fraction
    axis = turn[:, 1:] / np.where(sine > 0, sine, 1.0)[:, None]
    poses[:, :3, :3] = first[:, :3, :3] @ _rotations(np.cos(half), axis * np.sin(half)[:, None])
    return poses


def quaternions_from_rotations(rotations: Pose) -> Pose:
    """Return the unit quaternions x, y, z, w [N, 4] of rotations [N, 3, 3]."""
    return _quaternions(rotations)[:, [1, 2, 3, 0]]


def _quaternions(rotation: Pose) -> Pose:
    """Return the unit quaternions w, x, y, z [N, 4], w >= 0, of rotations [N, 3, 3]."""
    r = np.moveaxis(rotation, 0, 2)
    one = np.ones(len(rotation))
    # Four times the products of the quaternion's parts: the row of the largest part is the best conditioned.
    products = np.array(
        [
            [one + r[0, 0] + r[1, 1] + r[2, 2], r[2, 1] - r[1, 2], r[0, 2] - r[2, 0], r[1, 0] - r[0, 1]],
            [r[2, 1] - r[1, 2], one + r[0, 0] - r[1, 1] - r[2, 2], r[0, 1] + r[1, 0], r[0, 2] + r[2, 0]],
            [r[0, 2] - r[2, 0], r[0, 1] + r[1, 0], one - r[0, 0] + r[1, 1] - r[2, 2], r[1, 2] + r[2, 1]],
            [r[1, 0] - r[0, 1], r[0, 2] + r[2, 0], r[1, 2] + r[2, 1], one - r[0, 0] - r[1, 1] + r[2, 2]],
        ]
    )
    rows = np.arange(len(rotation))
    quaternions = products[np.argmax(products[range(4), range(4)], axis=0), :, rows]
    quaternions /= np.linalg.norm(quaternions, axis=1)[:, None]
    unit: Pose = np.where(quaternions[:, :1] < 0, -quaternions, quaternions)
    return unit


def _rotations(w: Pose, xyz: Pose) -> Pose:
    """Return the rotations [N, 3, 3] of unit quaternions."""
    x, y, z = xyz.T
    rotations = np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )
    return np.moveaxis(rotations, 2, 0)


class PoseHistory:
    """The recent poses of one frame in its parent, by stamp. Of a frame that rests, at most two are kept.

    Args:
        parent: The parent frame.
    """

    def __init__(self, parent: str) -> None:
        self.parent = parent
        self.moves = False
        """Whether different poses are known."""
        self._stamps: list[int] = []
        self._poses: list[Pose] = []
        self._delay_ns: int | None = None  # arrival less stamp of the last pose
        self._is_left_out = False  # whether the last pose was

    def add(self, stamp_ns: int, parent_from_child: Pose, arrival_ns: int | None = None) -> bool:
        """Add a pose, in any order of stamps; of two with one stamp the later one counts.

        Args:
            stamp_ns: When it was measured.
            parent_from_child: 4x4.
            arrival_ns: When it came: a single pose whose stamp is of another clock is left out, as it would
                push out all others. With a second one the history begins anew. None: not known.

        Returns:
            Whether anything but the time of a frame that rests has changed.
        """
        if arrival_ns is not None and self._is_strange(stamp_ns, arrival_ns - stamp_ns):
            return False
        at = bisect_left(self._stamps, stamp_ns)
        for neighbour in self._poses[max(at - 1, 0) : at + 1]:
            if (neighbour == parent_from_child).all():
                parent_from_child = neighbour  # equal poses are one object: a frame that rests has one pose
        changed = self.moves or not self._poses
        if at < len(self._stamps) and self._stamps[at] == stamp_ns:
            changed = changed or self._poses[at] is not parent_from_child
            self._poses[at] = parent_from_child
        else:
            self._stamps.insert(at, stamp_ns)
            self._poses.insert(at, parent_from_child)
            self._thin(at)
        self.moves = any(pose is not self._poses[0] for pose in self._poses)
        return changed or self.moves

    def settle(self, parent_from_child: Pose) -> bool:
        """Forget the times: one pose holds from now on, until another is added. Return whether it is new."""
        changed = len(self._poses) != 1 or not np.array_equal(self._poses[0], parent_from_child)
        self._delay_ns = None
        if changed:
            self._stamps, self._poses, self.moves = [0], [parent_from_child], False
        return changed

    def latest(self) -> Pose:
        """Return the pose with the newest stamp."""
        return self._poses[-1]

    def at(self, stamp_ns: int) -> PoseAt:
        """Return the pose at a moment."""
        count = len(self._stamps)
        if count == 1 or not self.moves:
            return PoseAt(self._poses[0], self._poses[0], 0.0, 0)
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
            rests = self._poses[left] is self._poses[right]  # there was no motion that could go on
            unsure = away_ns > ahead_ns and not rests
            return PoseAt(self._poses[held], self._poses[held], 0.0, away_ns if unsure else 0)
        return PoseAt(self._poses[left], self._poses[right], (stamp_ns - self._stamps[left]) / gap_ns, 0)

    def _is_strange(self, stamp_ns: int, delay_ns: int) -> bool:
        """Return whether a pose alone has a stamp of another clock than those before.

        At the second one in a row these are forgotten.
        """
        near = not self._stamps or abs(stamp_ns - self._stamps[-1]) <= MAX_GAP_NS
        if near or self._delay_ns is None or abs(delay_ns - self._delay_ns) <= MAX_GAP_NS:
            self._delay_ns, self._is_left_out = delay_ns, False
        elif self._is_left_out:
            self._stamps, self._poses, self.moves = [], [], False
            self._delay_ns, self._is_left_out = delay_ns, False
        else:
            self._is_left_out = True
        return self._is_left_out

    def _thin(self, at: int) -> None:
        """Drop what no moment needs: the middle of three equal poses in a row, and old poses."""
        for middle in range(min(at + 1, len(self._poses) - 2), max(at - 1, 1) - 1, -1):
            before, here, after = self._poses[middle - 1 : middle + 2]
            if before is here and here is after:
                del self._stamps[middle], self._poses[middle]
        oldest_ns = self._stamps[-1] - MAX_GAP_NS
        old = max(bisect_right(self._stamps, oldest_ns) - 1, len(self._stamps) - MAX_POSES, 0)
        del self._stamps[:old], self._poses[:old]
