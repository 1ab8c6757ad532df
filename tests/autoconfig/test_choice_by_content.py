"""What was measured decides before the words in a name; what is left out is named with its reason."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from foxglove_schemas_protobuf.RawImage_pb2 import RawImage
from hypothesis import given, settings
from hypothesis import strategies as st

from perception.autoconfig import ConfigChoice, complete_config
from perception.autoconfig.naming_rules import command_doubt, is_housekeeping, is_own_output, truth_doubt
from perception.autoconfig.unused_topics import unused_topics
from perception.config import parse_config, to_yaml
from perception.config.safe_yaml import parse_yaml
from perception.logs import open_log
from tests.small_logs import SmallLog, foxglove_schema


def choice_of(log: SmallLog, folder: Path) -> ConfigChoice:
    with open_log(log.write(folder / "small.mcap")) as opened:
        return complete_config(opened)


def topic_of(choice: ConfigChoice, role: str) -> str | None:
    return next((topic for topic, its in choice.config.roles().items() if its == role), None)


def codes(choice: ConfigChoice) -> dict[str, str]:
    return {item.topic: item.code for item in choice.unused}


def twist(x: float = 1.0, y: float = 0.0) -> dict[str, object]:
    return {"twist": {"twist": {"linear": {"x": x, "y": y, "z": 0.0}, "angular": {"x": 0.0, "z": 0.1}}}}


def odometry(log: SmallLog, topic: str) -> SmallLog:
    return log.json(topic, lambda i: twist(), name="nav_msgs/msg/Odometry", hz=50.0)


# --- words in names -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "topic",
    [
        "/diff_drive_controller/odom",
        "/mobile_base_controller/odom",
        "/controller_manager/odom",
        "/control/odom",
        "/perception/odom",
        "/events/odom",
        "/target_tracker/odom",
        "/gt_car/odom",
        "/label_robot/odom",
        "/command_post/wheel/odom",
    ],
)
def test_an_odometry_is_the_status_whatever_its_topic(tmp_path: Path, topic: str) -> None:
    choice = choice_of(odometry(SmallLog().image().scan(), topic), tmp_path)
    assert topic_of(choice, "status") == topic


@pytest.mark.parametrize(
    "space", ["/perception", "/gt_car", "/controller", "/events", "/label_maker", "/desired/cam"]
)
def test_sensors_are_found_in_any_namespace(tmp_path: Path, space: str) -> None:
    log = SmallLog().image(f"{space}/image").calibration(f"{space}/info").scan(f"{space}/scan").transforms()
    choice = choice_of(odometry(log, f"{space}/odom"), tmp_path)
    assert topic_of(choice, "camera") == f"{space}/image"
    assert topic_of(choice, "range") == f"{space}/scan"
    assert topic_of(choice, "status") == f"{space}/odom"
    assert choice.unused == ()


def test_a_clear_name_goes_before_a_doubtful_one(tmp_path: Path) -> None:
    log = SmallLog().image("/camera/image").image("/gt_car/image").status("/state").status("/control/state")
    choice = choice_of(log, tmp_path)
    assert topic_of(choice, "camera") == "/camera/image"
    assert topic_of(choice, "status") == "/state"
    assert codes(choice) == {"/gt_car/image": "second_choice", "/control/state": "second_choice"}


def test_a_doubtful_name_that_is_chosen_is_a_warning(tmp_path: Path) -> None:
    choice = choice_of(SmallLog().image().status("/control/state"), tmp_path)
    assert topic_of(choice, "status") == "/control/state"
    assert any("/control/state may say that it is truth or a command" in text for text in choice.warnings)


@pytest.mark.parametrize(
    ("topic", "schema", "doubt"),
    [
        ("/cmd_vel", "geometry_msgs/msg/Twist", "strong"),
        ("/vehicle/control", "", "strong"),
        ("/target_state", "", "strong"),
        ("/steer", "autoware_msgs/ControlCommand", "strong"),
        ("/control/odom", "nav_msgs/msg/Odometry", ""),
        ("/control/vehicle_status", "x/Status", "weak"),
        ("/controller/state", "", ""),
        ("/uncontrolled/state", "", ""),
        ("/drive", "ackermann_msgs/msg/AckermannDriveStamped", "strong"),
        ("/ackermann_state", "ackermann_msgs/AckermannDriveStamped", ""),
        ("/nav_vel", "geometry_msgs/Twist", "weak"),
        ("/measured/twist", "geometry_msgs/Twist", ""),
        ("/base/twist", "geometry_msgs/TwistStamped", ""),
    ],
)
def test_words_of_commands(topic: str, schema: str, doubt: str) -> None:
    assert command_doubt(topic, schema) == doubt


@pytest.mark.parametrize(
    ("topic", "doubt"),
    [
        ("/ground_truth/pose", "strong"),
        ("/groundTruth/pose", "strong"),
        ("/gt/boxes", "strong"),
        ("/labels", "strong"),
        ("/gt_car/image", "weak"),
        ("/label_printer/state", "weak"),
        ("/height", ""),
        ("/ground/scan", ""),
        ("/truthful", ""),
    ],
)
def test_words_of_truth(topic: str, doubt: str) -> None:
    assert truth_doubt(topic) == doubt


def test_own_outputs_and_the_middleware_are_known_by_their_types() -> None:
    assert is_own_output("/perception/detections", "perception.Detections")
    assert is_own_output("/perception/front/detections", "perception.Detections")
    assert is_own_output("/perception/annotations", "foxglove.ImageAnnotations")
    assert is_own_output("/perception/scene", "foxglove.SceneUpdate")
    assert is_own_output("/perception/detections", "vision_msgs/msg/Detection2DArray")
    assert is_own_output("/perception/front/detections_3d", "vision_msgs/Detection3DArray")
    assert is_own_output("/perception/control", "geometry_msgs/msg/TwistStamped")
    assert not is_own_output("/perception/image", "sensor_msgs/msg/Image")
    assert not is_own_output("/perception/cuboids", "foxglove.SceneUpdate")
    assert not is_own_output("/scene", "foxglove.SceneUpdate")
    assert not is_own_output("/vehicle/state", "perception.Status")
    assert is_housekeeping("/any", "rcl_interfaces/msg/Log")
    assert is_housekeeping("/robot/rosout", "")
    assert not is_housekeeping("/events/imu", "sensor_msgs/msg/Imu")


# --- images -------------------------------------------------------------------------------------------


def test_a_depth_image_is_no_camera_whatever_its_name(tmp_path: Path) -> None:
    choice = choice_of(SmallLog().raw_image("/camera/image_raw", "16UC1").calibration().scan(), tmp_path)
    assert not choice.config.sensors.cameras
    ranges = {section.topic: section.calibration for section in choice.config.sensors.ranges.values()}
    assert ranges == {"/scan": None, "/camera/image_raw": "/camera/calibration"}
    assert any("depth image, without colours" in text for text in choice.warnings)


@pytest.mark.parametrize(
    ("topic", "word"),
    [
        ("/stereo/disparity", "disparity"),
        ("/zed/confidence/map", "confidence"),
        ("/thermal/image_raw", "thermal"),
        ("/lepton/image_raw", "lepton"),
        ("/ir/image_raw", "ir"),
        ("/air/image_raw", ""),
        ("/segmentation/image", "segment"),
        ("/infra/depth/image", ""),
        ("/tof/image", ""),
    ],
)
def test_an_image_of_one_channel_that_holds_no_distances_is_no_range(
    tmp_path: Path, topic: str, word: str
) -> None:
    log = SmallLog().image("/color", frame="color").raw_image(topic, "16UC1", frame="other")
    choice = choice_of(log.calibration("/other/info", frame="other"), tmp_path)
    assert topic_of(choice, "range") == (None if word else topic)
    if word:
        (item,) = [item for item in choice.unused if item.topic == topic]
        assert (item.code, f"says '{word}', not distances" in item.reason) == ("depth_image", True)


@pytest.mark.parametrize(
    ("topic", "frame", "role"),
    [
        ("/device_0/sensor_0/Depth_0/image/data", "0", "range"),
        ("/sensor_0/image", "camera_depth_optical_frame", "range"),
        ("/device_0/sensor_0/Infrared_1/image/data", "0", "camera"),
        ("/ir/image_raw", "depth_camera_link", "camera"),  # Azure Kinect
    ],
)
def test_pictures_of_16_grey_bits_are_depth_where_topic_or_frame_says_so(
    tmp_path: Path, topic: str, frame: str, role: str
) -> None:
    """RealSense calls the layout of depth `mono16`."""
    log = SmallLog().raw_image(topic, "mono16", frame=frame).calibration(frame=frame).status(hz=50.0)
    choice = choice_of(log, tmp_path)
    other = {"range": "camera", "camera": "range"}[role]
    assert (topic_of(choice, role), topic_of(choice, other)) == (topic, None)


def test_a_grey_picture_of_16_bits_is_no_camera_beside_one_of_8(tmp_path: Path) -> None:
    log = SmallLog().raw_image("/boson/image", "mono16", "boson").raw_image("/cam/image", "mono8", "cam")
    choice = choice_of(log, tmp_path)
    assert topic_of(choice, "camera") == "/cam/image"
    (item,) = [item for item in choice.unused if item.topic == "/boson/image"]
    assert "grey with 16 bits" in item.reason
    two = SmallLog().raw_image("/cam0/image", "mono16", "cam0").raw_image("/cam1/image", "mono16", "cam1")
    assert len(choice_of(two, tmp_path).config.sensors.cameras) == 2  # TUM VI


@pytest.mark.parametrize("info", [False, True])
def test_a_picture_of_the_echoes_of_a_scanner_is_no_camera(tmp_path: Path, info: bool) -> None:
    """Ouster's driver draws them; an infrared camera in the frame of its points has a camera info."""
    log = SmallLog().scan("/points", "os_lidar").raw_image("/signal_image", "mono16", "os_lidar")
    log = log.calibration("/info", "os_lidar") if info else log
    choice = choice_of(log, tmp_path)
    assert topic_of(choice, "camera") == ("/signal_image" if info else None)
    assert [item.topic for item in choice.unused if "its echoes" in item.reason] == (
        [] if info else ["/signal_image"]
    )
    lazy = SmallLog().scan("/points", "base_link").raw_image("/heat", "mono16", "base_link")
    assert topic_of(choice_of(lazy, tmp_path), "camera") == "/heat"


