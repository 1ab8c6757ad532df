"""Scans and clouds as drivers write them: names of fields, angles that contradict, messages of vendors."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from foxglove_schemas_protobuf.LaserScan_pb2 import LaserScan
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from perception.logs.decoding import decode, sensor_kind
from perception.logs.decoding.points import PackedField, angle_doubt, packed_points
from perception.models.preprocess.returns import returns_array
from perception.models.preprocess.spec import InputSpec
from perception.models.tensors import RETURN_CHANNELS
from perception.types import RangeScan, Rig, Schema
from tests.logs.decode_build import STAMP, protobuf, record, refused, stamped

STORE = get_typestore(Stores.ROS2_HUMBLE)


def encode(message: Any) -> Any:
    name = message.__msgtype__
    schema = Schema(name, "ros2msg", STORE.generate_msgdef(name, ros_version=2)[0].encode())
    return record(bytes(STORE.serialize_cdr(message, name)), schema, "cdr")


def make(name: str, /, **fields: Any) -> Any:
    return STORE.types[name](**fields)


def header(frame: str = "lidar") -> Any:
    time = make("builtin_interfaces/msg/Time", sec=STAMP // 10**9, nanosec=STAMP % 10**9)
    return make("std_msgs/msg/Header", stamp=time, frame_id=frame)


# --- names of fields ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "speed", ["radial_speed", "Doppler", "doppler_vel", "RadialVelocity", "range_rate", "v_r"]
)
@pytest.mark.parametrize("intensity", ["intensity", "Intensity", "RCS", "Power", "remission"])
def test_fields_of_a_cloud_are_known_by_what_drivers_call_them(speed: str, intensity: str) -> None:
    names = ["x", "y", "z", speed, intensity]
    data = np.array([[5, 1, 0, -2, 9]], "<f4").tobytes()
    fields = [PackedField(name, 4 * i, "f4") for i, name in enumerate(names)]
    points, values, speeds = packed_points(data, fields, stride=20, width=1)
    assert values is not None
    assert speeds is not None
    assert (points.tolist(), values.tolist(), speeds.tolist()) == ([[5, 1, 0]], [9], [-2])


def test_a_name_in_small_letters_goes_before_one_in_large_ones() -> None:
    fields = [PackedField(name, 4 * i, "f4") for i, name in enumerate("xyzXYZ")]
    data = np.arange(6, dtype="<f4").tobytes()
    assert packed_points(data, fields, stride=24, width=1)[0].tolist() == [[0, 1, 2]]
    assert packed_points(data, fields[3:], stride=24, width=1)[0].tolist() == [[3, 4, 5]]


@pytest.mark.parametrize(("values", "intensity"), [([], None), ([7.0], [7.0])])
def test_a_channel_that_is_not_filled_costs_no_points(
    values: list[float], intensity: list[float] | None
) -> None:
    channel = make("sensor_msgs/msg/ChannelFloat32", name="intensity", values=np.array(values, np.float32))
    point = make("geometry_msgs/msg/Point32", x=5.0, y=0.0, z=1.0)
    cloud = make("sensor_msgs/msg/PointCloud", header=header(), points=[point], channels=[channel])
    found = decode(encode(cloud))
    assert isinstance(found, RangeScan)
    assert found.points_m.tolist() == [[5, 0, 1]]
    assert (None if found.intensity is None else found.intensity.tolist()) == intensity


# --- angles -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("radiation_type", "max_range", "is_doubted"),
    [(0, 400.0, True), (0, 4.0, False), (1, 100.0, False), (0, float("inf"), False)],
)
def test_an_ultrasonic_sensor_in_cm_is_doubted(
    radiation_type: int, max_range: float, is_doubted: bool
) -> None:
    header = np.array([1, 0, 1], "<i4").tobytes() + b"\0"  # a stamp, and an empty frame
    numbers = np.array([0.3, 2.0, max_range, 150.0], "<f4").tobytes()
    data = b"\0\1\0\0" + header + bytes([radiation_type, 0, 0]) + numbers
    scan = decode(record(data, Schema("sensor_msgs/msg/Range", "ros2msg", b""), "cdr"))
    assert isinstance(scan, RangeScan)
    assert ("may be in cm or mm" in scan.doubt) == is_doubted


@pytest.mark.parametrize(("datatype", "is_doubted"), [(3, True), (5, True), (7, False)])
def test_a_cloud_of_whole_numbers_is_doubted(datatype: int, is_doubted: bool) -> None:
    kinds = STORE.types
    stamp = kinds["builtin_interfaces/msg/Time"](1, 0)
    dtype = {3: "<i2", 5: "<i4", 7: "<f4"}[datatype]
    size = np.dtype(dtype).itemsize
    fields = [
        kinds["sensor_msgs/msg/PointField"](name, i * size, datatype, 1) for i, name in enumerate("xyz")
    ]
    cloud = kinds["sensor_msgs/msg/PointCloud2"](
        kinds["std_msgs/msg/Header"](stamp, "lidar"), 1, 1, fields, False, 3 * size, 3 * size,
        np.array([4000, 20, 30], dtype).view(np.uint8), True,
    )  # fmt: skip
    scan = decode(encode(cloud))
    assert isinstance(scan, RangeScan)
    assert scan.points_m.tolist() == [[4000, 20, 30]]
    assert ("may be in mm or cm" in scan.doubt) == is_doubted


@pytest.mark.parametrize(
    ("first", "step", "last", "count", "word"),
    [
        (-1.0, 0.1, 1.0, 21, ""),
        (-1.0, 0.1, 1.0, 20, ""),  # the last angle is that behind the last range
        (1.0, -0.1, -1.0, 21, ""),
        (math.pi, -math.tau / 360, -math.pi, 361, ""),
        (math.pi / 2, math.pi / 180, -math.pi / 2, 181, ""),  # backwards through pi
        (0.0, 0.0, 0.0, 1, ""),
        (0.0, 0.0, 1.0, 9, ""),  # named by the audit as one direction
        (-1.0, math.nan, 1.0, 21, ""),  # refused by the decoder
        (-1.0, 0.1, 1.0, 11, "11 ranges with steps of 0.1 rad span 1 rad"),
        (0.1, 0.1, -0.1, 3, "go from 0.1 to -0.1 rad"),
        (-135.0, 0.25, 135.0, 1081, "more than a turn: they may be in degrees"),
    ],
)
def test_angles_that_contradict_each_other(
    first: float, step: float, last: float, count: int, word: str
) -> None:
    found = angle_doubt(first, step, last, count)
    assert word in found
    assert bool(found) == bool(word)


def test_a_scan_in_degrees_is_doubted() -> None:
    scan = LaserScan(frame_id="laser", start_angle=-135, end_angle=135, ranges=[5.0] * 271)
    found = decode(protobuf(stamped(scan)))
    assert isinstance(found, RangeScan)
    assert "degrees" in found.doubt


@pytest.mark.parametrize(("azimuth", "word"), [(0.7, ""), (math.nan, ""), (45.0, "up to 45 rad")])
def test_returns_of_a_radar_are_placed_and_azimuths_in_degrees_are_doubted(azimuth: float, word: str) -> None:
    fields = ("range", "azimuth", "elevation", "doppler_velocity", "amplitude")
    texts = {
        "radar_msgs/msg/RadarReturn": "".join(f"float32 {name}\n" for name in fields),
        "radar_msgs/msg/RadarScan": "std_msgs/Header header\nradar_msgs/RadarReturn[] returns\n",
    }
    if "radar_msgs/msg/RadarScan" not in STORE.types:
        STORE.register(
            {
                key: value
                for name, text in texts.items()
                for key, value in get_types_from_msg(text, name).items()
            }
        )
    held = make(
        "radar_msgs/msg/RadarReturn", **dict(zip(fields, (5.0, azimuth, 0.3, -2.0, 7.0), strict=True))
    )
    found = decode(encode(make("radar_msgs/msg/RadarScan", header=header(), returns=[held])))
    assert isinstance(found, RangeScan)
    assert word in found.doubt
    assert bool(found.doubt) == bool(word)
    assert found.radial_speed_m_s is not None
    assert found.intensity is not None
    assert (found.radial_speed_m_s.tolist(), found.intensity.tolist()) == ([-2.0], [7.0])
    level = 5 * math.cos(0.3)
    expected = [[level * math.cos(azimuth), level * math.sin(azimuth), 5 * math.sin(0.3)]]
    np.testing.assert_allclose(found.points_m, expected, rtol=1e-6)


# --- the frame of a camera --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("frame", "is_forward_z"),
    [
        ("camera_depth_optical_frame", True),
        ("robot/left_camera_optical", True),
        ("zed_left_camera_frame", False),
    ],
)
def test_a_cloud_in_an_optical_frame_has_z_forward(frame: str, is_forward_z: bool) -> None:
    """Without a rig the returns of a depth camera are seen from it: the third axis points ahead."""
    fields = [
        make("sensor_msgs/msg/PointField", name=name, offset=4 * i, datatype=7, count=1)
        for i, name in enumerate("xyz")
    ]
    data = np.array([[1, 0, 5]], "<f4").view(np.uint8).ravel()
    cloud = make(
        "sensor_msgs/msg/PointCloud2", header=header(frame), height=1, width=1, fields=fields,
        is_bigendian=False, point_step=12, row_step=12, data=data, is_dense=True,
    )  # fmt: skip
    found = decode(encode(cloud))
    assert isinstance(found, RangeScan)
    assert found.optical == is_forward_z
    rows, _ = returns_array(found, Rig(), InputSpec())
    bearing = -np.arctan2(1, 5) if is_forward_z else 0.0  # to the right, or ahead and up
    np.testing.assert_allclose(rows[0, RETURN_CHANNELS.index("bearing")], bearing, atol=1e-6)


# --- vendors ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("package", ["livox_ros_driver", "livox_ros_driver2", "livox_interfaces"])
def test_the_points_of_livox_are_returns(package: str) -> None:
    point = f"{package}/msg/CustomPoint"
    scan = f"{package}/msg/CustomMsg"
    floats = "float32 x\nfloat32 y\nfloat32 z\n"
    STORE.register(
        {
            **get_types_from_msg(
                f"uint32 offset_time\n{floats}uint8 reflectivity\nuint8 tag\nuint8 line\n", point
            ),
            **get_types_from_msg(
                "std_msgs/Header header\nuint64 timebase\nuint32 point_num\nuint8 lidar_id\nuint8[3] rsvd\n"
                f"{package}/CustomPoint[] points\n",
                scan,
            ),
        }
        if scan not in STORE.types
        else {}
    )
    points = [
        make(point, offset_time=0, x=5.0, y=y, z=0.5, reflectivity=9, tag=0, line=1) for y in (0.0, 1.0)
    ]
    fields = {"timebase": 0, "point_num": 2, "lidar_id": 0, "rsvd": np.zeros(3, np.uint8), "points": points}
    message = encode(make(scan, header=header(), **fields))
    found = decode(message)
    assert isinstance(found, RangeScan)
    assert (found.frame_id, found.stamp_ns) == ("lidar", STAMP)
    assert found.points_m.tolist() == [[5, 0, 0.5], [5, 1, 0.5]]
    assert found.intensity is not None
    assert found.intensity.tolist() == [9, 9]
    assert sensor_kind(message.channel.schema, "cdr") == "range"


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("velodyne_msgs/msg/VelodyneScan", "play the bag into its driver"),
        ("ouster_sensor_msgs/PacketMsg", "play the bag into its driver"),
        ("point_cloud_interfaces/msg/CompressedPointCloud2", "`republish` of point_cloud_transport"),
        ("dvs_msgs/msg/EventArray", "a node that draws them"),
        ("derived_object_msgs/msg/ObjectArray", "vision_msgs/Detection3DArray"),
        ("theora_image_transport/Packet", "`republish` of image_transport"),
    ],
)
def test_messages_that_only_others_can_read_say_what_to_do(name: str, word: str) -> None:
    schema = Schema(name, "ros2msg", b"uint8[] data\n")
    message = record(b"\0\1\0\0\0\0\0\0", schema, "cdr")
    assert word in refused(message)
    assert sensor_kind(schema, "cdr") is None
