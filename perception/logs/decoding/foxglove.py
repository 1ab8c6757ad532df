"""Foxglove's schemas to the classes of `perception.types`, whatever they were encoded with.

Reference: docs.foxglove.dev schemas.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

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
from perception.logs.decoding.field_view import FieldView
from perception.types import (
    CameraInfo,
    Cuboid,
    Cuboids,
    Decoded,
    Float32,
    FrameTransforms,
    Message,
    RangeScan,
)

if TYPE_CHECKING:
    from perception.config import Role

Builder = Callable[[FieldView, Message], Decoded]

_KINDS = ("", "u1", "i1", "u2", "i2", "u4", "i4", "f4", "f8")  # NumericType
_LABEL_KEYS = ("class", "label", "category", "type")
_IDENTITY = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0)


def compressed_image(view: FieldView, message: Message) -> Decoded:
    return images.encoded_frame(_head(view, message), view.blob("data"), message)


def raw_image(view: FieldView, message: Message) -> Decoded:
    size = view.integer("width"), view.integer("height")
    encoding, step = view.text("encoding"), view.integer("step")
    return images.raw_frame(_head(view, message), view.blob("data"), encoding, size, step, message)


def camera_calibration(view: FieldView, message: Message) -> Decoded:
    return CameraInfo(
        *_head(view, message),
        view.integer("width"),
        view.integer("height"),
        checked_intrinsics(view.numbers("K"), "the calibration"),
        checked_distortion(view.numbers("D"), "the calibration"),
        view.text("distortion_model"),
        message.data,
    )


def frame_transform(view: FieldView, message: Message) -> Decoded:
    return _transforms([view], message)


def frame_transforms(view: FieldView, message: Message) -> Decoded:
    return _transforms(view.children("transforms"), message)


def laser_scan(view: FieldView, message: Message) -> Decoded:
    ranges = view.numbers("ranges")
    count = len(ranges)
    first = view.number("start_angle")
    step = (view.number("end_angle") - first) / (count - 1) if count > 1 else 0.0
    points_m = _posed(points.planar_points(ranges, first, step), view, "the scan")
    values = view.numbers("intensities")
    intensity = points.as_float32(values) if len(values) == count else None
    return RangeScan(*_head(view, message), points_m, intensity, None, message.data)


def point_cloud(view: FieldView, message: Message) -> Decoded:
    data = view.blob("data")
    stride = view.integer("point_stride")
    fields = [
        points.PackedField(field.text("name"), field.integer("offset"), _KINDS[kind])
        for field in view.children("fields")
        if 1 <= (kind := field.integer("type")) < len(_KINDS)  # an unknown type matters only where it is used
    ]
    if stride < 1 or len(data) % stride:
        raise DecodeError(f"{len(data)} bytes are no whole number of points of {stride} bytes")
    points_m, intensity, speed = points.packed_points(data, fields, stride=stride, width=len(data) // stride)
    points_m = _posed(points_m, view, "the cloud")
    return RangeScan(*_head(view, message), points_m, intensity, speed, message.data)


def scene_update(view: FieldView, message: Message) -> Decoded:
    """Read the cubes of every entity, labelled by metadata (`_LABEL_KEYS`), else by id."""
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
"""Schema name -> the role of its messages, and the function that builds the decoded message."""

UNREADABLE = {
    "foxglove.CompressedVideo": "video (as H.264) is not decoded; write foxglove.CompressedImage instead",
    "foxglove.CompressedPointCloud": "Draco point clouds are not decoded; write foxglove.PointCloud instead",
}
"""Known schemas that cannot be read, and what to do instead."""


def _head(view: FieldView, message: Message) -> Head:
    return head_of(message, view.time_ns("timestamp"), view.text("frame_id"))


def _transforms(views: Sequence[FieldView], message: Message) -> Decoded:
    limited(len(views), MAX_ITEMS, "transforms")
    stamp_ns = 0
    edges: Edges = {}
    for view in views:
        stamp_ns = stamp_ns or view.time_ns("timestamp")
        parent, child = view.text("parent_frame_id"), view.text("child_frame_id")
        values = _xyz(view.child("translation")) + _xyzw(view.child("rotation"))
        add_edge(edges, parent, child, _pose(values, f"transform {parent!r} from {child!r}"))
    stamp_ns = stamp_or_publish(stamp_ns, message)
    return FrameTransforms(message.topic, stamp_ns, message.log_time_ns, edges, message.data)


def _posed(points_m: Float32, view: FieldView, name: str) -> Float32:
    """Return the points moved by the message's `pose`."""
    values = _pose_values(view.child("pose"))
    return points_m if values == _IDENTITY else points.moved(points_m, _pose(values, name))


def _pose_values(view: FieldView | None) -> tuple[float, ...]:
    """Return x, y, z, qx, qy, qz, qw; an unset pose is the identity."""
    return _IDENTITY if view is None else _xyz(view.child("position")) + _xyzw(view.child("orientation"))


def _pose(values: tuple[float, ...], name: str) -> Matrix:
    x, y, z, qx, qy, qz, qw = values
    return checked_pose((x, y, z), (qx, qy, qz, qw), name)


def _xyz(view: FieldView | None) -> tuple[float, ...]:
    return (0.0, 0.0, 0.0) if view is None else (view.number("x"), view.number("y"), view.number("z"))


def _xyzw(view: FieldView | None) -> tuple[float, ...]:
    return (0.0, 0.0, 0.0, 1.0) if view is None else (*_xyz(view), view.number("w"))


def _size(view: FieldView | None, track: str) -> tuple[float, float, float]:
    x, y, z = _xyz(view)
    if not (0 <= x < np.inf and 0 <= y < np.inf and 0 <= z < np.inf):
        raise DecodeError(f"box {track!r} has a size that is none: {x}, {y}, {z}")
    return x, y, z