def test_a_colour_picture_is_the_camera_whatever_its_name(tmp_path: Path) -> None:
    log = SmallLog().raw_image("/camera/image", "16UC1").raw_image("/depth_cam/rgb", "rgb8")
    choice = choice_of(log.raw_image("/left", "mono8").raw_image("/right", "mono8"), tmp_path)
    assert topic_of(choice, "camera") == "/depth_cam/rgb"
    assert codes(choice) == {
        "/camera/image": "depth_image",
        "/left": "second_choice",
        "/right": "second_choice",
    }


@pytest.mark.parametrize(
    "topic",
    [
        *("/detector/debug_image", "/lane/overlay", "/oak/preview/image", "/rviz/image"),
        *("/yolo/dbg_image", "/yolo/detections_image", "/image_with_boxes", "/carla/dvs_front/image"),
        *("/camera/resize/image_raw", "/camera/image_downsampled"),
    ],
)
def test_a_picture_that_is_drawn_on_is_no_second_camera(tmp_path: Path, topic: str) -> None:
    choice = choice_of(SmallLog().image("/camera/image").image(topic), tmp_path)
    assert [camera.topic for camera in choice.config.sensors.cameras.values()] == ["/camera/image"]
    assert codes(choice) == {topic: "second_choice"}
    alone = choice_of(SmallLog().image(topic), tmp_path)
    assert topic_of(alone, "camera") == topic


