"""A planar laser scanner: 361 beams over 270 degrees, with what goes wrong for real ones."""

from __future__ import annotations

import numpy as np

from perception.geometry import Matrix
from perception.simulation.gl import mujoco
from perception.simulation.scenario import stream
from perception.simulation.world.model import World
from perception.simulation.world.scene import BEAMS, FIELD_OF_VIEW, MAX_RANGE_M

DIVERGENCE = float(np.deg2rad(0.18))
"""Half the width of a beam, rad: where its two sides meet different surfaces, ranges mix."""
MIXED = 0.35  # of the beams that meet two surfaces, how many return a range in between
MIN_SIGNAL = 0.004
NEAR_M = 0.1


def angles() -> Matrix:
    """[BEAMS] bearings, rad, from right to left."""
    return np.linspace(-FIELD_OF_VIEW / 2, FIELD_OF_VIEW / 2, BEAMS)


class Lidar:
    """The scanner of one world; `scan` in order of time, because noise is drawn as it goes."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.rng = stream(world.scene.seed, "scan noise")
        self.bias = float(self.rng.normal(0, 0.008))
        bearing = np.concatenate([angles(), angles() - DIVERGENCE, angles() + DIVERGENCE])
        self.rays = np.stack([np.cos(bearing), np.sin(bearing), np.zeros_like(bearing)], axis=1)

    def measure(self) -> tuple[Matrix, Matrix, Matrix]:
        """What the beams truly meet, the world standing as it does now.

        Returns:
            ranges [3, BEAMS] m (inf: nothing within reach) of the middle, right and left of each beam, signal
            [BEAMS] (reflectivity and slant, 0 to 1), and the 4x4 `world_from_lidar`.
        """
        module, world = mujoco(), self.world
        world_from_lidar = self.pose()
        directions = self.rays @ world_from_lidar[:3, :3].T
        count = len(directions)
        geoms, distances, normals = np.empty(count, np.int32), np.empty(count), np.empty(3 * count)
        origin = np.ascontiguousarray(world_from_lidar[:3, 3])
        module.mj_multiRay(
            world.model,
            world.data,
            origin,
            np.ascontiguousarray(directions).ravel(),
            None,
            1,
            -1,
            geoms,
            distances,
            normals,
            count,
            MAX_RANGE_M,
        )
        hit = geoms >= 0
        ranges = np.where(hit & (distances <= MAX_RANGE_M), distances, np.inf).reshape(3, BEAMS)
        slant = np.abs((normals.reshape(-1, 3)[:BEAMS] * directions[:BEAMS]).sum(axis=1))
        signal = np.where(hit[:BEAMS], world.reflectivity[geoms[:BEAMS]] * slant, 0.0)
        return ranges, signal, world_from_lidar

    def pose(self) -> Matrix:
        """4x4 `world_from_lidar`."""
        world = self.world
        body = int(world.model.cam_bodyid[world.camera])
        pose = np.eye(4)
        pose[:3, :3], pose[:3, 3] = world.data.xmat[body].reshape(3, 3), world.data.xpos[body]
        return pose @ world.scene.rig.base_from_lidar

    def scan(self, bias_m: float = 0.0, covered: float = 0.0) -> tuple[Matrix, Matrix]:
        """Ranges [BEAMS] m (inf: no return) and intensities [BEAMS], 0 to 255.

        Args:
            bias_m: Added to every range, as by a fault.
            covered: Share of the view that something on the housing hides.
        """
        ranges, signal, _ = self.measure()
        if self.world.scene.mirror:  # noise is drawn for the unmirrored beams
            ranges, signal = ranges[[0, 2, 1], ::-1], signal[::-1]
        middle, right, left = ranges
        rng = self.rng
        draws, weights, mixing = rng.random((3, BEAMS))
        noise, loss = rng.standard_normal((2, BEAMS))
        right, left = np.where(np.isfinite(right), right, 0.0), np.where(np.isfinite(left), left, 0.0)
        mixed = (right > 0) & (left > 0) & (np.abs(right - left) > 0.3) & (mixing < MIXED)
        measured = np.where(mixed, weights * right + (1 - weights) * left, middle)
        strength = signal / (np.maximum(np.where(np.isfinite(measured), measured, 1.0), 2.0) / 10) ** 2
        lost = (strength < MIN_SIGNAL * np.exp(0.6 * loss)) | (draws < 0.004) | ~np.isfinite(measured)
        measured = (
            measured
            + self.bias
            + bias_m
            + noise * (0.008 + 0.0008 * np.where(np.isfinite(measured), measured, 0))
        )
        if covered > 0:
            edge = int(BEAMS * min(covered, 1.0))
            start = int(BEAMS * 0.45 - edge / 2)
            hidden = np.zeros(BEAMS, bool)
            hidden[max(0, start) : max(0, start) + edge] = True
            measured = np.where(hidden, 0.12 + 0.02 * weights, measured)
            lost = np.where(hidden, draws < 0.5, lost)
        lost |= (measured < NEAR_M) | (measured > MAX_RANGE_M)
        out = np.where(lost, np.inf, np.round(measured, 3))
        intensity = np.where(lost, 0.0, np.round(np.clip(signal * 255, 0, 255)))
        return (out[::-1], intensity[::-1]) if self.world.scene.mirror else (out, intensity)
