"""One drive, written as ROS 1 bag, ROS 2 bag and MCAP by the writers of `rosbags` and by this package's."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from rosbags.rosbag1 import Writer as Writer1
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin
from rosbags.rosbag2 import Writer as Writer2
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

import perception
from perception.logs import LogWriter, Query, ReadAccount, open_log
from perception.logs.damage import Damage
from perception.types import Schema

START_NS = 1_700_000_000_000_000_000
Row = tuple[str, str, int, Any]  # topic, type, log time, message
Read = tuple[str, int, bytes]  # topic, log time, content


@cache
def _store(ros: int) -> Any:
    store = get_typestore(Stores.ROS1_NOETIC if ros == 1 else Stores.ROS2_HUMBLE)
    if ros == 1:
        store.register(
            get_types_from_msg("geometry_msgs/TransformStamped[] transforms", "tf2_msgs/msg/TFMessage")
        )
    return store


def drive(ros: int, seconds: float = 2.0) -> Iterator[Row]:
    """A camera and an odometry, at 10 Hz and 20 Hz; some messages arrive at one time."""
    types = _store(ros).types

    def header(frame: str, stamp_ns: int, i: int) -> Any:
        sec, nanosec = divmod(stamp_ns, 10**9)
        extra = {"seq": i} if ros == 1 else {}
        stamp = types["builtin_interfaces/msg/Time"](sec=sec, nanosec=nanosec)
        return types["std_msgs/msg/Header"](**extra, stamp=stamp, frame_id=frame)

    def odometry(stamp_ns: int, i: int) -> Any:
        vector, point = types["geometry_msgs/msg/Vector3"], types["geometry_msgs/msg/Point"]
        pose = types["geometry_msgs/msg/Pose"](
            point(float(i), 0.0, 0.0), types["geometry_msgs/msg/Quaternion"](0.0, 0.0, 0.0, 1.0)
        )
        twist = types["geometry_msgs/msg/Twist"](vector(3.0 + 0.1 * i, 0.0, 0.0), vector(0.0, 0.0, 0.02 * i))
        return types["nav_msgs/msg/Odometry"](
            header("odom", stamp_ns, i),
            "base",
            types["geometry_msgs/msg/PoseWithCovariance"](pose, np.zeros(36)),
            types["geometry_msgs/msg/TwistWithCovariance"](twist, np.zeros(36)),
        )

    def image(stamp_ns: int, i: int) -> Any:
        pixels = np.random.default_rng(i).integers(0, 255, 48 * 64 * 3, np.uint8)
        make = types["sensor_msgs/msg/Image"]
        return make(header("camera", stamp_ns, i), 48, 64, "rgb8", 0, 64 * 3, pixels)

    for i in range(round(seconds * 20)):
        stamp = START_NS + i * 50_000_000
        yield "/odom", "nav_msgs/msg/Odometry", stamp + 1_000_000, odometry(stamp, i)
        if i % 2 == 0:
            yield "/image", "sensor_msgs/msg/Image", stamp + 1_000_000, image(stamp, i)


def write_ros1(path: Path, compression: str = "", chunk: int = 1 << 16, seconds: float = 2.0) -> Path:
    store, connections = _store(1), {}
    writer = Writer1(path)
    writer.chunk_threshold = chunk
    if compression:
        writer.set_compression(Writer1.CompressionFormat[compression.upper()])
    with writer:
        for topic, name, time_ns, message in drive(1, seconds):
            if topic not in connections:
                connections[topic] = writer.add_connection(topic, name, typestore=store)
            writer.write(connections[topic], time_ns, store.serialize_ros1(message, name))
    return path


def write_mcap(path: Path, ros: int, seconds: float = 2.0) -> Path:
    store = _store(ros)
    with LogWriter(path) as out:
        for topic, name, time_ns, message in drive(ros, seconds):
            if ros == 1:
                short, data = name.replace("/msg/", "/"), store.serialize_ros1(message, name)
                schema = Schema(short, "ros1msg", store.generate_msgdef(name)[0].encode())
            else:
                data = store.serialize_cdr(message, name)
                schema = Schema(name, "ros2msg", store.generate_msgdef(name, ros_version=2)[0].encode())
            encoding = "ros1" if ros == 1 else "cdr"
            content = bytes(data)
            out.write(topic, content, schema=schema, encoding=encoding, log_time_ns=time_ns)
    return path


def read(path: Path, query: Query | None = None) -> tuple[list[Read], ReadAccount, list[Damage]]:
    with open_log(path) as log:
        stream = log.messages(query or Query())
        messages = [(message.topic, message.log_time_ns, message.data) for message in stream]
        return messages, stream.account, stream.damage


def write_ros2(folder: Path, storage: str, mode: str = "NONE", seconds: float = 2.0, first: int = 0) -> Path:
    """Write the drive as a ROS 2 bag; from message `first` on."""
    store, connections = _store(2), {}
    writer = Writer2(folder, version=9, storage_plugin=StoragePlugin[storage])
    if mode != "NONE":
        writer.set_compression(CompressionMode[mode], CompressionFormat.ZSTD)
    with writer:
        for topic, name, time_ns, message in list(drive(2, seconds))[first:]:
            if topic not in connections:
                connections[topic] = writer.add_connection(topic, name, typestore=store)
            writer.write(connections[topic], time_ns, store.serialize_cdr(message, name))
    return folder


def assert_same_messages(bag: Path, mcap: Path) -> None:
    """A bag and an MCAP log of the same content hold the same, in whole and in parts."""
    for query in (
        Query(),
        Query(topics=frozenset({"/image"})),
        Query(start_ns=START_NS + 500_000_000, end_ns=START_NS + 1_100_000_000),
    ):
        messages, account, damage = read(bag, query)
        expected, expected_account, _ = read(mcap, query)
        assert messages == expected != []
        assert account == expected_account
        assert damage == []


def assert_same_outputs(bag: Path, mcap: Path) -> None:
    """A bag and an MCAP log of the same content replay to the same outputs."""
    outputs = []
    for path in (bag, mcap):
        pairs = list(perception.stream(path, end=0.6))
        outputs.append([(repr(output.detections), repr(output.control)) for _, output in pairs])
    assert outputs[0] == outputs[1]
    assert len(outputs[0]) > 3
