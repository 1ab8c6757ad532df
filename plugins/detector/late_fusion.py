"""How far each box is: from the returns inside it, else from the ground below it.

Dimension letters: N returns in the picture, K boxes.
"""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from perception.geometry import Matrix, project, rays
from perception.types import CameraInfo, RangeScan, Rig, Sample

Float64 = NDArray[np.float64]

SIDE, TOP, BOTTOM = 0.2, 0.1, 0.3
"""Left out at the edges of a box, as fractions of it: there the background and the ground show."""

DENSE = 0.7
"""The nearest group of returns with this share of the largest group's is the object. Rays are spread evenly
over the picture, so a group's count is the area that it covers: a smaller one in front is a branch, rain, or
the rim of another object. 0.1 gave 12 % median error on a street, 0.7 gave 3.3 %."""

RIVAL = 0.3
"""A group with this share of the largest may be the object too; the deviation says so."""

GAP_M, GAP_SHARE = 0.8, 0.04
"""Returns whose ranges differ by more (metres, or this share of the range) are of different things."""

GROUND_FRAMES = ("base_footprint",)
"""Frames whose plane z = 0 is the ground, by convention (REP 120)."""

EDGE_SHARE, EDGE_PX = 0.03, 1.0
"""How well a box says where its object stands: this share of its height and these pixels, one deviation."""

DEPTH_M = {
    "person": 0.3, "pedestrian": 0.3, "rider": 0.6, "cyclist": 0.9, "bicycle": 0.9, "motorcycle": 1.0,
    "car": 2.2, "vehicle": 2.2, "van": 2.5, "truck": 3.2, "bus": 5.0, "train": 8.0,
    "cone": 0.15, "barrel": 0.3, "traffic cone": 0.15,
}  # fmt: skip
"""Half the depth of usual objects: returns are on the near side, and a distance is that of the centre."""


class Distance(NamedTuple):
    """Metres from the camera to the centre of an object, and one standard deviation."""

    metres: float
    std: float


class PlacedReturns(NamedTuple):
    """The returns in the picture, by rising u: recorded pixels u, v [N], metres from the camera [N]."""

    u: Float64
    v: Float64
    range_m: Float64
    sensors: tuple[str, ...]


def placed_returns(sample: Sample, max_range_m: float) -> PlacedReturns | None:
    """Return the returns of a sample that the rig places in the picture; None where it cannot place them.

    A return counts when it is finite and within `max_range_m` of its sensor.
    """
    calibration = sample.rig.calibration
    if calibration is None or not calibration.can_project:
        return None
    parts, names = [], []
    for source in sample.ranges.values():
        part = (
            _placed(source.value, sample.rig, calibration, max_range_m) if source.value is not None else None
        )
        if part is not None:
            parts.append(part)
            names.append(source.name)
    if not parts:
        return None
    u, v, range_m = np.concatenate(parts, axis=1)
    order = np.argsort(u, kind="stable")
    return PlacedReturns(u[order], v[order], range_m[order], tuple(names))


def _placed(scan: RangeScan, rig: Rig, camera: CameraInfo, max_range_m: float) -> Float64 | None:
    """Return u, v and range [3, N] of the returns of one scan that are in the picture."""
    camera_from_sensor = rig.camera_from(scan.frame_id, scan.stamp_ns)
    if camera_from_sensor is None:
        return None
    points = np.asarray(scan.points_m, dtype=np.float64).reshape(-1, 3)
    with np.errstate(over="ignore", invalid="ignore"):
        from_sensor = np.sqrt((points * points).sum(1))
        points = points[(from_sensor > 1e-3) & (from_sensor <= max_range_m)]
        points = points @ camera_from_sensor[:3, :3].T + camera_from_sensor[:3, 3]
        points = points[points[:, 2] > 1e-3]
        pixels = project(points, camera.intrinsics, camera.distortion, camera.distortion_model)
        inside = ((pixels >= 0) & (pixels <= (camera.width, camera.height))).all(1)
    points, pixels = points[inside], pixels[inside]
    return np.stack([pixels[:, 0], pixels[:, 1], np.sqrt((points * points).sum(1))])


