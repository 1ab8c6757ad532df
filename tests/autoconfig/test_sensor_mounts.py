"""Rates and accelerations of an Imu are those of the vehicle only where transforms do not turn it."""

from __future__ import annotations

from pathlib import Path

import pytest

from perception.autoconfig import ConfigChoice, complete_config
from perception.logs import open_log
from tests.small_logs import SmallLog

LEVEL, OVER, ASIDE, TILTED = (0, 0, 0, 1), (1, 0, 0, 0), (0, 0, 0.7071, 0.7071), (0, 0.1305, 0, 0.9914)


def choice_of(log: SmallLog, folder: Path) -> ConfigChoice:
    with open_log(log.write(folder / "small.mcap")) as opened:
        return complete_config(opened)


def imu(frame: str) -> dict[str, object]:
    return {
        "header": {"frame_id": frame},
        "angular_velocity": {"x": 0.0, "y": 0.0, "z": 0.1},
        "linear_acceleration": {"x": 0.2, "y": 0.0, "z": 0.0},
    }


def transforms(log: SmallLog, base: str, turn: tuple[float, ...]) -> SmallLog:
    edge = {
        "parent_frame_id": base,
        "child_frame_id": "imu_link",
        "translation": {"x": 1.0, "y": 0.0, "z": 0.0},
        "rotation": dict(zip("xyzw", turn, strict=True)),
    }
    return log.json("/tf_static", lambda i: {"transforms": [edge]}, "foxglove.FrameTransforms", hz=1.0)


@pytest.mark.parametrize(
    ("base", "turn", "channels"),
    [
        ("base_link", LEVEL, {"yaw_rate", "acceleration"}),
        ("base_link", TILTED, {"yaw_rate", "acceleration"}),
        ("base_link", OVER, {"acceleration"}),
        ("base_link", ASIDE, {"yaw_rate"}),
        ("rack", OVER, {"yaw_rate", "acceleration"}),  # how the rack is mounted is not known
    ],
)
def test_an_imu_that_transforms_turn_has_other_axes(
    tmp_path: Path, base: str, turn: tuple[float, ...], channels: set[str]
) -> None:
    log = SmallLog().image().json("/imu", lambda i: imu("/imu_link"), "sensor_msgs/msg/Imu")
    choice = choice_of(transforms(log, base, turn), tmp_path)
    status = choice.config.sensors.status
    assert status is not None
    assert set(status.fields) == channels
    said = [text for text in choice.warnings if "transforms turn" in text]
    assert bool(said) == (len(channels) == 1)
    assert not said or f"in {base!r}" in said[0]


@pytest.mark.parametrize(
    ("frame", "taken"),
    [("base_link_frd", False), ("imu_NED", False), ("imu", True), ("odom_combined", True), ("aligned", True)],
)
def test_a_frame_whose_name_says_down_gives_no_yaw_rate(tmp_path: Path, frame: str, taken: bool) -> None:
    log = SmallLog().image().json("/imu", lambda i: imu(frame), "sensor_msgs/msg/Imu")
    choice = choice_of(log, tmp_path)
    assert choice.config.sensors.status is not None
    assert ("yaw_rate" in choice.config.sensors.status.fields) == taken
    assert any("points down, by the name" in text for text in choice.warnings) != taken