def test_a_camera_whose_pictures_are_all_made_smaller_is_one_beside_others(tmp_path: Path) -> None:
    log = SmallLog().image("/front/image_resized", frame="front").image("/rear/image_raw", frame="rear")
    choice = choice_of(log.image("/rear/image_resized", frame="rear"), tmp_path)
    topics = {camera.topic for camera in choice.config.sensors.cameras.values()}
    assert topics == {"/front/image_resized", "/rear/image_raw"}
    assert codes(choice) == {"/rear/image_resized": "second_choice"}


@pytest.mark.parametrize("topic", ["/flower_bot/image", "/beverage/image", "/px4flow/image"])
def test_a_name_with_the_letters_of_a_word_is_none(tmp_path: Path, topic: str) -> None:
    choice = choice_of(SmallLog().image("/camera/image").image(topic), tmp_path)
    assert {camera.topic for camera in choice.config.sensors.cameras.values()} == {"/camera/image", topic}


def test_a_grey_camera_is_taken_and_said(tmp_path: Path) -> None:
    choice = choice_of(SmallLog().raw_image("/cam", "mono8"), tmp_path)
    assert topic_of(choice, "camera") == "/cam"
    assert any("/cam is grey" in text for text in choice.warnings)


# --- camera info --------------------------------------------------------------------------------------


