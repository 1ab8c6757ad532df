"""Foxglove's schemas to the classes of `perception.types`, whatever they were encoded with.

Reference: docs.foxglove.dev schemas.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from perception.geometry import Matrix, is_optical
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
    checked_transform,
    first_measured,
    frame_transforms_of,
    limited,
    projection_of,
    rectification_of,
)
from perception.logs.decoding.field_view import FieldView
from perception.logs.decoding.stamps import bare_number, duration_ns
from perception.logs.decoding.video_packets import video_packet
from perception.types import (
    CameraInfo,
    Cuboid,
    Cuboids,
    Decoded,
    Float32,
    RangeScan,
    SceneChange,
    SceneDeletion,
    SceneEntity,
    TruthBoxes,
)

if TYPE_CHECKING:
    from perception.config import Role

Builder = Callable[[FieldView, Envelope], Decoded]

PICTURE_FILE = "pictures.File"
"""The schema, in JSON, of the names of the files that pictures were read from."""
_KINDS = ("", "u1", "i1", "u2", "i2", "u4", "i4", "f4", "f8")  # NumericType, and its names
_KIND_NAMES = ("UNKNOWN", "UINT8", "INT8", "UINT16", "INT16", "UINT32", "INT32", "FLOAT32", "FLOAT64")
_LABEL_KEYS = ("class", "label", "category", "type")
_SCORE_KEYS = ("score", "confidence", "probability")
_IDENTITY = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0)


def compressed_image(view: FieldView, envelope: Envelope) -> Decoded:
    return images.encoded_frame(*_head(view, envelope), view.blob("data"), view.text("format"))


def compressed_video(view: FieldView, envelope: Envelope) -> Decoded:
    metadata = envelope.message.channel.metadata
    return video_packet(*_head(view, envelope), view.blob("data"), view.text("format"), metadata)


def compressed_depth(view: FieldView, envelope: Envelope) -> Decoded:
    return images.encoded_depth(*_head(view, envelope), view.blob("data"), view.text("format"))


def raw_image(view: FieldView, envelope: Envelope) -> Decoded:
    return images.raw_frame(*_head(view, envelope), _raw_pixels(view))


def raw_depth(view: FieldView, envelope: Envelope) -> Decoded:
    return images.raw_depth(*_head(view, envelope), _raw_pixels(view))


def camera_calibration(view: FieldView, envelope: Envelope) -> Decoded:
    head, tail = _head(view, envelope)
    return CameraInfo(
        *head,
        view.integer("width"),
        view.integer("height"),
        checked_intrinsics(view.numbers("K"), "the calibration"),
        checked_distortion(view.numbers("D"), "the calibration"),
        view.text("distortion_model"),
        **tail,
        rectification=rectification_of(view.numbers("R")),
        projection=projection_of(view.numbers("P")),
    )


def frame_transform(view: FieldView, envelope: Envelope) -> Decoded:
    return _transforms([view], envelope)


def frame_transforms(view: FieldView, envelope: Envelope) -> Decoded:
    return _transforms(view.children("transforms"), envelope)


def laser_scan(view: FieldView, envelope: Envelope) -> Decoded:
    ranges = view.numbers("ranges")
    count = len(ranges)
    first = view.number("start_angle")
    step = (view.number("end_angle") - first) / (count - 1) if count > 1 else 0.0
    points_m = _posed(points.planar_points(ranges, first, step), view, "the scan")
    values = view.numbers("intensities")
    intensity = points.as_float32(values) if len(values) == count else None
    doubt = points.angle_doubt(first, step, view.number("end_angle"), count)
    head, tail = _head(view, envelope)
    return RangeScan(*head, points_m, intensity, None, **tail, doubt=doubt)


def point_cloud(view: FieldView, envelope: Envelope) -> Decoded:
    data = view.blob("data")
    stride = view.integer("point_stride")
    fields = [
        points.PackedField(field.text("name"), field.integer("offset"), _KINDS[kind])
        for field in view.children("fields")
        if 1 <= (kind := _numeric_type(field)) < len(_KINDS)  # an unknown type matters only where it is used
    ]
    if len(data) and (stride < 1 or len(data) % stride):
        raise DecodeError(f"{len(data)} bytes are no whole number of points of {stride} bytes")
    width = len(data) // stride if len(data) else 0
    points_m, intensity, speed = points.packed_points(data, fields, stride=stride, width=width)
    points_m = _posed(points_m, view, "the cloud")
    head, tail = _head(view, envelope)
    return RangeScan(*head, points_m, intensity, speed, **tail, optical=is_optical(head[3]))


def _numeric_type(field: FieldView) -> int:
    """Return the type of a packed field, which protobuf's JSON writes as a name."""
    name = field.value("type")
    return _KIND_NAMES.index(name) if name in _KIND_NAMES else field.integer("type")


