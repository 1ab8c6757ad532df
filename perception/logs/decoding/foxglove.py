"""Foxglove's schemas to the nouns of `perception.types`, whatever they were encoded with.

A `View` gives the fields of one message by name; protobuf and JSON each bring one. A field that the
file's schema lacks reads as zero or empty, as protobuf has it. Reference: docs.foxglove.dev schemas.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from perception.geometry import Matrix
from perception.logs.decoding import images, points
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
    FrameTransforms,
    Message,
    RangeScan,
)

if TYPE_CHECKING:
    from perception.config import Role


class View(Protocol):
    """The fields of a message by name."""

    def number(self, name: str) -> float: ...
    def integer(self, name: str) -> int: ...
    def text(self, name: str) -> str: ...
    def blob(self, name: str) -> bytes | memoryview: ...
    def numbers(self, name: str) -> NDArray[Any]: ...
    def child(self, name: str) -> View | None: ...
    def children(self, name: str) -> Sequence[View]: ...
    def time_ns(self, name: str) -> int: ...


_KINDS = ("", "u1", "i1", "u2", "i2", "u4", "i4", "f4", "f8")  # NumericType
_LABEL_KEYS = ("class", "label", "category", "type")
_IDENTITY = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0)


def compressed_image(view: View, message: Message) -> Decoded:
    data = view.blob("data")
    header = images.read_header(data)
    return CameraFrame(
        message.topic,
        stamp_or_publish(view.time_ns("timestamp"), message),
        message.log_time_ns,
        view.text("frame_id"),
        data,
        header.format,
        header.width,
        header.height,
        0,
        message.data,
    )


def raw_image(view: View, message: Message) -> Decoded:
    data = view.blob("data")
    width, height = view.integer("width"), view.integer("height")
    layout, step = images.raw_step(view.text("encoding"), width, height, view.integer("step"), len(data))
    stamp_ns = stamp_or_publish(view.time_ns("timestamp"), message)
    frame_id = view.text("frame_id")
    return CameraFrame(
        message.topic,
        stamp_ns,
        message.log_time_ns,
        frame_id,
        data,
        layout,
        width,
        height,
        step,
        message.data,
    )


def camera_calibration(view: View, message: Message) -> Decoded:
    return CameraInfo(
        message.topic,
        stamp_or_publish(view.time_ns("timestamp"), message),
        message.log_time_ns,
        view.text("frame_id"),
        view.integer("width"),
        view.integer("height"),
        checked_intrinsics(view.numbers("K"), "the calibration"),
        checked_distortion(view.numbers("D"), "the calibration"),
        view.text("distortion_model"),
        message.data,
    )


def frame_transform(view: View, message: Message) -> Decoded:
    return _transforms([view], message)


def frame_transforms(view: View, message: Message) -> Decoded:
    return _transforms(view.children("transforms"), message)


def laser_scan(view: View, message: Message) -> Decoded:
    ranges = view.numbers("ranges")
    count = len(ranges)
    first = view.number("start_angle")
    step = (view.number("end_angle") - first) / (count - 1) if count > 1 else 0.0
    points_m = points.planar_points(ranges, first, step)
    pose = _pose_values(view.child("pose"))
    if pose != _IDENTITY:
        points_m = points.moved(points_m, _pose(pose, "the scan"))
    intensities = view.numbers("intensities")
    return RangeScan(
        message.topic,
        stamp_or_publish(view.time_ns("timestamp"), message),
        message.log_time_ns,
        view.text("frame_id"),
        points_m,
        points.as_float32(intensities) if len(intensities) == count else None,
        None,
        message.data,
    )


def point_cloud(view: View, message: Message) -> Decoded:
    data = view.blob("data")
    stride = view.integer("point_stride")
    fields = []
    for field in view.children("fields"):
        kind = field.integer("type")
        if 1 <= kind < len(_KINDS):  # an unknown type is a fault only where the field is needed
            fields.append(points.PackedField(field.text("name"), field.integer("offset"), _KINDS[kind]))
    if stride < 1 or len(data) % stride:
        raise Fault(f"{len(data)} bytes are no whole number of points of {stride} bytes")
    points_m, intensity, speed = points.packed_points(data, fields, stride=stride, width=len(data) // stride)
    pose = _pose_values(view.child("pose"))
    if pose != _IDENTITY:
        points_m = points.moved(points_m, _pose(pose, "the cloud"))
    stamp_ns = stamp_or_publish(view.time_ns("timestamp"), message)
    frame_id = view.text("frame_id")
    return RangeScan(
        message.topic, stamp_ns, message.log_time_ns, frame_id, points_m, intensity, speed, message.data
    )


def scene_update(view: View, message: Message) -> Decoded:
    """The cubes of every entity, labelled by metadata `class` (`label`, `category`, `type`), else by id."""
    stamp_ns = 0
    items: list[Cuboid] = []
    for entity in view.children("entities"):
        stamp_ns = stamp_ns or entity.time_ns("timestamp")
        name = entity.text("id")
        metadata = {pair.text("key").lower(): pair.text("value") for pair in entity.children("metadata")}
        label = next((metadata[key] for key in _LABEL_KEYS if metadata.get(key)), name)
        cubes = entity.children("cubes")
        frame_id = entity.text("frame_id")
        for i, cube in enumerate(cubes):
            track = name if len(cubes) == 1 else f"{name}/{i}"
            frame_from_box = _pose(_pose_values(cube.child("pose")), f"box {track!r}")
            items.append(Cuboid(label, track, frame_id, frame_from_box, _size(cube.child("size"), track)))
        limited(len(items), MAX_ITEMS, "boxes")
    stamp_ns = stamp_or_publish(stamp_ns, message)
    return Cuboids(message.topic, stamp_ns, message.log_time_ns, tuple(items), message.data)


Builder = Callable[[View, Message], Decoded]

BUILDERS: dict[str, tuple[Role, Builder]] = {
    "foxglove.CompressedImage": ("camera", compressed_image),
    "foxglove.RawImage": ("camera", raw_image),
    "foxglove.CameraCalibration": ("calibration", camera_calibration),
    "foxglove.FrameTransform": ("transforms", frame_transform),
    "foxglove.FrameTransforms": ("transforms", frame_transforms),
    "foxglove.LaserScan": ("range", laser_scan),
    "foxglove.PointCloud": ("range", point_cloud),
    "foxglove.SceneUpdate": ("truth_boxes", scene_update),
}
"""What each schema is by itself, and how it is read."""

UNREADABLE = {
    "foxglove.CompressedVideo": "video (as H.264) is not decoded; write foxglove.CompressedImage instead",
    "foxglove.CompressedPointCloud": "Draco point clouds are not decoded; write foxglove.PointCloud instead",
}
"""Schemas that are known and not read, and what to do."""


def _transforms(views: Sequence[View], message: Message) -> Decoded:
    limited(len(views), MAX_ITEMS, "transforms")
    stamp_ns = 0
    edges = {}
    for view in views:
        stamp_ns = stamp_ns or view.time_ns("timestamp")
        parent, child = view.text("parent_frame_id"), view.text("child_frame_id")
        if not child or child == parent:
            raise Fault(f"a transform from {child!r} to {parent!r} says nothing")
        pose = _xyz(view.child("translation")) + _xyzw(view.child("rotation"))
        edges[child] = (parent, _pose(pose, f"transform {parent!r} from {child!r}"))
    stamp_ns = stamp_or_publish(stamp_ns, message)
    return FrameTransforms(message.topic, stamp_ns, message.log_time_ns, edges, message.data)


def _pose_values(view: View | None) -> tuple[float, ...]:
    """x, y, z, qx, qy, qz, qw; an unset pose is the identity."""
    return _IDENTITY if view is None else _xyz(view.child("position")) + _xyzw(view.child("orientation"))


def _pose(values: tuple[float, ...], what: str) -> Matrix:
    x, y, z, qx, qy, qz, qw = values
    return checked_pose((x, y, z), (qx, qy, qz, qw), what)


def _xyz(view: View | None) -> tuple[float, ...]:
    return (0.0, 0.0, 0.0) if view is None else (view.number("x"), view.number("y"), view.number("z"))


def _xyzw(view: View | None) -> tuple[float, ...]:
    return (0.0, 0.0, 0.0, 1.0) if view is None else (*_xyz(view), view.number("w"))


def _size(view: View | None, track: str) -> tuple[float, float, float]:
    x, y, z = _xyz(view)
    if not (0 <= x < np.inf and 0 <= y < np.inf and 0 <= z < np.inf):
        raise Fault(f"box {track!r} has a size that is none: {x}, {y}, {z}")
    return x, y, z
