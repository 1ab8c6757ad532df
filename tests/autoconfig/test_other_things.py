"""A speed of another thing than the vehicle is no status."""

from __future__ import annotations

from pathlib import Path

import pytest

from perception.autoconfig import ConfigChoice, complete_config
from perception.autoconfig.naming_rules import known_fields, of_other_thing
from perception.logs import open_log
from tests.small_logs import SmallLog


def choice_of(log: SmallLog, folder: Path) -> ConfigChoice:
    with open_log(log.write(folder / "small.mcap")) as opened:
        return complete_config(opened)


@pytest.mark.parametrize(
    ("paths", "field"),
    [
        (["wind.speed"], None),
        (["fan.speed", "temperature"], None),
        (["limits.speed", "state.now.speed"], "state.now.speed"),
        (["max.speed", "speed"], "speed"),
        (["leftMotor.velocity"], None),
        (["vehicle.speed"], "vehicle.speed"),
        (["shoulder_pan.vel"], None),  # of an arm
        (["theta.vel", "x.vel"], "x.vel"),
        (["leftWheel.velocity"], None),
        (["lift.speed", "hopper.speed"], None),
        (["lift.speed", "base.speed"], "base.speed"),
        (["lift.speed"], "lift.speed"),
        (["engine.vehicle_speed"], "engine.vehicle_speed"),
        (["lead.vehicle_speed"], None),
        (["gps.speed", "motor.speed"], "gps.speed"),
        (["gps.speed", "obd.speed"], "gps.speed"),  # the vehicle's, both
    ],
)
def test_words_of_fields(paths: list[str], field: str | None) -> None:
    assert known_fields(paths).get("speed") == field


@pytest.mark.parametrize(
    ("topic", "schema", "word"),
    [
        ("/mavros/wind_estimation", "geometry_msgs/TwistWithCovarianceStamped", "wind"),
        ("/radar/lead_vehicle", "x.Lead", "lead"),
        ("/motor/left", "x.Motor", "motor"),
        ("/radar/detection", "x.Detection", "radar"),
        ("/front/returns", "ti_mmwave_rospkg/msg/RadarScan", "radar"),
        (
            "/radar/twist",
            "geometry_msgs/msg/TwistWithCovarianceStamped",
            "",
        ),  # of the vehicle, by what it sees
        ("/motor_controller/odom", "nav_msgs/msg/Odometry", ""),
        ("/engine/imu", "sensor_msgs/Imu", ""),
        ("/motor_controller/twist", "geometry_msgs/TwistStamped", ""),
        ("/arm/twist", "geometry_msgs/TwistStamped", "arm"),
        ("/vehicle/state", "x.State", ""),
        ("/windshield/camera/state", "x.State", ""),
    ],
)
def test_words_of_topics(topic: str, schema: str, word: str) -> None:
    assert of_other_thing(topic, schema) == word


def test_the_wind_is_no_status_and_is_named(tmp_path: Path) -> None:
    choice = choice_of(SmallLog().image().json("/wind", lambda i: {"speed": 8.0}), tmp_path)
    assert choice.config.sensors.status is None
    (item,) = [item for item in choice.unused if item.topic == "/wind"]
    assert "its name says 'wind', not the vehicle" in item.reason
    assert any(item.reason in text for text in choice.warnings)


def test_a_speed_of_the_vehicle_on_the_topic_of_its_engine() -> None:
    assert of_other_thing("/engine", "x.Engine", ["speed"]) == "engine"
    assert of_other_thing("/engine", "x.Engine", ["vehicle_speed"]) == ""
    assert of_other_thing("/radar/state", "x.RadarState", ["vehicle_speed"]) == ""
    assert of_other_thing("/traffic", "x.Traffic", ["vehicle_speed"]) == "traffic"


@pytest.mark.parametrize(("camera", "taken"), [("/max/camera/image", True), ("/camera/image", False)])
def test_the_namespace_of_all_sensors_is_the_name_of_the_vehicle(
    tmp_path: Path, camera: str, taken: bool
) -> None:
    log = SmallLog().image(camera).json("/max/status", lambda i: {"speed": 8.0})
    assert (choice_of(log, tmp_path).config.sensors.status is not None) == taken
