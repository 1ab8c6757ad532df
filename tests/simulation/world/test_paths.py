"""Tests of paths and terrain."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from perception.simulation.world.paths import (
    STEP_M,
    make_branch,
    make_route,
    path_from_curvature,
    path_through,
)
from perception.simulation.world.terrain import make_terrain

seeds = st.integers(0, 10_000)


@given(seeds)
def test_routes_advance_along_x_within_the_curvature_limit(seed: int) -> None:
    route = make_route(np.random.default_rng(seed), 80.0)
    assert route.length_m == pytest.approx(80.0, abs=STEP_M)
    assert np.abs(route.headings).max() < np.pi / 2
    assert np.all(np.diff(route.points[:, 0]) > 0)
    assert np.abs(route.curvatures).max() <= 0.23
    np.testing.assert_allclose(np.linalg.norm(np.diff(route.points, axis=0), axis=1), STEP_M, atol=1e-9)


@given(seeds)
def test_a_branch_starts_on_the_route_with_its_heading_and_curvature(seed: int) -> None:
    rng = np.random.default_rng(seed)
    route = make_route(rng, 80.0)
    fork = float(rng.uniform(10, 50))
    branch = make_branch(rng, route, fork)
    x, y, heading = route.at(fork)
    np.testing.assert_allclose(branch.points[0], (x, y), atol=1e-9)
    assert branch.headings[0] == pytest.approx(heading)
    assert branch.curvatures[0] == pytest.approx(route.curvature_at(fork), abs=0.03)


def test_a_circle_closes() -> None:
    radius = 5.0
    circle = path_from_curvature(1, 2, 0.3, np.full(int(2 * np.pi * radius / STEP_M) + 1, 1 / radius))
    assert np.linalg.norm(circle.points[-1] - (1, 2)) < STEP_M
    assert circle.headings[-1] == pytest.approx(0.3 + 2 * np.pi, abs=STEP_M / radius)


@given(st.floats(0, 60), st.floats(-1.5, 1.5))
def test_station_of_projects_points_beside_a_path(s: float, lateral: float) -> None:
    route = make_route(np.random.default_rng(3), 70.0)
    x, y, heading = route.at(s)
    found = route.station_of(x - lateral * np.sin(heading), y + lateral * np.cos(heading), s + 1.0)
    assert found == pytest.approx(s, abs=0.35)


def test_an_offset_path_keeps_its_distance_and_can_run_backwards() -> None:
    route = make_route(np.random.default_rng(1), 60.0)
    beside = route.offset(2.5, 10, 40)
    np.testing.assert_allclose(route.distance_to(beside.points), 2.5, atol=0.1)
    back = route.offset(2.5, 40, 10)
    assert np.linalg.norm(back.points[0] - beside.points[-1]) < 0.6
    assert abs(abs(back.headings[0] - beside.headings[-1]) - np.pi) < 0.2


def test_resampling_preserves_the_polyline() -> None:
    path = path_through(np.array([(0.0, 0.0), (3.0, 0.0), (3.0, 4.0)]))
    assert path.length_m == pytest.approx(7.0, abs=STEP_M)
    assert path.at(5.0)[:2] == pytest.approx((3.0, 2.0))


@given(seeds, st.floats(-50, 50), st.floats(-50, 50), st.floats(-3, 3))
def test_terrain_slopes_are_small_and_match_the_tilt(seed: int, x: float, y: float, yaw: float) -> None:
    terrain = make_terrain(np.random.default_rng(seed))
    pitch, roll = terrain.tilt(x, y, yaw, 0.01)
    assert abs(pitch) < 0.1
    assert abs(roll) < 0.1
    ahead = terrain.height_at(x + 0.1 * np.cos(yaw), y + 0.1 * np.sin(yaw)) - terrain.height_at(x, y)
    assert ahead == pytest.approx(-np.tan(pitch) * 0.1, abs=2e-3)
    mirrored = terrain.mirrored()
    assert mirrored.height_at(x, -y) == pytest.approx(terrain.height_at(x, y), abs=1e-9)
    assert mirrored.tilt(x, -y, -yaw, 0.01) == pytest.approx((pitch, -roll), abs=1e-6)
