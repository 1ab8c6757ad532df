"""Paths on the ground: the route of the robot, branches from it, and the paths of other actors."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from perception.geometry import Matrix
from perception.simulation.random_draws import pick_one, side, uniforms

STEP_M = 0.25


@dataclass(frozen=True, slots=True, eq=False)
class Path:
    """A curve sampled every `STEP_M`: points [N, 2] m, headings [N] rad, curvatures [N] 1/m (left: +)."""

    points: Matrix
    headings: Matrix
    curvatures: Matrix

    @property
    def length_m(self) -> float:
        return (len(self.points) - 1) * STEP_M

    def at(self, s_m: float) -> tuple[float, float, float]:
        """Return x, y (m) and heading (rad) at a station; beyond the ends, those of the end."""
        u = min(max(s_m / STEP_M, 0.0), len(self.points) - 1.0)
        k = min(int(u), len(self.points) - 2)
        f = u - k
        x, y = self.points[k] * (1 - f) + self.points[k + 1] * f
        return float(x), float(y), float(self.headings[k] * (1 - f) + self.headings[k + 1] * f)

    def beside(self, s_m: float, lateral_m: float) -> tuple[float, float, float]:
        """Return x, y and heading of the point `lateral_m` to the left of a station."""
        x, y, heading = self.at(s_m)
        return x - lateral_m * float(np.sin(heading)), y + lateral_m * float(np.cos(heading)), heading

    def curvature_at(self, s_m: float) -> float:
        """Return the curvature at a station, 1/m, left positive."""
        return float(np.interp(s_m / STEP_M, np.arange(len(self.curvatures)), self.curvatures))

    def station_of(self, x: float, y: float, near_m: float, window_m: float = 6.0) -> float:
        """Return the station closest to a point, within `window_m` of `near_m`."""
        low = max(0, int((near_m - window_m) / STEP_M))
        high = min(len(self.points), int((near_m + window_m) / STEP_M) + 2)
        d2 = ((self.points[low:high] - (x, y)) ** 2).sum(axis=1)
        k = low + int(np.argmin(d2))
        along = np.cos(self.headings[k]) * (x - self.points[k, 0]) + np.sin(self.headings[k]) * (
            y - self.points[k, 1]
        )
        return k * STEP_M + float(np.clip(along, -STEP_M, STEP_M))

    def distance_to(self, points: Matrix) -> Matrix:
        """Return the distance [N] of points [N, 2] to the path, m."""
        deltas = points[:, None] - self.points[None, ::2]
        return np.asarray(np.sqrt((deltas**2).sum(axis=2).min(axis=1)))

    def offset(self, lateral_m: float, start_m: float, end_m: float) -> Path:
        """Return a path `lateral_m` to the left of this one; backwards if `end_m` is before `start_m`."""
        stations = np.linspace(start_m, end_m, max(3, int(abs(end_m - start_m) / STEP_M) + 1))
        index = np.clip(stations / STEP_M, 0, len(self.points) - 1)
        k = np.arange(len(self.points))
        x, y = np.interp(index, k, self.points[:, 0]), np.interp(index, k, self.points[:, 1])
        heading = np.interp(index, k, self.headings)
        return path_through(
            np.stack([x - lateral_m * np.sin(heading), y + lateral_m * np.cos(heading)], axis=1)
        )

    def mirrored(self) -> Path:
        """Return the path with left and right exchanged."""
        return Path(self.points * (1, -1), -self.headings, -self.curvatures)


def path_from_curvature(x: float, y: float, heading: float, curvatures: Matrix) -> Path:
    """Return the curve from a start with the given curvature at each step."""
    headings = heading + np.concatenate([[0.0], np.cumsum((curvatures[:-1] + curvatures[1:]) / 2 * STEP_M)])
    middle = (headings[:-1] + headings[1:]) / 2
    steps = STEP_M * np.stack([np.cos(middle), np.sin(middle)], axis=1)
    points = np.array([x, y]) + np.concatenate([[[0.0, 0.0]], np.cumsum(steps, axis=0)])
    return Path(points, headings, np.asarray(curvatures))


def path_through(points: Matrix) -> Path:
    """Return the polyline through points [N, 2], resampled evenly."""
    lengths = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))])
    stations = np.arange(0.0, max(lengths[-1], 2 * STEP_M), STEP_M)
    even = np.stack([np.interp(stations, lengths, points[:, k]) for k in (0, 1)], axis=1)
    steps = np.diff(even, axis=0)
    headings = np.unwrap(np.arctan2(steps[:, 1], steps[:, 0]))
    headings = np.concatenate([headings, headings[-1:]])
    return Path(even, headings, np.gradient(headings, STEP_M))


def make_route(rng: np.random.Generator, length_m: float, widest_turn: float = 1.15) -> Path:
    """Draw a winding path along x: arcs of 4.5 m radius and more, joined by transition curves.

    Args:
        widest_turn: The largest heading away from x, rad.
    """
    count = int(length_m / STEP_M) + 1
    curvatures = np.zeros(count)
    heading, k = 0.0, int(rng.uniform(5, 9) / STEP_M)
    while k < count:
        turn = rng.uniform(0.25, 1.0) * (1 if rng.random() < 0.5 else -1)
        if abs(heading + turn) > widest_turn:
            turn = -turn
        bend = pick_one(rng, uniforms(rng, (0.06, 0.13), (0.13, 0.22)), (0.35, 0.65))
        arc = int(abs(turn) / bend / STEP_M) + 1
        curvatures[k : k + arc] = np.sign(turn) * bend
        heading += turn
        k += arc + int(rng.uniform(0.0, 3.5) / STEP_M)
    return path_from_curvature(0.0, 0.0, 0.0, smoothed(curvatures))


def make_branch(rng: np.random.Generator, route: Path, fork_m: float) -> Path:
    """Draw a path of 14 to 24 m that leaves the route at a station, to the side it does not turn to."""
    x, y, heading = route.at(fork_m)
    index = int(fork_m / STEP_M)
    ahead = float(np.mean(route.curvatures[index : index + int(6 / STEP_M)]))
    direction = -np.sign(ahead) if abs(ahead) > 0.02 else side(rng)
    bend = direction * rng.uniform(0.08, 0.20)
    if abs(ahead) > 0.06 and rng.random() < 0.35:
        bend *= 0.1  # nearly straight on, where the route turns
    length, arc = rng.uniform(14, 24), rng.uniform(0.5, 1.1) / max(abs(bend), 0.08)
    curvatures = np.zeros(int(length / STEP_M))
    curvatures[: int(arc / STEP_M)] = bend
    later = int(arc / STEP_M) + int(2 / STEP_M)
    curvatures[later:] = rng.uniform(-0.05, 0.05)
    eased = smoothed(curvatures)
    blend = np.linspace(0, 1, int(2.0 / STEP_M))
    eased[: len(blend)] = blend * eased[: len(blend)] + (1 - blend) * route.curvature_at(fork_m)
    return path_from_curvature(x, y, heading, eased)


def smoothed(curvatures: Matrix, over_m: float = 1.8) -> Matrix:
    """Return the curvatures averaged over a few metres, as a vehicle can follow them."""
    width = max(1, int(over_m / STEP_M))
    kernel = np.ones(width) / width
    padded = np.concatenate([np.full(width, curvatures[0]), curvatures, np.full(width, curvatures[-1])])
    return np.asarray(np.convolve(padded, kernel, mode="same")[width:-width])
