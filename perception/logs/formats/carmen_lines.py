"""The lines of a CARMEN log as messages: laser scans, odometry, and where the lasers sit."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from perception.geometry import Matrix
from perception.logs.formats import encoding
from perception.types import Float64

ODOM_FIELDS = ("pose.x", "pose.y", "pose.theta", "speed", "yaw_rate", "acceleration")
POSE_FIELDS = ("pose.x", "pose.y", "pose.theta", "odom.x", "odom.y", "odom.theta")
TAIL = 3  # words behind the content: the time of the sender, its host, the time of the logger
SICK_MAX_M = 80.0
"""A SICK LMS writes 81.9 and the like where nothing was hit."""

_MAX_BEAMS = 1 << 16
_QUARTER_DEGREES = 401  # beams of a SICK at 0.25 degrees, which then sees 100 of them


class Scan(NamedTuple):
    """The scan of a line: ranges from right to left, NaN without a return, and the first and last angle."""

    ranges_m: Float64
    start: float
    end: float
    intensities: Float64
    poses: Float64  # [6]: x, y, theta of the laser, then of the robot; empty where the line has none

    def message(self, stamp_ns: int, frame_id: str) -> bytes:
        """Return the scan as a LaserScan."""
        return encoding.scan(stamp_ns, frame_id, self.ranges_m, self.start, self.end, self.intensities)


def is_whole(words: Sequence[bytes]) -> bool:
    """Return whether a line of a laser, ODOM or TRUEPOS has as many words as it says."""
    try:
        if b"LASER" not in words[0]:
            return len(words) == 1 + len(ODOM_FIELDS) + TAIL
        if words[0] in (b"FLASER", b"RLASER"):
            return len(words) == 2 + _count(words, 1) + 6 + TAIL
        behind = 10 + (count := _count(words, 8)) + _count(words, 9 + count)
        return len(words) in (behind + TAIL, behind + 11 + TAIL)
    except ValueError:
        return False


def parse_old_scan(text: bytes, max_m: float) -> Scan:
    """Return the scan of a line `FLASER n r1 .. rn x y theta odom_x odom_y odom_theta` (180 degrees).

    Raises:
        ValueError: The line is cut off, or a word of it is no number.
    """
    words = text.split()
    count = _count(words, 1)
    if len(words) != 2 + count + 6 + TAIL:
        raise ValueError(f"a scan of {count} ranges and a pose, in a line of {len(words)} words")
    ranges = _numbers(words[2 : 2 + count])
    view = math.radians(100) if count == _QUARTER_DEGREES else math.pi
    step = view / max(count - count % 2, 1)
    scan_end = -view / 2 + step * (count - 1)
    empty = np.empty(0)
    return Scan(_returns(ranges, max_m), -view / 2, scan_end, empty, _numbers(words[2 + count : -TAIL]))


def parse_scan(text: bytes) -> Scan:
    """Return the scan of a line `ROBOTLASER1` or `RAWLASER1`, which says its angles and its largest range.

    Raises:
        ValueError: The line is cut off, or a word of it is no number.
    """
    words = text.split()
    count = _count(words, 8)
    remissions = _count(words, 9 + count)
    behind = 10 + count + remissions
    if len(words) not in (behind + TAIL, behind + 11 + TAIL):
        raise ValueError(
            f"a scan of {count} ranges and {remissions} remissions, in a line of {len(words)} words"
        )
    start, _, step, max_m = _numbers(words[2:6])
    ranges = _returns(_numbers(words[9 : 9 + count]), max_m)
    intensities = _numbers(words[10 + count : behind]) if remissions == count else np.empty(0)
    poses = _numbers(words[behind : behind + 6]) if len(words) > behind + TAIL else np.empty(0)
    return Scan(ranges, float(start), float(start + step * (count - 1)), intensities, poses)


def parse_fields(text: bytes, fields: Sequence[str]) -> Mapping[str, float]:
    """Return the numbers of a line by name.

    Raises:
        ValueError: The line has others, or a word of it is no number.
    """
    words = text.split()[1:-TAIL]
    if len(words) != len(fields):
        raise ValueError(f"expected {len(fields)} numbers ({', '.join(fields)}), found {len(words)}")
    return dict(zip(fields, _numbers(words).tolist(), strict=True))


def mount_of(scans: Sequence[Scan]) -> tuple[Matrix, bool]:
    """Return `base_from_laser`, and whether the poses of all these scans agree on it, to 0.01."""
    mounts = [_relative(scan.poses) for scan in scans if len(scan.poses) and np.isfinite(scan.poses).all()]
    if not mounts or not np.allclose(mounts, mounts[0], atol=0.01, rtol=0):
        return np.eye(4), False
    x, y, theta = mounts[0]
    mount = np.eye(4)
    mount[:2, :2] = [[math.cos(theta), -math.sin(theta)], [math.sin(theta), math.cos(theta)]]
    mount[:2, 3] = x, y
    return mount, True


def _relative(poses: Float64) -> tuple[float, float, float]:
    x, y, theta = poses[:3] - poses[3:]
    cos, sin = math.cos(poses[5]), math.sin(poses[5])
    return cos * x + sin * y, cos * y - sin * x, math.remainder(theta, 2 * math.pi)


def _returns(ranges: Float64, max_m: float) -> Float64:
    return np.where((ranges > 0) & (ranges < max_m), ranges, np.nan)


def _count(words: Sequence[bytes], index: int) -> int:
    if len(words) <= index or not words[index].isdigit() or len(words[index]) > 6:
        raise ValueError("a scan that does not say how many readings it has")
    count = int(words[index])
    if count > _MAX_BEAMS:
        raise ValueError(f"a scan of {count} readings: up to {_MAX_BEAMS} are taken")
    return count


def _numbers(words: Sequence[bytes]) -> Float64:
    return np.array(list(map(float, words)), np.float64)