@pytest.mark.parametrize("topic", ["camera", "image", "on", "1", "~", "camera/front"])
def test_a_topic_needs_no_slash(tmp_path: Path, topic: str) -> None:
    choice = choice_of(SmallLog().image(topic).calibration("info").scan("scan").status("state"), tmp_path)
    assert topic_of(choice, "camera") == topic
    assert set(choice.config.roles()) == {topic, "info", "scan", "state"}
    assert parse_config(parse_yaml(to_yaml(choice.config).encode())) == choice.config


@pytest.mark.parametrize(("value", "word"), [(1000, "up to 1,000 of 65,535"), (40_000, ""), (0, "")])
def test_a_picture_that_does_not_fill_its_bits_is_a_warning(tmp_path: Path, value: int, word: str) -> None:
    def make(i: int, stamp: int) -> bytes:
        message = RawImage(frame_id="camera", width=8, height=6, encoding="bayer_rggb16", step=16)
        message.data = value.to_bytes(2, "little") * 48
        message.timestamp.FromNanoseconds(stamp)
        return bytes(message.SerializeToString())

    choice = choice_of(SmallLog().stream("/image", foxglove_schema(RawImage), "protobuf", make), tmp_path)
    warnings = [text for text in choice.warnings if "/image" in text]
    assert len(warnings) == bool(word)
    assert all(word in text and "10 of 16 bits" in text for text in warnings)


def test_the_camera_info_of_another_camera_is_not_taken(tmp_path: Path) -> None:
    log = SmallLog().image(frame="color_optical").calibration("/depth/info", frame="depth_optical").scan()
    choice = choice_of(log, tmp_path)
    assert choice.config.sensors.camera is not None
    assert choice.config.sensors.camera.calibration is None
    assert codes(choice) == {"/depth/info": "other_frame"}
    (warning,) = [text for text in choice.warnings if "/depth/info" in text]
    assert "depth_optical, where the camera's is color_optical" in warning
    assert "sensors.camera.calibration" in warning


def test_of_camera_infos_of_one_frame_that_of_the_pictures_size_is_taken(tmp_path: Path) -> None:
    log = (
        SmallLog()
        .image("/cam/image", size=(64, 48))
        .calibration("/cam/info", size=(160, 90))
        .calibration("/other/info", size=(128, 96))
    )
    choice = choice_of(log, tmp_path)
    assert topic_of(choice, "calibration") == "/other/info"
    assert codes(choice) == {"/cam/info": "second_choice"}


def test_of_camera_infos_of_one_frame_and_size_that_beside_the_pictures_is_taken(tmp_path: Path) -> None:
    log = (
        SmallLog()
        .image("/robot/camera/image_raw/compressed")
        .calibration("/robot/camera/depth/camera_info")
        .calibration("/robot/camera/camera_info")
    )
    choice = choice_of(log, tmp_path)
    assert topic_of(choice, "calibration") == "/robot/camera/camera_info"
    assert codes(choice) == {"/robot/camera/depth/camera_info": "second_choice"}


def test_a_camera_info_for_other_pictures_is_a_warning(tmp_path: Path) -> None:
    choice = choice_of(SmallLog().image(size=(64, 48)).calibration(size=(160, 90)), tmp_path)
    assert topic_of(choice, "calibration") == "/camera/calibration"
    assert any("is for pictures of 160x90" in text and "64x48" in text for text in choice.warnings)


# --- doubtful fields ----------------------------------------------------------------------------------


