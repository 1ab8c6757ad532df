"""How far boxes are by the ground that they stand on."""

from __future__ import annotations

import numpy as np

from perception.geometry import Matrix, rays
from perception.models.returns_distance import Distances
from perception.types import Float64, Rig

GROUND_FRAMES = ("base_footprint",)
"""Frames whose plane z = 0 is the ground, by convention (REP 120)."""

LEVEL_FRAMES = ("base_link", "base", "ego_vehicle", "vehicle")
"""Frames whose z is up on a vehicle that stands level, by convention (REP 105)."""

EDGE_SHARE, EDGE_PX = 0.03, 1.0
"""How well a box says where its object stands: this share of its height and these pixels, one deviation."""


def ground_from(rig: Rig, camera_height_m: float | None) -> tuple[Matrix, float] | None:
    """Return the direction "up" [3] in the camera's frame and the camera's height over the ground in metres.

    Args:
        rig: Its transforms.
        camera_height_m: As configured; None: known only from a frame that lies on the ground
            (`GROUND_FRAMES`). With it, up is that of a level frame of the vehicle; without transforms the
            camera looks level.
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
    known = [frame for frame in LEVEL_FRAMES if frame in frames]
    camera_from_vehicle = rig.camera_from(known[0]) if known else None
    up = np.array([0.0, -1.0, 0.0]) if camera_from_vehicle is None else camera_from_vehicle[:3, 2]
    return up, camera_height_m


def distances_on_ground(rig: Rig, up: Matrix, height_m: float, boxes: Float64, depth_m: Float64) -> Distances:
    """Return the distances of objects that stand on level ground at the lower edges of their boxes.

    Not known where that edge is at the rim of the picture, or where the horizon is within its deviation.

    Args:
        rig: Its camera can project.
        up, height_m: As `ground_from` returns them.
        boxes: [K, 4] `xyxy`, recorded pixels.
        depth_m: [K], half the depth of each object: the edge is that of its near side.
    """
    camera = rig.calibration
    assert camera is not None
    x1, y1, x2, y2 = boxes.T
    slack, middle = EDGE_PX + EDGE_SHARE * (y2 - y1), (x1 + x2) / 2
    edges = np.concatenate([y2, y2 - slack, y2 + slack])
    pixels = np.stack([np.tile(middle, 3), edges], axis=1)
    directions = rays(pixels, camera.intrinsics, camera.distortion, camera.distortion_model)
    with np.errstate(divide="ignore", invalid="ignore"):
        drops = -(directions @ up).reshape(3, -1)
        lengths = np.linalg.norm(directions, axis=1).reshape(3, -1)
        metres, _, near = height_m * lengths / drops
        std = np.maximum(np.abs(metres - near), 0.05 * metres)
        known = np.isfinite(drops).all(0) & (drops > 1e-6).all(0) & (std <= metres)
    known &= (y2 < camera.height - 1.5) & (height_m > 0)
    return Distances(np.where(known, metres + depth_m, np.nan), np.where(known, std, np.nan))
