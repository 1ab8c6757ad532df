"""The height of the ground: long waves, so gentle that wheels follow them and steep enough to tilt a scan."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from perception.geometry import Matrix


@dataclass(frozen=True, slots=True)
class Terrain:
    """A sum of plane waves; each is amplitude m, wave numbers along x and y in rad/m, phase rad."""

    waves: tuple[tuple[float, float, float, float], ...]

    def height(self, x: Matrix, y: Matrix) -> Matrix:
        """Metres above the datum."""
        total = np.zeros(np.broadcast(x, y).shape)
        for amplitude, kx, ky, phase in self.waves:
            total = total + amplitude * np.sin(kx * np.asarray(x) + ky * np.asarray(y) + phase)
        return total

    def height_at(self, x: float, y: float) -> float:
        return float(self.height(np.asarray(x), np.asarray(y)))

    def tilt(self, x: float, y: float, yaw: float, reach_m: float = 0.6) -> tuple[float, float]:
        """Pitch (nose down positive) and roll (left side up positive), rad, of something standing there."""
        fx, fy = np.cos(yaw) * reach_m, np.sin(yaw) * reach_m
        ahead, behind = self.height_at(x + fx, y + fy), self.height_at(x - fx, y - fy)
        left, right = self.height_at(x - fy, y + fx), self.height_at(x + fy, y - fx)
        return -float(np.arctan2(ahead - behind, 2 * reach_m)), float(np.arctan2(left - right, 2 * reach_m))

    def mirrored(self) -> Terrain:
        """Left and right exchanged."""
        return replace(self, waves=tuple((a, kx, -ky, phase) for a, kx, ky, phase in self.waves))


def make_terrain(rng: np.random.Generator) -> Terrain:
    """Waves of 14 to 70 m with slopes of up to some 7 %."""
    strength = float(rng.uniform(0.3, 1.0))
    waves = []
    for wavelength in (rng.uniform(45, 70), rng.uniform(26, 40), rng.uniform(14, 22)):
        direction, slope = float(rng.uniform(0, 2 * np.pi)), float(rng.uniform(0.008, 0.028)) * strength
        k = 2 * np.pi / float(wavelength)
        waves.append(
            (slope / k, k * np.cos(direction), k * np.sin(direction), float(rng.uniform(0, 2 * np.pi)))
        )
    return Terrain(tuple(waves))