def scene_update(view: FieldView, envelope: Envelope) -> Decoded:
    """Read the cubes of every entity, labelled by metadata (`_LABEL_KEYS`), else by id."""
    entities = limited_views(view.children("entities"), "entities")
    deletions = limited_views(view.children("deletions"), "deletions")
    stamps = [envelope.stamp(element.tree) for element in (*entities, *deletions)]
    own = first_measured(stamps) or envelope.stamp(view.tree)
    stamps_ns = [stamp.ns if stamp.measured else own.ns for stamp in stamps]
    items: list[Cuboid] = []
    skipped = Skipped()
    for entity in entities:
        items += _cuboids(entity, skipped)
        limited(len(items), MAX_ITEMS, "boxes")
    change = SceneChange(
        tuple(
            SceneEntity(entity.text("id"), stamp_ns, max(duration_ns(entity.value("lifetime")), 0))
            for entity, stamp_ns in zip(entities, stamps_ns, strict=False)
        ),
        tuple(
            SceneDeletion(None if _deletes_all(deletion) else deletion.text("id"), stamp_ns)
            for deletion, stamp_ns in zip(deletions, stamps_ns[len(entities) :], strict=True)
        ),
    )
    times, tail = envelope.times(own)
    return Cuboids(
        *times, tuple(items), **tail, change=change, ignored=skipped.count, ignored_reason=skipped.reason
    )


def picture_file(view: FieldView, envelope: Envelope) -> Decoded:
    """Read the name of a picture's file, whose boxes are in a label file beside the log."""
    times, tail = envelope.times(envelope.stamp(view.tree))
    return TruthBoxes(*times, (), **tail, picture=view.text("file"))


def limited_views(views: Sequence[FieldView], name: str) -> Sequence[FieldView]:
    limited(len(views), MAX_ITEMS, name)
    return views


def _cuboids(entity: FieldView, skipped: Skipped) -> list[Cuboid]:
    """Return the cubes of an entity that can be used."""
    name, frame_id = entity.text("id"), _frame(entity)
    metadata = {pair.text("key").lower(): pair.text("value") for pair in entity.children("metadata")}
    label = next((metadata[key] for key in _LABEL_KEYS if metadata.get(key)), name)
    number = bare_number(next((metadata[key] for key in _SCORE_KEYS if key in metadata), None))
    score = math.nan if number is None else float(number)
    cubes = entity.children("cubes")
    items = []
    for i, cube in enumerate(cubes):
        track = name if len(cubes) == 1 else f"{name}/{i}"
        try:
            frame_from_box = _pose(_pose_values(cube.child("pose")), f"box {track!r}")
            size = _size(cube.child("size"), track)
        except DecodeError as error:
            skipped.add(error)
            continue
        items.append(Cuboid(label, track, frame_id, frame_from_box, size, name, score))
    return items


def _deletes_all(deletion: FieldView) -> bool:
    """Return whether a deletion is of all entities: type 1, or ALL as protobuf's JSON writes it."""
    kind = deletion.value("type")
    return kind == "ALL" if isinstance(kind, str) else deletion.number("type") == 1


BUILDERS: dict[str, tuple[Role, Builder]] = {
    "foxglove.CompressedImage": ("camera", compressed_image),
    "foxglove.RawImage": ("camera", raw_image),
    "foxglove.CompressedVideo": ("camera", compressed_video),
    "foxglove.CameraCalibration": ("calibration", camera_calibration),
    "foxglove.FrameTransform": ("transforms", frame_transform),
    "foxglove.FrameTransforms": ("transforms", frame_transforms),
    "foxglove.LaserScan": ("range", laser_scan),
    "foxglove.PointCloud": ("range", point_cloud),
    "foxglove.SceneUpdate": ("truth_boxes", scene_update),
}
"""Schema name -> the role of its messages, and the function that builds the decoded message."""

UNREADABLE = {
    "foxglove.CompressedPointCloud": "Draco point clouds are not decoded; write foxglove.PointCloud instead",
}
"""Known schemas that cannot be read, and what to do instead."""

ON_REQUEST: dict[tuple[str, Role], Builder] = {
    ("foxglove.CompressedImage", "range"): compressed_depth,
    ("foxglove.RawImage", "range"): raw_depth,
    (PICTURE_FILE, "truth_boxes"): picture_file,
}
"""The roles that a message can take besides, where the configuration asks for it."""


def _head(view: FieldView, envelope: Envelope) -> tuple[Head, Tail]:
    return envelope.head(view.tree, _frame(view))


def _frame(view: FieldView, name: str = "frame_id") -> str:
    return view.text(name).lstrip("/")  # converters leave what tf2 drops


def _raw_pixels(view: FieldView) -> images.RawPixels:
    size = view.integer("width"), view.integer("height")
    return images.RawPixels(view.blob("data"), view.text("encoding"), size, view.integer("step"))


def _transforms(views: Sequence[FieldView], envelope: Envelope) -> Decoded:
    return frame_transforms_of(
        envelope,
        (
            (view.tree, _frame(view, "parent_frame_id"), _frame(view, "child_frame_id"), view)
            for view in limited_views(views, "transforms")
        ),
        lambda view, name: checked_transform(
            _xyz(view.child("translation")), _xyzw(view.child("rotation")), name
        ),
    )


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


def _xyz(view: FieldView | None) -> tuple[float, float, float]:
    return (0.0, 0.0, 0.0) if view is None else (view.number("x"), view.number("y"), view.number("z"))


def _xyzw(view: FieldView | None) -> tuple[float, float, float, float]:
    return (0.0, 0.0, 0.0, 1.0) if view is None else (*_xyz(view), view.number("w"))


def _size(view: FieldView | None, track: str) -> tuple[float, float, float]:
    return checked_box_size(*_xyz(view), f"box {track!r}")
