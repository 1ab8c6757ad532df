"""A planar laser scanner: 361 beams over 270 degrees, with the errors of real ones."""

from __future__ import annotations

import numpy as np

from perception.geometry import Matrix
from perception.simulation.gl import mujoco
from perception.simulation.random_draws import random_stream
from perception.simulation.world.model import World
from perception.simulation.world.scene import BEAMS, FIELD_OF_VIEW, MAX_RANGE_M

DIVERGENCE = float(np.deg2rad(0.18))
"""Half the width of a beam, rad: where its sides hit different surfaces, ranges mix."""
MIXED = 0.35  # share of the beams on two surfaces that return a range in between
MIN_SIGNAL = 0.004
NEAR_M = 0.1


def angles() -> Matrix:
    """Return the bearings [BEAMS], rad, from right to left."""
    return np.linspace(-FIELD_OF_VIEW / 2, FIELD_OF_VIEW / 2, BEAMS)


class Lidar:
    """The scanner of one world. Scans must be taken in order of time: each draws new noise."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.rng = random_stream(world.scene.seed, "scan noise")
        self.bias = self.rng.normal(0, 0.008)
        bearing = np.concatenate([angles(), angles() - DIVERGENCE, angles() + DIVERGENCE])
        self.rays = np.stack([np.cos(bearing), np.sin(bearing), np.zeros_like(bearing)], axis=1)

    def measure(self) -> tuple[Matrix, Matrix, Matrix]:
        """Cast the beams into the world in its present pose.

        Returns:
            Ranges [3, BEAMS] of the middle, right and left of each beam, m (inf: no surface within reach);
            signal [BEAMS], reflectivity times slant, 0 to 1; and the 4x4 `world_from_lidar`.
        """
        world = self.world
        world_from_lidar = self.pose()
        directions = self.rays @ world_from_lidar[:3, :3].T
        count = len(directions)
        geoms, distances, normals = np.empty(count, np.int32), np.empty(count), np.empty(3 * count)
        query = (np.ascontiguousarray(world_from_lidar[:3, 3]), np.ascontiguousarray(directions).ravel())
        include = (None, 1, -1)  # all geom groups, static geoms too, no body excluded
        results = (geoms, distances, normals)
        mujoco().mj_multiRay(world.model, world.data, *query, *include, *results, count, MAX_RANGE_M)
        hit = geoms >= 0
        ranges = np.where(hit & (distances <= MAX_RANGE_M), distances, np.inf).reshape(3, BEAMS)
        slant = np.abs((normals.reshape(-1, 3)[:BEAMS] * directions[:BEAMS]).sum(axis=1))
        signal = np.where(hit[:BEAMS], world.reflectivity[geoms[:BEAMS]] * slant, 0.0)
        return ranges, signal, world_from_lidar

    def pose(self) -> Matrix:
        """Return the 4x4 `world_from_lidar`."""
        world = self.world
        body = int(world.model.cam_bodyid[world.camera])
        pose = np.eye(4)
        pose[:3, :3], pose[:3, 3] = world.data.xmat[body].reshape(3, 3), world.data.xpos[body]
        return pose @ world.scene.rig.base_from_lidar

    def scan(self, bias_m: float = 0.0, covered: float = 0.0) -> tuple[Matrix, Matrix]:
        """Return ranges [BEAMS], m (inf: no return), and intensities [BEAMS], 0 to 255.

        Args:
            bias_m: Injected fault: an offset of every range.
            covered: Injected fault: the share of the view that is covered.
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
        deviation = 0.008 + 0.0008 * np.where(np.isfinite(measured), measured, 0)
        measured = measured + self.bias + bias_m + noise * deviation
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