def distance_from_returns(
    returns: PlacedReturns, box: tuple[float, float, float, float], label: str, least: int
) -> Distance | None:
    """Return the distance of the nearest dense group of returns inside a box; None where there is none.

    Args:
        returns: Those in the picture.
        box: `xyxy`, recorded pixels.
        label: The class; half its usual depth is added.
        least: The fewest returns that are a group.
    """
    x1, y1, x2, y2 = box
    width, height = x2 - x1, y2 - y1
    columns = slice(*np.searchsorted(returns.u, (x1 + width * SIDE, x2 - width * SIDE)))
    v = returns.v[columns]
    ranges = returns.range_m[columns][(v >= y1 + height * TOP) & (v <= y2 - height * BOTTOM)]
    if len(ranges) < least:
        return None
    ranges = np.sort(ranges)
    gaps = np.diff(ranges) > np.maximum(GAP_M, GAP_SHARE * ranges[:-1])
    ends = [0, *(np.flatnonzero(gaps) + 1).tolist(), len(ranges)]
    groups = [slice(start, end) for start, end in pairwise(ends)]
    counts = [group.stop - group.start for group in groups]
    most = max(counts)
    if most < least:
        return None
    chosen = next(i for i, count in enumerate(counts) if count >= max(least, DENSE * most))
    depth, spread = _half_depth(label), float(ranges[groups[chosen]].std())
    middles = [float(ranges[(group.start + group.stop - 1) // 2]) for group in groups]  # ranges are sorted
    # A group that is deep is seen along its side: its middle is then nearer to the centre than its front.
    metres = middles[chosen] + max(depth - spread, 0.0)
    rivals = [i for i, count in enumerate(counts) if count >= RIVAL * most]
    square = sum(counts[i] * (middles[i] - middles[chosen]) ** 2 for i in rivals)
    doubt = square / sum(counts[i] for i in rivals)
    return Distance(metres, (0.1**2 + (0.35 * depth) ** 2 + spread**2 + doubt) ** 0.5)


def _half_depth(label: str) -> float:
    return DEPTH_M.get(label.lower(), 0.0)


def ground_from(rig: Rig, camera_height_m: float | None) -> tuple[Matrix, float] | None:
    """Return the direction "up" [3] in the camera's frame and the camera's height over the ground in metres.

    Args:
        rig: Its transforms.
        camera_height_m: As configured; None: known only from a frame that lies on the ground
            (`GROUND_FRAMES`). With it, up is that of the root of the camera's transforms; without transforms
            the camera looks level.
    """
    if rig.calibration is None or not rig.calibration.can_project:
        return None
    frames = rig.transforms.frames()
    for frame in GROUND_FRAMES:
        camera_from_ground = rig.camera_from(frame) if frame in frames else None
        if camera_from_ground is not None:
            up = camera_from_ground[:3, 2]
            return up, float(-up @ camera_from_ground[:3, 3])
    if camera_height_m is None:
        return None
    root = _vehicle_frame(rig)
    up = np.array([0.0, -1.0, 0.0]) if root is None else root[:3, 2]
    return up, camera_height_m


def _vehicle_frame(rig: Rig) -> Matrix | None:
    """Return `camera_from_vehicle`, of a frame that is level by convention; None where there is none."""
    frames = rig.transforms.frames()
    known = [frame for frame in ("base_link", "base", "ego_vehicle", "vehicle") if frame in frames]
    return rig.camera_from(known[0]) if known else None


def distance_on_ground(
    camera: CameraInfo, up: Matrix, height_m: float, box: tuple[float, float, float, float], label: str
) -> Distance | None:
    """Return the distance of an object that stands on level ground at the lower edge of its box.

    None where that edge is at the rim of the picture or not below the horizon.
    """
    x1, _, x2, y2 = box
    if y2 >= camera.height - 1.5 or height_m <= 0:
        return None
    slack = EDGE_PX + EDGE_SHARE * (y2 - box[1])
    middle = (x1 + x2) / 2
    pixels = np.array([[middle, y2], [middle, y2 - slack], [middle, y2 + slack]])
    directions = rays(pixels, camera.intrinsics, camera.distortion, camera.distortion_model)
    drops = -(directions @ up)
    if not np.isfinite(drops).all() or drops[0] <= 1e-6:
        return None
    lengths = np.linalg.norm(directions, axis=1)
    near, far = height_m * lengths[2] / drops[2], height_m * lengths[0] / drops[0]
    depth = _half_depth(label)
    std = max(abs(far - near), 0.05 * far)
    if drops[1] <= 1e-6 or std > far:  # the horizon is within the deviation of the edge: it says nothing
        return None
    return Distance(float(far + depth), float(std))
