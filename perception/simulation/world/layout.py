"""The layout of a scene: route and branches, actors, buildings and standing objects, in this order."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from perception.simulation.objects.colours import hsv
from perception.simulation.objects.people import cyclist, person
from perception.simulation.objects.props import barrel, cone, lamp_post, scenery, tree
from perception.simulation.objects.shapes import Figure
from perception.simulation.objects.vehicles import vehicle
from perception.simulation.random_draws import pick_one, random_stream, side, uniforms
from perception.simulation.scenario import Scenario
from perception.simulation.world.buildings import Occupancy, make_buildings
from perception.simulation.world.conditions import make_conditions
from perception.simulation.world.paths import Path, make_branch, make_route, path_through
from perception.simulation.world.scene import Actor, Item, PathPaint, Scene, make_rig
from perception.simulation.world.terrain import make_terrain

Maker = Callable[[np.random.Generator], Figure]

START_M = 4.0
CORRIDOR_M = 1.15
"""Half width that is kept free of standing objects along the route and its branches."""
MAKERS: tuple[Maker, ...] = (person, cyclist, vehicle)
CROSSING_SPEEDS = {"person": (0.9, 1.8), "cyclist": (2.0, 4.0), "vehicle": (2.0, 4.5)}
BESIDE_SPEEDS = {"person": (0.7, 1.7), "cyclist": (1.8, 4.5), "vehicle": (2.0, 5.0)}


def make_scene(seed: int, scenario: Scenario, duration_s: float) -> Scene:
    """Return the scene of a seed, large enough to drive in for `duration_s`."""
    conditions, rig = make_conditions(seed, scenario), make_rig(random_stream(seed, "rig"))
    rng = random_stream(seed, "layout")
    place: str = scenario.place or pick_one(rng, ("yard", "street"))
    drawn_speed = rng.uniform(2.6, 4.6)
    top_speed = scenario.top_speed_m_s or drawn_speed
    driven = top_speed * 0.9 * duration_s
    route = make_route(rng, START_M + driven + 45.0, 0.8 if place == "street" else 1.2)
    forks = np.cumsum(rng.uniform(11, 24, int(driven / 11) + 4)) + 4.0
    branches = tuple(make_branch(rng, route, float(s)) for s in forks if s < route.length_m - 30)
    occupancy = Occupancy()
    for path in (route, *branches):
        occupancy.add_path(path, CORRIDOR_M)
    density = scenario.density
    actors = _make_actors(random_stream(seed, "actors"), route, driven, top_speed, density)
    for actor in actors:
        occupancy.add_path(actor.path, actor.figure.size_m[1] / 2 + 0.25)
    buildings = make_buildings(random_stream(seed, "blocks"), place, route, occupancy)
    items = _ItemPlacer(random_stream(seed, "items"), route, occupancy, driven, density).place(place)
    scene = Scene(
        seed=seed,
        mirror=False,
        place=place,
        conditions=conditions,
        rig=rig,
        terrain=make_terrain(rng),
        route=route,
        branches=branches,
        paint=_make_paint(rng),
        items=items,
        actors=actors,
        buildings=buildings,
        start_m=START_M,
        top_speed_m_s=top_speed,
    )
    return scene.mirrored() if scenario.mirror else scene


def _make_paint(rng: np.random.Generator) -> PathPaint:
    route = hsv(*uniforms(rng, (0.115, 0.165), (0.75, 1.0), (0.75, 1.0)))
    white = hsv(0.6, 0.03, rng.uniform(0.7, 0.95))
    blue = hsv(rng.uniform(0.53, 0.64), 0.7, rng.uniform(0.5, 0.9))
    red = hsv(rng.uniform(0.96, 1.0), 0.75, rng.uniform(0.5, 0.8))
    branches = ((white,), (blue,), (red,), (white, blue), (blue, red))[int(rng.integers(5))]
    dash = 0.0 if rng.random() < 0.6 else rng.uniform(0.8, 1.6)
    return PathPaint(route, branches, rng.uniform(0.16, 0.34), dash, rng.uniform(0.0, 0.65))


def _make_actors(
    rng: np.random.Generator, route: Path, driven: float, top_speed: float, density: float
) -> tuple[Actor, ...]:
    actors: list[Actor] = []
    station = START_M + rng.uniform(9, 14)
    while station < START_M + driven + 15 and density > 0:
        actors.append(_crossing_actor(rng, route, station, top_speed))
        station += rng.uniform(11, 22) / max(density, 0.2)
    actors += [_parallel_actor(rng, route, driven) for _ in range(round((driven / 13 + 2) * density))]
    if rng.random() < 0.45 and density > 0:  # one that drives ahead of the robot, on its route
        maker = pick_one(rng, (vehicle, cyclist, person), (0.45, 0.4, 0.15))
        figure = maker(rng)
        speed = top_speed * rng.uniform(0.55, 0.95) if maker is not person else 1.4
        start = START_M + 8 + figure.size_m[0] / 2 + rng.uniform(0, 8)
        pauses = tuple((start + float(s), rng.uniform(0.8, 2.5)) for s in np.cumsum(rng.uniform(10, 25, 4)))
        actors.append(Actor(figure, route, speed, start, -1.0, pauses, leads=True))
    return tuple(actors)


def _crossing_actor(rng: np.random.Generator, route: Path, station: float, top_speed: float) -> Actor:
    """Draw an actor that crosses the route at a station, at about the time the robot comes there."""
    figure = pick_one(rng, MAKERS, (0.5, 0.28, 0.22))(rng)
    speed = _draw_speed(rng, CROSSING_SPEEDS, figure.label)
    x, y, heading = route.at(station)
    direction = heading + side(rng) * rng.uniform(1.1, 2.0)
    before = rng.uniform(3.2, 6.5) if figure.label == "person" else rng.uniform(6, 10)
    after, bend = rng.uniform(5, 11), rng.normal(0, 0.02)
    t = np.arange(-before, after, 0.25)
    path_x = x + t * np.cos(direction) - bend * t**2 * np.sin(direction)
    path_y = y + t * np.sin(direction) + bend * t**2 * np.cos(direction)
    lead_in = before / speed * top_speed * 0.8 + rng.uniform(1.0, 5.0)
    return Actor(figure, path_through(np.stack([path_x, path_y], axis=1)), speed, 0.0, station - lead_in)


def _parallel_actor(rng: np.random.Generator, route: Path, driven: float) -> Actor:
    """Draw an actor that moves beside the route, along it or against it."""
    figure = pick_one(rng, MAKERS, (0.5, 0.32, 0.18))(rng)
    speed = _draw_speed(rng, BESIDE_SPEEDS, figure.label)
    lateral = side(rng) * (CORRIDOR_M + figure.size_m[1] / 2 + rng.uniform(0.3, 3.2))
    start, reach = START_M + rng.uniform(5, driven + 20), rng.uniform(12, 40)
    forward = rng.random() < 0.45
    end = min(start + reach, route.length_m - 2) if forward else max(start - reach, 0.0)
    trigger = start - rng.uniform(10, 30)
    pauses = ((rng.uniform(2, reach), rng.uniform(1, 4)),) if rng.random() < 0.4 else ()
    return Actor(figure, route.offset(lateral, start, end), speed, 0.0, trigger, pauses)


def _draw_speed(rng: np.random.Generator, ranges: dict[str, tuple[float, float]], label: str) -> float:
    """Draw the speed of one class, m/s; one of every class is drawn, which keeps later draws in place."""
    return dict(zip(ranges, uniforms(rng, *ranges.values()), strict=True))[label]


class _ItemPlacer:
    """Places standing objects beside the route, where the ground is free."""

    def __init__(
        self, rng: np.random.Generator, route: Path, occupancy: Occupancy, driven: float, density: float
    ) -> None:
        self.rng, self.route, self.occupancy, self.density = rng, route, occupancy, density
        self.far = START_M + driven + 28
        self.items: list[Item] = []

    def place(self, place: str) -> tuple[Item, ...]:
        """Draw all standing objects of a "street" or a "yard"."""
        rng, far, street = self.rng, self.far, place == "street"
        for _ in self._times(0.055):  # standing vehicles, along the route or across
            station, lateral = rng.uniform(6, far), side(rng) * rng.uniform(1.5, 5.0)
            yaw = pick_one(rng, (0, np.pi, np.pi / 2, -np.pi / 2), (0.4, 0.3, 0.15, 0.15))
            self._put(vehicle, station, lateral, yaw)
        for _ in self._times(0.045):  # rows of cones
            station, lateral = rng.uniform(4, far), side(rng) * rng.uniform(1.3, 4.0)
            gap = rng.uniform(1.0, 2.2)
            for k in range(int(rng.integers(1, 5))):
                self._put(cone, station + k * gap, lateral + rng.normal(0, 0.15))
        for _ in self._times(0.055):  # groups of barrels
            station, lateral = rng.uniform(4, far), side(rng) * rng.uniform(1.4, 6.0)
            for k in range(int(rng.integers(1, 4))):
                self._put(barrel, station + k * rng.uniform(0.8, 1.3), lateral + rng.normal(0, 0.4))
        singles: tuple[tuple[Maker, range, tuple[float, float], tuple[float, float]], ...] = (
            (person, self._times(0.075), (5, far), (1.5, 7.0)),
            (cyclist, self._times(0.025), (5, far), (1.6, 5.0)),
            (lambda r: scenery(r, street), self._times(0.16), (2, far), (1.6, 9.0)),
            (tree, range(int(far * 0.09)), (0, far + 15), (4.0, 18.0)),
            (lamp_post, range(int(far * (0.05 if street else 0.015))), (0, far + 15), (2.0, 5.0)),
        )
        for make, times, stations, laterals in singles:
            for _ in times:
                self._put(make, rng.uniform(*stations), side(rng) * rng.uniform(*laterals))
        return tuple(self.items)

    def _times(self, per_m: float) -> range:
        return range(round(per_m * self.density * self.far))

    def _put(self, make: Maker, station: float, lateral: float, yaw: float | None = None) -> None:
        """Place one object, at a random yaw unless one is given; give up after six occupied places."""
        rng = self.rng
        figure = make(rng)
        for attempt in range(6):
            s = station + rng.normal(0, 0.7) * attempt
            distance = abs(lateral) + figure.size_m[1] / 2 + 0.5 * attempt
            x, y, heading = self.route.beside(s, float(np.copysign(distance, lateral)))
            turn = rng.uniform(-np.pi, np.pi) if yaw is None else heading + yaw + rng.normal(0, 0.06)
            if self.occupancy.is_free(x, y, figure.radius_m):
                self.occupancy.add_disc(x, y, figure.radius_m)
                self.items.append(Item(figure, x, y, turn))
                return
