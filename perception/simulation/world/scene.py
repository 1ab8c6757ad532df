"""A scene: all objects of a simulated world, their places and their plans, as plain data."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from perception.geometry import Matrix, pose_matrix
from perception.simulation.objects.shapes import Figure, Vec3, mirrored_figure
from perception.simulation.world.conditions import Conditions
from perception.simulation.world.paths import Path
from perception.simulation.world.terrain import Terrain

WIDTH, HEIGHT = 512, 256
MAX_RANGE_M = 30.0
BEAMS = 361
FIELD_OF_VIEW = float(np.deg2rad(270))


@dataclass(frozen=True, slots=True)
class SensorRig:
    """The poses of camera and lidar on the robot; base_link is on the ground, x forward, y left, z up."""

    camera_pos: Vec3
    camera_pitch: float  # rad, looking down positive
    focal_px: float
    lidar_pos: Vec3

    @property
    def intrinsics(self) -> Matrix:
        """Return K [3, 3]; (0, 0) is the corner of the image, not the centre of its first pixel."""
        return np.array([[self.focal_px, 0, WIDTH / 2], [0, self.focal_px, HEIGHT / 2], [0, 0, 1.0]])

    @property
    def base_from_camera(self) -> Matrix:
        """Return the 4x4 pose of the optical frame (x right, y down, z forward)."""
        half = self.camera_pitch / 2
        tilt = pose_matrix(self.camera_pos, (0.0, float(np.sin(half)), 0.0, float(np.cos(half))))
        optical = np.eye(4)
        optical[:3, :3] = [[0, 0, 1], [-1, 0, 0], [0, -1, 0]]
        return tilt @ optical

    @property
    def base_from_lidar(self) -> Matrix:
        """Return the 4x4 pose of the lidar."""
        return pose_matrix(self.lidar_pos, (0.0, 0.0, 0.0, 1.0))


@dataclass(frozen=True, slots=True)
class PathPaint:
    """The lines on the ground: the route in one colour, the branches in others."""

    route: Vec3
    branches: tuple[Vec3, ...]
    width_m: float
    dash_m: float  # 0: a solid line
    wear: float  # 0 new to 1 nearly worn off


@dataclass(frozen=True, slots=True)
class Item:
    """An object that does not move."""

    figure: Figure
    x: float
    y: float
    yaw: float


@dataclass(frozen=True, slots=True)
class Actor:
    """An object that moves along a path.

    It stands at `start_m` of its path until the robot has reached station `trigger_m` of the route, then
    moves at `speed_m_s`, stopping for each of `pauses` (station m, seconds).
    """

    figure: Figure
    path: Path
    speed_m_s: float
    start_m: float
    trigger_m: float
    pauses: tuple[tuple[float, float], ...] = ()
    leads: bool = False  # moves on the route, ahead of the robot


@dataclass(frozen=True, slots=True)
class Building:
    """A building, a container or a wall: a box with a surface texture."""

    x: float
    y: float
    yaw: float
    size_m: Vec3  # length along the front, depth, height
    surface: str
    tint: Vec3
    roof: Vec3

    def distance_to(self, points: Matrix) -> Matrix:
        """Return the distance [N] of points [N, 2] to the footprint, m; 0 inside."""
        c, s = np.cos(self.yaw), np.sin(self.yaw)
        delta = points - (self.x, self.y)
        local = np.abs(
            np.stack([c * delta[:, 0] + s * delta[:, 1], -s * delta[:, 0] + c * delta[:, 1]], axis=1)
        )
        outside = np.maximum(local - (self.size_m[0] / 2, self.size_m[1] / 2), 0.0)
        return np.asarray(np.hypot(outside[:, 0], outside[:, 1]))


@dataclass(frozen=True, slots=True)
class Scene:
    """A simulated world. `mirror`: left and right have been exchanged, in all other attributes too."""

    seed: int
    mirror: bool
    place: str
    conditions: Conditions
    rig: SensorRig
    terrain: Terrain
    route: Path
    branches: tuple[Path, ...]
    paint: PathPaint
    items: tuple[Item, ...]
    actors: tuple[Actor, ...]
    buildings: tuple[Building, ...]
    start_m: float
    top_speed_m_s: float

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """Return x0, x1, y0, y1 of the ground, m."""
        points = np.concatenate([self.route.points, *(b.points for b in self.branches)])
        (x0, y0), (x1, y1) = points.min(axis=0) - 24, points.max(axis=0) + 24
        return float(x0), float(x1), float(y0), float(y1)

    def mirrored(self) -> Scene:
        """Return the scene with left and right exchanged."""
        return replace(
            self,
            mirror=not self.mirror,
            conditions=self.conditions.mirrored(),
            terrain=self.terrain.mirrored(),
            route=self.route.mirrored(),
            branches=tuple(b.mirrored() for b in self.branches),
            items=tuple(Item(mirrored_figure(i.figure), i.x, -i.y, -i.yaw) for i in self.items),
            actors=tuple(
                replace(a, figure=mirrored_figure(a.figure), path=a.path.mirrored()) for a in self.actors
            ),
            buildings=tuple(replace(b, y=-b.y, yaw=-b.yaw) for b in self.buildings),
        )


def make_rig(rng: np.random.Generator) -> SensorRig:
    """Draw sensor poses and a focal length, which differ a little from robot to robot."""
    return SensorRig(
        (rng.uniform(0.15, 0.35), 0.0, rng.uniform(1.1, 1.5)),
        float(np.deg2rad(rng.uniform(4, 9))),
        float(np.round(rng.uniform(285, 315), 2)),
        (rng.uniform(0.3, 0.45), 0.0, rng.uniform(0.36, 0.46)),
    )