def test_the_velocity_to_the_north_is_no_speed(tmp_path: Path) -> None:
    log = (
        SmallLog()
        .image()
        .json(
            "/fmu/out/vehicle_local_position",
            lambda i: {"vx": 3.0, "vy": 4.0, "vz": 0.0, "heading": 0.9},
            name="px4_msgs/msg/VehicleLocalPosition",
        )
    )
    choice = choice_of(log, tmp_path)
    assert choice.config.sensors.status is None
    assert codes(choice) == {"/fmu/out/vehicle_local_position": "no_known_field"}
    assert any("vx is the velocity to the north" in text for text in choice.warnings)


def test_one_axis_of_an_unknown_frame_is_a_doubtful_speed(tmp_path: Path) -> None:
    choice = choice_of(SmallLog().image().json("/v", lambda i: {"vx": 1.0, "vy": 0.0}), tmp_path)
    assert choice.config.sensors.status is not None
    assert choice.config.sensors.status.fields == {"speed": "vx"}
    assert any("speed is vx, one axis of a velocity" in text for text in choice.warnings)


@pytest.mark.parametrize(("gravity", "taken"), [(9.81, False), (-9.7, False), (0.05, True)])
def test_gravity_is_no_acceleration(tmp_path: Path, gravity: float, taken: bool) -> None:
    log = (
        SmallLog()
        .image()
        .json(
            "/imu",
            lambda i: {
                "angular_velocity": {"x": 0.0, "y": 0.0, "z": 0.1},
                "linear_acceleration": {"x": gravity + 0.01 * (i % 2), "y": 0.0, "z": 0.1},
                "speed": 1.0,
            },
            name="sensor_msgs/msg/Imu",
        )
    )
    choice = choice_of(log, tmp_path)
    assert choice.config.sensors.status is not None
    assert ("acceleration" in choice.config.sensors.status.fields) == taken
    assert any(("gravity" in text) and "linear_acceleration.x" in text for text in choice.warnings)
    assert ("yaw_rate" in choice.config.sensors.status.fields) == taken, "z is not vertical"
    assert any("angular_velocity.z is not about the vertical" in text for text in choice.warnings) != taken


@pytest.mark.parametrize(("frame", "taken"), [("imu_link", True), ("camera_imu_optical_frame", False)])
def test_an_imu_in_an_optical_frame_has_no_axis_of_the_vehicle(
    tmp_path: Path, frame: str, taken: bool
) -> None:
    def imu(i: int) -> dict[str, object]:
        return {
            "header": {"stamp": {"sec": i, "nanosec": 0}, "frame_id": frame},
            "angular_velocity": {"x": 0.0, "y": 0.0, "z": 0.1},
            "linear_acceleration": {"x": 0.0, "y": 0.3, "z": 0.1},
        }

    choice = choice_of(SmallLog().image().json("/imu", imu, name="sensor_msgs/msg/Imu"), tmp_path)
    status = choice.config.sensors.status
    assert (status is not None) == taken
    if not taken:
        (item,) = [item for item in choice.unused if item.topic == "/imu"]
        assert "angular_velocity.z is about an axis that points forward" in item.reason


def velocity(kind: str, frame: str) -> Callable[[int], dict[str, object]]:
    """Return a velocity of a frame as JSON, by the name of its ROS message."""
    twist = {"linear": {"x": -2.0, "y": 1.0}, "angular": {"z": 0.1}}
    if kind == "Odometry":
        return lambda i: {"header": {"frame_id": "odom"}, "child_frame_id": frame, "twist": {"twist": twist}}
    return lambda i: {"header": {"frame_id": frame}, "twist": twist}


@pytest.mark.parametrize(
    ("kind", "frame", "channels"),
    [
        ("TwistStamped", "base_link", {"speed", "yaw_rate"}),
        ("TwistStamped", "map", {"yaw_rate"}),
        ("TwistStamped", "gps", set()),
        ("TwistStamped", "ublox", set()),
        ("Odometry", "base_link", {"speed", "yaw_rate"}),
        ("Odometry", "robot/odom", {"yaw_rate"}),
        ("Odometry", "gps_antenna", {"speed", "yaw_rate"}),
    ],
)
def test_a_velocity_along_the_axes_of_the_world_is_no_speed(
    tmp_path: Path, kind: str, frame: str, channels: set[str]
) -> None:
    log = SmallLog().image().json("/v", velocity(kind, frame), name=f"x_msgs/msg/{kind}")
    choice = choice_of(log, tmp_path)
    status = choice.config.sensors.status
    assert (set(status.fields) if status is not None else set()) == channels
    if "speed" not in channels:
        assert any(frame in text and "linear.x" in text for text in choice.warnings)


