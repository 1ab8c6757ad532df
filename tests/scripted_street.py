"""The street of the scripted scene: ego motion, traffic and houses of one seed.

Places on the street are (s, lateral): metres along the path, metres to its left. Frames `world` and
`base_link` are x forward, y left, z up.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]

AHEAD_S = 0.5
"""Control truth is what the driver commands this long after its stamp."""


@dataclass
class Thing:
    """A rigid body on the street, and the quads that it shows. Without a label it is scenery."""

    label: str
    place: tuple[float, float, float]  # s, lateral, heading against the street
    pace: tuple[float, float]  # m/s along s and lateral
    size: tuple[float, float, float] = (0.0, 0.0, 0.0)  # footprint and height, centred on the place
    quads: list[tuple[Array, Array, int]] = field(default_factory=list)  # [4, 3], BGR, layer

    def box(
        self, centre: tuple[float, float, float], size: tuple[float, float, float], bgr: Any, layer: int = 0
    ) -> Thing:
        """Add the six faces of a cuboid; `centre` z is that of its lower face."""
        signs = np.array([[x, y, z] for x in (-0.5, 0.5) for y in (-0.5, 0.5) for z in (0.0, 1.0)])
        corners = np.array(centre) + signs * np.array(size)
        for face in ((0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)):
            self.quads.append((corners[list(face)], np.array(bgr, float), layer))
        return self

    def panel(
        self, centre: tuple[float, float, float], across: Any, up: float, bgr: Any, layer: int
    ) -> Thing:
        """Add one upright face; `across` (x, y) runs along its lower edge, its front to the right of that."""
        lower = np.array(centre) + np.outer((-0.5, 0.5), (*across, 0.0))
        quad = np.concatenate([lower, lower[::-1] + np.array((0, 0, up))])
        self.quads.append((quad, np.array(bgr, float), layer))
        return self


def car(rng: np.random.Generator, place: tuple[float, float, float], pace: float) -> Thing:
    """About 4.4 m long, facing along its place's heading."""
    length, width, height = rng.uniform(4.0, 4.8), rng.uniform(1.75, 1.9), rng.uniform(1.42, 1.6)
    paint = np.array(
        [(52, 46, 172), (150, 92, 40), (214, 214, 218), (66, 60, 58), (70, 130, 62), (38, 150, 214)]
    )
    bgr = paint[rng.integers(len(paint))]
    thing = Thing("vehicle", place, (pace, 0.0), (length, width, height))
    thing.box((0, 0, 0.12), (0.9 * length, 0.9 * width, 0.2), (28, 28, 28))
    thing.box((0, 0, 0.26), (length, width, 0.56 * height - 0.26), bgr)
    thing.box(
        (-0.04 * length, 0, 0.56 * height), (0.56 * length, 0.86 * width, 0.38 * height), (92, 76, 62), 1
    )
    thing.box((-0.04 * length, 0, 0.94 * height), (0.50 * length, 0.84 * width, 0.06 * height), bgr, 2)
    for side in (-1, 1):
        for x in (-0.31 * length, 0.31 * length):
            thing.panel((x, side * (width / 2 + 0.02), 0.0), (-0.66 * side, 0), 0.62, (30, 30, 30), 1)
        thing.panel((-length / 2 - 0.02, side * 0.36 * width, 0.56), (0, -0.3), 0.15, (40, 36, 226), 1)
        thing.panel((length / 2 + 0.02, side * 0.34 * width, 0.52), (0, 0.36), 0.17, (214, 240, 248), 1)
    return thing


