"""ROS 1 and ROS 2 payloads, against messages that `rosbags` wrote and against real recordings."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from mcap.reader import make_reader
from rosbags.highlevel import AnyReader
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from perception.logs.decoding import decode, sensor_kind
from perception.logs.mcap.writer import LogWriter
from perception.types import (
    CameraFrame,
    CameraInfo,
    Channel,
    Cuboids,
    Decoded,
    DepthImage,
    FrameTransforms,
    Message,
    RangeScan,
    RegionOfInterest,
    Schema,
    StatusReading,
    TruthBoxes,
    Undecodable,
)
from tests.logs.decode_build import PUBLISH_TIME, STAMP, record, refused

STORES = {"cdr": get_typestore(Stores.ROS2_HUMBLE), "ros1": get_typestore(Stores.ROS1_NOETIC)}
STORES["ros1"].register(
    get_types_from_msg("geometry_msgs/TransformStamped[] transforms", "tf2_msgs/msg/TFMessage")
)
encodings = pytest.mark.parametrize("encoding", ["cdr", "ros1"])


def kind(encoding: str, name: str) -> Any:
    return STORES[encoding].types[name]


def header(encoding: str, frame_id: str = "laser", stamp_ns: int = STAMP) -> Any:
    time = kind(encoding, "builtin_interfaces/msg/Time")(*divmod(stamp_ns, 1_000_000_000))
    extra = {"seq": 4} if encoding == "ros1" else {}
    return kind(encoding, "std_msgs/msg/Header")(stamp=time, frame_id=frame_id, **extra)


def encode(encoding: str, message: Any, *, big_endian: bool = False) -> Message:
    store, name = STORES[encoding], message.__msgtype__
    if encoding == "cdr":
        data = bytes(store.serialize_cdr(message, name, little_endian=not big_endian))
        schema = Schema(name, "ros2msg", store.generate_msgdef(name, ros_version=2)[0].encode())
    else:
        data = bytes(store.serialize_ros1(message, name))
        schema = Schema(name.replace("/msg/", "/"), "ros1msg", store.generate_msgdef(name)[0].encode())
    return record(data, schema, encoding)


def make(encoding: str, name: str, /, **fields: Any) -> Any:
    return kind(encoding, name)(**fields)


def scan(encoding: str) -> Any:
    return make(
        encoding, "sensor_msgs/msg/LaserScan", header=header(encoding, "/laser"), angle_min=-np.pi / 2,
        angle_max=np.pi / 2, angle_increment=np.pi / 4, time_increment=0.0, scan_time=0.1, range_min=0.5,
        range_max=10.0, ranges=np.array([1.0, 0.2, 2.0, np.inf, 11.0], np.float32),
        intensities=np.arange(5, dtype=np.float32),
    )  # fmt: skip


@encodings
def test_laser_scan(encoding: str) -> None:
    message = encode(encoding, scan(encoding))
    found = decode(message)
    assert isinstance(found, RangeScan)
    assert (found.stamp_ns, found.frame_id) == (STAMP, "laser")  # without the leading slash of tf 1
    nan = np.nan
    np.testing.assert_allclose(
        found.points_m, [[0, -1, 0], [nan] * 3, [2, 0, 0], [nan] * 3, [nan] * 3], atol=1e-6
    )
    assert found.intensity is not None
    assert found.intensity.tolist() == [0, 1, 2, 3, 4]
    assert sensor_kind(message.channel.schema, encoding) == "range"


def test_big_endian_cdr() -> None:
    little, big = (decode(encode("cdr", scan("cdr"), big_endian=big)) for big in (False, True))
    assert isinstance(little, RangeScan)
    assert isinstance(big, RangeScan)
    assert big.stamp_ns == little.stamp_ns
    np.testing.assert_array_equal(big.points_m, little.points_m)


@encodings
def test_image(encoding: str) -> None:
    pixels = np.arange(2 * 14, dtype=np.uint8)
    fields = {"height": 2, "width": 3, "is_bigendian": 0, "step": 14, "data": pixels}
    message = encode(
        encoding, make(encoding, "sensor_msgs/msg/Image", header=header(encoding), encoding="rgba8", **fields)
    )
    found = decode(message)
    assert isinstance(found, CameraFrame)
    assert (found.format, found.width, found.height, found.step) == ("rgba8", 3, 2, 14)
    assert bytes(found.data) == pixels.tobytes()
    assert np.shares_memory(np.frombuffer(found.data, np.uint8), np.frombuffer(message.data, np.uint8))
    fields["height"] = 3
    short = encode(
        encoding, make(encoding, "sensor_msgs/msg/Image", header=header(encoding), encoding="rgba8", **fields)
    )
    assert "needs 40 bytes, found 28" in refused(short)


@encodings
def test_a_recorder_may_leave_bytes_after_the_message(encoding: str) -> None:
    message = encode(encoding, scan(encoding))
    padded = Message(message.channel, 1, 1, 0, message.data + bytes(4))
    assert isinstance(decode(padded), RangeScan)
    wrong = Message(message.channel, 3_000_000_007, 1, 0, message.data + bytes(40))
    assert "40 bytes are left over" in refused(wrong)


@encodings
def test_every_cut_is_noticed(encoding: str) -> None:
    message = encode(encoding, scan(encoding))
    for length in range(len(message.data)):
        found = decode(Message(message.channel, 1, 1, 0, message.data[:length]))
        assert isinstance(found, Undecodable), length


@encodings
def test_depth_is_no_colour_and_becomes_metres_where_ranges_are_wanted(encoding: str) -> None:
    depth = np.array([1, 2, 500, 65535], ">u2")
    image = make(
        encoding, "sensor_msgs/msg/Image", header=header(encoding), height=2, width=2, encoding="16UC1",
        is_bigendian=1, step=4, data=depth.view(np.uint8),
    )  # fmt: skip
    assert "a depth image (16UC1) has no colours" in refused(encode(encoding, image))
    found = decode(encode(encoding, image), "range")
    assert isinstance(found, DepthImage)
    np.testing.assert_allclose(found.depth_m, [[0.001, 0.002], [0.5, 65.535]], rtol=1e-6)


@encodings
def test_compressed_image(encoding: str) -> None:
    png = cv2.imencode(".png", np.zeros((7, 9), np.uint8))[1].ravel()
    image = make(encoding, "sensor_msgs/msg/CompressedImage", header=header(encoding), format="png", data=png)
    found = decode(encode(encoding, image))
    assert isinstance(found, CameraFrame)
    assert (found.format, found.width, found.height, found.mosaic) == ("png", 9, 7, "")
    assert bytes(found.data) == png.tobytes()


@encodings
def test_compressed_depth(encoding: str) -> None:
    metres = np.array([[0.0, 1.5, 65.535]])
    png = cv2.imencode(".png", (1000 * metres).round().astype(np.uint16))[1].ravel()
    packed = np.concatenate([np.zeros(12, np.uint8), png])
    for data, text in (
        (png, "16UC1; png compressed "),
        (packed, "16UC1; compressedDepth png"),
        (packed, "16UC1; compressedDepth"),
    ):
        image = make(
            encoding, "sensor_msgs/msg/CompressedImage", header=header(encoding), format=text, data=data
        )
        assert "has no colours" in refused(encode(encoding, image))
        found = decode(encode(encoding, image), "range")
        assert isinstance(found, DepthImage)
        np.testing.assert_allclose(found.depth_m, [[np.nan, 1.5, 65.535]], rtol=1e-6)


def test_compressed_depth_in_metres_is_quantised_by_its_inverse() -> None:
    a, b = 1000.0, -20.0
    values = np.array([[0, 480, 980]], np.uint16)
    head = np.frombuffer(struct.pack("<iff", 0, a, b), np.uint8)
    data = np.concatenate([head, cv2.imencode(".png", values)[1].ravel()])
    text = "32FC1; compressedDepth png"
    image = make("cdr", "sensor_msgs/msg/CompressedImage", header=header("cdr"), format=text, data=data)
    found = decode(encode("cdr", image), "range")
    assert isinstance(found, DepthImage)
    np.testing.assert_allclose(found.depth_m, [[np.nan, 2.0, 1.0]], rtol=1e-6)


def test_sixteen_bits_of_one_channel_are_grey_only_where_the_format_says_so() -> None:
    png = cv2.imencode(".png", np.full((7, 9), 40_000, np.uint16))[1].ravel()
    reasons = {}
    for text in ("png", "", "mono16; png compressed "):
        image = make("cdr", "sensor_msgs/msg/CompressedImage", header=header("cdr"), format=text, data=png)
        found = decode(encode("cdr", image))
        reasons[text] = getattr(found, "reason", "")
    assert "may be depth or grey" in reasons["png"]
    assert "may be depth or grey" in reasons[""]
    assert reasons["mono16; png compressed "] == ""


@encodings
def test_camera_info(encoding: str) -> None:
    roi = make(
        encoding,
        "sensor_msgs/msg/RegionOfInterest",
        x_offset=0,
        y_offset=0,
        height=0,
        width=0,
        do_rectify=False,
    )
    matrices = {
        "d": [0.1, 0.2, 0, 0, 0],
        "k": [500, 0, 320, 0, 501, 240, 0, 0, 1],
        "r": np.eye(3).ravel(),
        "p": np.zeros(12),
    }
    names = {
        key.upper() if encoding == "ros1" else key: np.array(value, np.float64)
        for key, value in matrices.items()
    }
    info = make(
        encoding, "sensor_msgs/msg/CameraInfo", header=header(encoding, "cam"), height=480, width=640,
        distortion_model="plumb_bob", binning_x=0, binning_y=0, roi=roi, **names,
    )  # fmt: skip
    found = decode(encode(encoding, info))
    assert isinstance(found, CameraInfo)
    assert (found.frame_id, found.width, found.height, found.distortion_model) == (
        "cam",
        640,
        480,
        "plumb_bob",
    )
    assert found.intrinsics[1].tolist() == [0, 501, 240]
    assert found.distortion.tolist() == [0.1, 0.2, 0, 0, 0]
    assert found.roi is None
    roi.x_offset = 32
    moved = decode(encode(encoding, info))
    assert isinstance(moved, CameraInfo)
    assert moved.roi == RegionOfInterest(32, 0, 0, 0)


@encodings
@pytest.mark.parametrize("big_endian", [False, True])
def test_point_cloud2_with_padded_rows(encoding: str, big_endian: bool) -> None:
    order = ">" if big_endian else "<"
    table = np.zeros(
        (2, 3), [("x", order + "f4"), ("y", order + "f4"), ("z", order + "f8"), ("doppler", order + "i2")]
    )
    for i, name in enumerate(("x", "y", "z", "doppler")):
        table[name] = np.arange(6).reshape(2, 3) * (i + 1) - 3
    rows = np.zeros((2, 3 * table.itemsize + 5), np.uint8)
    rows[:, :-5] = table.view(np.uint8).reshape(2, -1)
    field = kind(encoding, "sensor_msgs/msg/PointField")
    cloud = make(
        encoding, "sensor_msgs/msg/PointCloud2", header=header(encoding), height=2, width=3,
        is_bigendian=big_endian,
        fields=[field("x", 0, 7, 1), field("y", 4, 7, 1), field("z", 8, 8, 1), field("doppler", 16, 3, 1)],
        point_step=18, row_step=rows.shape[1], data=rows.ravel(), is_dense=True,
    )  # fmt: skip
    found = decode(encode(encoding, cloud))
    assert isinstance(found, RangeScan)
    steps = np.arange(6)
    np.testing.assert_array_equal(found.points_m, np.stack([steps - 3, 2 * steps - 3, 3 * steps - 3], axis=1))
    assert found.radial_speed_m_s is not None
    assert found.radial_speed_m_s.tolist() == (4 * steps - 3).tolist()
    cloud.width = 4
    assert "do not fit into rows" in refused(encode(encoding, cloud))
    cloud.width, cloud.height = 3, 3
    assert "3x3 points" in refused(encode(encoding, cloud))


@encodings
def test_transforms(encoding: str) -> None:
    vector, quaternion = (kind(encoding, f"geometry_msgs/msg/{name}") for name in ("Vector3", "Quaternion"))
    transform = make(
        encoding, "geometry_msgs/msg/Transform", translation=vector(1, 2, 3), rotation=quaternion(0, 0, 1, 0)
    )
    stamped = make(
        encoding, "geometry_msgs/msg/TransformStamped", header=header(encoding, "/base"),
        child_frame_id="/cam", transform=transform,
    )  # fmt: skip
    found = decode(encode(encoding, make(encoding, "tf2_msgs/msg/TFMessage", transforms=[stamped])))
    assert isinstance(found, FrameTransforms)
    assert found.stamp_ns == STAMP
    parent, pose = found.edges["cam"]
    assert parent == "base"
    np.testing.assert_allclose(pose, [[-1, 0, 0, 1], [0, -1, 0, 2], [0, 0, 1, 3], [0, 0, 0, 1]])
    single = decode(encode(encoding, stamped))
    assert isinstance(single, FrameTransforms)
    assert single.edges["cam"][0] == "base"


@encodings
def test_a_rotation_that_was_never_set_is_no_transform_and_that_of_a_box_is_none(encoding: str) -> None:
    vector, quaternion = (kind(encoding, f"geometry_msgs/msg/{name}") for name in ("Vector3", "Quaternion"))
    stamped = [
        make(
            encoding,
            "geometry_msgs/msg/TransformStamped",
            header=header(encoding, "base"),
            child_frame_id=child,
            transform=make(
                encoding,
                "geometry_msgs/msg/Transform",
                translation=vector(1, 2, 3),
                rotation=quaternion(0, 0, 0, w),
            ),
        )
        for child, w in (("cam", 0.0), ("lidar", 2.0))
    ]
    found = decode(encode(encoding, make(encoding, "tf2_msgs/msg/TFMessage", transforms=stamped)))
    assert isinstance(found, FrameTransforms)
    assert set(found.edges) == {"lidar"}
    assert (found.ignored, found.ignored_reason[:43]) == (1, "transform 'cam' has the rotation 0, 0, 0, 0")


@encodings
def test_a_single_range(encoding: str) -> None:
    def found(value: float) -> list[float]:
        extra = (
            {"variance": 0.0}
            if "variance" in kind(encoding, "sensor_msgs/msg/Range").__dataclass_fields__
            else {}
        )
        ranger = make(
            encoding, "sensor_msgs/msg/Range", header=header(encoding), radiation_type=0, field_of_view=0.1,
            min_range=0.2, max_range=4.0, range=value, **extra,
        )  # fmt: skip
        scan = decode(encode(encoding, ranger))
        assert isinstance(scan, RangeScan)
        return [float(v) for v in scan.points_m[0]]

    assert found(2.5) == [2.5, 0, 0]
    assert np.isnan(found(4.5)).all()
    assert np.isnan(found(0.1)).all()
    assert np.isnan(found(4.0)).all()  # nothing came back


@encodings
def test_a_beam_at_the_largest_range_has_met_nothing(encoding: str) -> None:
    message = scan(encoding)
    message.ranges = np.array([10.0, 9.99, 10.0, 3.0, 0.5], np.float32)
    found = decode(encode(encoding, message))
    assert isinstance(found, RangeScan)
    lengths = np.linalg.norm(found.points_m, axis=1)
    np.testing.assert_allclose(lengths, [np.nan, 9.99, np.nan, 3, 0.5], rtol=1e-6)


@encodings
def test_odometry_is_a_status_and_on_request_a_transform(encoding: str) -> None:
    point, quaternion, vector = (
        kind(encoding, f"geometry_msgs/msg/{n}") for n in ("Point", "Quaternion", "Vector3")
    )
    pose = make(
        encoding, "geometry_msgs/msg/Pose", position=point(5, 0, 0), orientation=quaternion(0, 0, 0, 1)
    )
    twist = make(encoding, "geometry_msgs/msg/Twist", linear=vector(1.5, 0, 0), angular=vector(0, 0, -0.25))
    message = encode(
        encoding,
        make(
            encoding,
            "nav_msgs/msg/Odometry",
            header=header(encoding, "odom"),
            child_frame_id="base",
            pose=make(encoding, "geometry_msgs/msg/PoseWithCovariance", pose=pose, covariance=np.zeros(36)),
            twist=make(
                encoding, "geometry_msgs/msg/TwistWithCovariance", twist=twist, covariance=np.zeros(36)
            ),
        ),
    )
    status = decode(message)
    assert isinstance(status, StatusReading)
    assert status.stamp_ns == STAMP
    assert status.values["twist.twist.linear.x"] == 1.5
    assert status.values["twist.twist.angular.z"] == -0.25
    assert not [path for path in status.values if "covariance" in path]  # 36 elements are more than 16
    moved = decode(message, "transforms")
    assert isinstance(moved, FrameTransforms)
    assert moved.edges["base"][1][0, 3] == 5
    assert "to use as camera, found nav_msgs" in refused(message, "camera")


@encodings
def test_what_an_imu_does_not_measure_is_no_number(encoding: str) -> None:
    def imu(angular_velocity_known: bool) -> StatusReading:
        def vector(*xyz: float) -> Any:
            return make(encoding, "geometry_msgs/msg/Vector3", **dict(zip("xyz", xyz, strict=True)))

        unknown = np.array([-1.0] + [0.0] * 8)
        message = make(
            encoding, "sensor_msgs/msg/Imu", header=header(encoding),
            orientation=make(encoding, "geometry_msgs/msg/Quaternion", x=0.0, y=0.0, z=0.0, w=0.0),
            orientation_covariance=unknown, angular_velocity=vector(0.0, 0.0, 0.5),
            angular_velocity_covariance=np.zeros(9) if angular_velocity_known else unknown,
            linear_acceleration=vector(1.0, 0.0, 9.8), linear_acceleration_covariance=np.zeros(9),
        )  # fmt: skip
        found = decode(encode(encoding, message), "status")
        assert isinstance(found, StatusReading)
        return found

    known, unknown = imu(True).values, imu(False).values
    assert known["angular_velocity.z"] == 0.5
    assert "orientation.w" not in known
    assert unknown["linear_acceleration.x"] == 1.0
    assert unknown.get("angular_velocity.z") is None
    assert not [path for path in unknown if path.startswith(("orientation.", "angular_velocity."))]


@encodings
def test_a_joint_is_named_whatever_its_place(encoding: str) -> None:
    values = {}
    for names, speeds in ((["left", "ns/r.1"], [1.0, 2.0]), (["arm", "ns/r.1", "left"], [7.0, 4.0, 3.0])):
        joints = make(
            encoding,
            "sensor_msgs/msg/JointState",
            header=header(encoding),
            name=names,
            position=np.zeros(0),
            velocity=np.array(speeds),
            effort=np.zeros(0),
        )
        found = decode(encode(encoding, joints))
        assert isinstance(found, StatusReading)
        values[names[0]] = found.values
    assert [held["velocity.left"] for held in values.values()] == [1, 3]
    assert [held["velocity.ns/r.1"] for held in values.values()] == [2, 4]
    assert [held["velocity.0"] for held in values.values()] == [1, 7]
    assert "velocity.arm" not in values["left"]
    assert "position.left" not in values["left"], "the list of positions is empty"


@encodings
def test_a_message_without_a_header_has_its_publish_time(encoding: str) -> None:
    found = decode(encode(encoding, make(encoding, "std_msgs/msg/Float64", data=2.5)))
    assert isinstance(found, StatusReading)
    assert (found.stamp_ns, dict(found.values)) == (PUBLISH_TIME, {"data": 2.5})


def custom(name: str, text: str, data: bytes, encoding: str = "ros1") -> Message:
    return record(data, Schema(name, "ros1msg" if encoding == "ros1" else "ros2msg", text.encode()), encoding)


SEPARATOR = "=" * 80 + "\nMSG: "


def test_vision_msgs_detections() -> None:
    """The definitions of vision_msgs 4, as ROS 2 records them; the payload is built by hand."""
    from rosbags.typesys.store import Typestore

    shape = "std_msgs/Header header\nvision_msgs/Result[] results\nvision_msgs/BoundingBox{}D bbox\nstring id"
    shapes = {
        "vision_msgs/msg/Detection2DArray": "std_msgs/Header header\nvision_msgs/Detection2D[] detections",
        "vision_msgs/msg/Detection2D": shape.format(2),
        "vision_msgs/msg/Detection3DArray": "std_msgs/Header header\nvision_msgs/Detection3D[] detections",
        "vision_msgs/msg/Detection3D": shape.format(3),
        "vision_msgs/msg/Result": "vision_msgs/Hypothesis hypothesis",
        "vision_msgs/msg/Hypothesis": "string class_id\nfloat64 score",
        "vision_msgs/msg/BoundingBox2D": "vision_msgs/Pose2D center\nfloat64 size_x\nfloat64 size_y",
        "vision_msgs/msg/BoundingBox3D": "geometry_msgs/Pose center\ngeometry_msgs/Vector3 size",
        "vision_msgs/msg/Pose2D": "vision_msgs/Point2D position\nfloat64 theta",
        "vision_msgs/msg/Point2D": "float64 x\nfloat64 y",
        "geometry_msgs/msg/Pose": "geometry_msgs/Point position\ngeometry_msgs/Quaternion orientation",
        "geometry_msgs/msg/Point": "float64 x\nfloat64 y\nfloat64 z",
        "geometry_msgs/msg/Vector3": "float64 x\nfloat64 y\nfloat64 z",
        "geometry_msgs/msg/Quaternion": "float64 x\nfloat64 y\nfloat64 z\nfloat64 w",
        "std_msgs/msg/Header": "builtin_interfaces/Time stamp\nstring frame_id",
        "builtin_interfaces/msg/Time": "int32 sec\nuint32 nanosec",
    }  # fmt: skip
    store = Typestore()
    store.register({k: v for name, text in shapes.items() for k, v in get_types_from_msg(text, name).items()})
    t: Any = {name.rsplit("/", 1)[1]: made for name, made in store.types.items()}
    head = t["Header"](t["Time"](*divmod(STAMP, 1_000_000_000)), "map")
    results = [t["Result"](t["Hypothesis"]("person", 0.3)), t["Result"](t["Hypothesis"]("car", 0.6))]

    def sent(name: str, message: Any) -> Decoded:
        full = f"vision_msgs/msg/{name}"
        schema = Schema(full, "ros2msg", store.generate_msgdef(full, ros_version=2)[0].encode())
        assert sensor_kind(schema, "cdr") == "truth_boxes"
        return decode(record(bytes(store.serialize_cdr(message, full)), schema, "cdr"))

    flat = t["BoundingBox2D"](t["Pose2D"](t["Point2D"](50.0, 40.0), 0.0), 20.0, 10.0)
    found = sent(
        "Detection2DArray", t["Detection2DArray"](head, [t["Detection2D"](head, results, flat, "7")])
    )
    assert isinstance(found, TruthBoxes)
    [box] = found.items
    assert (found.stamp_ns, box.label, box.xyxy, box.track_id) == (STAMP, "car", (40, 35, 60, 45), "7")
    assert found.frame_id == "map"
    headless = t["Header"](head.stamp, "")
    found = sent(
        "Detection2DArray", t["Detection2DArray"](headless, [t["Detection2D"](head, results, flat, "7")])
    )
    assert isinstance(found, TruthBoxes)
    assert found.frame_id == "map"  # of all its boxes
    unset = t["Header"](t["Time"](0, 0), "map")
    found = sent(
        "Detection2DArray", t["Detection2DArray"](unset, [t["Detection2D"](head, results, flat, "7")])
    )
    assert (found.stamp_ns, found.stamped) == (STAMP, True)  # of its boxes
    of_rear = t["Header"](head.stamp, "rear")
    mixed = [t["Detection2D"](own, results, flat, "7") for own in (of_rear, headless, of_rear)]
    found = sent("Detection2DArray", t["Detection2DArray"](head, mixed))
    assert isinstance(found, TruthBoxes)
    assert (found.frame_id, len(found.items), found.ignored) == ("map", 1, 2)
    assert "a box of the frame 'rear' in a message with boxes of 'map'" in found.ignored_reason
    found = sent("Detection2DArray", t["Detection2DArray"](head, [mixed[0]]))
    assert isinstance(found, TruthBoxes)
    assert (found.frame_id, len(found.items)) == ("rear", 1)
    assert np.isnan(box.distance_m)
    solid = t["BoundingBox3D"](
        t["Pose"](t["Point"](1.0, 2.0, 3.0), t["Quaternion"](0.0, 0.0, 0.0, 1.0)), t["Vector3"](4.0, 2.0, 1.5)
    )
    found3 = sent(
        "Detection3DArray", t["Detection3DArray"](head, [t["Detection3D"](head, results, solid, "8")])
    )
    assert isinstance(found3, Cuboids)
    [cuboid] = found3.items
    assert (cuboid.label, cuboid.track_id, cuboid.frame_id, cuboid.size_m) == ("car", "8", "map", (4, 2, 1.5))
    assert cuboid.frame_from_box[:3, 3].tolist() == [1, 2, 3]


VISION_1 = {  # of vision_msgs 0.0.1 (ROS 1) and 1 to 3 (ROS 2): the id of a class is a number or a text
    "Detection2DArray": "std_msgs/Header header\nvision_msgs/Detection2D[] detections",
    "Detection2D": "std_msgs/Header header\nvision_msgs/ObjectHypothesisWithPose[] results\n"
    "vision_msgs/BoundingBox2D bbox",
    "Detection3DArray": "std_msgs/Header header\nvision_msgs/Detection3D[] detections",
    "Detection3D": "std_msgs/Header header\nvision_msgs/ObjectHypothesisWithPose[] results\n"
    "vision_msgs/BoundingBox3D bbox",
    "BoundingBox2D": "geometry_msgs/Pose2D center\nfloat64 size_x\nfloat64 size_y",
    "BoundingBox3D": "geometry_msgs/Pose center\ngeometry_msgs/Vector3 size",
}


@pytest.mark.parametrize(("ros", "kind"), [(1, "int64"), (2, "int64"), (2, "string")])
def test_vision_msgs_detections_of_earlier_versions(ros: int, kind: str) -> None:
    store = get_typestore(Stores.ROS1_NOETIC if ros == 1 else Stores.ROS2_FOXY)
    shapes = {
        **VISION_1,
        "ObjectHypothesisWithPose": f"{kind} id\nfloat64 score\ngeometry_msgs/PoseWithCovariance pose",
    }
    for name, text in shapes.items():
        store.register(get_types_from_msg(text, f"vision_msgs/msg/{name}"))
    t: Any = {name.rsplit("/", 1)[1]: made for name, made in store.types.items() if "action" not in name}
    stamp = store.types["builtin_interfaces/msg/Time"](*divmod(STAMP, 1_000_000_000))
    head = t["Header"](0, stamp, "camera") if ros == 1 else t["Header"](stamp, "camera")
    pose = t["Pose"](t["Point"](1.0, 2.0, 3.0), t["Quaternion"](0.0, 0.0, 0.0, 1.0))
    uncertain = t["PoseWithCovariance"](pose, np.zeros(36))
    results = [
        t["ObjectHypothesisWithPose"](3 if kind == "int64" else "car", 0.9, uncertain),
        t["ObjectHypothesisWithPose"](5 if kind == "int64" else "van", 0.2, uncertain),
    ]

    def sent(name: str, message: Any) -> Decoded:
        full = f"vision_msgs/msg/{name}"
        text = store.generate_msgdef(full, ros_version=ros)[0].encode()
        schema = Schema(full.replace("/msg", "") if ros == 1 else full, f"ros{ros}msg", text)
        data = store.serialize_ros1(message, full) if ros == 1 else store.serialize_cdr(message, full)
        encoding = "ros1" if ros == 1 else "cdr"
        assert sensor_kind(schema, encoding) == "truth_boxes"
        return decode(record(bytes(data), schema, encoding))

    def flat(theta: float) -> Any:
        box = t["BoundingBox2D"](t["Pose2D"](50.0, 40.0, theta), 20.0, 10.0)
        return t["Detection2D"](head, results, box)

    turned = [flat(theta) for theta in (0.0, np.pi / 2, np.pi / 4, np.inf)]
    found = sent("Detection2DArray", t["Detection2DArray"](head, turned))
    assert isinstance(found, TruthBoxes)
    assert (found.stamp_ns, found.items[0].label) == (STAMP, "3" if kind == "int64" else "car")
    half = 15 / np.sqrt(2)
    expected = [(40, 35, 60, 45), (45, 30, 55, 50), (50 - half, 40 - half, 50 + half, 40 + half)]
    np.testing.assert_allclose([box.xyxy for box in found.items], expected)
    assert found.ignored == 1, "a box turned by an angle that is none"
    solid = t["BoundingBox3D"](pose, t["Vector3"](4.0, 2.0, 1.5))
    found3 = sent("Detection3DArray", t["Detection3DArray"](head, [t["Detection3D"](head, results, solid)]))
    assert isinstance(found3, Cuboids)
    assert (found3.items[0].size_m, found3.items[0].frame_id) == ((4, 2, 1.5), "camera")


def test_foxglove_schemas_as_ros_messages() -> None:
    text = (
        "builtin_interfaces/Time timestamp\nstring frame_id\nuint32 width\nuint32 height\n"
        "string distortion_model\nfloat64[] d\nfloat64[9] k\nfloat64[9] r\nfloat64[12] p\n"
    )
    name = "foxglove_msgs/msg/CameraCalibration"
    store = get_typestore(Stores.EMPTY)
    store.register(get_types_from_msg("int32 sec\nuint32 nanosec", "builtin_interfaces/msg/Time"))
    store.register(get_types_from_msg(text, name))
    time: Any = store.types["builtin_interfaces/msg/Time"]
    made: Any = store.types[name]
    k = np.array([500, 0, 320, 0, 501, 240, 0, 0, 1.0])
    message = made(
        time(*divmod(STAMP, 10**9)),
        "cam",
        640,
        480,
        "plumb_bob",
        np.array([0.1]),
        k,
        np.zeros(9),
        np.zeros(12),
    )
    schema = Schema(name, "ros2msg", text.encode())
    found = decode(record(bytes(store.serialize_cdr(message, name)), schema, "cdr"))
    assert isinstance(found, CameraInfo)
    assert (found.stamp_ns, found.frame_id, found.width, found.height) == (STAMP, "cam", 640, 480)
    assert found.intrinsics.ravel().tolist() == k.tolist()
    assert found.distortion.tolist() == [0.1]
    assert sensor_kind(schema, "cdr") == "calibration"


def test_radar_tracks_are_returns_with_radial_speed() -> None:
    text = (
        "std_msgs/Header header\nradar_msgs/RadarTrack[] tracks\n"
        f"{SEPARATOR}radar_msgs/RadarTrack\ngeometry_msgs/Point position\ngeometry_msgs/Vector3 velocity\n"
    )
    doubles = np.array([3.0, 4.0, 0.0, 10.0, 0.0, 0.0], "<f8").tobytes()
    data = b"\0\0\0\0" + b"\0\0\0\0\0\0\0\0" + b"\5\0\0\0radar" + b"\1\0\0\0" + doubles
    found = decode(custom("radar_msgs/RadarTracks", text, data))
    assert isinstance(found, RangeScan)
    assert found.points_m.tolist() == [[3, 4, 0]]
    assert found.radial_speed_m_s is not None
    assert found.radial_speed_m_s.tolist() == [6.0]  # ten along x, seen under acos(3/5)


HEADER = b"\0\1\0\0" + struct.pack("<iII", 1, 0, 6) + b"radar\0"  # 18 bytes after the encapsulation
UNDEFINED = {  # messages of packages that ROS 2 does not come with, in CDR, and what they say
    "livox_ros_driver2/msg/CustomMsg": HEADER
    + bytes(6) + struct.pack("<QIB3xI", 7, 1, 0, 1) + struct.pack("<IfffBBB", 9, 3.0, 4.0, 0.5, 10, 0, 1),
    "radar_msgs/msg/RadarScan": HEADER + bytes(2) + struct.pack("<Ifffff", 1, 5.0, 0.0, 0.0, -2.0, 1.0),
    "radar_msgs/msg/RadarTracks": HEADER
    + bytes(2) + struct.pack("<I16s", 1, b"u") + struct.pack("<12d", 3, 4, 0, 10, *[0] * 8)
    + struct.pack("<H2x24f", 1, *[0.0] * 24),
    "vision_msgs/msg/Detection3DArray": HEADER
    + bytes(2) + struct.pack("<I", 1) + struct.pack("<iII", 1, 0, 5) + b"base\0" + bytes(3)
    + struct.pack("<I", 0) + struct.pack("<10d", 5, 1, 0, 0, 0, 0, 1, 4, 2, 1.5)
    + struct.pack("<I", 2) + b"7\0",
    "autoware_vehicle_msgs/msg/VelocityReport": HEADER + bytes(2) + struct.pack("<3f", 7.5, 0.0, 0.1),
}  # fmt: skip


@pytest.mark.parametrize("name", UNDEFINED)
def test_messages_of_some_packages_are_read_without_a_definition(name: str) -> None:
    schema = Schema(name, "ros2msg", b"")
    found = decode(record(UNDEFINED[name], schema, "cdr"))
    assert not isinstance(found, Undecodable), found.reason
    assert found.stamp_ns == 1_000_000_000
    if isinstance(found, RangeScan):
        expected = {"CustomMsg": [3, 4, 0.5], "RadarScan": [5, 0, 0], "RadarTracks": [3, 4, 0]}
        assert found.points_m.tolist() == [expected[name.rsplit("/", 1)[1]]]
    elif isinstance(found, Cuboids):
        [cuboid] = found.items
        assert (cuboid.frame_id, cuboid.track_id, cuboid.size_m) == ("base", "7", (4.0, 2.0, 1.5))
        assert cuboid.frame_from_box[:3, 3].tolist() == [5, 1, 0]
    else:
        assert isinstance(found, StatusReading)
        assert found.values["longitudinal_velocity"] == 7.5
    cut = decode(record(UNDEFINED[name][:-1], schema, "cdr"))
    longer = decode(record(UNDEFINED[name] + bytes(16), schema, "cdr"))
    assert isinstance(cut, Undecodable)  # as of another version of the package
    assert isinstance(longer, Undecodable)


HOSTILE = {
    "an array of nothing": ("acme/Nothing[] a\n" + SEPARATOR + "acme/Nothing\n", "elements without bytes"),
    "nothing within nothing": (
        f"acme/A[] a\n{SEPARATOR}acme/A\nacme/B b\n{SEPARATOR}acme/B\n",
        "elements without bytes",
    ),
    "an array to be unrolled": ("string[100000000] a\n", "a fixed array of 100000000"),
    "a type within itself": (f"acme/A a\n{SEPARATOR}acme/A\nacme/A again\n", "contains itself"),
    "a type that is not there": ("acme/Missing a\n", "names types that it does not define: acme/msg/Missing"),
    "no definition": ("{}: what is this?", "cannot be read"),
}


@pytest.mark.timeout(20)
@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_definition_is_refused(name: str) -> None:
    text, reason = HOSTILE[name]
    assert reason in refused(custom("acme/Thing", text, b"\xff\xff\xff\xff"))


@pytest.mark.parametrize("name", ["a'); import os; ('", "", "a/b\nc", "../x", "_/__", "a/" + "b" * 300])
def test_a_hostile_name_is_refused(name: str) -> None:
    assert "is no name of a ROS message" in refused(custom(name, "int32 x\n", b"\0\0\0\0"))


def test_a_count_beyond_the_data_is_refused_at_once() -> None:
    for text in (
        "float64[] a\n",
        "string[] a\n",
        f"acme/P[] a\n{SEPARATOR}acme/P\nint8 x\n",
        "int8[4294967295] a\n",
    ):
        assert "cut or not a acme/Thing" in refused(
            custom("acme/Thing", text, b"\xff\xff\xff\xff" + bytes(64))
        )


def test_a_fixed_array_and_constants() -> None:
    found = decode(custom("acme/Thing", "int8 LIMIT=5\nint16[3] a\nbool b\n", b"\1\0\2\0\xff\xff\1"))
    assert isinstance(found, StatusReading)
    assert dict(found.values) == {"a.0": 1, "a.1": 2, "a.2": -1, "b": 1}  # a constant is no measurement


def test_an_encapsulation_that_is_not_plain_cdr_is_named() -> None:
    message = encode("cdr", scan("cdr"))
    other = Message(message.channel, 3_000_000_007, 1, 0, b"\x00\x07" + message.data[2:])
    assert "expected plain CDR, found" in refused(other)


@pytest.mark.shared
def test_a_recorded_rosbag2(shared: Path) -> None:
    """Nearly every sensor_msgs type; values are those that the recording's author put in."""
    first: dict[str, Decoded] = {}
    with (shared / "rerun_rosbag2_mcap" / "rosbag2_2025_09_10-13_03_56_0.mcap").open("rb") as stream:
        for schema, channel, entry in make_reader(stream).iter_messages():
            assert schema is not None
            ours = Channel(
                channel.id, channel.topic, "cdr", Schema(schema.name, schema.encoding, schema.data)
            )
            if channel.topic not in first:
                first[channel.topic] = decode(
                    Message(ours, entry.log_time, entry.publish_time, 0, entry.data)
                )
    assert len(first) > 25
    assert not [topic for topic, found in first.items() if isinstance(found, Undecodable)]
    kinds = {
        topic: type(found).__name__ for topic, found in first.items() if not isinstance(found, StatusReading)
    }
    assert kinds == {
        "/range": "RangeScan", "/laser_scan": "RangeScan", "/multi_echo_laser_scan": "RangeScan",
        "/point_cloud": "RangeScan", "/point_cloud2": "RangeScan", "/image": "CameraFrame",
        "/compressed_image": "CameraFrame", "/camera_info": "CameraInfo",
    }  # fmt: skip
    image, jpeg = first["/image"], first["/compressed_image"]
    assert isinstance(image, CameraFrame)
    assert isinstance(jpeg, CameraFrame)
    assert (image.format, image.width, image.height) == ("rgb8", 640, 480)
    pixels = cv2.imdecode(np.frombuffer(jpeg.data, np.uint8), cv2.IMREAD_COLOR)
    assert pixels is not None
    assert pixels.shape == (jpeg.height, jpeg.width, 3)
    battery = first["/battery_state"]
    assert isinstance(battery, StatusReading)
    assert (battery.values["voltage"], battery.values["current"]) == (12.0, 1.5)