@pytest.mark.parametrize(
    ("pose_frame", "frame", "channels"),
    [
        ("odom", "base_link", {"speed", "yaw_rate"}),
        ("odom_ned", "base_link", {"speed", "yaw_rate"}),
        ("odom", "base_link_frd", {"speed"}),
        ("odom", "left_camera_optical_frame", set()),
        ("odom", "robot1_odom", {"yaw_rate"}),
    ],
)
def test_the_axes_of_an_odometry_are_those_of_its_child_frame(
    tmp_path: Path, pose_frame: str, frame: str, channels: set[str]
) -> None:
    def message(i: int) -> dict[str, object]:
        linear, angular = {"x": 2.0, "y": 0.1, "z": 0.0}, {"x": 0.0, "y": 0.0, "z": 0.1}
        twist = {"twist": {"linear": linear, "angular": angular}}
        return {"header": {"frame_id": pose_frame}, "child_frame_id": frame, "twist": twist}

    log = SmallLog().image().json("/vo", message, name="nav_msgs/msg/Odometry")
    status = choice_of(log, tmp_path).config.sensors.status
    assert (set(status.fields) if status is not None else set()) == channels


@pytest.mark.parametrize(
    ("name", "message", "reason"),
    [
        (
            "geometry_msgs/msg/AccelStamped",
            {"header": {"frame_id": "map"}},
            "along an axis of the frame 'map'",
        ),
        ("geometry_msgs/msg/AccelStamped", {"header": {"frame_id": "base_link"}}, ""),
        ("px4_msgs/msg/VehicleLocalPosition", {"vx": 3.0, "vy": 1.0}, "to the north"),
    ],
)
def test_an_acceleration_along_the_axes_of_the_world_is_none_of_the_vehicle(
    tmp_path: Path, name: str, message: dict[str, object], reason: str
) -> None:
    linear = {"x": 0.5, "y": 0.1, "z": 0.0}
    values = {"ax": 0.5, "ay": 0.1, "az": 0.0} if "vx" in message else {"accel": {"linear": linear}}
    log = SmallLog().image().json("/accel", lambda i: {**message, **values}, name=name)
    choice = choice_of(log, tmp_path)
    assert (choice.config.sensors.status is None) == bool(reason)
    assert not reason or any(reason in text for text in choice.warnings)


def test_a_velocity_of_the_vehicle_goes_before_those_of_the_world(tmp_path: Path) -> None:
    log = SmallLog().image()
    for topic, frame in (("/gps_vel", "map"), ("/velocity_body", "base_link"), ("/velocity_local", "map")):
        log.json(topic, velocity("TwistStamped", frame), name="geometry_msgs/msg/TwistStamped")
    status = choice_of(log, tmp_path).config.sensors.status
    assert status is not None
    assert status.topic == "/velocity_body"


def test_of_two_speeds_that_of_a_receiver_of_satellites_is_the_last_choice(tmp_path: Path) -> None:
    log = SmallLog().image().json("/gps/fix", lambda i: {"speed": 7.0}, name="gps_common/GPSFix")
    choice = choice_of(log, tmp_path)
    assert topic_of(choice, "status") == "/gps/fix"
    choice = choice_of(log.json("/tx/vehicle_speed_rpt", lambda i: {"vehicle_speed": 7.1}), tmp_path)
    assert topic_of(choice, "status") == "/tx/vehicle_speed_rpt"
    assert not any("tell as much" in text for text in choice.warnings)


def test_the_acceleration_of_autoware_is_no_velocity(tmp_path: Path) -> None:
    accel = {"accel": {"accel": {"linear": {"x": 0.5, "y": 0.1, "z": 0.0}, "angular": {"z": 0.7}}}}
    log = odometry(SmallLog().image(), "/kinematic_state")
    log.json("/acceleration", lambda i: accel, name="geometry_msgs/msg/AccelWithCovarianceStamped")
    statuses = choice_of(log, tmp_path).config.sensors.statuses
    fields = {section.topic: set(section.fields) for section in statuses.values()}
    assert fields == {"/kinematic_state": {"speed", "yaw_rate"}, "/acceleration": {"acceleration"}}