def person(rng: np.random.Generator, place: tuple[float, float, float], pace: tuple[float, float]) -> Thing:
    height = rng.uniform(1.55, 1.9)
    coat = rng.integers(30, 210, 3)
    thing = Thing("person", place, pace, (0.44, 0.5, height))
    for side in (-0.11, 0.11):
        thing.box((0, side, 0), (0.2, 0.18, 0.48 * height), coat // 3 + 20)
    thing.box((0, 0, 0.46 * height), (0.28, 0.46, 0.39 * height), coat, 1)
    return thing.box((0, 0, 0.86 * height), (0.2, 0.18, 0.14 * height), (132, 164, 208), 2)


def cone(place: tuple[float, float, float]) -> Thing:
    thing = Thing("cone", place, (0.0, 0.0), (0.4, 0.4, 0.78)).box((0, 0, 0), (0.4, 0.4, 0.05), (40, 40, 44))
    for i, width in enumerate((0.3, 0.25, 0.2, 0.15, 0.1)):
        bgr = (236, 236, 236) if i in (1, 3) else (24, 96, 240)
        thing.box((0, 0, 0.05 + 0.146 * i), (width, width, 0.146), bgr, i + 1)
    return thing


def building(rng: np.random.Generator, s: float, side: int) -> Thing:
    """A house with windows towards the street."""
    length, depth, height = rng.uniform(8, 11), 9.0, rng.uniform(6, 13)
    bgr = np.array([(150, 172, 190), (128, 142, 176), (176, 178, 170), (120, 150, 196)][rng.integers(4)])
    thing = Thing("", (s, side * (11.5 + depth / 2), 0.0), (0.0, 0.0), (length, depth, height))
    thing.box((0, 0, 0), (length, depth, height), bgr)
    y = -side * (depth / 2 + 0.02)
    for z in np.arange(1.0, height - 1.6, 2.7):
        for x in np.arange(-0.5 * length + 1.3, 0.5 * length - 0.8, 2.1):
            thing.panel((x + 0.55, y, z), (1.1 * side, 0), 1.5, (110, 92, 76), 1)
    return thing


def tree(rng: np.random.Generator, s: float, side: int) -> Thing:
    thing = Thing("", (s, side * 7.6, 0.0), (0.0, 0.0), (0.35, 0.35, 2.4))
    thing.box((0, 0, 0), (0.35, 0.35, 2.3), (58, 84, 104))
    green = np.array((62, 128, 84)) + rng.integers(-14, 15, 3)
    thing.box((0, 0, 2.0), (2.6, 2.6, 1.5), green, 1)
    return thing.box((0, 0, 3.5), (1.6, 1.6, 1.1), green + 14, 2)


class Street:
    """Street, ego motion and traffic of one seed."""

    def __init__(self, seed: int, duration_s: float) -> None:
        self.seed = seed
        rng = self.rng("street")
        # Ego speed, integrated to the millisecond; commands are needed a little beyond the end.
        self._t = np.arange(0.0, duration_s + AHEAD_S + 1.0, 1e-3)
        phase = rng.uniform(0, 2 * np.pi, 5)
        self._acceleration = 0.9 * np.cos(0.9 * self._t + phase[0]) + 0.5 * np.cos(2.1 * self._t + phase[1])
        self._speed = 6.5 + np.cumsum(self._acceleration) * 1e-3
        self._s = np.cumsum(self._speed) * 1e-3
        # The street: curvature over s, integrated to heading and place.
        self._grid = np.arange(-40.0, self._s[-1] + 120.0, 0.05)
        self._curvature = 0.011 * np.sin(0.06 * self._grid + phase[2]) + 0.005 * np.sin(
            0.15 * self._grid + phase[3]
        )
        self._heading = np.cumsum(self._curvature) * 0.05
        self._x, self._y = np.cumsum(np.cos(self._heading)) * 0.05, np.cumsum(np.sin(self._heading)) * 0.05
        self.things = self._traffic(rng, duration_s)
        self.quads = np.concatenate([[q for q, _, _ in thing.quads] for thing in self.things])
        self.colours = np.concatenate([[c for _, c, _ in thing.quads] for thing in self.things])
        self.layers = np.concatenate([[layer for _, _, layer in thing.quads] for thing in self.things])
        self.owner = np.repeat(np.arange(len(self.things)), [len(thing.quads) for thing in self.things])

    def rng(self, purpose: str) -> np.random.Generator:
        """A stream of its own for each purpose: leaving one sensor out changes no other."""
        return np.random.default_rng([self.seed, *purpose.encode()])

    def _traffic(self, rng: np.random.Generator, duration_s: float) -> list[Thing]:
        end = float(self._s[-1]) + 70.0
        things = [car(rng, (15.0, 0.0, 0.0), float(self._s[-1] / self._t[-1]))]
        things += [car(rng, (s, 3.5, np.pi), -7.0) for s in np.arange(24.0, end + 7.0 * duration_s, 31.0)]
        for s in np.arange(9.0, end, 12.0):
            side = int(rng.choice([-1, 1]))
            lateral = -2.7 if side < 0 else 6.2
            if rng.random() < 0.5:
                things.append(
                    car(rng, (s + rng.uniform(-2, 2), lateral - 0.4 * (side < 0), np.pi * (side > 0)), 0.0)
                )
            else:
                things += [cone((s + 1.6 * i, -2.0 - 0.05 * i, 0.0)) for i in range(int(rng.integers(2, 5)))]
        for s in np.arange(6.0, end, 8.0):
            side = int(rng.choice([-1, 1]))
            lateral = -4.6 if side < 0 else 8.2
            away = int(rng.choice([-1, 1]))
            walk = (s + rng.uniform(-3, 3), lateral + rng.uniform(-0.5, 0.5), np.pi * (away < 0))
            things.append(person(rng, walk, (away * rng.uniform(0.8, 1.5), 0.0)))
        for s in np.arange(26.0, end, 38.0):  # somebody crosses before us, and is across when we come
            things.append(person(rng, (s, 3.2 - 0.2 * s, np.pi / 2), (0.0, 1.3)))
        for side in (-1, 1):
            things += [building(rng, s, side) for s in np.arange(-20.0, end + 20.0, 12.5)]
            things += [tree(rng, s + rng.uniform(-2, 2), side) for s in np.arange(-8.0, end, 14.0)]
        return things

    def place(self, s: Any, lateral: Any) -> tuple[Any, Any, Any]:
        """World x, y and street heading of a place on the street."""
        heading = np.interp(s, self._grid, self._heading)
        x = np.interp(s, self._grid, self._x) - np.sin(heading) * lateral
        return x, np.interp(s, self._grid, self._y) + np.cos(heading) * lateral, heading

    def ego(self, t: float) -> tuple[float, float, float, float]:
        """s, speed (m/s), acceleration (m/s2) and curvature (1/m) of the vehicle."""
        s, speed, acceleration = (
            float(np.interp(t, self._t, a)) for a in (self._s, self._speed, self._acceleration)
        )
        return s, speed, acceleration, float(np.interp(s, self._grid, self._curvature))

    def base_from_world(self, t: float) -> tuple[Array, Array]:
        """Rotation and translation."""
        x, y, heading = self.place(self.ego(t)[0], 0.0)
        rotation = yaw(-heading)
        return rotation, -rotation @ np.array([x, y, 0.0])

    def bodies(self, t: float) -> tuple[Array, Array]:
        """Rotations [T, 3, 3] and translations [T, 3] `base_from_thing` of all things."""
        s, lateral, turn = np.array([thing.place for thing in self.things]).T
        pace = np.array([thing.pace for thing in self.things])
        x, y, heading = self.place(s + pace[:, 0] * t, lateral + pace[:, 1] * t)
        rotation, translation = self.base_from_world(t)
        body = yaw(heading + turn)
        return rotation @ body, np.stack([x, y, np.zeros(len(x))], axis=1) @ rotation.T + translation


def yaw(angle: Any) -> Array:
    """Rotations about z, [..., 3, 3]."""
    c, s = np.cos(angle), np.sin(angle)
    o, i = np.zeros_like(c), np.ones_like(c)
    return np.stack([np.stack([c, -s, o], -1), np.stack([s, c, o], -1), np.stack([o, o, i], -1)], -2)
