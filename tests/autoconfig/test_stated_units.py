"""A speed whose unit stands beside it is not taken as one in m/s."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import pytest

from perception.autoconfig import ConfigChoice, complete_config
from perception.logs import open_log
from perception.types import Schema
from tests.small_logs import SmallLog


def choice_of(log: SmallLog, folder: Path) -> ConfigChoice:
    with open_log(log.write(folder / "small.mcap")) as opened:
        return complete_config(opened)


def channels(choice: ConfigChoice) -> set[str]:
    status = choice.config.sensors.status
    return set() if status is None else set(status.fields)


@pytest.mark.parametrize(
    ("comment", "unit"),
    [
        ("# km/h", "km/h"),
        ("#speed of the car [kph]", "kph"),
        ("# mph", "mph"),
        ("# cm/s", "cm/s"),
        ("# wheel rpm", "rpm"),
        ("# motor electrical speed (revolutions per minute)", "revolutions per minute"),
        ("# kilometers per hour", "kilometers per hour"),
        ("# m/s", ""),
        ("# km/h = 3.6 m/s", ""),
        ("# over ground", ""),
        ("", ""),
    ],
)
def test_the_comment_of_a_definition_says_the_unit(tmp_path: Path, comment: str, unit: str) -> None:
    definition = f"float64 limit # km/h\nfloat64 speed   {comment}\nfloat64 yaw_rate # rad/s\n"
    schema = Schema("car_msgs/msg/State", "ros2msg", definition.encode())
    data = b"\0\1\0\0" + struct.pack("<3d", 130.0, 36.0, 0.1)
    choice = choice_of(SmallLog().image().stream("/car", schema, "cdr", lambda i, s: data), tmp_path)
    assert channels(choice) == ({"yaw_rate"} if unit else {"speed", "yaw_rate"})
    if unit:
        assert any(f"speed is in {unit}, as its definition says" in text for text in choice.warnings)


@pytest.mark.parametrize(
    ("above", "unit"),
    [
        ("# vehicle speed\n# in km/h\n", "km/h"),
        ("# of the wheels, rpm\n\n# over ground, m/s\n", ""),
        ("# km/h\nfloat64 limit\n", ""),  # of another field
    ],
)
def test_a_comment_above_a_field_says_the_unit(tmp_path: Path, above: str, unit: str) -> None:
    schema = Schema("car_msgs/msg/State", "ros2msg", f"{above}float64 speed\nfloat64 yaw_rate\n".encode())
    count = 3 if "limit" in above else 2
    data = b"\0\1\0\0" + struct.pack(f"<{count}d", *[0.5] * count)
    choice = choice_of(SmallLog().image().stream("/car", schema, "cdr", lambda i, s: data), tmp_path)
    assert channels(choice) == ({"yaw_rate"} if unit else {"speed", "yaw_rate"})


def test_annotations_of_idl_say_the_unit(tmp_path: Path) -> None:
    definition = """module car { module msg { struct State {
      @verbatim (language="comment", text="of the vehicle")
      @unit (value="km/h")
      double speed;
      @unit (value="rad/s")
      double yaw_rate;
    }; }; };"""
    schema = Schema("car/msg/State", "ros2idl", definition.encode())
    data = b"\0\1\0\0" + struct.pack("<2d", 36.0, 0.1)
    choice = choice_of(SmallLog().image().stream("/car", schema, "cdr", lambda i, s: data), tmp_path)
    assert channels(choice) == {"yaw_rate"}


def test_a_comment_behind_a_member_of_idl_is_not_of_the_next(tmp_path: Path) -> None:
    definition = """module car { module msg { struct State {
      double heading;  // degrees
      double yaw_rate;
      double speed;  // km/h
    }; }; };"""
    schema = Schema("car/msg/State", "ros2idl", definition.encode())
    data = b"\0\1\0\0" + struct.pack("<3d", 90.0, 0.1, 36.0)
    choice = choice_of(SmallLog().image().stream("/car", schema, "cdr", lambda i, s: data), tmp_path)
    assert channels(choice) == {"yaw_rate"}


@pytest.mark.parametrize("key", ["description", "unit"])
@pytest.mark.parametrize("unit", ["km/h", "m/s"])
def test_a_json_schema_says_the_unit(tmp_path: Path, key: str, unit: str) -> None:
    state = {"type": "object", "properties": {"speed": {"type": "number", key: unit}}}
    schema = Schema("State", "jsonschema", json.dumps({"properties": {"state": state}}).encode())

    def make(i: int, stamp: int) -> bytes:
        return json.dumps({"timestamp_ns": stamp, "state": {"speed": 36.0, "ax": 0.1}}).encode()

    choice = choice_of(SmallLog().image().stream("/car", schema, "json", make), tmp_path)
    assert channels(choice) == ({"acceleration"} if unit == "km/h" else {"speed", "acceleration"})


@pytest.mark.parametrize(
    ("name", "unit", "taken"),
    [
        ("unit", "km/h", False),
        ("speed_unit", "mph", False),
        ("unit", "m/s", True),
        ("unit", "vehicle", True),
        ("other", "km/h", True),
    ],
)
def test_a_text_beside_a_field_says_the_unit(tmp_path: Path, name: str, unit: str, taken: bool) -> None:
    def make(i: int, stamp: int) -> bytes:
        return json.dumps({"timestamp_ns": stamp, "state": {"speed": 36.0, name: unit, "ax": 0.1}}).encode()

    log = SmallLog().image().stream("/car", Schema("State", "jsonschema", b"{}"), "json", make)
    choice = choice_of(log, tmp_path)
    assert channels(choice) == ({"speed", "acceleration"} if taken else {"acceleration"})
    assert any(f"state.speed is in {unit}, as the message says" in text for text in choice.warnings) != taken


def test_degrees_are_no_radians(tmp_path: Path) -> None:
    schema = Schema(
        "car/State", "ros2msg", b"float64 speed\nfloat64 yaw_rate # deg/s\nfloat64 steering # degrees\n"
    )
    data = b"\0\1\0\0" + struct.pack("<3d", 3.0, 10.0, 20.0)
    choice = choice_of(SmallLog().image().stream("/car", schema, "cdr", lambda i, s: data), tmp_path)
    assert channels(choice) == {"speed"}
    assert any("yaw_rate is in deg/s" in text for text in choice.warnings)