def ros1_log(bag: Path, out: Path, limit: int = 40) -> int:
    """The first messages of every connection of a ROS 1 bag as an MCAP file."""
    written: dict[int, int] = {}
    with AnyReader([bag]) as reader, LogWriter(out) as log:
        for connection, time_ns, data in reader.messages():
            written[connection.id] = written.get(connection.id, 0) + 1
            if written[connection.id] <= limit:
                name = connection.msgtype.replace("/msg/", "/")
                schema = Schema(name, "ros1msg", connection.msgdef.data.encode())
                log.write(connection.topic, bytes(data), schema=schema, encoding="ros1", log_time_ns=time_ns)
    return sum(min(count, limit) for count in written.values())


def decoded_log(path: Path) -> list[Decoded]:
    found = []
    channels: dict[int, Channel] = {}
    with path.open("rb") as stream:
        for schema, channel, entry in make_reader(stream).iter_messages():
            assert schema is not None
            ours = Schema(schema.name, schema.encoding, schema.data)
            kept = channels.setdefault(
                channel.id, Channel(channel.id, channel.topic, channel.message_encoding, ours)
            )
            found.append(decode(Message(kept, entry.log_time, entry.publish_time, 0, entry.data)))
    return found


@pytest.mark.shared
def test_a_recorded_husky(shared: Path, tmp_path: Path) -> None:
    count = ros1_log(shared / "robot_localization_bags" / "test1.bag", tmp_path / "a.mcap")
    found = decoded_log(tmp_path / "a.mcap")
    assert len(found) == count > 50
    assert not [item.reason for item in found if isinstance(item, Undecodable)]
    imu = next(f for f in found if isinstance(f, StatusReading) and "angular_velocity.z" in f.values)
    gravity = np.linalg.norm([imu.values[f"linear_acceleration.{axis}"] for axis in "xyz"])
    assert gravity == pytest.approx(9.8, abs=0.5)
    assert abs(imu.stamp_ns - imu.log_time_ns) < 1_000_000_000


@pytest.mark.shared
def test_a_recorded_realsense(shared: Path, tmp_path: Path) -> None:
    """Its images carry four bytes too many, at which other readers stop."""
    ros1_log(shared / "lerobot_real" / "test_rs.bag", tmp_path / "a.mcap")
    frames = [item for item in decoded_log(tmp_path / "a.mcap") if isinstance(item, CameraFrame)]
    assert {(f.format, f.width, f.height) for f in frames} == {("mono16", 640, 480), ("rgb8", 640, 480)}
    assert len(frames) == 11
