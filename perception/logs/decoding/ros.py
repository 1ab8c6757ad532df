"""Common ROS messages to the nouns of `perception.types`. ROS 1 and 2 share the fields.

Reference: the .msg files of common_interfaces, vision_msgs, radar_msgs and geometry2. A leading `/` of a
frame id is dropped, as tf2 does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from perception.geometry import Matrix
from perception.logs.decoding import images, points, ros_foxglove
from perception.logs.decoding.checks import (
    MAX_ITEMS,
    Fault,
    checked_distortion,
    checked_intrinsics,
    checked_pose,
    limited,
    stamp_or_publish,
)
from perception.types import (
    CameraFrame,
    CameraInfo,
    Cuboid,
    Cuboids,
    Decoded,
    Float32,
    FrameTransforms,
    Message,
    RangeScan,
    TruthBox,
    TruthBoxes,
)

if TYPE_CHECKING:
    from perception.config import Role

_POINT_KINDS = ("", "i1", "u1", "i2", "u2", "i4", "u4", "f4", "f8")  # sensor_msgs/PointField


def stamp_ns(ros: Any) -> int:
    """Nanoseconds of `header.stamp`, `stamp` or `timestamp`; 0 where there is none."""
    time = getattr(getattr(ros, "header", None), "stamp", None) or getattr(ros, "stamp", None)
    time = time or getattr(ros, "timestamp", None)
    seconds, nanos = getattr(time, "sec", 0), getattr(time, "nanosec", 0)
    return int(seconds) * 1_000_000_000 + int(nanos)


def image(ros: Any, message: Message) -> Decoded:
    data = memoryview(ros.data)
    layout, step = images.raw_step(ros.encoding, ros.width, ros.height, ros.step, len(data))
    pixels = images.little_endian(layout, step, data) if ros.is_bigendian else data
    head = _head(ros, message)
    return CameraFrame(*head, pixels, layout, ros.width, ros.height, step, message.data)


def compressed_image(ros: Any, message: Message) -> Decoded:
    data = memoryview(ros.data)
    if "compressedDepth" in ros.format:
        data = data[12:]  # image_transport puts a depth header before the PNG
    header = images.read_header(data)
    head = _head(ros, message)
    return CameraFrame(*head, data, header.format, header.width, header.height, 0, message.data)


def camera_info(ros: Any, message: Message) -> Decoded:
    k, d = (ros.K, ros.D) if hasattr(ros, "K") else (ros.k, ros.d)
    return CameraInfo(
        *_head(ros, message),
        ros.width,
        ros.height,
        checked_intrinsics(k, "the camera info"),
        checked_distortion(d, "the camera info"),
        ros.distortion_model,
        message.data,
    )


def laser_scan(ros: Any, message: Message) -> Decoded:
    return _scan(ros, ros.ranges, ros.intensities, message)


def multi_echo_laser_scan(ros: Any, message: Message) -> Decoded:
    """The first echo of every beam."""
    nothing = np.empty(0, np.float32)
    return _scan(
        ros,
        _first_echoes(ros.ranges),
        _first_echoes(ros.intensities) if ros.intensities else nothing,
        message,
    )


def single_range(ros: Any, message: Message) -> Decoded:
    """An ultrasonic or infrared ranger: one return straight ahead."""
    low, high = _limits(ros.min_range, ros.max_range)
    points_m = points.planar_points(np.array([ros.range], np.float32), 0.0, 0.0, low, high)
    return RangeScan(*_head(ros, message), points_m, None, None, message.data)


def point_cloud2(ros: Any, message: Message) -> Decoded:
    fields = [
        points.PackedField(field.name, field.offset, _POINT_KINDS[field.datatype])
        for field in ros.fields
        if 1 <= field.datatype < len(_POINT_KINDS)
    ]
    points_m, intensity, speed = points.packed_points(
        memoryview(ros.data),
        fields,
        stride=ros.point_step,
        width=ros.width,
        height=ros.height,
        row_stride=ros.row_step,
        big_endian=bool(ros.is_bigendian),
    )
    return RangeScan(*_head(ros, message), points_m, intensity, speed, message.data)


def point_cloud(ros: Any, message: Message) -> Decoded:
    """The old cloud: points as messages, further fields as channels."""
    points_m = _vectors(ros.points)
    channels = {channel.name: channel.values for channel in ros.channels}
    intensity = channels.get("intensity", channels.get("intensities"))
    if intensity is not None and len(intensity) != len(points_m):
        raise Fault(f"{len(points_m)} points with {len(intensity)} intensities")
    return RangeScan(*_head(ros, message), points_m, _float32(intensity), None, message.data)


def radar_scan(ros: Any, message: Message) -> Decoded:
    limited(len(ros.returns), MAX_ITEMS, "radar returns")
    rows = [(r.range, r.azimuth, r.elevation, r.doppler_velocity, r.amplitude) for r in ros.returns]
    table = np.array(rows, np.float64).reshape(-1, 5)
    points_m = points.spherical_points(table[:, 0], table[:, 1], table[:, 2])
    speed, amplitude = points.as_float32(table[:, 3]), points.as_float32(table[:, 4])
    return RangeScan(*_head(ros, message), points_m, amplitude, speed, message.data)


def radar_tracks(ros: Any, message: Message) -> Decoded:
    """One return for each track; its radial speed is the velocity along the line of sight."""
    points_m = _vectors([track.position for track in ros.tracks])
    velocity = _vectors([track.velocity for track in ros.tracks])
    distance = np.linalg.norm(points_m, axis=1)
    speed = np.einsum("ni,ni->n", points_m, velocity) / np.where(distance > 0, distance, np.nan)
    return RangeScan(*_head(ros, message), points_m, None, points.as_float32(speed), message.data)


def transforms(ros: Any, message: Message) -> Decoded:
    """tf2_msgs/TFMessage, and a single geometry_msgs/TransformStamped."""
    stamped = ros.transforms if hasattr(ros, "transforms") else [ros]
    limited(len(stamped), MAX_ITEMS, "transforms")
    edges: dict[str, tuple[str, Matrix]] = {}
    for item in stamped:
        pose = _pose(
            item.transform.translation, item.transform.rotation, f"transform {item.child_frame_id!r}"
        )
        _add_edge(edges, item.header.frame_id, item.child_frame_id, pose)
    own = next((found for item in stamped if (found := stamp_ns(item)) > 0), 0)
    stamp = stamp_or_publish(own, message)
    return FrameTransforms(message.topic, stamp, message.log_time_ns, edges, message.data)


def odometry(ros: Any, message: Message) -> Decoded:
    """Where the vehicle is, as a transform. By itself an odometry is a status."""
    edges: dict[str, tuple[str, Matrix]] = {}
    pose = _pose(ros.pose.pose.position, ros.pose.pose.orientation, "the odometry")
    _add_edge(edges, ros.header.frame_id, ros.child_frame_id, pose)
    stamp = stamp_or_publish(stamp_ns(ros), message)
    return FrameTransforms(message.topic, stamp, message.log_time_ns, edges, message.data)


def detections_2d(ros: Any, message: Message) -> Decoded:
    """vision_msgs/Detection2DArray; it knows no distance (NaN) and no occlusion (visible 1)."""
    limited(len(ros.detections), MAX_ITEMS, "boxes")
    items = []
    for detection in ros.detections:
        centre = detection.bbox.center
        x, y = (centre.position.x, centre.position.y) if hasattr(centre, "position") else (centre.x, centre.y)
        w, h = detection.bbox.size_x / 2, detection.bbox.size_y / 2
        label, track = _names(detection)
        items.append(TruthBox(label, (x - w, y - h, x + w, y + h), float("nan"), 1.0, track))
    stamp = stamp_or_publish(stamp_ns(ros), message)
    return TruthBoxes(message.topic, stamp, message.log_time_ns, tuple(items), message.data)


def detections_3d(ros: Any, message: Message) -> Decoded:
    """vision_msgs/Detection3DArray."""
    limited(len(ros.detections), MAX_ITEMS, "boxes")
    items = []
    for detection in ros.detections:
        label, track = _names(detection)
        centre, size = detection.bbox.center, detection.bbox.size
        pose = _pose(centre.position, centre.orientation, f"box {track!r}")
        frame_id = _frame(detection.header.frame_id or ros.header.frame_id)
        items.append(Cuboid(label, track, frame_id, pose, (size.x, size.y, size.z)))
    stamp = stamp_or_publish(stamp_ns(ros), message)
    return Cuboids(message.topic, stamp, message.log_time_ns, tuple(items), message.data)


Builder = Callable[[Any, Message], Decoded]

BUILDERS: dict[str, tuple[Role, Builder]] = {
    "sensor_msgs/Image": ("camera", image),
    "sensor_msgs/CompressedImage": ("camera", compressed_image),
    "sensor_msgs/CameraInfo": ("calibration", camera_info),
    "sensor_msgs/LaserScan": ("range", laser_scan),
    "sensor_msgs/MultiEchoLaserScan": ("range", multi_echo_laser_scan),
    "sensor_msgs/Range": ("range", single_range),
    "sensor_msgs/PointCloud2": ("range", point_cloud2),
    "sensor_msgs/PointCloud": ("range", point_cloud),
    "radar_msgs/RadarScan": ("range", radar_scan),
    "radar_msgs/RadarTracks": ("range", radar_tracks),
    "tf2_msgs/TFMessage": ("transforms", transforms),
    "tf/tfMessage": ("transforms", transforms),
    "geometry_msgs/TransformStamped": ("transforms", transforms),
    "vision_msgs/Detection2DArray": ("truth_boxes", detections_2d),
    "vision_msgs/Detection3DArray": ("truth_boxes", detections_3d),
    **ros_foxglove.BUILDERS,
}
"""What each message is by itself, and how it is read."""

ON_REQUEST: dict[tuple[str, Role], Builder] = {("nav_msgs/Odometry", "transforms"): odometry}
"""What a message can be besides, where the configuration asks for it."""

UNREADABLE = {
    "foxglove_msgs/CompressedVideo": "video is not decoded; write sensor_msgs/CompressedImage",
    "ffmpeg_image_transport_msgs/FFMPEGPacket": "video is not decoded; write sensor_msgs/CompressedImage",
}


def _head(ros: Any, message: Message) -> tuple[str, int, int, str]:
    """topic, stamp_ns, log_time_ns and frame_id, which every sensor message starts with."""
    stamp = stamp_or_publish(stamp_ns(ros), message)
    return message.topic, stamp, message.log_time_ns, _frame(ros.header.frame_id)


def _frame(frame_id: str) -> str:
    return frame_id.lstrip("/")


def _limits(low: float, high: float) -> tuple[float, float]:
    """The range limits of a message; none where it does not set them."""
    return (low, high) if high > low else (0.0, float("inf"))


def _scan(ros: Any, ranges: NDArray[Any], intensities: NDArray[Any], message: Message) -> Decoded:
    low, high = _limits(ros.range_min, ros.range_max)
    points_m = points.planar_points(ranges, ros.angle_min, ros.angle_increment, low, high)
    intensity = _float32(intensities) if len(intensities) == len(points_m) else None
    return RangeScan(*_head(ros, message), points_m, intensity, None, message.data)


def _first_echoes(beams: Sequence[Any]) -> Float32:
    limited(len(beams), MAX_ITEMS, "beams")
    return points.as_float32(
        np.array([beam.echoes[0] if len(beam.echoes) else np.nan for beam in beams], np.float64)
    )


def _float32(values: Any) -> Float32 | None:
    return None if values is None else points.as_float32(np.asarray(values))


def _vectors(items: Sequence[Any]) -> Float32:
    limited(len(items), MAX_ITEMS, "points")
    return points.as_float32(np.array([(p.x, p.y, p.z) for p in items], np.float64)).reshape(-1, 3)


def _pose(translation: Any, rotation: Any, what: str) -> Matrix:
    place = (translation.x, translation.y, translation.z)
    return checked_pose(place, (rotation.x, rotation.y, rotation.z, rotation.w), what)


def _add_edge(edges: dict[str, tuple[str, Matrix]], parent: str, child: str, pose: Matrix) -> None:
    parent, child = _frame(parent), _frame(child)
    if not child or child == parent:
        raise Fault(f"a transform from {child!r} to {parent!r} says nothing")
    edges[child] = (parent, pose)


def _names(detection: Any) -> tuple[str, str]:
    """Label (of the best hypothesis) and track of a vision_msgs detection, in any of its versions."""
    found = [getattr(result, "hypothesis", result) for result in detection.results]
    best = max(found, key=lambda hypothesis: float(hypothesis.score), default=None)
    label = getattr(best, "class_id", getattr(best, "id", ""))
    return str(label), str(getattr(detection, "id", getattr(detection, "tracking_id", "")))
