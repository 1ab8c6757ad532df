"""Buildings, containers and walls on both sides of the way, and the ground that they and others take."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from perception.geometry import Matrix
from perception.simulation.objects.colours import pick
from perception.simulation.objects.shapes import Vec3
from perception.simulation.world.paths import Path
from perception.simulation.world.scene import Building

SURFACES = {
    "street": ("brick", "plaster", "plaster", "stone"),
    "yard": ("metal", "concrete", "brick", "metal"),
}
WALL_TINTS: tuple[Vec3, ...] = (
    (0.75, 0.70, 0.62),
    (0.62, 0.36, 0.28),
    (0.82, 0.80, 0.76),
    (0.55, 0.57, 0.60),
    (0.78, 0.62, 0.42),
    (0.5, 0.55, 0.5),
)
BOX_TINTS: tuple[Vec3, ...] = (
    (0.15, 0.30, 0.55),
    (0.60, 0.20, 0.12),
    (0.15, 0.42, 0.28),
    (0.75, 0.75, 0.72),
    (0.70, 0.48, 0.12),
    (0.35, 0.36, 0.38),
)


@dataclass(eq=False)
class Ground:
    """What is taken already: ways with their half widths, discs, blocks."""

    ways: Matrix = field(default_factory=lambda: np.zeros((0, 3)))
    discs: Matrix = field(default_factory=lambda: np.zeros((0, 3)))
    blocks: list[Building] = field(default_factory=list)

    def keep_way(self, path: Path, half_width_m: float) -> None:
        points = path.points[::2]
        self.ways = np.concatenate([self.ways, np.column_stack([points, np.full(len(points), half_width_m)])])

    def keep_disc(self, x: float, y: float, radius_m: float) -> None:
        self.discs = np.concatenate([self.discs, [[x, y, radius_m]]])

    def free(self, x: float, y: float, radius_m: float, gap_m: float = 0.25) -> bool:
        """Whether a disc can stand here."""
        for taken in (self.ways, self.discs):
            if len(taken) and np.any(
                np.hypot(taken[:, 0] - x, taken[:, 1] - y) < taken[:, 2] + radius_m + gap_m
            ):
                return False
        return all(block.distance_to(np.array([[x, y]]))[0] > radius_m + gap_m for block in self.blocks)


def make_blocks(rng: np.random.Generator, place: str, route: Path, ground: Ground) -> tuple[Building, ...]:
    """Buildings, containers and walls on both sides, clear of every way."""
    street = place == "street"
    for side in (-1.0, 1.0):
        s = -6.0
        while s < route.length_m + 4:
            size = _block_size(rng, street)
            for attempt in range(4):
                lateral = (
                    (float(rng.uniform(6.5, 11.0)) if street else float(rng.uniform(5.5, 15.0)))
                    + 4.0 * attempt
                    + size[1] / 2
                )
                x, y, heading = route.at(s + size[0] / 2)
                x, y = (
                    x - side * lateral * float(np.sin(heading)),
                    y + side * lateral * float(np.cos(heading)),
                )
                block = _block(
                    rng, place, x, y, heading + float(rng.normal(0, 0.05 if street else 0.2)), size
                )
                near = ground.ways[np.hypot(ground.ways[:, 0] - x, ground.ways[:, 1] - y) < 25]
                clear = not len(near) or bool(np.all(block.distance_to(near[:, :2]) > near[:, 2] + 1.0))
                corners = _corners(block)
                if clear and all(np.min(other.distance_to(corners)) > 0.4 for other in ground.blocks):
                    ground.blocks.append(block)
                    break
            s += size[0] + (float(rng.uniform(0.3, 4.0)) if street else float(rng.uniform(1.0, 9.0)))
    for side in (-1.0, 1.0):  # something far behind, so that the horizon is not bare
        for s in np.arange(-10, route.length_m + 40, 14.0):
            x, y, heading = route.at(float(s))
            out = 30 + float(rng.uniform(0, 8))
            size = (14.0, 6.0, float(rng.uniform(3, 11)))
            block = _block(
                rng,
                place,
                x - side * out * float(np.sin(heading)),
                y + side * out * float(np.cos(heading)),
                heading,
                size,
            )
            if np.all(block.distance_to(ground.ways[:, :2]) > 8):
                ground.blocks.append(block)
    x, y, heading = route.at(route.length_m)
    reach = 14.0
    ground.blocks.append(
        _block(
            rng,
            place,
            x + reach * float(np.cos(heading)),
            y + reach * float(np.sin(heading)),
            heading + np.pi / 2,
            (40.0, 6.0, 7.0),
        )
    )
    return tuple(ground.blocks)


def _block_size(rng: np.random.Generator, street: bool) -> Vec3:
    if street:
        return float(rng.uniform(7, 16)), float(rng.uniform(6, 9)), float(rng.uniform(3.5, 11))
    kind = rng.random()
    if kind < 0.35:
        return 6.06, 2.44, 2.59 * float(rng.choice([1, 1, 2]))  # containers, some stacked
    if kind < 0.6:
        return float(rng.uniform(5, 12)), 0.3, float(rng.uniform(1.6, 3.0))
    return float(rng.uniform(8, 18)), float(rng.uniform(6, 10)), float(rng.uniform(4, 9))


def _block(rng: np.random.Generator, place: str, x: float, y: float, yaw: float, size: Vec3) -> Building:
    grey = float(rng.uniform(0.25, 0.5))
    roof = pick(rng, ((grey, grey, grey), (0.45, 0.22, 0.16), (0.3, 0.3, 0.34)))
    if abs(size[0] - 6.06) < 1e-6:
        tint = pick(rng, BOX_TINTS)
        return Building(x, y, yaw, size, "container", tint, tint)
    if size[1] < 0.5:
        return Building(
            x, y, yaw, size, str(rng.choice(["wall_brick", "wall_concrete"])), pick(rng, WALL_TINTS), roof
        )
    return Building(x, y, yaw, size, str(rng.choice(SURFACES[place])), pick(rng, WALL_TINTS), roof)


def _corners(block: Building) -> Matrix:
    c, s = np.cos(block.yaw), np.sin(block.yaw)
    ring = np.array([(a, b) for a in np.linspace(-0.5, 0.5, 7) for b in (-0.5, 0.0, 0.5)]) * block.size_m[:2]
    return np.asarray(ring @ np.array([[c, s], [-s, c]]) + (block.x, block.y))
