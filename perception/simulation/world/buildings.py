"""Buildings, containers and walls on both sides of the route, and the occupancy of the ground."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from perception.geometry import Matrix
from perception.simulation.objects.colours import grey, palette, pick
from perception.simulation.objects.shapes import Vec3
from perception.simulation.random_draws import pick_one, uniforms
from perception.simulation.world.paths import Path
from perception.simulation.world.scene import Building

SURFACES = {
    "street": ("brick", "plaster", "plaster", "stone"),
    "yard": ("metal", "concrete", "brick", "metal"),
}
WALL_TINTS = palette("75 70 62   62 36 28   82 80 76   55 57 60   78 62 42   50 55 50")
CONTAINER_TINTS = palette("15 30 55   60 20 12   15 42 28   75 75 72   70 48 12   35 36 38")
CONTAINER_LENGTH_M = 6.06
BACKGROUND_STEP_M = 14.0


@dataclass(eq=False)
class Occupancy:
    """The ground that is taken: `paths` and `discs` are rows of x, y and half width or radius, in m."""

    paths: Matrix = field(default_factory=lambda: np.zeros((0, 3)))
    discs: Matrix = field(default_factory=lambda: np.zeros((0, 3)))
    buildings: list[Building] = field(default_factory=list)

    def add_path(self, path: Path, half_width_m: float) -> None:
        """Reserve a strip along a path."""
        points = path.points[::2]
        rows = np.column_stack([points, np.full(len(points), half_width_m)])
        self.paths = np.concatenate([self.paths, rows])

    def add_disc(self, x: float, y: float, radius_m: float) -> None:
        """Reserve a disc."""
        self.discs = np.concatenate([self.discs, [[x, y, radius_m]]])

    def is_free(self, x: float, y: float, radius_m: float, gap_m: float = 0.25) -> bool:
        """Return whether a disc fits at a place."""
        reach = radius_m + gap_m
        for taken in (self.paths, self.discs):
            if len(taken) and np.any(np.hypot(taken[:, 0] - x, taken[:, 1] - y) < taken[:, 2] + reach):
                return False
        return all(building.distance_to(np.array([[x, y]]))[0] > reach for building in self.buildings)


def make_buildings(
    rng: np.random.Generator, place: str, route: Path, occupancy: Occupancy
) -> tuple[Building, ...]:
    """Draw the buildings, containers and walls on both sides, clear of every path.

    `place` is "street" or "yard". The buildings are added to the occupancy too.
    """
    for side in (-1.0, 1.0):
        station = -6.0
        while station < route.length_m + 4:
            size = _draw_size(rng, place)
            _place_beside(rng, place, route, station + size[0] / 2, side, size, occupancy)
            station += size[0] + (rng.uniform(0.3, 4.0) if place == "street" else rng.uniform(1.0, 9.0))
    for side in (-1.0, 1.0):  # buildings far behind, so that the horizon is not bare
        for station in np.arange(-10, route.length_m + 40, BACKGROUND_STEP_M):
            lateral = side * (30 + rng.uniform(0, 8))
            size = (BACKGROUND_STEP_M, 6.0, rng.uniform(3, 11))
            building = _building(rng, place, *route.beside(float(station), lateral), size)
            if np.all(building.distance_to(occupancy.paths[:, :2]) > 8):
                occupancy.buildings.append(building)
    x, y, heading = route.at(route.length_m)
    x, y = x + 14.0 * float(np.cos(heading)), y + 14.0 * float(np.sin(heading))
    occupancy.buildings.append(_building(rng, place, x, y, heading + np.pi / 2, (40.0, 6.0, 7.0)))
    return tuple(occupancy.buildings)


def _place_beside(
    rng: np.random.Generator,
    place: str,
    route: Path,
    station_m: float,
    side: float,
    size: Vec3,
    occupancy: Occupancy,
) -> None:
    """Place a building beside the route where it is clear of paths and buildings; try four distances."""
    nearest, farthest, turn = (6.5, 11.0, 0.05) if place == "street" else (5.5, 15.0, 0.2)
    for attempt in range(4):
        lateral = side * (rng.uniform(nearest, farthest) + 4.0 * attempt + size[1] / 2)
        x, y, heading = route.beside(station_m, lateral)
        building = _building(rng, place, x, y, heading + rng.normal(0, turn), size)
        paths = occupancy.paths
        near = paths[np.hypot(paths[:, 0] - x, paths[:, 1] - y) < 25]
        clear = not len(near) or bool(np.all(building.distance_to(near[:, :2]) > near[:, 2] + 1.0))
        outline = _outline(building)
        if clear and all(np.min(other.distance_to(outline)) > 0.4 for other in occupancy.buildings):
            occupancy.buildings.append(building)
            return


def _draw_size(rng: np.random.Generator, place: str) -> Vec3:
    """Draw length along the front, depth and height, m."""
    if place == "street":
        length, depth, height = uniforms(rng, (7, 16), (6, 9), (3.5, 11))
        return length, depth, height
    kind = rng.random()
    if kind < 0.35:
        return CONTAINER_LENGTH_M, 2.44, 2.59 * pick_one(rng, (1, 1, 2))  # some stacked
    if kind < 0.6:
        return rng.uniform(5, 12), 0.3, rng.uniform(1.6, 3.0)
    length, depth, height = uniforms(rng, (8, 18), (6, 10), (4, 9))
    return length, depth, height


def _building(rng: np.random.Generator, place: str, x: float, y: float, yaw: float, size: Vec3) -> Building:
    roof = pick(rng, (grey(rng.uniform(0.25, 0.5)), (0.45, 0.22, 0.16), (0.3, 0.3, 0.34)))
    if abs(size[0] - CONTAINER_LENGTH_M) < 1e-6:
        tint = pick(rng, CONTAINER_TINTS)
        return Building(x, y, yaw, size, "container", tint, tint)
    surfaces = ("wall_brick", "wall_concrete") if size[1] < 0.5 else SURFACES[place]
    return Building(x, y, yaw, size, pick_one(rng, surfaces), pick(rng, WALL_TINTS), roof)


def _outline(building: Building) -> Matrix:
    """Return points [21, 2] on the outline and the middle line of a footprint."""
    c, s = np.cos(building.yaw), np.sin(building.yaw)
    points = np.array([(a, b) for a in np.linspace(-0.5, 0.5, 7) for b in (-0.5, 0.0, 0.5)])
    local = points * building.size_m[:2]
    return np.asarray(local @ np.array([[c, s], [-s, c]]) + (building.x, building.y))
