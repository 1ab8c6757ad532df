"""Common ROS messages to the classes of `perception.types`. ROS 1 and 2 share the fields.

Reference: the .msg files of common_interfaces, vision_msgs, radar_msgs and geometry2. A leading `/` of a
frame id is dropped, as tf2 does.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from perception.geometry import Matrix
from perception.logs.decoding import images, points
from perception.logs.decoding.checks import (
    MAX_ITEMS,
    DecodeError,
    Envelope,
    Head,
    Skipped,
    Tail,
    checked_box_size,
    checked_distortion,
    checked_intrinsics,
    checked_pose,
    checked_rectangle,
    frame_transforms_of,
    limited,
    projection_of,
    rectification_of,
)
from perception.logs.decoding.video_packets import video_packet
from perception.types import (
    CameraInfo,
    Cuboid,
    Cuboids,
    Decoded,
    Float32,
    RangeScan,
    RegionOfInterest,
    TruthBox,
    TruthBoxes,
)

if TYPE_CHECKING:
    from perception.config import Role

_POINT_KINDS = ("", "i1", "u1", "i2", "u2", "i4", "u4", "f4", "f8")  # sensor_msgs/PointField


def image(ros: Any, envelope: Envelope) -> Decoded:
    return images.raw_frame(*_head(ros, envelope), _raw_pixels(ros))


def image_as_depth(ros: Any, envelope: Envelope) -> Decoded:
    return images.raw_depth(*_head(ros, envelope), _raw_pixels(ros))


def compressed_image(ros: Any, envelope: Envelope) -> Decoded:
    return images.encoded_frame(*_head(ros, envelope), memoryview(ros.data), ros.format)


def ffmpeg_packet(ros: Any, envelope: Envelope) -> Decoded:
    """Read an ffmpeg_image_transport_msgs/FFMPEGPacket."""
    return video_packet(*_head(ros, envelope), memoryview(ros.data), ros.encoding)


def compressed_image_as_depth(ros: Any, envelope: Envelope) -> Decoded:
    return images.encoded_depth(*_head(ros, envelope), memoryview(ros.data), ros.format)


def camera_info(ros: Any, envelope: Envelope) -> Decoded:
    capital = hasattr(ros, "K")  # in ROS 1
    k, d, r, p = (getattr(ros, name if capital else name.lower()) for name in "KDRP")
    head, tail = _head(ros, envelope)
    return CameraInfo(
        *head,
        ros.width,
        ros.height,
        checked_intrinsics(k, "the camera info"),
        checked_distortion(d, "the camera info"),
        ros.distortion_model,
        **tail,
        rectification=rectification_of(r),
        projection=projection_of(p),
        binning=(max(int(getattr(ros, "binning_x", 1)), 1), max(int(getattr(ros, "binning_y", 1)), 1)),
        roi=_region(getattr(ros, "roi", None)),
    )


def _region(roi: Any) -> RegionOfInterest | None:
    """Return the region of interest; None for the whole sensor, which all zeros stand for."""
    if roi is None or not (roi.width and roi.height):
        return None
    size = int(roi.width), int(roi.height)
    return RegionOfInterest(int(roi.x_offset), int(roi.y_offset), *size, bool(roi.do_rectify))


def laser_scan(ros: Any, envelope: Envelope) -> Decoded:
    return _scan(ros, ros.ranges, ros.intensities, envelope)


def multi_echo_laser_scan(ros: Any, envelope: Envelope) -> Decoded:
    """Read the first echo of every beam."""
    return _scan(ros, _first_echoes(ros.ranges), _first_echoes(ros.intensities), envelope)


def single_range(ros: Any, envelope: Envelope) -> Decoded:
    """Read an ultrasonic or infrared ranger: one return straight ahead."""
    low, high = _limits(ros.min_range, ros.max_range)
    points_m = points.planar_points(np.array([ros.range], np.float32), 0.0, 0.0, low, high)
    head, tail = _head(ros, envelope)
    return RangeScan(*head, points_m, None, None, **tail)


def point_cloud2(ros: Any, envelope: Envelope) -> Decoded:
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
    head, tail = _head(ros, envelope)
    return RangeScan(*head, points_m, intensity, speed, **tail)


def point_cloud(ros: Any, envelope: Envelope) -> Decoded:
    """Read the older cloud: points as messages, further fields as channels."""
    points_m = _vectors(ros.points)
    channels = {channel.name: channel.values for channel in ros.channels}
    values = channels.get("intensity", channels.get("intensities"))
    if values is not None and len(values) != len(points_m):
        raise DecodeError(f"{len(points_m)} points with {len(values)} intensities")
    intensity = None if values is None else points.as_float32(np.asarray(values))
    head, tail = _head(ros, envelope)
    return RangeScan(*head, points_m, intensity, None, **tail)


def radar_scan(ros: Any, envelope: Envelope) -> Decoded:
    limited(len(ros.returns), MAX_ITEMS, "radar returns")
    rows = [(r.range, r.azimuth, r.elevation, r.doppler_velocity, r.amplitude) for r in ros.returns]
    table = np.array(rows, np.float64).reshape(-1, 5)
    points_m = points.spherical_points(table[:, 0], table[:, 1], table[:, 2])
    speed, amplitude = points.as_float32(table[:, 3]), points.as_float32(table[:, 4])
    head, tail = _head(ros, envelope)
    return RangeScan(*head, points_m, amplitude, speed, **tail)


def radar_tracks(ros: Any, envelope: Envelope) -> Decoded:
    """Read one return for each track; its radial speed is the velocity along the line of sight."""
    points_m = _vectors([track.position for track in ros.tracks])
    velocity = _vectors([track.velocity for track in ros.tracks])
    distance = np.linalg.norm(points_m, axis=1)
    speed = np.einsum("ni,ni->n", points_m, velocity) / np.where(distance > 0, distance, np.nan)
    head, tail = _head(ros, envelope)
    return RangeScan(*head, points_m, None, points.as_float32(speed), **tail)


def transforms(ros: Any, envelope: Envelope) -> Decoded:
    """Read a tf2_msgs/TFMessage or a single geometry_msgs/TransformStamped."""
    stamped = ros.transforms if hasattr(ros, "transforms") else [ros]
    limited(len(stamped), MAX_ITEMS, "transforms")
    return frame_transforms_of(
        envelope,
        (
            (item, _frame(item.header.frame_id), _frame(item.child_frame_id), item.transform)
            for item in stamped
        ),
        lambda transform, name: _pose(transform.translation, transform.rotation, name),
    )


def odometry(ros: Any, envelope: Envelope) -> Decoded:
    """Where the vehicle is, as a transform. By itself an odometry is a status."""
    return frame_transforms_of(
        envelope,
        [(ros, _frame(ros.header.frame_id), _frame(ros.child_frame_id), ros.pose.pose)],
        lambda pose, name: _pose(pose.position, pose.orientation, name),
    )


def detections_2d(ros: Any, envelope: Envelope) -> Decoded:
    """Read a vision_msgs/Detection2DArray; it knows no distance (NaN) and no occlusion (visible 1).

    A box that is turned in the picture is the upright rectangle around it.
    """
    limited(len(ros.detections), MAX_ITEMS, "boxes")
    items, skipped = [], Skipped()
    for detection in ros.detections:
        centre = detection.bbox.center
        x, y = (centre.position.x, centre.position.y) if hasattr(centre, "position") else (centre.x, centre.y)
        w, h = _upright(detection.bbox.size_x / 2, detection.bbox.size_y / 2, centre.theta)
        label, track = _names(detection)
        box = TruthBox(label, (x - w, y - h, x + w, y + h), float("nan"), 1.0, track)
        try:
            items.append(checked_rectangle(box))
        except DecodeError as error:
            skipped.add(error)
    skipped.check(len(items), "boxes")
    times, tail = envelope.times(envelope.stamp(ros))
    return TruthBoxes(
        *times,
        tuple(items),
        **tail,
        ignored=skipped.count,
        ignored_reason=skipped.reason,
        frame_id=_frame_of_all(ros),
    )


def _frame_of_all(ros: Any) -> str:
    """Return the frame of an array of detections, or the one that all of them name; empty where none is."""
    if own := _frame(ros.header.frame_id):
        return own
    frames = {_frame(item.header.frame_id) for item in ros.detections if hasattr(item, "header")}
    return frames.pop() if len(frames) == 1 else ""


def detections_3d(ros: Any, envelope: Envelope) -> Decoded:
    """Read a vision_msgs/Detection3DArray."""
    limited(len(ros.detections), MAX_ITEMS, "boxes")
    items, skipped = [], Skipped()
    for detection in ros.detections:
        label, track = _names(detection)
        centre, size = detection.bbox.center, detection.bbox.size
        frame_id = _frame(detection.header.frame_id or ros.header.frame_id)
        try:
            pose = _pose(centre.position, centre.orientation, f"box {track!r}")
            sides = checked_box_size(size.x, size.y, size.z, f"box {track!r}")
        except DecodeError as error:
            skipped.add(error)
            continue
        items.append(Cuboid(label, track, frame_id, pose, sides))
    skipped.check(len(items), "boxes")
    times, tail = envelope.times(envelope.stamp(ros))
    return Cuboids(*times, tuple(items), **tail, ignored=skipped.count, ignored_reason=skipped.reason)


Builder = Callable[[Any, Envelope], Decoded]

BUILDERS: dict[str, tuple[Role, Builder]] = {
    "sensor_msgs/Image": ("camera", image),
    "sensor_msgs/CompressedImage": ("camera", compressed_image),
    "ffmpeg_image_transport_msgs/FFMPEGPacket": ("camera", ffmpeg_packet),
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

ON_REQUEST: dict[tuple[str, Role], Builder] = {
    ("nav_msgs/Odometry", "transforms"): odometry,
    ("sensor_msgs/Image", "range"): image_as_depth,
    ("sensor_msgs/CompressedImage", "range"): compressed_image_as_depth,
}
"""The roles that a message can take besides, where the configuration asks for it."""


def _head(ros: Any, envelope: Envelope) -> tuple[Head, Tail]:
    return envelope.head(ros, _frame(ros.header.frame_id))


def _raw_pixels(ros: Any) -> images.RawPixels:
    size = ros.width, ros.height
    return images.RawPixels(memoryview(ros.data), ros.encoding, size, ros.step, bool(ros.is_bigendian))


def _frame(frame_id: str) -> str:
    return frame_id.lstrip("/")


def _limits(low: float, high: float) -> tuple[float, float]:
    """Return the range limits of a message; no limits where it does not set them."""
    return (low, high) if high > low else (0.0, float("inf"))


def _scan(ros: Any, ranges: NDArray[Any], intensities: NDArray[Any], envelope: Envelope) -> Decoded:
    low, high = _limits(ros.range_min, ros.range_max)
    points_m = points.planar_points(ranges, ros.angle_min, ros.angle_increment, low, high)
    same = len(intensities) == len(points_m)
    intensity = points.as_float32(np.asarray(intensities)) if same else None
    head, tail = _head(ros, envelope)
    return RangeScan(*head, points_m, intensity, None, **tail)


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


def _upright(w: float, h: float, theta: float) -> tuple[float, float]:
    """Return the half sides of the upright rectangle around one that is turned by `theta` (rad)."""
    if not theta:
        return w, h
    if not math.isfinite(theta):
        return math.nan, math.nan
    c, s = abs(math.cos(theta)), abs(math.sin(theta))
    return w * c + h * s, w * s + h * c


def _names(detection: Any) -> tuple[str, str]:
    """Return label (of the best hypothesis) and track of a vision_msgs detection, in any of its versions."""
    hypotheses = [getattr(result, "hypothesis", result) for result in detection.results]
    best = max(hypotheses, key=lambda hypothesis: float(hypothesis.score), default=None)
    label = getattr(best, "class_id", getattr(best, "id", ""))
    return str(label), str(getattr(detection, "id", getattr(detection, "tracking_id", "")))
