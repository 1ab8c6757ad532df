"""Tests of the scan against a depth image that is rendered from the pose of the scanner."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from perception.simulation.motion.drive import Drive
from perception.simulation.sensors.camera import pose_world
from perception.simulation.sensors.lidar import Lidar, angles
from perception.simulation.world.scene import BEAMS, HEIGHT, MAX_RANGE_M, WIDTH, Scene
from tests.simulation.conftest import MOMENTS, Stage, stage

pytestmark = pytest.mark.sim


@pytest.fixture(scope="module")
def at_scanner(drawing: None, scene: Scene, run: Drive) -> Iterator[Stage]:
    """The world with the camera in the pose of the scanner."""
    moved = replace(scene, rig=replace(scene.rig, camera_pos=scene.rig.lidar_pos, camera_pitch=0.0))
    yield from stage(moved, replace(run, scene=moved))


def depth_along_beams(stage: Stage) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the beams in view, and the smallest and largest range of the depth image around each."""
    stage.camera.update()
    _, depth = stage.camera.identify()
    bearing = angles()
    u = WIDTH / 2 - stage.scene.rig.focal_px * np.tan(np.clip(bearing, -1.4, 1.4))
    beams = np.nonzero((np.abs(bearing) < 1.0) & (u > 2) & (u < WIDTH - 3))[0]
    columns = np.floor(u[beams]).astype(int)
    # The beams lie on the line between the two middle rows.
    patch = np.stack([depth[row, columns + k] for row in (HEIGHT // 2 - 1, HEIGHT // 2) for k in (-1, 0, 1)])
    patch = patch / np.cos(bearing[beams])
    return beams, patch.min(axis=0), patch.max(axis=0)


@pytest.mark.parametrize("moment", MOMENTS)
def test_beams_end_where_the_depth_image_has_a_surface(at_scanner: Stage, moment: float) -> None:
    pose_world(at_scanner.world, at_scanner.run, moment)
    ranges, _, _ = Lidar(at_scanner.world).measure()
    beams, low, high = depth_along_beams(at_scanner)
    middle = ranges[0, beams]
    within = np.isfinite(middle)
    assert within.mean() > 0.4
    fits = (middle >= low * 0.98 - 0.03) & (middle <= high * 1.02 + 0.03)
    # Thin things fall between pixels; and the ground, met at a flat angle, is where a pixel's height decides.
    assert fits[within].mean() > 0.93
    assert np.sum(high[~within] < MAX_RANGE_M * 0.97) <= 0.07 * len(beams)


def test_noise_bias_and_losses_are_those_of_a_real_scanner(at_scanner: Stage) -> None:
    pose_world(at_scanner.world, at_scanner.run, 3.0)
    lidar = Lidar(at_scanner.world)
    true = lidar.measure()[0]
    sides_agree = np.isfinite(true).all(axis=0) & (np.ptp(np.where(np.isfinite(true), true, 0), axis=0) < 0.2)
    scans = np.stack([lidar.scan()[0] for _ in range(40)])
    errors = np.where(np.isfinite(scans), scans, np.nan)[:, sides_agree] - true[0, sides_agree]
    assert np.nanstd(errors) < 0.05
    assert abs(np.nanmean(errors) - lidar.bias) < 0.01
    assert 0.0 < np.mean(~np.isfinite(scans[:, sides_agree])) < 0.5


def test_far_and_dark_surfaces_lose_more_returns(at_scanner: Stage) -> None:
    pose_world(at_scanner.world, at_scanner.run, 3.0)
    lidar = Lidar(at_scanner.world)
    ranges, signal, _ = lidar.measure()
    lost = np.mean([~np.isfinite(lidar.scan()[0]) for _ in range(60)], axis=0)
    strength = signal / np.maximum(ranges[0], 2.0) ** 2
    met = np.isfinite(ranges[0])
    weak, strong = met & (strength < 1e-4), met & (strength > 1e-3)
    assert strong.sum() > 20
    assert lost[strong].mean() < 0.05
    if weak.sum() > 3:
        assert lost[weak].mean() > 0.1


def test_ranges_between_two_surfaces_occur_only_at_edges(at_scanner: Stage) -> None:
    pose_world(at_scanner.world, at_scanner.run, 3.0)
    lidar = Lidar(at_scanner.world)
    (middle, right, left), _, _ = lidar.measure()
    scans = np.stack([lidar.scan()[0] for _ in range(60)])
    both = np.isfinite(right) & np.isfinite(left)
    edge = both & (np.abs(np.where(both, right, 0) - np.where(both, left, 0)) > 1.0) & np.isfinite(middle)
    assert edge.any()
    middle, right, left = (np.where(np.isfinite(side), side, 0.0) for side in (middle, right, left))
    low, high = np.minimum(right, left), np.maximum(right, left)
    scans = np.where(np.isfinite(scans), scans, 0.0)
    between = (scans > low + 0.2) & (scans < high - 0.2) & (np.abs(scans - middle) > 0.2)
    assert 0.1 < between[:, edge].mean() < 0.6
    flat = both & (np.abs(right - middle) < 0.05) & (np.abs(left - middle) < 0.05)
    assert between[:, flat].mean() < 0.01


def test_bias_shifts_ranges_and_cover_shortens_them(at_scanner: Stage) -> None:
    pose_world(at_scanner.world, at_scanner.run, 3.0)
    lidar = Lidar(at_scanner.world)
    plain, biased, covered = lidar.scan()[0], lidar.scan(bias_m=0.6)[0], lidar.scan(covered=0.35)[0]
    both = np.isfinite(plain) & np.isfinite(biased)
    assert np.median(biased[both] - plain[both]) == pytest.approx(0.6, abs=0.02)
    close = np.isfinite(covered) & (covered < 0.3)
    assert close.sum() > 0.1 * BEAMS
