"""Messages in Foxglove's protobuf schemas, and numbers as JSON: what readers of other formats write.

Stamps are nanoseconds. The bytes of pictures, packets and points are taken over as they are. The same
inputs give the same bytes.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from foxglove_schemas_protobuf.CameraCalibration_pb2 import CameraCalibration
from foxglove_schemas_protobuf.CompressedImage_pb2 import CompressedImage
from foxglove_schemas_protobuf.CompressedVideo_pb2 import CompressedVideo
from foxglove_schemas_protobuf.FrameTransforms_pb2 import FrameTransforms
from foxglove_schemas_protobuf.LaserScan_pb2 import LaserScan
from foxglove_schemas_protobuf.PointCloud_pb2 import PointCloud
from foxglove_schemas_protobuf.SceneUpdate_pb2 import SceneUpdate
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from numpy.typing import ArrayLike

from perception.geometry import Matrix, quaternions_from_rotations
from perception.types import Cuboid, Float32, Schema

_encode_json = json.JSONEncoder(separators=(",", ":")).encode

FLOAT32 = 7  # foxglove.PackedElementField.NumericType


def foxglove_schema(message: Any) -> Schema:
    """Return the schema of a protobuf message class, with all the files that it needs, in a fixed order."""
    files = FileDescriptorSet()
    done: set[str] = set()

    def add(file: Any) -> None:
        if file.name in done:
            return
        done.add(file.name)
        for dependency in file.dependencies:
            add(dependency)
        file.CopyToProto(files.file.add())

    add(message.DESCRIPTOR.file)
    return Schema(message.DESCRIPTOR.full_name, "protobuf", files.SerializeToString(deterministic=True))


IMAGE = foxglove_schema(CompressedImage)
VIDEO = foxglove_schema(CompressedVideo)
CALIBRATION = foxglove_schema(CameraCalibration)
TRANSFORMS = foxglove_schema(FrameTransforms)
SCAN = foxglove_schema(LaserScan)
POINTS = foxglove_schema(PointCloud)
SCENE = foxglove_schema(SceneUpdate)


def json_schema(name: str) -> Schema:
    """Return the schema of a JSON object of numbers."""
    return Schema(name, "jsonschema", b'{"type": "object"}')


def image(stamp_ns: int, frame_id: str, data: bytes, format: str) -> bytes:
    """Return a CompressedImage: `format` is `jpeg`, `png` or `webp`."""
    return _stamped(CompressedImage(frame_id=frame_id, data=data, format=format), stamp_ns)


def video(stamp_ns: int, frame_id: str, data: bytes, format: str) -> bytes:
    """Return a CompressedVideo: `data` is one picture in Annex B, `format` is `h264` or `h265`."""
    return _stamped(CompressedVideo(frame_id=frame_id, data=data, format=format), stamp_ns)


def scan(
    stamp_ns: int, frame_id: str, ranges_m: ArrayLike, start: float, end: float, intensities: ArrayLike = ()
) -> bytes:
    """Return a LaserScan of ranges in m (not finite: no return) from the angle `start` to `end` in rad."""
    message = LaserScan(frame_id=frame_id, start_angle=start, end_angle=end)
    message.pose.orientation.w = 1.0
    message.ranges.extend(np.asarray(ranges_m, float))
    message.intensities.extend(np.asarray(intensities, float))
    return _stamped(message, stamp_ns)


def points(stamp_ns: int, frame_id: str, rows: Float32, fields: Sequence[str]) -> bytes:
    """Return a PointCloud of rows [N, F] float32; `fields` names the columns, x, y and z among them."""
    message = PointCloud(frame_id=frame_id, point_stride=4 * len(fields))
    message.pose.orientation.w = 1.0
    for column, name in enumerate(fields):
        message.fields.add(name=name, offset=4 * column, type=FLOAT32)
    message.data = np.ascontiguousarray(rows, "<f4").tobytes()
    return _stamped(message, stamp_ns)


def calibration(
    stamp_ns: int,
    frame_id: str,
    size: tuple[int, int],
    intrinsics: Matrix,
    distortion: Sequence[float] = (0.0,) * 5,
    rectification: Matrix | None = None,
    projection: Matrix | None = None,
    model: str = "plumb_bob",
) -> bytes:
    """Return a CameraCalibration of a picture of `size` (width, height): K [3, 3], D of the lens `model`,
    R [3, 3], P [3, 4]."""
    message = CameraCalibration(frame_id=frame_id, width=size[0], height=size[1], distortion_model=model)
    message.D.extend(distortion)
    message.K.extend(intrinsics.ravel())
    message.R.extend((np.eye(3) if rectification is None else rectification).ravel())
    pinhole = np.hstack([intrinsics, np.zeros((3, 1))])
    message.P.extend((pinhole if projection is None else projection).ravel())
    return _stamped(message, stamp_ns)


def transforms(stamp_ns: int, edges: Iterable[tuple[str, str, Matrix]]) -> bytes:
    """Return FrameTransforms of (parent, child, `parent_from_child` [4, 4])."""
    message = FrameTransforms()
    for parent, child, pose in edges:
        edge = message.transforms.add(parent_frame_id=parent, child_frame_id=child)
        _set_time(edge.timestamp, stamp_ns)
        _set_pose(edge.translation, edge.rotation, pose)
    return bytes(message.SerializeToString(deterministic=True))


def scene(stamp_ns: int, cuboids: Iterable[Cuboid]) -> bytes:
    """Return a SceneUpdate that replaces all boxes by these."""
    message = SceneUpdate()
    deletion = message.deletions.add(type=1)
    _set_time(deletion.timestamp, stamp_ns)
    for cuboid in cuboids:
        entity = message.entities.add(id=cuboid.track_id, frame_id=cuboid.frame_id)
        _set_time(entity.timestamp, stamp_ns)
        entity.metadata.add(key="class", value=cuboid.label)
        cube = entity.cubes.add()
        _set_pose(cube.pose.position, cube.pose.orientation, cuboid.frame_from_box)
        cube.size.x, cube.size.y, cube.size.z = cuboid.size_m
    return bytes(message.SerializeToString(deterministic=True))


def numbers(stamp_ns: int, values: Mapping[str, Any]) -> bytes:
    """Return a JSON object of values by dotted path, with the stamp in its header.

    A number that is not finite becomes null: JSON has no word for it.
    """
    seconds, nanos = divmod(stamp_ns, 1_000_000_000)
    tree: dict[str, Any] = {"header": {"stamp": {"sec": seconds, "nsec": nanos}}}
    for path, value in values.items():
        *parents, name = path.split(".")
        node = tree
        for parent in parents:
            node = node.setdefault(parent, {})
        node[name] = None if isinstance(value, float) and not math.isfinite(value) else value
    return _encode_json(tree).encode()


def _set_pose(position: Any, orientation: Any, pose: Matrix) -> None:
    position.x, position.y, position.z = pose[:3, 3]
    x, y, z, w = quaternions_from_rotations(pose[None, :3, :3])[0].tolist()
    orientation.x, orientation.y, orientation.z, orientation.w = x, y, z, w


def _set_time(timestamp: Any, stamp_ns: int) -> None:
    timestamp.seconds, timestamp.nanos = divmod(int(stamp_ns), 1_000_000_000)


def _stamped(message: Any, stamp_ns: int) -> bytes:
    """Set the stamp of a message and serialize it."""
    _set_time(message.timestamp, stamp_ns)
    return bytes(message.SerializeToString(deterministic=True))
