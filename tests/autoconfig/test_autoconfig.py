"""Sensors are found by schema, choices say why, and nothing is guessed."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from perception.autoconfig import ConfigChoice, complete_config
from perception.autoconfig.naming_rules import known_fields, says_control, says_truth
from perception.config import Config, parse_config, to_yaml
from perception.errors import ConfigError, LogError
from perception.logs import open_log
from perception.logs.perception_proto import SCHEMAS, encode_truth
from perception.plugin import Manifest, Plugin, register_plugin
from perception.plugin.discovery import _registered
from perception.types import Schema, TruthBox
from tests.scripted_scene import write_scene
from tests.small_logs import SmallLog


def choice_of(log: SmallLog, folder: Path, base: Config | None = None) -> ConfigChoice:
    with open_log(log.write(folder / "small.mcap")) as opened:
        return complete_config(opened, base)


def refusal_of(log: SmallLog, folder: Path, base: Config | None = None) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        choice_of(log, folder, base)
    return caught.value


def sensors_of(choice: ConfigChoice) -> dict[str, str]:
    return {role: topic for topic, role in choice.config.roles().items()}


# --- what is found ------------------------------------------------------------------------------------


def test_everything_is_found_by_its_schema(tmp_path: Path) -> None:
    choice = choice_of(SmallLog().sound(), tmp_path)
    assert choice.config.roles() == {
        "/camera/image": "camera",
        "/camera/calibration": "calibration",
        "/tf": "transforms",
        "/scan": "range",
        "/vehicle/state": "status",
        "/truth/detections": "truth_boxes",
        "/truth/control": "truth_control",
    }
    assert choice.config.reference == "camera"
    assert choice.config.reference_rate_hz == pytest.approx(10.0)
    assert choice.warnings == ()
    assert "camera: /camera/image, the only foxglove.CompressedImage" in choice.reasons
    assert "reference: camera, whose messages make the ticks, at 10 Hz" in choice.reasons


def test_the_names_of_topics_do_not_matter_for_sensors(tmp_path: Path) -> None:
    log = SmallLog().image("/a").scan("/b").status("/c", hz=50)
    assert sensors_of(choice_of(log, tmp_path)) == {"camera": "/a", "range": "/b", "status": "/c"}


def test_a_scripted_scene_is_understood(tmp_path: Path) -> None:
    with open_log(write_scene(tmp_path / "scene.mcap", duration_s=1.0)) as log:
        choice = complete_config(log)
    config = choice.config
    assert config.sensors.status is not None
    assert config.sensors.status.fields == {name: name for name in ("speed", "yaw_rate", "acceleration")}
    assert config.truth.boxes == "/truth/detections"
    assert config.truth.control == "/truth/control"
    assert choice.warnings == ()
    assert parse_config(yaml.safe_load(to_yaml(config))) == config


@pytest.mark.parametrize(
    ("log", "reference", "rate"),
    [
        (SmallLog().scan(hz=20).status(hz=100), "range", 20.0),
        (SmallLog().status(hz=50), "status", 50.0),
        (SmallLog().image(hz=30, drop=(5, 6, 7, 20)), "camera", 30.0),
    ],
)
def test_the_reference_is_the_first_sensor_there_is(
    tmp_path: Path, log: SmallLog, reference: str, rate: float
) -> None:
    config = choice_of(log, tmp_path).config
    assert config.reference == reference
    assert config.reference_rate_hz == pytest.approx(rate, rel=1e-3)


def test_truth_commands_and_earlier_outputs_are_no_inputs(tmp_path: Path) -> None:
    log = (
        SmallLog()
        .status("/vehicle/state")
        .status("/vehicle/control")
        .status("/cmd_vel")
        .status("/target_state")
        .status("/ground_truth/odometry")
        .status("/perception/status")
        .truth("/perception/detections")
        .control("/perception/control")
        .scan("/truth/scan")
        .image("/labels/image")
    )
    choice = choice_of(log, tmp_path)
    assert sensors_of(choice)["status"] == "/vehicle/state"
    assert choice.config.sensors.camera is None
    assert choice.config.sensors.range is None
    assert choice.config.truth.boxes is None
    assert choice.config.truth.control != "/perception/control"


def test_a_status_with_a_speed_is_preferred(tmp_path: Path) -> None:
    log = (
        SmallLog()
        .image()
        .json("/battery", lambda i: {"percentage": 0.5})
        .json("/imu", lambda i: {"angular_velocity": {"z": 0.1}, "linear_acceleration": {"x": 1.0}})
        .json("/odom", lambda i: {"twist": {"twist": {"linear": {"x": 1.0}, "angular": {"z": 0.2}}}})
    )
    choice = choice_of(log, tmp_path)
    statuses = choice.config.sensors.statuses
    assert {name: (section.topic, section.fields) for name, section in statuses.items()} == {
        "odom": ("/odom", {"speed": "twist.twist.linear.x", "yaw_rate": "twist.twist.angular.z"}),
        "imu": ("/imu", {"acceleration": "linear_acceleration.x"}),
    }
    assert any("most telling of 3 status topics" in reason for reason in choice.reasons)
    assert any("/imu, for what the others do not tell: acceleration" in reason for reason in choice.reasons)


def test_a_message_of_one_number_is_named_by_its_topic(tmp_path: Path) -> None:
    log = SmallLog().image()
    for topic in ("/car/speed", "/car/steering", "/car/battery"):
        log.json(topic, lambda i: {"data": 1.0}, name="std_msgs/msg/Float32")
    log.rows = [(at, topic, b'{"data": 1.0}' if topic != "/camera/image" else data, schema, encoding)
                for at, topic, data, schema, encoding in log.rows]  # fmt: skip
    choice = choice_of(log, tmp_path)
    assert {s.topic: s.fields for s in choice.config.sensors.statuses.values()} == {
        "/car/speed": {"speed": "data"}
    }
    reasons = {item.topic: item.reason for item in choice.unused}
    assert "steering alone tells nothing" in reasons["/car/steering"]
    assert "(data)" in reasons["/car/battery"]


def test_a_field_that_the_first_messages_leave_out_is_found(tmp_path: Path) -> None:
    def signals(i: int) -> dict[str, object]:
        return {"speed": 3.0 + i} if i % 8 == 7 else {"yaw_rate": 0.1, "speed": None}

    choice = choice_of(SmallLog().image().json("/can/signals", signals, hz=50.0), tmp_path)
    status = choice.config.sensors.status
    assert status is not None
    assert set(status.fields) == {"speed", "yaw_rate"}


def test_a_speed_in_another_unit_is_named_where_there_is_no_other(tmp_path: Path) -> None:
    log = SmallLog().image().json("/plc", lambda i: {"speed_kmh": 36.0, "yawRateDeg": 1.0, "ax": 0.1})
    warnings = " ".join(choice_of(log, tmp_path).warnings)
    assert "speed_kmh is not used as speed: by its name it is in km/h" in warnings
    assert "yawRateDeg is not used as yaw_rate: by its name it is in degrees" in warnings
    assert "not used as speed" not in " ".join(choice_of(log.status(), tmp_path).warnings)


@pytest.mark.parametrize(
    ("name", "unit"), [("velocity_mm_s", "mm/s"), ("speedKmph", "km/h"), ("speed_mph", "mph")]
)
def test_a_speed_that_is_named_in_another_unit_says_which(tmp_path: Path, name: str, unit: str) -> None:
    warnings = choice_of(SmallLog().image().json("/plc", lambda i: {name: 36.0}), tmp_path).warnings
    assert any(f"{name} is not used as speed: by its name it is in {unit}" in text for text in warnings)


def test_recorded_actions_are_truth_of_their_moment_and_no_status(tmp_path: Path) -> None:
    log = (
        SmallLog()
        .image()
        .json("/action", lambda i: {"steering": 0.1, "throttle": 0.5, "speed": 2.0}, name="lerobot.action")
        .json("/observation/state", lambda i: {"speed": 1.0}, name="lerobot.observation.state")
    )
    choice = choice_of(log, tmp_path)
    assert {s.topic for s in choice.config.sensors.statuses.values()} == {"/observation/state"}
    truth = choice.config.truth
    assert (truth.control, truth.stamped_ahead_ns) == ("/action", 0)
    assert truth.control_fields == {"steering": "steering", "throttle": "throttle", "speed": "speed"}


def test_boxes_of_several_cameras_are_told_apart_by_their_frames(tmp_path: Path) -> None:
    log = SmallLog().image("/a/image", frame="one").image("/b/image", frame="two")
    boxes = [TruthBox("car", (1.0, 2.0, 3.0, 4.0), 5.0, 1.0, "1")]
    for topic, frame in (("/yolo/1", "two"), ("/yolo/2", "one")):
        log.stream(
            topic,
            SCHEMAS["perception.Detections"],
            "protobuf",
            lambda i, stamp, frame=frame: encode_truth(stamp, frame, boxes),  # type: ignore[misc]
        )
    choice = choice_of(log, tmp_path)
    assert choice.config.truth.camera_boxes == {"a": "/yolo/2", "b": "/yolo/1"}


def test_a_plugin_says_how_many_sensors_of_a_kind_it_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("perception.plugin.discovery._registered", dict(_registered))
    log = SmallLog().image("/left").image("/front").scan("/low").scan("/high").status()
    path = log.write(tmp_path / "log.mcap")
    register_plugin(
        Manifest(1, "narrow", "", ("camera",), ("class",), most={"camera": 1}), lambda m: Plugin()
    )
    config = {"plugin": {"name": "narrow"}}
    with open_log(path) as opened:
        choice = complete_config(opened, parse_config(config))
    assert set(choice.config.sensors.named) == {"status", "front", "high", "low"}
    assert [text for text in choice.warnings if text.startswith("left: not used")]
    assert {item.topic: item.code for item in choice.unused} == {"/left": "plugin_takes_fewer"}


def test_a_status_whose_fields_are_unknown_is_not_used_and_says_so(tmp_path: Path) -> None:
    choice = choice_of(SmallLog().image().json("/plc", lambda i: {"db1": 1.0, "db2": 2.0}), tmp_path)
    assert choice.config.sensors.status is None
    (warning,) = [text for text in choice.warnings if "/plc" in text]
    assert "db1, db2" in warning
    assert "sensors.status.fields" in warning


def test_the_calibration_of_the_cameras_frame_is_taken(tmp_path: Path) -> None:
    log = (
        SmallLog()
        .image("/x", frame="left")
        .calibration("/cal/b", frame="right")
        .calibration("/cal/a", frame="left")
    )
    choice = choice_of(log, tmp_path)
    assert sensors_of(choice)["calibration"] == "/cal/a"
    assert "calibration: /cal/a, which names the camera's frame left" in choice.reasons


def test_else_the_calibration_beside_the_camera_is_taken(tmp_path: Path) -> None:
    log = SmallLog().image("/front/image", frame="").calibration("/rear/info").calibration("/front/info")
    assert sensors_of(choice_of(log, tmp_path))["calibration"] == "/front/info"


def test_a_camera_without_a_calibration_is_a_warning(tmp_path: Path) -> None:
    (warning,) = choice_of(SmallLog().image().scan(), tmp_path).warnings
    assert "no camera calibration" in warning


def test_depth_images_and_unpacked_twins_are_no_second_camera(tmp_path: Path) -> None:
    log = SmallLog().image("/cam/depth").image("/cam/image_raw").image("/cam/image_raw/compressed")
    choice = choice_of(log, tmp_path)
    assert sensors_of(choice)["camera"] == "/cam/image_raw/compressed"
    assert any("/cam/depth, /cam/image_raw is no picture of its own" in reason for reason in choice.reasons)


def test_slow_sensors_get_tolerances_that_reach_them(tmp_path: Path) -> None:
    config = choice_of(SmallLog().image(hz=10).scan(hz=5).status(hz=4), tmp_path).config
    assert config.sensors.range is not None
    assert config.sensors.range.tolerance_ms == 120
    assert config.sensors.status is not None
    assert config.sensors.status.max_age_ms == 375


def test_truth_with_fewer_channels_says_which(tmp_path: Path) -> None:
    log = SmallLog().image().json("/truth/control", lambda i: {"curvature": 0.1})
    assert choice_of(log, tmp_path).config.truth.control_fields == {"curvature": "curvature"}


def test_of_two_truths_neither_is_taken(tmp_path: Path) -> None:
    choice = choice_of(SmallLog().image().cuboids("/truth/a").cuboids("/truth/b"), tmp_path)
    assert choice.config.truth.boxes is None
    assert any("/truth/a, /truth/b" in warning for warning in choice.warnings)


# --- what is not guessed ------------------------------------------------------------------------------


def test_every_camera_and_every_scan_is_used_under_a_name_of_its_own(tmp_path: Path) -> None:
    log = SmallLog().image("/left").image("/right").scan("/low").scan("/high", seconds=1).status(hz=50)
    choice = choice_of(log, tmp_path)
    named = {name: (s.kind, s.topic) for name, s in choice.config.sensors.named.items()}
    assert named == {
        "status": ("status", "/vehicle/state"),
        "left": ("camera", "/left"),
        "right": ("camera", "/right"),
        "high": ("range", "/high"),
        "low": ("range", "/low"),
    }
    assert choice.config.reference == "left"
    assert choice.unused == ()
    with open_log(tmp_path / "small.mcap") as opened:
        again = parse_config(yaml.safe_load(to_yaml(choice.config)))
        assert complete_config(opened, again).config == again  # what is printed fits the log


def test_each_camera_has_the_camera_info_of_its_frame_and_the_front_one_makes_the_ticks(
    tmp_path: Path,
) -> None:
    log = SmallLog()
    for name in ("back", "front", "left"):
        log.image(f"/{name}/image_raw", frame=f"{name}_optical").image(
            f"/{name}/image_rect", frame=f"{name}_optical"
        )
        log.calibration(f"/infos/{name}", frame=f"{name}_optical")
    choice = choice_of(log, tmp_path)
    cameras = choice.config.sensors.cameras
    assert {name: (c.topic, c.calibration) for name, c in cameras.items()} == {
        name: (f"/{name}/image_raw", f"/infos/{name}") for name in ("front", "back", "left")
    }
    assert choice.config.reference == "front"
    assert {item.topic: item.code for item in choice.unused} == {
        f"/{name}/image_rect": "second_choice" for name in ("back", "front", "left")
    }


def test_a_camera_info_that_could_be_of_two_cameras_is_that_of_neither(tmp_path: Path) -> None:
    log = SmallLog().image("/left", frame="").image("/right", frame="").calibration("/info", frame="")
    choice = choice_of(log, tmp_path)
    assert all(camera.calibration is None for camera in choice.config.sensors.cameras.values())
    assert sum("no camera info is surely its own" in text for text in choice.warnings) == 2
    assert {item.topic: item.code for item in choice.unused} == {"/info": "other_frame"}


def test_pictures_without_a_frame_do_not_claim_the_camera_info_of_others(tmp_path: Path) -> None:
    log = SmallLog().image("/camera/color/image", frame="color").calibration("/camera/info", frame="color")
    for name in ("left", "right"):
        log.image(f"/camera/{name}/image", frame="")
    choice = choice_of(log, tmp_path)
    found = {name: camera.calibration for name, camera in choice.config.sensors.cameras.items()}
    assert found == {"color": "/camera/info", "left": None, "right": None}
    assert sum("no camera info is surely its own" in text for text in choice.warnings) == 2
    assert not any("could be of" in text for text in choice.warnings)


def test_that_a_rig_has_no_camera_info_is_said_once(tmp_path: Path) -> None:
    choice = choice_of(SmallLog().image("/cam0", frame="cam0").image("/cam1", frame="cam1"), tmp_path)
    (warning,) = [text for text in choice.warnings if "calibration" in text]
    assert "no camera calibration in the log" in warning


@given(
    names=st.lists(st.sampled_from(["a", "b", "front", "left"]), min_size=2, max_size=3, unique=True),
    frames=st.booleans(),
    folders=st.booleans(),
    infos=st.integers(0, 3),
)
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_two_cameras_never_share_a_camera_info(
    tmp_path: Path, names: list[str], frames: bool, folders: bool, infos: int
) -> None:
    log = SmallLog()
    for name in names:
        log.image(f"/{name}/image" if folders else f"/cam/{name}", frame=name if frames else "", seconds=0.3)
    for name in names[:infos]:
        topic = f"/{name}/info" if folders else f"/cam/{name}_info"
        log.calibration(topic, frame=name if frames else "", seconds=0.3)
    cameras = choice_of(log, tmp_path).config.sensors.cameras
    assert len(cameras) == len(names)
    chosen = [camera.calibration for camera in cameras.values() if camera.calibration is not None]
    assert len(set(chosen)) == len(chosen)
    for camera in cameras.values():
        if camera.calibration is not None:  # by a frame or by a folder of its own, never by being left over
            name = next(n for n in names if n in camera.topic.split("/"))
            assert frames or folders
            assert name in camera.calibration


def test_what_cannot_be_read_is_named_with_what_to_do(tmp_path: Path) -> None:
    cloud = Schema("foxglove.CompressedPointCloud", "protobuf", b"")
    log = SmallLog().scan().stream("/cloud", cloud, "protobuf", lambda i, stamp: b"")
    log.stream("/binary", None, "capnproto", lambda i, stamp: b"")
    warnings = choice_of(log, tmp_path).warnings
    assert any("/cloud is not used: " in text and "write foxglove.PointCloud" in text for text in warnings)
    assert any("/binary is not used: expected" in text and "found 'capnproto'" in text for text in warnings)
    assert (
        "with x.Y (flatbuffer)"
        in refusal_of(
            SmallLog().stream("/f", Schema("x.Y", "flatbuffer", b"z"), "flatbuffer", lambda i, stamp: b""),
            tmp_path,
        ).errors[-1]
    )


def test_of_two_status_of_the_same_worth_one_is_used_and_it_is_said(tmp_path: Path) -> None:
    choice = choice_of(SmallLog().image().status("/a").status("/b"), tmp_path)
    assert [section.topic for section in choice.config.sensors.statuses.values()] == ["/a"]
    assert any("/a, /b tell as much" in text and "/a is used" in text for text in choice.warnings)


def test_a_depth_image_is_a_range_sensor_beside_a_lidar_but_not_beside_its_own_points(tmp_path: Path) -> None:
    log = SmallLog().image("/color", frame="color").scan("/lidar")
    log.raw_image("/depth/image", "16UC1", frame="depth").calibration("/depth/info", frame="depth")
    choice = choice_of(log, tmp_path)
    ranges = {name: (r.topic, r.calibration) for name, r in choice.config.sensors.ranges.items()}
    assert ranges == {"lidar": ("/lidar", None), "depth": ("/depth/image", "/depth/info")}


def test_a_log_without_a_sensor_says_what_is_needed(tmp_path: Path) -> None:
    error = refusal_of(SmallLog().json("/plc", lambda i: {"db1": 1.0}), tmp_path)
    assert "no sensor that can be used in small.mcap" in str(error)
    assert "/plc (Status, 20 messages)" in str(error)
    assert "db1" in str(error)


def test_a_log_whose_names_all_say_truth_is_refused_with_the_reason(tmp_path: Path) -> None:
    error = refusal_of(SmallLog().image("/gt/camera").status("/truth/state"), tmp_path)
    assert "/gt/camera is not used: its name says that it is truth" in str(error)
    assert "sensors.camera.topic" in str(error)


def test_a_log_without_messages_is_no_log_to_replay(tmp_path: Path) -> None:
    with pytest.raises(LogError, match="the log has no messages"):
        choice_of(SmallLog(), tmp_path)


def test_one_message_gives_no_rate_and_a_warning(tmp_path: Path) -> None:
    choice = choice_of(SmallLog().image(hz=1, seconds=1), tmp_path)
    assert choice.config.reference_rate_hz == 10.0
    assert any("cannot be measured" in warning for warning in choice.warnings)


# --- a configuration that is given --------------------------------------------------------------------


def given_config(**sensors: object) -> Config:
    return parse_config({"reference": next(iter(sensors)), "sensors": sensors})


def test_a_given_configuration_gets_the_measured_rate(tmp_path: Path) -> None:
    choice = choice_of(SmallLog().sound(), tmp_path, given_config(range={"topic": "/scan"}))
    assert choice.config.reference_rate_hz == pytest.approx(10.0)
    assert choice.config.sensors.camera is None
    fixed = given_config(range={"topic": "/scan"}).model_copy(update={"reference_rate_hz": 12.5})
    assert choice_of(SmallLog().sound(), tmp_path, fixed).config.reference_rate_hz == 12.5


def test_what_a_configuration_without_sensors_leaves_out_is_found(tmp_path: Path) -> None:
    base = parse_config({"version": 1, "wait_ms": 20, "truth": {"classes": {"Car": "vehicle"}}})
    found, given = choice_of(SmallLog().sound(), tmp_path), choice_of(SmallLog().sound(), tmp_path, base)
    assert given.config.wait_ms == 20
    assert given.config.truth.classes == {"Car": "vehicle"}
    assert given.config.roles() == found.config.roles()
    assert given.config.reference_rate_hz == pytest.approx(10.0)


def test_a_wanted_reference_is_kept_and_its_own_rate_measured(tmp_path: Path) -> None:
    base = parse_config({"version": 1, "reference": "status"})
    config = choice_of(SmallLog().image("/a").status("/c", hz=50), tmp_path, base).config
    assert (config.reference, config.reference_rate_hz) == ("status", pytest.approx(50.0))
    assert "reference: is range, but sensors.range is not configured" in str(
        refusal_of(SmallLog().image("/a"), tmp_path, parse_config({"version": 1, "reference": "range"}))
    )


def test_every_misfit_is_named_at_once_with_the_nearest_name(tmp_path: Path) -> None:
    base = parse_config(
        {
            "sensors": {
                "camera": {"topic": "/camera/imagee", "calibration": "/tf", "transforms": ["/tf_static"]},
                "range": {"topic": "/camera/image"},
                "status": {"topic": "/vehicle/state", "fields": {"speed": "sped", "yaw_rate": "yaw_rate"}},
            },
            "truth": {"control": "/truth/control", "control_fields": {"curvature": "kappa"}},
        }
    )
    error = refusal_of(SmallLog().sound(), tmp_path, base)
    expected = [
        "sensors.camera.topic: topic /camera/imagee is not in the log; did you mean /camera/image?",
        "sensors.camera.calibration: expected a camera calibration, found foxglove.FrameTransforms on /tf; "
        "the log has /camera/calibration",
        "sensors.camera.transforms: topic /tf_static is not in the log; did you mean /tf?",
        "sensors.range.topic: expected a scan or a point cloud, found foxglove.CompressedImage on "
        "/camera/image; the log has /scan",
        "sensors.status.fields.speed: no field sped in the messages on /vehicle/state; did you mean speed?",
        "truth.control_fields.curvature: no field kappa in the messages on /truth/control; "
        "it holds acceleration, curvature",
    ]
    assert list(error.errors) == expected


def test_a_status_may_be_read_out_of_any_message(tmp_path: Path) -> None:
    base = given_config(status={"topic": "/scan", "fields": {"first": "ranges.0"}})
    assert choice_of(SmallLog().scan(), tmp_path, base).config.sensors.status is not None


# --- names --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("paths", "expected"),
    [
        (["speed", "yaw_rate"], {"speed": "speed", "yaw_rate": "yaw_rate"}),
        (["yawRate", "Speed"], {"speed": "Speed", "yaw_rate": "yawRate"}),
        (["state.speed", "raw.deep.speed"], {"speed": "state.speed"}),
        (["wheel.speed", "speed"], {"speed": "speed"}),
        (["vel.x", "vel.y"], {"speed": "vel.x"}),
        (
            ["linear_acceleration.x", "angular_velocity.z"],
            {"yaw_rate": "angular_velocity.z", "acceleration": "linear_acceleration.x"},
        ),
        (["vel.x", "rotation_rate.z"], {"speed": "vel.x", "yaw_rate": "rotation_rate.z"}),
        (["twist.linear.x", "twist.angular.z"], {"speed": "twist.linear.x", "yaw_rate": "twist.angular.z"}),
        (["speed_kmh", "yaw_rate_deg_s", "orientation_covariance.0"], {}),
        (  # Autoware
            ["state.longitudinal_velocity_mps", "state.heading_rate_rps", "state.acceleration_mps2"],
            {
                "speed": "state.longitudinal_velocity_mps",
                "yaw_rate": "state.heading_rate_rps",
                "acceleration": "state.acceleration_mps2",
            },
        ),
        (["speed_rps", "speed_rad_s", "yaw_rate_mps"], {}),
        (["carState.vEgo", "carState.aEgo"], {"speed": "carState.vEgo", "acceleration": "carState.aEgo"}),
        (["header.seq", "v", "omega"], {"speed": "v", "yaw_rate": "omega"}),  # Duckietown
        (["v", "i"], {}),  # volts
        (  # vectors as columns of a table
            ["linear_acceleration_x", "angular_velocity_z", "position_x"],
            {"yaw_rate": "angular_velocity_z", "acceleration": "linear_acceleration_x"},
        ),
        (["angvel_z", "angvel_y"], {"yaw_rate": "angvel_z"}),  # Boreas
        (["airspeed", "groundspeed", "heading"], {"speed": "groundspeed"}),  # MAVROS' VFR_HUD
        (["velocity_lin", "velocity_ang"], {"speed": "velocity_lin", "yaw_rate": "velocity_ang"}),  # Leo
        (["joints.0.speed", "twist.0.linear.x"], {}),
        (["steering_angle"], {"steering": "steering_angle"}),
        # What ends alike and is an acceleration is no velocity.
        (["accel.accel.linear.x", "accel.accel.angular.z"], {"acceleration": "accel.accel.linear.x"}),
        (
            ["velocity", "acceleration.linear.x", "acceleration.angular.z"],
            {"speed": "velocity", "acceleration": "acceleration.linear.x"},
        ),
        (["cmd.speed", "measured.speed"], {"speed": "measured.speed"}),
        (["target.yaw_rate"], {}),
        ([], {}),
    ],
)
def test_fields_are_known_in_any_spelling(paths: list[str], expected: dict[str, str]) -> None:
    assert known_fields(paths) == expected


def test_an_accel_has_the_fields_of_a_twist_and_no_velocity() -> None:
    paths = ["linear.x", "linear.y", "angular.z"]
    assert known_fields(paths, "geometry_msgs/msg/Accel") == {"acceleration": "linear.x"}
    assert known_fields(paths, "geometry_msgs/msg/Twist") == {"speed": "linear.x", "yaw_rate": "angular.z"}


@given(
    st.lists(st.sampled_from(["speed", "a.speed", "vel.x", "yawRate", "ax", "b.ax", "noise"]), unique=True)
)
def test_the_order_of_fields_does_not_matter(paths: list[str]) -> None:
    assert known_fields(paths) == known_fields(sorted(paths)) == known_fields(paths[::-1])


def test_words_in_topics() -> None:
    assert says_truth("/ground_truth/pose")
    assert says_truth("/GT/boxes")
    assert not says_truth("/camera/height")
    assert says_control("/cmd_vel")
    assert not says_control("/vehicle/state")


# --- real recordings ----------------------------------------------------------------------------------


@pytest.mark.shared
def test_a_street_in_san_francisco(shared: Path) -> None:
    with open_log(shared / "pandaset_002_front.mcap") as log:
        choice = complete_config(log)
    assert choice.config.roles() == {
        "/camera/image": "camera",
        "/camera/calibration": "calibration",
        "/tf": "transforms",
        "/lidar/points": "range",
        "/vehicle/state": "status",
        "/annotations/cuboids": "truth_boxes",
        "/vehicle/control": "truth_control",
    }
    assert choice.config.reference_rate_hz == pytest.approx(10.0, abs=0.01)
    assert choice.warnings == ()


@pytest.mark.shared
def test_any_recording_gives_a_choice_or_a_plain_refusal(shared: Path) -> None:
    paths = [path for path in shared.rglob("*.mcap") if "conformance" not in str(path)]
    assert len(paths) > 15
    for path in paths:
        with open_log(path) as log:
            try:
                config = complete_config(log).config
            except (ConfigError, LogError) as error:
                text = str(error)
            else:
                text = to_yaml(config)
                assert complete_config(log, config).config == config
            assert text