def test_a_drive_command_is_neither_the_status_nor_the_truth_of_control(tmp_path: Path) -> None:
    def drive(i: int) -> dict[str, object]:
        return {"speed": 2.0 + i, "steering_angle": 0.1, "acceleration": 0.0}

    log = odometry(SmallLog().image(), "/odom").json(
        "/drive", drive, name="ackermann_msgs/msg/AckermannDrive"
    )
    choice = choice_of(log, tmp_path)
    assert [section.topic for section in choice.config.sensors.statuses.values()] == ["/odom"]
    assert choice.config.truth.control is None
    assert codes(choice) == {"/drive": "command"}


@pytest.mark.parametrize(
    ("z", "channels", "word"),
    [
        (9.8, {"yaw_rate", "acceleration"}, ""),
        (-9.8, {"acceleration"}, "angular_velocity.z is about an axis that points down"),
        (1.0, {"yaw_rate"}, "linear_acceleration.x is in g"),
        (-1.0, set(), "linear_acceleration.x is in g"),
    ],
)
def test_gravity_tells_the_way_up_and_the_unit(
    tmp_path: Path, z: float, channels: set[str], word: str
) -> None:
    rate, force = {"x": 0.0, "y": 0.0, "z": 0.1}, {"x": 0.02, "y": 0.0, "z": z}
    log = (
        SmallLog()
        .image()
        .json(
            "/imu",
            lambda i: {"angular_velocity": rate, "linear_acceleration": force},
            name="sensor_msgs/msg/Imu",
        )
    )
    choice = choice_of(log, tmp_path)
    status = choice.config.sensors.status
    assert (set(status.fields) if status is not None else set()) == channels
    assert any(word in text for text in choice.warnings)


@pytest.mark.parametrize("z", [1.0, 9.8])
def test_a_rate_beside_an_acceleration_in_g_is_perhaps_in_degrees(tmp_path: Path, z: float) -> None:
    """VESC's driver writes g and degrees a second as an Imu, Livox's g and rad/s."""
    values = {
        "angular_velocity": {"x": 0.0, "y": 0.0, "z": 5.0},
        "linear_acceleration": {"x": 0, "y": 0, "z": z},
    }
    log = SmallLog().image().json("/a_imu", lambda i: values, name="sensor_msgs/msg/Imu")
    said = "may be in degrees/s"
    assert any(said in text for text in choice_of(log, tmp_path).warnings) == (z == 1.0)
    choice = choice_of(log.json("/state", lambda i: {"yaw_rate": 0.1}), tmp_path)
    rates = [s.topic for s in choice.config.sensors.statuses.values() if "yaw_rate" in s.fields]
    assert rates == (["/state"] if z == 1.0 else ["/a_imu"])
    assert not any(said in text for text in choice.warnings)


def test_an_odometry_is_not_doubted(tmp_path: Path) -> None:
    choice = choice_of(odometry(SmallLog().image(), "/odom"), tmp_path)
    assert choice.config.sensors.status is not None
    assert choice.config.sensors.status.topic == "/odom"
    assert not any("status" in text for text in choice.warnings)


@pytest.mark.parametrize(
    ("schema", "what"),
    [
        ("apollo.drivers.CompressedImage", "pictures"),
        ("apollo.drivers.PointCloud", "returns"),
        ("unitree_go/msg/Go2FrontVideoData", "pictures"),
        ("unitree_go/msg/LidarState", ""),
        ("foxglove.ImageAnnotations", ""),
        ("x.Cloudiness", ""),
        ("bot_core.image_t", "pictures"),
        ("x/msg/VideoFrame", "pictures"),
        ("x/msg/LidarScanStamped", "returns"),
        ("px4_msgs/msg/CameraCapture", ""),
        ("mavros_msgs/msg/CameraImageCaptured", ""),
        ("x/msg/CameraTemperature", ""),
        ("x/msg/LidarOdometry", ""),
        ("x/msg/ImageFeatures", ""),
        ("x/msg/CameraMetaData", ""),
    ],
)
def test_sensors_in_a_type_that_is_not_read_are_named(tmp_path: Path, schema: str, what: str) -> None:
    log = SmallLog().scan().status().json("/sensor", lambda i: {"count": i}, name=schema)
    choice = choice_of(log, tmp_path)
    (item,) = [item for item in choice.unused if item.topic == "/sensor"]
    assert (f"it holds {what}" in item.reason) == bool(what)
    assert any(item.reason in text for text in choice.warnings) == bool(what)


