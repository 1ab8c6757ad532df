"""Where things stand and go: a route with branches first, then who moves, then what stands, then walls."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from perception.geometry import Matrix
from perception.synthetic.colours import hsv, pick
from perception.synthetic.look import Look
from perception.synthetic.paths import Path, make_branch, make_route, path_through
from perception.synthetic.people import cyclist, person
from perception.synthetic.props import barrel, cone, lamp_post, scenery, tree
from perception.synthetic.scenario import Scenario, stream
from perception.synthetic.scene import Actor, Block, Item, PathPaint, Rig, Scene
from perception.synthetic.shapes import Figure, Vec3
from perception.synthetic.terrain import make_terrain
from perception.synthetic.vehicles import vehicle

START_M = 4.0
CORRIDOR_M = 1.15
"""Half width that is kept free of standing things along the route and its branches."""

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
class _Ground:
    """What is taken already: ways with their half widths, discs, blocks."""

    ways: Matrix = field(default_factory=lambda: np.zeros((0, 3)))
    discs: Matrix = field(default_factory=lambda: np.zeros((0, 3)))
    blocks: list[Block] = field(default_factory=list)

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


def lay_out(seed: int, scenario: Scenario, duration_s: float, look: Look, rig: Rig) -> Scene:
    """A scene for one drive (not mirrored)."""
    rng = stream(seed, "layout")
    place = scenario.place or str(rng.choice(["yard", "street"]))
    top_speed = float(rng.uniform(2.6, 4.6))
    top_speed = scenario.top_speed_m_s or top_speed
    driven = top_speed * 0.9 * duration_s
    route = make_route(rng, START_M + driven + 45.0, 0.8 if place == "street" else 1.2)
    forks = np.cumsum(rng.uniform(11, 24, int(driven / 11) + 4)) + 4.0
    branches = tuple(make_branch(rng, route, float(s)) for s in forks if s < route.length_m - 30)
    ground = _Ground()
    for way in (route, *branches):
        ground.keep_way(way, CORRIDOR_M)
    density = scenario.density
    actors = _actors(stream(seed, "actors"), route, driven, top_speed, density, ground)
    blocks = _blocks(stream(seed, "blocks"), place, route, ground)
    items = _items(stream(seed, "items"), place, route, driven, density, ground)
    return Scene(
        seed,
        False,
        place,
        look,
        rig,
        make_terrain(rng),
        route,
        branches,
        _paint(rng),
        items,
        actors,
        blocks,
        START_M,
        top_speed,
    )


def _paint(rng: np.random.Generator) -> PathPaint:
    own = hsv(float(rng.uniform(0.115, 0.165)), float(rng.uniform(0.75, 1.0)), float(rng.uniform(0.75, 1.0)))
    white, blue = (
        hsv(0.6, 0.03, float(rng.uniform(0.7, 0.95))),
        hsv(float(rng.uniform(0.53, 0.64)), 0.7, float(rng.uniform(0.5, 0.9))),
    )
    red = hsv(float(rng.uniform(0.96, 1.0)), 0.75, float(rng.uniform(0.5, 0.8)))
    others = [(white,), (blue,), (red,), (white, blue), (blue, red)][int(rng.integers(5))]
    dash = 0.0 if rng.random() < 0.6 else float(rng.uniform(0.8, 1.6))
    return PathPaint(own, others, float(rng.uniform(0.16, 0.34)), dash, float(rng.uniform(0.0, 0.65)))


def _actors(
    rng: np.random.Generator, route: Path, driven: float, top_speed: float, density: float, ground: _Ground
) -> tuple[Actor, ...]:
    actors: list[Actor] = []
    station = START_M + float(rng.uniform(9, 14))
    while station < START_M + driven + 15 and density > 0:
        actors.append(_crossing(rng, route, station, top_speed))
        station += float(rng.uniform(11, 22)) / max(density, 0.2)
    beside = round((driven / 13 + 2) * density)
    actors += [_beside(rng, route, driven) for _ in range(beside)]
    if rng.random() < 0.45 and density > 0:
        maker = [vehicle, cyclist, person][int(rng.choice(3, p=[0.45, 0.4, 0.15]))]
        figure = maker(rng)
        speed = top_speed * float(rng.uniform(0.55, 0.95)) if maker is not person else 1.4
        start = START_M + 8 + figure.size_m[0] / 2 + float(rng.uniform(0, 8))
        pauses = tuple(
            (start + float(s), float(rng.uniform(0.8, 2.5))) for s in np.cumsum(rng.uniform(10, 25, 4))
        )
        actors.append(Actor(figure, route, speed, start, -1.0, pauses, leads=True))
    for actor in actors:
        ground.keep_way(actor.path, actor.figure.size_m[1] / 2 + 0.25)
    return tuple(actors)


def _crossing(rng: np.random.Generator, route: Path, station: float, top_speed: float) -> Actor:
    """Someone who crosses the route about when the robot comes."""
    maker: Callable[[np.random.Generator], Figure] = [person, cyclist, vehicle][
        int(rng.choice(3, p=[0.5, 0.28, 0.22]))
    ]
    figure = maker(rng)
    speed = float(
        {"person": rng.uniform(0.9, 1.8), "cyclist": rng.uniform(2.0, 4.0), "vehicle": rng.uniform(2.0, 4.5)}[
            figure.label
        ]
    )
    x, y, heading = route.at(station)
    direction = heading + float(rng.choice([-1, 1])) * float(rng.uniform(1.1, 2.0))
    before = float(rng.uniform(3.2, 6.5)) if figure.label == "person" else float(rng.uniform(6, 10))
    after = float(rng.uniform(5, 11))
    bend = float(rng.normal(0, 0.02))
    t = np.arange(-before, after, 0.25)
    way = np.stack(
        [
            x + t * np.cos(direction) - bend * t**2 * np.sin(direction),
            y + t * np.sin(direction) + bend * t**2 * np.cos(direction),
        ],
        axis=1,
    )
    lead_in = before / speed * top_speed * 0.8 + float(rng.uniform(1.0, 5.0))
    return Actor(figure, path_through(way), speed, 0.0, station - lead_in)


def _beside(rng: np.random.Generator, route: Path, driven: float) -> Actor:
    """Someone who goes along the route, beside it, one way or the other."""
    maker = [person, cyclist, vehicle][int(rng.choice(3, p=[0.5, 0.32, 0.18]))]
    figure = maker(rng)
    speed = float(
        {"person": rng.uniform(0.7, 1.7), "cyclist": rng.uniform(1.8, 4.5), "vehicle": rng.uniform(2.0, 5.0)}[
            figure.label
        ]
    )
    lateral = float(rng.choice([-1, 1])) * (CORRIDOR_M + figure.size_m[1] / 2 + float(rng.uniform(0.3, 3.2)))
    start, reach = START_M + float(rng.uniform(5, driven + 20)), float(rng.uniform(12, 40))
    forward = rng.random() < 0.45
    end = min(start + reach, route.length_m - 2) if forward else max(start - reach, 0.0)
    trigger = start - float(rng.uniform(10, 30))
    pauses = ((float(rng.uniform(2, reach)), float(rng.uniform(1, 4))),) if rng.random() < 0.4 else ()
    return Actor(figure, route.offset(lateral, start, end), speed, 0.0, trigger, pauses)


def _items(
    rng: np.random.Generator, place: str, route: Path, driven: float, density: float, ground: _Ground
) -> tuple[Item, ...]:
    items: list[Item] = []
    far = START_M + driven + 28
    street = place == "street"

    def put(
        make: Callable[[np.random.Generator], Figure], s: float, lateral: float, yaw: float | None = None
    ) -> None:
        figure = make(rng)
        for attempt in range(6):
            x, y, heading = route.at(s + float(rng.normal(0, 0.7)) * attempt)
            out = float(np.copysign(abs(lateral) + figure.size_m[1] / 2 + 0.5 * attempt, lateral))
            x, y = x - out * float(np.sin(heading)), y + out * float(np.cos(heading))
            turn = (
                float(rng.uniform(-np.pi, np.pi))
                if yaw is None
                else heading + yaw + float(rng.normal(0, 0.06))
            )
            if ground.free(x, y, figure.radius_m):
                ground.keep_disc(x, y, figure.radius_m)
                items.append(Item(figure, x, y, turn))
                return

    def side() -> float:
        return float(rng.choice([-1.0, 1.0]))

    def times(per_m: float) -> range:
        return range(round(per_m * density * far))

    for _ in times(0.055):  # vehicles at rest, along the way or across
        put(
            vehicle,
            float(rng.uniform(6, far)),
            side() * float(rng.uniform(1.5, 5.0)),
            float(rng.choice([0, np.pi, np.pi / 2, -np.pi / 2], p=[0.4, 0.3, 0.15, 0.15])),
        )
    for _ in times(0.045):  # cones in rows, as people put them out
        s, lateral, gap = (
            float(rng.uniform(4, far)),
            side() * float(rng.uniform(1.3, 4.0)),
            float(rng.uniform(1.0, 2.2)),
        )
        for k in range(int(rng.integers(1, 5))):
            put(cone, s + k * gap, lateral + float(rng.normal(0, 0.15)))
    for _ in times(0.055):
        s, lateral = float(rng.uniform(4, far)), side() * float(rng.uniform(1.4, 6.0))
        for k in range(int(rng.integers(1, 4))):
            put(barrel, s + k * float(rng.uniform(0.8, 1.3)), lateral + float(rng.normal(0, 0.4)))
    for _ in times(0.075):
        put(person, float(rng.uniform(5, far)), side() * float(rng.uniform(1.5, 7.0)))
    for _ in times(0.025):
        put(cyclist, float(rng.uniform(5, far)), side() * float(rng.uniform(1.6, 5.0)))
    for _ in times(0.16):
        put(lambda r: scenery(r, street), float(rng.uniform(2, far)), side() * float(rng.uniform(1.6, 9.0)))
    for _ in range(int(far * 0.09)):
        put(tree, float(rng.uniform(0, far + 15)), side() * float(rng.uniform(4.0, 18.0)))
    for _ in range(int(far * (0.05 if street else 0.015))):
        put(lamp_post, float(rng.uniform(0, far + 15)), side() * float(rng.uniform(2.0, 5.0)))
    return tuple(items)


def _blocks(rng: np.random.Generator, place: str, route: Path, ground: _Ground) -> tuple[Block, ...]:
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


def _block(rng: np.random.Generator, place: str, x: float, y: float, yaw: float, size: Vec3) -> Block:
    grey = float(rng.uniform(0.25, 0.5))
    roof = pick(rng, ((grey, grey, grey), (0.45, 0.22, 0.16), (0.3, 0.3, 0.34)))
    if abs(size[0] - 6.06) < 1e-6:
        tint = pick(rng, BOX_TINTS)
        return Block(x, y, yaw, size, "container", tint, tint)
    if size[1] < 0.5:
        return Block(
            x, y, yaw, size, str(rng.choice(["wall_brick", "wall_concrete"])), pick(rng, WALL_TINTS), roof
        )
    return Block(x, y, yaw, size, str(rng.choice(SURFACES[place])), pick(rng, WALL_TINTS), roof)


def _corners(block: Block) -> Matrix:
    c, s = np.cos(block.yaw), np.sin(block.yaw)
    ring = np.array([(a, b) for a in np.linspace(-0.5, 0.5, 7) for b in (-0.5, 0.0, 0.5)]) * block.size_m[:2]
    return np.asarray(ring @ np.array([[c, s], [-s, c]]) + (block.x, block.y))
