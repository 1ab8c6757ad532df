"""Where things stand and go: a route with branches first, then who moves, then what stands, then walls."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from perception.simulation.objects.colours import hsv
from perception.simulation.objects.people import cyclist, person
from perception.simulation.objects.props import barrel, cone, lamp_post, scenery, tree
from perception.simulation.objects.shapes import Figure
from perception.simulation.objects.vehicles import vehicle
from perception.simulation.scenario import Scenario, stream
from perception.simulation.world.buildings import Ground, make_blocks
from perception.simulation.world.conditions import Look
from perception.simulation.world.paths import Path, make_branch, make_route, path_through
from perception.simulation.world.scene import Actor, Item, PathPaint, Scene, SensorRig
from perception.simulation.world.terrain import make_terrain

START_M = 4.0
CORRIDOR_M = 1.15
"""Half width that is kept free of standing things along the route and its branches."""


def lay_out(seed: int, scenario: Scenario, duration_s: float, look: Look, rig: SensorRig) -> Scene:
    """A scene for one drive (not mirrored)."""
    rng = stream(seed, "layout")
    place = scenario.place or str(rng.choice(["yard", "street"]))
    top_speed = float(rng.uniform(2.6, 4.6))
    top_speed = scenario.top_speed_m_s or top_speed
    driven = top_speed * 0.9 * duration_s
    route = make_route(rng, START_M + driven + 45.0, 0.8 if place == "street" else 1.2)
    forks = np.cumsum(rng.uniform(11, 24, int(driven / 11) + 4)) + 4.0
    branches = tuple(make_branch(rng, route, float(s)) for s in forks if s < route.length_m - 30)
    ground = Ground()
    for way in (route, *branches):
        ground.keep_way(way, CORRIDOR_M)
    density = scenario.density
    actors = _actors(stream(seed, "actors"), route, driven, top_speed, density, ground)
    blocks = make_blocks(stream(seed, "blocks"), place, route, ground)
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
    rng: np.random.Generator, route: Path, driven: float, top_speed: float, density: float, ground: Ground
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
    rng: np.random.Generator, place: str, route: Path, driven: float, density: float, ground: Ground
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
