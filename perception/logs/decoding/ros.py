"""Common ROS messages to the classes of `perception.types`. ROS 1 and 2 share the fields.

Reference: the .msg files of common_interfaces, vision_msgs, radar_msgs and geometry2. A leading `/` of a
frame id is dropped, as tf2 does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from perception.geometry import Matrix
from perception.logs.decoding import images, points
from perception.logs.decoding.checks import (
    MAX_ITEMS,
    DecodeError,
    Edges,
    Head,
    add_edge,
    checked_distortion,
    checked_intrinsics,
    checked_pose,
    head_of,
    limited,
    stamp_or_publish,
)
from perception.types import (
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
    """Return the nanoseconds of `header.stamp`, `stamp` or `timestamp`; 0 where there is none."""
    time = getattr(getattr(ros, "header", None), "stamp", None) or getattr(ros, "stamp", None)
    time = time or getattr(ros, "timestamp", None)
    seconds, nanos = getattr(time, "sec", 0), getattr(time, "nanosec", 0)
    return int(seconds) * 1_000_000_000 + int(nanos)


def image(ros: Any, message: Message) -> Decoded:
    head, size = _head(ros, message), (ros.width, ros.height)
    data, big_endian = memoryview(ros.data), bool(ros.is_bigendian)
    return images.raw_frame(head, data, ros.encoding, size, ros.step, message, big_endian)


def compressed_image(ros: Any, message: Message) -> Decoded:
    data = memoryview(ros.data)
    if "compressedDepth" in ros.format:
        data = data[12:]  # image_transport puts a depth header before the PNG
    return images.encoded_frame(_head(ros, message), data, message)


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
    """Read the first echo of every beam."""
    return _scan(ros, _first_echoes(ros.ranges), _first_echoes(ros.intensities), message)


def single_range(ros: Any, message: Message) -> Decoded:
    """Read an ultrasonic or infrared ranger: one return straight ahead."""
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
    """Read the older cloud: points as messages, further fields as channels."""
    points_m = _vectors(ros.points)
    channels = {channel.name: channel.values for channel in ros.channels}
    values = channels.get("intensity", channels.get("intensities"))
    if values is not None and len(values) != len(points_m):
        raise DecodeError(f"{len(points_m)} points with {len(values)} intensities")
    intensity = None if values is None else points.as_float32(np.asarray(values))
    return RangeScan(*_head(ros, message), points_m, intensity, None, message.data)


def radar_scan(ros: Any, message: Message) -> Decoded:
    limited(len(ros.returns), MAX_ITEMS, "radar returns")
    rows = [(r.range, r.azimuth, r.elevation, r.doppler_velocity, r.amplitude) for r in ros.returns]
    table = np.array(rows, np.float64).reshape(-1, 5)
    points_m = points.spherical_points(table[:, 0], table[:, 1], table[:, 2])
    speed, amplitude = points.as_float32(table[:, 3]), points.as_float32(table[:, 4])
    return RangeScan(*_head(ros, message), points_m, amplitude, speed, message.data)


def radar_tracks(ros: Any, message: Message) -> Decoded:
    """Read one return for each track; its radial speed is the velocity along the line of sight."""
    points_m = _vectors([track.position for track in ros.tracks])
    velocity = _vectors([track.velocity for track in ros.tracks])
    distance = np.linalg.norm(points_m, axis=1)
    speed = np.einsum("ni,ni->n", points_m, velocity) / np.where(distance > 0, distance, np.nan)
    return RangeScan(*_head(ros, message), points_m, None, points.as_float32(speed), message.data)


def transforms(ros: Any, message: Message) -> Decoded:
    """Read a tf2_msgs/TFMessage or a single geometry_msgs/TransformStamped."""
    stamped = ros.transforms if hasattr(ros, "transforms") else [ros]
    limited(len(stamped), MAX_ITEMS, "transforms")
    edges: Edges = {}
    for item in stamped:
        pose = _pose(
            item.transform.translation, item.transform.rotation, f"transform {item.child_frame_id!r}"
        )
        add_edge(edges, _frame(item.header.frame_id), _frame(item.child_frame_id), pose)
    own = next((stamp for item in stamped if (stamp := stamp_ns(item)) > 0), 0)
    stamp = stamp_or_publish(own, message)
    return FrameTransforms(message.topic, stamp, message.log_time_ns, edges, message.data)


def odometry(ros: Any, message: Message) -> Decoded:
    """Where the vehicle is, as a transform. By itself an odometry is a status."""
    edges: Edges = {}
    pose = _pose(ros.pose.pose.position, ros.pose.pose.orientation, "the odometry")
    add_edge(edges, _frame(ros.header.frame_id), _frame(ros.child_frame_id), pose)
    stamp = stamp_or_publish(stamp_ns(ros), message)
    return FrameTransforms(message.topic, stamp, message.log_time_ns, edges, message.data)


def detections_2d(ros: Any, message: Message) -> Decoded:
    """Read a vision_msgs/Detection2DArray; it knows no distance (NaN) and no occlusion (visible 1)."""
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
    """Read a vision_msgs/Detection3DArray."""
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
}
"""Message name -> the role of the messages, and the function that builds the decoded message."""

ON_REQUEST: dict[tuple[str, Role], Builder] = {("nav_msgs/Odometry", "transforms"): odometry}
"""The roles that a message can take besides, where the configuration asks for it."""

UNREADABLE = {
    "foxglove_msgs/CompressedVideo": "video is not decoded; write sensor_msgs/CompressedImage",
    "ffmpeg_image_transport_msgs/FFMPEGPacket": "video is not decoded; write sensor_msgs/CompressedImage",
}


def _head(ros: Any, message: Message) -> Head:
    return head_of(message, stamp_ns(ros), _frame(ros.header.frame_id))


def _frame(frame_id: str) -> str:
    return frame_id.lstrip("/")


def _limits(low: float, high: float) -> tuple[float, float]:
    """Return the range limits of a message; no limits where it does not set them."""
    return (low, high) if high > low else (0.0, float("inf"))


def _scan(ros: Any, ranges: NDArray[Any], intensities: NDArray[Any], message: Message) -> Decoded:
    low, high = _limits(ros.range_min, ros.range_max)
    points_m = points.planar_points(ranges, ros.angle_min, ros.angle_increment, low, high)
    same = len(intensities) == len(points_m)
    intensity = points.as_float32(np.asarray(intensities)) if same else None
    return RangeScan(*_head(ros, message), points_m, intensity, None, message.data)


def _first_echoes(beams: Sequence[Any]) -> Float32:
    limited(len(beams), MAX_ITEMS, "beams")
    return points.as_float32(
        np.array([beam.echoes[0] if len(beam.echoes) else np.nan for beam in beams], np.float64)
    )


def _vectors(items: Sequence[Any]) -> Float32:
    limited(len(items), MAX_ITEMS, "points")
    return points.as_float32(np.array([(p.x, p.y, p.z) for p in items], np.float64)).reshape(-1, 3)


def _pose(translation: Any, rotation: Any, name: str) -> Matrix:
    position = (translation.x, translation.y, translation.z)
    return checked_pose(position, (rotation.x, rotation.y, rotation.z, rotation.w), name)


def _names(detection: Any) -> tuple[str, str]:
    """Return label (of the best hypothesis) and track of a vision_msgs detection, in any of its versions."""
    hypotheses = [getattr(result, "hypothesis", result) for result in detection.results]
    best = max(hypotheses, key=lambda hypothesis: float(hypothesis.score), default=None)
    label = getattr(best, "class_id", getattr(best, "id", ""))
    return str(label), str(getattr(detection, "id", getattr(detection, "tracking_id", "")))
