"""Tests of the driver, the drive and the status sensor."""

from __future__ import annotations

import numpy as np
import pytest

from perception.simulation.motion.drive import AHEAD_S, LEAD_IN_S, STEP_S, Drive, simulate_drive
from perception.simulation.motion.driver import Driver, OtherActors
from perception.simulation.scenario import Scenario
from perception.simulation.sensors.status import StatusSensor
from perception.simulation.world.layout import make_scene
from perception.simulation.world.paths import path_from_curvature

NOBODY = OtherActors(np.zeros((0, 2)), np.zeros((0, 2)), np.zeros(0), np.zeros(0), np.zeros(0))
STRAIGHT = path_from_curvature(0, 0, 0, np.zeros(400))


def someone(x: float, y: float, vx: float = 0.0, vy: float = 0.0) -> OtherActors:
    half = np.array([0.3])
    return OtherActors(np.array([[x, y]]), np.array([[vx, vy]]), np.arctan2([vy], [vx]), half, half)


def settled(driver: Driver, speed: float, others: OtherActors, x: float = 10.0) -> tuple[float, float]:
    for _ in range(100):
        wish = driver.command(x, 0, 0, speed, x, others, STEP_S)
    return wish


@pytest.fixture(
    scope="module", params=[0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (1, 2, 3))]
)
def driven(request: pytest.FixtureRequest) -> Drive:
    return simulate_drive(make_scene(request.param, Scenario(), 20.0), 20.0)


def test_driver_accelerates_to_its_top_speed_and_holds_it() -> None:
    assert settled(Driver(STRAIGHT, 3.0), 1.0, NOBODY)[1] > 0.8
    assert settled(Driver(STRAIGHT, 3.0), 3.0, NOBODY)[1] == pytest.approx(0, abs=0.05)


def test_driver_brakes_for_actors_on_the_route_and_not_for_others() -> None:
    assert settled(Driver(STRAIGHT, 3.0), 3.0, someone(14, 0))[1] < -2
    assert settled(Driver(STRAIGHT, 3.0), 0.0, someone(11.2, 0))[1] == pytest.approx(0, abs=0.01)  # stands
    assert settled(Driver(STRAIGHT, 3.0), 3.0, someone(14, 3))[1] > -0.1
    assert settled(Driver(STRAIGHT, 3.0), 3.0, someone(5, 0))[1] > -0.1  # behind


def test_driver_brakes_for_actors_about_to_cross() -> None:
    assert settled(Driver(STRAIGHT, 3.0), 3.0, someone(15, 2.2, 0, -1.4))[1] < -0.7
    assert settled(Driver(STRAIGHT, 3.0), 3.0, someone(15, 2.2, 0, 1.4))[1] > -0.1


def test_driver_slows_before_a_bend() -> None:
    bend = path_from_curvature(0, 0, 0, np.concatenate([np.zeros(60), np.full(100, 0.22)]))
    assert settled(Driver(bend, 4.0), 4.0, NOBODY, x=13.0)[1] < -0.8
    assert abs(settled(Driver(bend, 4.0), 4.0, NOBODY, x=2.0)[1]) < 0.05


def test_driver_steers_back_to_the_route() -> None:
    driver = Driver(STRAIGHT, 3.0)
    for _ in range(60):
        left, _ = driver.command(10, 0.5, 0, 2.0, 10, NOBODY, STEP_S)
    assert left < -0.05


def test_robot_stays_on_the_route(driven: Drive) -> None:
    for row in driven.robot[::25]:
        x, y, _ = driven.scene.route.at(row[6])
        assert np.hypot(row[0] - x, row[1] - y) < 0.35


def test_robot_makes_progress(driven: Drive) -> None:
    assert driven.robot[-1, 6] - driven.robot[0, 6] > 15


def test_robot_keeps_clear_of_all_actors(driven: Drive) -> None:
    for k, actor in enumerate(driven.scene.actors):
        gap = np.hypot(
            driven.actors[:, k, 0] - driven.robot[:, 0], driven.actors[:, k, 1] - driven.robot[:, 1]
        )
        assert gap.min() > actor.figure.size_m[1] / 2 + 0.3


def test_standing_objects_keep_the_paths_free() -> None:
    for seed in range(6):
        scene = make_scene(seed, Scenario(), 20.0)
        for item in scene.items:
            for way in (scene.route, *scene.branches):
                assert way.distance_to(np.array([[item.x, item.y]]))[0] > item.figure.radius_m + 0.9


def test_true_control_is_the_command_half_a_second_ahead(driven: Drive) -> None:
    for t in (0.0, 3.34, 12.5, 20.0):
        index = round((t + AHEAD_S + LEAD_IN_S) / STEP_S)
        np.testing.assert_allclose(driven.command_at(t), driven.robot[index, 7:9], atol=1e-6)


def test_positions_and_yaws_integrate_speed_and_curvature(driven: Drive) -> None:
    speed = np.hypot(np.diff(driven.robot[:, 0]), np.diff(driven.robot[:, 1])) / STEP_S
    np.testing.assert_allclose(speed, driven.robot[1:, 3], atol=0.02)
    np.testing.assert_allclose(
        np.diff(driven.robot[:, 2]) / STEP_S, driven.robot[:-1, 4] * driven.robot[1:, 3], atol=0.02
    )
    assert np.ptp(driven.robot[:, 3]) > 0.3


def test_status_measures_the_drive_and_not_the_commands(driven: Drive) -> None:
    sensor = StatusSensor(driven)
    times = np.arange(0, 20, 0.05)
    rows = [{name: value for name, _, value in sensor.read(float(t))} for t in times]
    states = [driven.robot_at(float(t)) for t in times]
    speed, true = np.array([r["speed"] for r in rows]), np.array([s["speed"] for s in states])
    assert np.abs(speed - true).max() < 0.3
    yaw_rate = np.array([r["yaw_rate"] for r in rows])
    assert np.abs(yaw_rate - true * np.array([s["curvature"] for s in states])).max() < 0.06
    wheels = np.array([r["wheel_speed_right"] - r["wheel_speed_left"] for r in rows])
    turning = np.abs(yaw_rate) > 0.2
    if turning.any():
        assert np.mean(np.sign(wheels[turning]) == np.sign(yaw_rate[turning])) > 0.9
    assert not any("command" in name for name in rows[0])
