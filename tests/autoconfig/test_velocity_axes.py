"""A velocity is a speed where its x axis points forward: the other axis and the pose beside it tell."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from perception.autoconfig import ConfigChoice, complete_config
from perception.logs import open_log
from tests.small_logs import SmallLog

SPEED, TURN = 5.0, 0.1
HZ = 20.0


def choice_of(log: SmallLog, folder: Path) -> ConfigChoice:
    with open_log(log.write(folder / "small.mcap")) as opened:
        return complete_config(opened)


def fields_by_topic(choice: ConfigChoice) -> dict[str, set[str]]:
    statuses = choice.config.sensors.statuses.values()
    return {section.topic: set(section.fields) for section in statuses}


def odometry(twist: str, stands_s: float = 0.0, turn: float = TURN) -> Callable[[int], dict[str, object]]:
    """Return a drive on a circle, heading north-east at first, with a twist as estimators fill it."""

    def make(i: int) -> dict[str, object]:
        t = max(i / HZ - stands_s, 0.0)
        heading = 1.0 + TURN * t
        x, y = (SPEED / TURN * value for value in (math.sin(heading), -math.cos(heading)))
        speed = SPEED if t else 0.0
        linear = {
            "own": (speed, 0.0),
            "world": (speed * math.cos(heading), speed * math.sin(heading)),
            "none": (0.0, 0.0),
            "km/h": (3.6 * speed, 0.0),
        }[twist]
        pose = {
            "position": {"x": x, "y": y, "z": 0.0},
            "orientation": {"x": 0.0, "y": 0.0, "z": math.sin(heading / 2), "w": math.cos(heading / 2)},
        }
        angular = {"x": 0.0, "y": 0.0, "z": 0.0 if twist == "none" else turn}
        velocity = {"linear": {"x": linear[0], "y": linear[1], "z": 0.0}, "angular": angular}
        return {"child_frame_id": "base_link", "pose": {"pose": pose}, "twist": {"twist": velocity}}

    return make


@pytest.mark.parametrize("stands_s", [0.0, 15.0])
@pytest.mark.parametrize(
    ("twist", "channels", "word"),
    [
        ("own", {"speed", "yaw_rate"}, ""),
        ("world", {"yaw_rate"}, "linear.x is along an axis of the world"),
        ("none", set(), "linear.x is 0 while the pose moves at 5 m/s"),
        ("km/h", {"speed", "yaw_rate"}, "linear.x is 18 m/s where the pose beside it moves at 5 m/s"),
    ],
)
def test_the_pose_of_an_odometry_tells_what_its_velocity_is(
    tmp_path: Path, twist: str, channels: set[str], word: str, stands_s: float
) -> None:
    log = (
        SmallLog()
        .image()
        .json("/odom", odometry(twist, stands_s), "nav_msgs/msg/Odometry", hz=HZ, seconds=25)
    )
    choice = choice_of(log, tmp_path)
    assert fields_by_topic(choice) == ({"/odom": channels} if channels else {})
    said = [text for text in choice.warnings if "linear.x" in text]
    assert (word in said[0]) if word else not said


@pytest.mark.parametrize("speed", [0.0, 0.4])
def test_a_pose_with_noise_says_nothing_of_a_velocity(tmp_path: Path, speed: float) -> None:
    """As where positions of a GPS receiver are fused."""

    def make(i: int) -> dict[str, Any]:
        message: dict[str, Any] = odometry("own")(0)
        east = speed * i / HZ + 0.1 * (i % 4 // 2) + 0.05 * (i % 3)
        message["pose"]["pose"]["position"] = {"x": east, "y": 0.0, "z": 0.0}
        message["twist"]["twist"]["linear"]["x"] = speed
        return message

    log = SmallLog().image().json("/odom", make, "nav_msgs/msg/Odometry", hz=HZ, seconds=25)
    choice = choice_of(log, tmp_path)
    assert fields_by_topic(choice) == {"/odom": {"speed", "yaw_rate"}}
    assert not [text for text in choice.warnings if "linear.x" in text]


def test_a_drone_that_only_rises_has_a_velocity(tmp_path: Path) -> None:
    def make(i: int) -> dict[str, Any]:
        message: dict[str, Any] = odometry("none", turn=0.0)(0)
        message["pose"]["pose"]["position"]["z"] = 2.0 * i / HZ
        message["twist"]["twist"]["linear"]["z"] = 2.0
        return message

    log = SmallLog().image().json("/odom", make, "nav_msgs/msg/Odometry", hz=HZ, seconds=25)
    assert fields_by_topic(choice_of(log, tmp_path)) == {"/odom": {"speed", "yaw_rate"}}


def test_an_orientation_that_is_not_filled_says_nothing_of_a_velocity(tmp_path: Path) -> None:
    def make(i: int) -> dict[str, Any]:
        message: dict[str, Any] = odometry("own")(i)
        message["pose"]["pose"]["orientation"] = {"x": 0.0, "y": 0.0, "z": 0.0, "w": 1.0}
        return message

    log = SmallLog().image().json("/odom", make, "nav_msgs/msg/Odometry", hz=HZ, seconds=25)
    choice = choice_of(log, tmp_path)
    assert fields_by_topic(choice) == {"/odom": {"speed", "yaw_rate"}}
    assert not [text for text in choice.warnings if "linear.x" in text]


def test_a_velocity_is_not_filled_whatever_the_orientation_is(tmp_path: Path) -> None:
    """As navsat_transform writes the positions of a receiver."""

    def make(i: int) -> dict[str, Any]:
        message: dict[str, Any] = odometry("none")(i)
        message["pose"]["pose"]["orientation"] = {"x": 0.0, "y": 0.0, "z": 0.0, "w": 1.0}
        return message

    log = SmallLog().image().json("/gps/odometry", make, "nav_msgs/msg/Odometry", hz=HZ, seconds=25)
    log.json("/odometry/filtered", odometry("own"), "nav_msgs/msg/Odometry", hz=HZ, seconds=25)
    assert fields_by_topic(choice_of(log, tmp_path)) == {"/odometry/filtered": {"speed", "yaw_rate"}}


def test_an_odometry_with_a_sound_velocity_goes_before_one_without(tmp_path: Path) -> None:
    log = SmallLog().image()
    for topic, twist in (("/a/global", "world"), ("/b/lio", "none"), ("/c/km_h", "km/h"), ("/d/odom", "own")):
        log.json(topic, odometry(twist), "nav_msgs/msg/Odometry", hz=HZ, seconds=5)
    choice = choice_of(log, tmp_path)
    assert fields_by_topic(choice) == {"/d/odom": {"speed", "yaw_rate"}}
    (item,) = [item for item in choice.unused if item.topic == "/b/lio"]
    assert "it is not filled" in item.reason


@pytest.mark.parametrize(("east", "taken"), [(6.0, False), (0.1, True)])
def test_a_velocity_to_the_side_is_none_of_the_vehicle(tmp_path: Path, east: float, taken: bool) -> None:
    """Velocities along world axes, in a message without a frame (Apollo's localization)."""
    pose = {
        "linear_velocity": {"x": 1.0, "y": east, "z": 0.0},
        "angular_velocity": {"x": 0, "y": 0, "z": 0.1},
    }
    choice = choice_of(SmallLog().image().json("/pose", lambda i: {"pose": pose}), tmp_path)
    assert fields_by_topic(choice) == {"/pose": {"speed", "yaw_rate"} if taken else {"yaw_rate"}}
    assert any("one axis of a velocity" in text for text in choice.warnings)


def test_a_doubtful_speed_is_taken_only_where_there_is_no_other(tmp_path: Path) -> None:
    pose = {"velocity": {"x": 3.0, "y": 0.0}, "angular_velocity": {"x": 0.0, "y": 0.0, "z": 0.1}}
    log = SmallLog().image().json("/pose", lambda i: pose)
    assert fields_by_topic(choice_of(log, tmp_path)) == {"/pose": {"speed", "yaw_rate"}}
    log.json("/chassis", lambda i: {"speed_mps": 5.0})
    choice = choice_of(log, tmp_path)
    assert fields_by_topic(choice) == {"/chassis": {"speed"}, "/pose": {"yaw_rate"}}
    assert not any("one axis" in text for text in choice.warnings)


@pytest.mark.parametrize(
    ("topic", "turn", "taken"),
    [
        ("/ublox/fix_velocity", 0.0, False),
        ("/body/velocity", 0.0, True),
        ("/kitti/oxts/gps/vel", 0.01, True),  # forward, as kitti2bag writes it
    ],
)
def test_the_velocity_of_a_receiver_of_satellites_is_none_of_the_vehicle(
    tmp_path: Path, topic: str, turn: float, taken: bool
) -> None:
    twist = {"linear": {"x": 3.0, "y": 0.0}, "angular": {"z": turn}}
    message = {"header": {"frame_id": "base_link"}, "twist": twist}
    log = SmallLog().image().json(topic, lambda i: message, "geometry_msgs/msg/TwistStamped")
    choice = choice_of(log, tmp_path)
    assert bool(fields_by_topic(choice)) == taken
    assert any("receiver of satellites" in text for text in choice.warnings) != taken


def test_gravity_on_an_accelerometer_tells_that_a_phone_stands_upright(tmp_path: Path) -> None:
    turn, force = {"x": 0.0, "y": 0.2, "z": 0.01}, {"x": 0.1, "y": 9.8, "z": 0.2}
    phone = {"speed": 5.0, "gyroscope": turn, "accelerometer": force}
    choice = choice_of(SmallLog().image().json("/phone", lambda i: phone), tmp_path)
    assert "yaw_rate" not in fields_by_topic(choice)["/phone"]
    assert any("gyroscope.z is not about the vertical" in text for text in choice.warnings)
