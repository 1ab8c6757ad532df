"""The beginning of a sample log as a ROS driver would publish it: in ROS 2 (MCAP) and ROS 1 (bag).

Pictures are `CompressedImage` and returns `LaserScan`; with `raw` they are `Image` and `PointCloud2`.
Messages are made by `rosbags` alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import yaml
from rosbags.rosbag1 import Writer
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from perception.geometry import Matrix
from perception.logs import LogWriter, decode, open_log
from perception.types import CameraFrame, CameraInfo, FrameTransforms, RangeScan, Schema, StatusReading
from tests.short_logs import write_beginning

IMAGE, INFO, SCAN = "/camera/image_raw/compressed", "/camera/camera_info", "/scan"
TWIST, STATIC = "/vehicle/twist", "/tf_static"
PIXELS, POINTS = "/camera/image_raw", "/lidar/points"
TYPES = {
    PIXELS: "sensor_msgs/msg/Image",
    POINTS: "sensor_msgs/msg/PointCloud2",
    IMAGE: "sensor_msgs/msg/CompressedImage",
    INFO: "sensor_msgs/msg/CameraInfo",
    SCAN: "sensor_msgs/msg/LaserScan",
    TWIST: "geometry_msgs/msg/TwistStamped",
    STATIC: "tf2_msgs/msg/TFMessage",
}
_TRANSFORMS = "geometry_msgs/TransformStamped[] transforms\n"

Row = tuple[str, int, Any]
"""Topic, arrival in ns, message."""


def ros_config(path: Path, raw: bool = False) -> Path:
    """Write the configuration of a robot with these topics."""
    sensors = {
        "camera": {"topic": PIXELS if raw else IMAGE, "calibration": INFO, "transforms": [STATIC]},
        "range": {"topic": POINTS if raw else SCAN},
        "status": {"topic": TWIST, "fields": {"speed": "twist.linear.x", "yaw_rate": "twist.angular.z"}},
    }
    values = {"version": 1, "reference_rate_hz": 10.0, "base_frame": "base_link", "wait_ms": 60.0}
    path.write_text(yaml.safe_dump({**values, "sensors": sensors}))
    return path


def store_of(version: int) -> Any:
    """Return the message types of ROS 1 or 2."""
    store = get_typestore(Stores.ROS1_NOETIC if version == 1 else Stores.ROS2_JAZZY)
    if version == 1:
        store.register(get_types_from_msg(_TRANSFORMS, TYPES[STATIC]))
    return store


def rows_of(folder: Path, seconds: float, store: Any, raw: bool) -> Iterator[Row]:
    """Yield the messages of the first seconds of a sample log."""
    make = _Maker(store, raw)
    with open_log(write_beginning(folder / "beginning.mcap", seconds)) as log:
        static_sent = False
        for message in log.messages():
            decoded = decode(message)
            if isinstance(decoded, FrameTransforms):
                if static_sent:
                    continue
                static_sent = True
            if (row := make.row(decoded)) is not None:
                yield row


def write_ros2(folder: Path, seconds: float, raw: bool = False) -> Path:
    """Write the messages as an MCAP file of ROS 2."""
    store, path = store_of(2), folder / "drive_ros2.mcap"
    with LogWriter(path) as out:
        for topic, log_ns, message in rows_of(folder, seconds, store, raw):
            name = TYPES[topic]
            schema = Schema(name, "ros2msg", store.generate_msgdef(name, ros_version=2)[0].encode())
            data = bytes(store.serialize_cdr(message, name))
            out.write(topic, data, schema=schema, encoding="cdr", log_time_ns=log_ns)
    return path


def write_ros1(folder: Path, seconds: float, raw: bool = False) -> Path:
    """Write the messages as a bag of ROS 1."""
    store, path, connections = store_of(1), folder / "drive.bag", {}
    with Writer(path) as bag:
        for topic, log_ns, message in rows_of(folder, seconds, store, raw):
            if topic not in connections:
                latching = int(topic == STATIC)
                connections[topic] = bag.add_connection(
                    topic, TYPES[topic], typestore=store, latching=latching
                )
            bag.write(connections[topic], log_ns, store.serialize_ros1(message, TYPES[topic]))
    return path


class _Maker:
    def __init__(self, store: Any, raw: bool) -> None:
        self._raw = raw
        self._types, self._ros1 = (
            store.types,
            "std_msgs/msg/Header" in store.types and "seq" in _labels(store),
        )

    def row(self, decoded: Any) -> Row | None:
        at = getattr(decoded, "log_time_ns", 0)
        if isinstance(decoded, CameraFrame) and self._raw:
            return PIXELS, at, self._image(decoded)
        if isinstance(decoded, CameraFrame):
            pixels = np.frombuffer(bytes(decoded.data), np.uint8)
            head = self._header(decoded.stamp_ns, decoded.frame_id)
            return IMAGE, at, self._make(TYPES[IMAGE], head, "jpeg", pixels)
        if isinstance(decoded, CameraInfo):
            return INFO, at, self._info(decoded)
        if isinstance(decoded, RangeScan) and self._raw:
            return POINTS, at, self._cloud(decoded)
        if isinstance(decoded, RangeScan):
            return SCAN, at, self._scan(decoded)
        if isinstance(decoded, StatusReading) and "speed" in decoded.values:
            return TWIST, at, self._twist(decoded)
        if isinstance(decoded, FrameTransforms):
            items = [
                self._transform(i.parent, i.child, i.parent_from_child, i.stamp_ns) for i in decoded.items
            ]
            return STATIC, at, self._make(TYPES[STATIC], items)
        return None

    def _make(self, name: str, *values: Any) -> Any:
        return self._types[name](*values)

    def _header(self, stamp_ns: int, frame: str) -> Any:
        stamp = self._make("builtin_interfaces/msg/Time", *divmod(stamp_ns, 10**9))
        return self._make("std_msgs/msg/Header", *([0] if self._ros1 else []), stamp, frame)

    def _image(self, frame: CameraFrame) -> Any:
        """Return the picture in a quarter of its size, as drivers send it: BGR, rows padded."""
        picture = cv2.imdecode(np.frombuffer(frame.data, np.uint8), cv2.IMREAD_COLOR)
        assert picture is not None
        padded = np.pad(picture[::2, ::2].reshape(frame.height // 2, -1), ((0, 0), (0, 6)))
        head, (rows, step) = self._header(frame.stamp_ns, frame.frame_id), padded.shape
        return self._make(TYPES[PIXELS], head, rows, frame.width // 2, "bgr8", 0, step, padded.ravel())

    def _cloud(self, scan: RangeScan) -> Any:
        """Return the returns that there are: x, y, z, four bytes between, intensity."""
        known = np.isfinite(scan.points_m).all(axis=1)
        rows = np.zeros((int(known.sum()), 5), "<f4")
        rows[:, :3], rows[:, 4] = scan.points_m[known], np.asarray(scan.intensity)[known]
        fields = [
            self._make("sensor_msgs/msg/PointField", name, offset, 7, 1)
            for name, offset in (("x", 0), ("y", 4), ("z", 8), ("intensity", 16))
        ]
        head, data = self._header(scan.stamp_ns, scan.frame_id), rows.view(np.uint8).ravel()
        size = 20, data.size  # bytes of a return, and of all
        return self._make(TYPES[POINTS], head, 1, len(rows), fields, False, *size, data, True)

    def _info(self, info: CameraInfo) -> Any:
        region = self._make("sensor_msgs/msg/RegionOfInterest", 0, 0, 0, 0, False)
        head, k = self._header(info.stamp_ns, info.frame_id), info.intrinsics
        projection = np.hstack([k, np.zeros((3, 1))]).ravel()
        size = info.height, info.width
        matrices = np.zeros(5), k.ravel(), np.eye(3).ravel(), projection
        return self._make(TYPES[INFO], head, *size, "plumb_bob", *matrices, 0, 0, region)

    def _scan(self, scan: RangeScan) -> Any:
        ranges = np.linalg.norm(scan.points_m, axis=1).astype(np.float32)
        known = np.flatnonzero(np.isfinite(ranges))
        angles = np.arctan2(scan.points_m[known, 1], scan.points_m[known, 0])
        step = float(np.median(np.diff(angles) / np.diff(known)))
        first = float(angles[0] - known[0] * step)
        last = first + step * (len(ranges) - 1)
        head = self._header(scan.stamp_ns, scan.frame_id)
        strength = np.asarray(scan.intensity, np.float32)
        ranges[~np.isfinite(ranges)] = np.inf
        return self._make(TYPES[SCAN], head, first, last, step, 0.0, 0.05, 0.05, 60.0, ranges, strength)

    def _twist(self, status: StatusReading) -> Any:
        def vector(x: float, z: float) -> Any:
            return self._make("geometry_msgs/msg/Vector3", x, 0.0, z)

        twist = self._make(
            "geometry_msgs/msg/Twist",
            vector(status.values["speed"], 0.0),
            vector(0.0, status.values["yaw_rate"]),
        )
        return self._make(TYPES[TWIST], self._header(status.stamp_ns, "base_link"), twist)

    def _transform(self, parent: str, child: str, matrix: Matrix, stamp_ns: int) -> Any:
        from scipy.spatial.transform import Rotation

        place = self._make("geometry_msgs/msg/Vector3", *map(float, matrix[:3, 3]))
        turn = self._make(
            "geometry_msgs/msg/Quaternion", *map(float, Rotation.from_matrix(matrix[:3, :3]).as_quat())
        )
        moved = self._make("geometry_msgs/msg/Transform", place, turn)
        return self._make("geometry_msgs/msg/TransformStamped", self._header(stamp_ns, parent), child, moved)


def _labels(store: Any) -> list[str]:
    return [label for label, _ in store.fielddefs["std_msgs/msg/Header"][1]]
