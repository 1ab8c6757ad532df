"""Messages of packages that ROS 2 does not come with, read without a definition."""

from __future__ import annotations

import struct
from typing import Any

import cv2
import numpy as np
import pytest
from foxglove_schemas_protobuf.CameraCalibration_pb2 import CameraCalibration
from foxglove_schemas_protobuf.CompressedImage_pb2 import CompressedImage
from foxglove_schemas_protobuf.FrameTransforms_pb2 import FrameTransforms
from foxglove_schemas_protobuf.LaserScan_pb2 import LaserScan
from foxglove_schemas_protobuf.PointCloud_pb2 import PointCloud
from foxglove_schemas_protobuf.RawImage_pb2 import RawImage
from foxglove_schemas_protobuf.SceneUpdate_pb2 import SceneUpdate

from perception.logs.decoding import decode, sensor_kind
from perception.types import Schema, Undecodable
from tests.logs.decode_build import protobuf, record, stamped

_FORMATS = {"double": "d", "fixed32": "I", "uint32": "I", "bool": "?", "enum": "B"}
_KINDS = {1: "double", 7: "fixed32", 8: "bool", 9: "text", 12: "bytes", 13: "uint32", 14: "enum"}
_FIXED = ("K", "R", "P")
_TIMES = ("google.protobuf.Timestamp", "google.protobuf.Duration")


def as_cdr(message: Any) -> bytes:
    """Return a message of Foxglove's protobuf classes as ROS 2 writes the message of the same fields."""
    data = bytearray()

    def put(form: str, value: Any) -> None:
        data.extend(bytes(-len(data) % struct.calcsize(form)) + struct.pack(f"<{form}", value))

    def put_one(field: Any, value: Any) -> None:
        kind = _KINDS.get(field.type, "message")
        if kind == "message":
            put_all(value)
        elif kind in ("text", "bytes"):
            content = value.encode() + b"\0" if kind == "text" else value
            put("I", len(content))
            data.extend(content)
        else:
            put(_FORMATS[kind], value)

    def put_all(part: Any) -> None:
        if part.DESCRIPTOR.full_name in _TIMES:
            put("i", part.seconds)
            put("I", part.nanos)
            return
        for field in part.DESCRIPTOR.fields:
            value = getattr(part, field.name)
            if not hasattr(value, "append") and not hasattr(value, "add"):
                put_one(field, value)
                continue
            if field.name not in _FIXED:
                put("I", len(value))
            for item in value:
                put_one(field, item)

    put_all(message)
    return b"\0\1\0\0" + bytes(data)


def _scene() -> Any:
    scene = SceneUpdate()
    stamped(scene.deletions.add(id="old"))
    entity = stamped(scene.entities.add(id="7", frame_id="map"))
    entity.lifetime.seconds = 2
    entity.metadata.add(key="class", value="car")
    for name in ("arrows", "spheres", "cylinders", "lines", "triangles", "texts", "models", "cubes"):
        primitive = getattr(entity, name).add()
        primitive.pose.orientation.w = 1
        if name in ("lines", "triangles"):
            primitive.points.add(x=1.0)
            primitive.indices.extend([0, 1, 2])
    cube = entity.cubes[0]
    cube.pose.position.x, cube.size.x, cube.size.y, cube.size.z = 5.0, 4.0, 2.0, 1.5
    return scene


def _transforms() -> Any:
    found = FrameTransforms()
    transform = stamped(found.transforms.add(parent_frame_id="base", child_frame_id="cam"))
    transform.translation.x, transform.rotation.w = 1.5, 1.0
    return found


def _scan() -> Any:
    scan = LaserScan(frame_id="laser", start_angle=-0.5, end_angle=0.5, ranges=[1.0, 2.0, 3.0])
    scan.pose.orientation.w = 1.0
    return stamped(scan)


def _cloud() -> Any:
    cloud = PointCloud(frame_id="lidar", point_stride=12, data=np.arange(6, dtype="<f4").tobytes())
    for index, name in enumerate("xyz"):
        cloud.fields.add(name=name, offset=4 * index, type=7)  # FLOAT32
    cloud.pose.orientation.w = 1.0
    return stamped(cloud)


def _camera() -> Any:
    k = [500.0, 0, 320, 0, 501, 240, 0, 0, 1]
    fixed = {"K": k, "R": [0.0] * 9, "P": [0.0] * 12}
    model = "plumb_bob"
    made = CameraCalibration(frame_id="cam", width=640, height=480, D=[0.1], distortion_model=model, **fixed)
    return stamped(made)


PNG = cv2.imencode(".png", np.zeros((4, 6, 3), np.uint8))[1].tobytes()
MESSAGES = [
    stamped(CompressedImage(frame_id="cam", data=PNG, format="png")),
    stamped(RawImage(frame_id="cam", width=2, height=1, encoding="rgb8", step=6, data=bytes(range(6)))),
    _camera(),
    _transforms(),
    _scan(),
    _cloud(),
    _scene(),
]


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: message.DESCRIPTOR.name)
def test_messages_of_foxglove_in_ros_say_the_same_as_in_protobuf(message: Any) -> None:
    schema = Schema(f"foxglove_msgs/msg/{message.DESCRIPTOR.name}", "ros2msg", b"")
    expected = decode(protobuf(message))
    found = decode(record(as_cdr(message), schema, "cdr"))
    assert not isinstance(expected, Undecodable)
    assert repr(found) == repr(expected)
    assert sensor_kind(schema, "cdr") == sensor_kind(protobuf(message).channel.schema, "protobuf")