def test_positions_of_an_earlier_run_are_no_truth(tmp_path: Path) -> None:
    """They would make any model right that says what that run said."""
    log = SmallLog().image().cuboids("/perception/scene").write(tmp_path / "drive.outputs.mcap")
    with open_log(log) as opened:
        choice = complete_config(opened)
    assert choice.config.truth.boxes is None
    assert ("/perception/scene", "own_output") in [(item.topic, item.code) for item in choice.unused]


# --- every topic --------------------------------------------------------------------------------------

STREAMS = {
    "/cam/a": lambda log, topic: log.image(topic),
    "/cam/depth": lambda log, topic: log.raw_image(topic, "16UC1"),
    "/scan": lambda log, topic: log.scan(topic),
    "/gt/scan": lambda log, topic: log.scan(topic),
    "/state": lambda log, topic: log.status(topic),
    "/battery": lambda log, topic: log.json(topic, lambda i: {"percentage": 0.5}),
    "/cmd_vel": lambda log, topic: log.json(topic, lambda i: {"linear": {"x": 1.0}}),
    "/rosout": lambda log, topic: log.json(topic, lambda i: {"line": 1}),
    "/info": lambda log, topic: log.calibration(topic, frame="other"),
    "/tf": lambda log, topic: log.transforms(topic),
    "/blob": lambda log, topic: log.stream(topic, None, "capnproto", lambda i, stamp: b"x"),
    "/truth/a": lambda log, topic: log.truth(topic),
    "/truth/b": lambda log, topic: log.truth(topic),
    "/perception/detections": lambda log, topic: log.truth(topic),
    "/perception/scene": lambda log, topic: log.cuboids(topic),
}


@settings(max_examples=12, deadline=None)
@given(st.sets(st.sampled_from(sorted(STREAMS)), min_size=1))
def test_every_topic_is_used_or_named_with_a_reason(
    tmp_path_factory: pytest.TempPathFactory, topics: set[str]
) -> None:
    log = SmallLog().scan("/lidar") if "/scan" not in topics else SmallLog()
    for topic in sorted(topics):
        STREAMS[topic](log, topic)
    path = log.write(tmp_path_factory.mktemp("every") / "log.mcap")
    with open_log(path) as opened:
        choice = complete_config(opened)
        given_config = complete_config(opened, choice.config)
        held = set(opened.survey.topics)
    for each in (choice, given_config):
        used = set(each.config.roles())
        unused = [item.topic for item in each.unused]
        assert used.isdisjoint(unused)
        assert used | set(unused) == held
        assert len(unused) == len(set(unused))
        assert all(item.reason for item in each.unused)


def test_a_topic_without_a_name_is_none_of_the_sensors(tmp_path: Path) -> None:
    log = SmallLog().image().status("")
    choice = choice_of(log, tmp_path)
    assert choice.config.sensors.status is None
    assert codes(choice)[""] == "not_configured"
    choice = choice_of(log.status("/vehicle/state"), tmp_path)
    assert choice.config.sensors.status is not None
    assert choice.config.sensors.status.topic == "/vehicle/state"


def test_declared_topics_without_messages_are_named(tmp_path: Path) -> None:
    with open_log(SmallLog().scan().write(tmp_path / "log.mcap")) as opened:
        config = complete_config(opened).config
        channel = opened.channels["/scan"]
        empty = {**opened.channels, "/empty": channel}

        class WithEmpty:
            channels = empty
            survey = opened.survey

        (item,) = unused_topics(WithEmpty(), config)  # type: ignore[arg-type]
    assert (item.topic, item.code) == ("/empty", "no_messages")
