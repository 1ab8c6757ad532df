"""The height of the ground: long waves, gentle enough for wheels and steep enough to tilt a scan."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from perception.geometry import Matrix


@dataclass(frozen=True, slots=True)
class Terrain:
    """A sum of plane waves, each of amplitude (m), wave numbers along x and y (rad/m) and phase (rad)."""

    waves: tuple[tuple[float, float, float, float], ...]

    def height(self, x: Matrix, y: Matrix) -> Matrix:
        """Return the heights at x and y, which broadcast, m."""
        total = np.zeros(np.broadcast(x, y).shape)
        for amplitude, kx, ky, phase in self.waves:
            total = total + amplitude * np.sin(kx * np.asarray(x) + ky * np.asarray(y) + phase)
        return total

    def height_at(self, x: float, y: float) -> float:
        """Return the height at one point, m."""
        return float(self.height(np.asarray(x), np.asarray(y)))

    def tilt(self, x: float, y: float, yaw: float, reach_m: float = 0.6) -> tuple[float, float]:
        """Return pitch (nose down positive) and roll (left side up positive) of an object, rad."""
        fx, fy = np.cos(yaw) * reach_m, np.sin(yaw) * reach_m
        ahead, behind = self.height_at(x + fx, y + fy), self.height_at(x - fx, y - fy)
        left, right = self.height_at(x - fy, y + fx), self.height_at(x + fy, y - fx)
        return -float(np.arctan2(ahead - behind, 2 * reach_m)), float(np.arctan2(left - right, 2 * reach_m))

    def mirrored(self) -> Terrain:
        """Return the terrain with left and right exchanged."""
        return replace(self, waves=tuple((a, kx, -ky, phase) for a, kx, ky, phase in self.waves))


def make_terrain(rng: np.random.Generator) -> Terrain:
    """Draw three waves of 14 to 70 m length, with slopes of up to about 7 % in total."""
    strength = rng.uniform(0.3, 1.0)
    waves = []
    for wavelength in (rng.uniform(45, 70), rng.uniform(26, 40), rng.uniform(14, 22)):
        direction, slope = rng.uniform(0, 2 * np.pi), rng.uniform(0.008, 0.028) * strength
        k = 2 * np.pi / float(wavelength)
        waves.append((slope / k, k * np.cos(direction), k * np.sin(direction), rng.uniform(0, 2 * np.pi)))
    return Terrain(tuple(waves))
