"""Types, outputs, settings and health in ROS, against published hashes and `rosbags`' own reading."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Literal

import pytest
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from perception.errors import ConfigError
from perception.types import Control, ControlChannel, Detection, Detections, Output, Tick
from perception.types.samples import absent_sample
from perception_plugins.hosts.ros.message_types import MessageTypes, UnknownType, dds_name, ros_name
from perception_plugins.hosts.ros.ros_outputs import ControlOptions, RosOutputs, drive_command
from perception_plugins.hosts.ros.settings import ROS2_KEYS, read_settings
from perception_plugins.hosts.ros.transport import Notes

STRING = "RIHS01_df668c740482bbd48fb39d76a70dfd4bd59db1288021743503259e948f6b1a18"
TICK = Tick(0, "reference", 1_700_000_000_123_456_789, 1_700_000_000_200_000_000)
ITEM = Detection("car", 0.75, (10.0, 20.0, 30.0, 60.0), distance_m=5.0, track_id="7")
PLACED = Detection(
    *("cone", 0.5, (0.0, 0.0, 4.0, 4.0)),
    position_m=(5.0, -1.0, 0.5),
    position_cov_m2=((1.0, 0.2, 0.0), (0.2, 2.0, 0.0), (0.0, 0.0, 3.0)),
    position_unknown="",
)
DETECTIONS = Detections(True, items=(ITEM, PLACED), position_frame="base_link")
CONTROL = Control(
    True, channels=(ControlChannel("curvature", "1/m", 0.1), ControlChannel("speed", "m/s", 2.0))
)


def test_hashes_are_those_that_ros_publishes() -> None:
    types = MessageTypes("cdr")
    assert types.type_hash("std_msgs/msg/String") == STRING
    md5s = {
        "sensor_msgs/msg/Image": "060021388200f6f0f447d0fcd9c64743",
        "tf2_msgs/msg/TFMessage": "94810edda583a504dfda3829e70d7eec",
        "diagnostic_msgs/msg/DiagnosticArray": "60810da900de1dd6ddd437c3503511da",
        "geometry_msgs/msg/TwistStamped": "98d34b0043a2093cf9d9345ab6eef12e",
    }
    ros1 = MessageTypes("ros1")
    assert {name: ros1.md5(name) for name in md5s} == md5s


def test_a_definition_in_a_folder_makes_a_type_known(tmp_path: Path) -> None:
    with pytest.raises(UnknownType, match="AMENT_PREFIX_PATH"):
        MessageTypes("cdr").schema("my_robot/msg/Wheels")
    place = tmp_path / "share" / "my_robot" / "msg"
    place.mkdir(parents=True)
    (place / "Wheels.msg").write_text("std_msgs/Header header\nWheel[2] wheels\n")
    (place / "Wheel.msg").write_text("float32 speed\n")
    types = MessageTypes("cdr", [tmp_path])
    assert b"MSG: my_robot/Wheel" in types.schema("my_robot/msg/Wheels").data
    (place / "Broken.msg").write_text("float32\n")
    with pytest.raises(UnknownType, match="cannot be read"):
        types.schema("my_robot/msg/Broken")


@pytest.mark.parametrize("name", ["sensor_msgs/msg/Image", "my_robot/msg/Wheels"])
def test_names_of_dds_are_read_back(name: str) -> None:
    assert ros_name(dds_name(name)) == name
    assert ros_name("std::string") is None


@pytest.mark.parametrize("encoding", ["cdr", "ros1"])
def test_outputs_are_read_by_rosbags(encoding: Literal["cdr", "ros1"]) -> None:
    types = MessageTypes(encoding)
    outputs = RosOutputs(types, ControlOptions("ackermann", wheelbase_m=2.0))
    outputs.number_classes(["cone", "car"])
    sample = absent_sample(TICK, "not sent")
    sent = {m.topic: m for m in outputs.messages(sample, Output(TICK, DETECTIONS, CONTROL))}
    assert set(sent) == set(outputs.topics())
    store = get_typestore(Stores.ROS1_NOETIC if encoding == "ros1" else Stores.ROS2_JAZZY)
    read = {}
    for topic, (_, name, message) in sent.items():
        short = name.replace("/msg/", "/") if encoding == "ros1" else name
        found = get_types_from_msg(types.schema(name).data.decode(), short)
        store.register({key: value for key, value in found.items() if key not in store.fielddefs})
        reader = store.deserialize_ros1 if encoding == "ros1" else store.deserialize_cdr
        read[topic] = reader(types.serialize(message, name), name)

    first, second = read["detections"].detections
    assert (first.bbox.size_x, first.bbox.size_y) == (20.0, 40.0)
    centre = first.bbox.center if encoding == "ros1" else first.bbox.center.position
    assert (centre.x, centre.y) == (20.0, 40.0)
    stamp = read["detections"].header.stamp
    assert (stamp.sec, stamp.nanosec) == divmod(TICK.stamp_ns, 10**9)
    if encoding == "ros1":
        assert [d.results[0].id for d in (first, second)] == [1, 0]
    else:
        assert [d.results[0].hypothesis.class_id for d in (first, second)] == ["car", "cone"]
        assert first.id == "7"
    (placed,) = read["detections_3d"].detections
    assert placed.bbox.center.position.y == -1.0
    assert placed.results[0].pose.covariance.reshape(6, 6)[:2, :2].tolist() == [[1.0, 0.2], [0.2, 2.0]]
    assert read["control"].drive.steering_angle == pytest.approx(math.atan(0.2))
    assert read["control"].drive.speed == 2.0


def test_a_head_that_is_invalid_is_not_published_and_says_why() -> None:
    outputs = RosOutputs(MessageTypes("cdr"))
    sample = absent_sample(TICK, "not sent")
    bad = Output(TICK, Detections(False, error="no picture"), Control(False, error="no sensor"))
    assert list(outputs.messages(sample, bad)) == []
    assert outputs.unsent["detections"] == "no picture"
    assert outputs.unsent["control"] == "no sensor"
    list(outputs.messages(sample, Output(TICK, DETECTIONS, CONTROL)))
    assert not any(outputs.unsent.values())


@pytest.mark.parametrize(
    ("values", "speed", "how", "expected"),
    [
        (
            {"curvature": 0.5, "acceleration": 1.0},
            2.0,
            ControlOptions("twist"),
            {"speed": 2.5, "yaw_rate": 1.25},
        ),
        ({"curvature": 0.5, "speed": 4.0}, None, ControlOptions("twist"), {"speed": 4.0, "yaw_rate": 2.0}),
        (
            *({"steering_angle": 0.2, "speed": 1.0}, None, ControlOptions("ackermann")),
            {"steering_angle": 0.2, "speed": 1.0, "acceleration": 0.0},
        ),
    ],
)
def test_a_drive_command_is_made_of_the_channels(values, speed, how, expected) -> None:  # type: ignore[no-untyped-def]
    assert drive_command(values, speed, how) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("values", "speed", "how", "reason"),
    [
        ({"curvature": 0.5}, None, ControlOptions("twist"), "the speed is not known"),
        ({"throttle": 0.5}, 1.0, ControlOptions("twist"), "expected a channel curvature"),
        ({"curvature": 0.5}, 1.0, ControlOptions("ackermann"), "wheelbase"),
        ({"curvature": math.nan}, 1.0, ControlOptions("twist"), "not a number"),
    ],
)
def test_a_command_that_is_not_known_is_not_sent(values, speed, how, reason) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match=reason):
        drive_command(values, speed, how)


def test_settings_name_every_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROS_DOMAIN_ID", "7")
    monkeypatch.setenv("RMW_IMPLEMENTATION", "rmw_zenoh_cpp")
    settings = read_settings({"connect": "tcp/a:1, tcp/b:2"}, ROS2_KEYS, 0.5)
    assert (settings.domain, settings.transport, settings.connect) == (7, "zenoh", ("tcp/a:1", "tcp/b:2"))
    with pytest.raises(ConfigError, match="connect: is for transport=zenoh; found transport=dds"):
        read_settings({"connect": "tcp/a:1", "transport": "dds"}, ROS2_KEYS, 0.5)
    wrong = {"transprt": "dds", "domain": "500", "node": "1 2", "wheelbase_m": "-1", "use_sim_time": "yes"}
    with pytest.raises(ConfigError) as caught:
        read_settings(wrong, ROS2_KEYS, 0.5)
    text = str(caught.value)
    assert "did you mean transport?" in text
    assert all(key in text for key in wrong)


def test_notes_hold_what_is_wrong_until_it_is_over() -> None:
    lines: list[str] = []
    notes = Notes(lines.append)
    notes.say("/clock", "nothing received")
    notes.say("/clock", "nothing received")
    assert notes.texts == {"/clock": "nothing received"}
    notes.say("/clock", "")
    assert (notes.texts, lines) == ({}, ["/clock: nothing received"])
