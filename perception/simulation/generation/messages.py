"""Simulated messages in Foxglove's protobuf schemas."""

from __future__ import annotations

from typing import Any

import numpy as np
from foxglove_schemas_protobuf.CameraCalibration_pb2 import CameraCalibration
from foxglove_schemas_protobuf.CompressedImage_pb2 import CompressedImage
from foxglove_schemas_protobuf.FrameTransforms_pb2 import FrameTransforms
from foxglove_schemas_protobuf.LaserScan_pb2 import LaserScan
from google.protobuf.descriptor_pb2 import FileDescriptorSet

from perception.geometry import Matrix
from perception.simulation.world.scene import FIELD_OF_VIEW, HEIGHT, WIDTH, SensorRig
from perception.types import Schema

CAMERA_FRAME, LIDAR_FRAME, BASE_FRAME = "camera", "lidar", "base_link"


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


IMAGE_SCHEMA = foxglove_schema(CompressedImage)
CALIBRATION_SCHEMA = foxglove_schema(CameraCalibration)
TRANSFORMS_SCHEMA = foxglove_schema(FrameTransforms)
SCAN_SCHEMA = foxglove_schema(LaserScan)


def image_message(stamp_ns: int, data: bytes, coding: str = "jpeg") -> bytes:
    """Return a CompressedImage."""
    message = CompressedImage(frame_id=CAMERA_FRAME, data=data, format=coding)
    return _stamped(message, stamp_ns)


def scan_message(stamp_ns: int, ranges: Matrix, intensities: Matrix) -> bytes:
    """Return a LaserScan of ranges in m (inf: no return) and intensities, both from right to left."""
    message = LaserScan(frame_id=LIDAR_FRAME, start_angle=-FIELD_OF_VIEW / 2, end_angle=FIELD_OF_VIEW / 2)
    message.pose.orientation.w = 1.0
    # Single precision, as scanners give it: half of each double is then zero and compresses well.
    message.ranges.extend(np.float32(ranges).astype(float))
    message.intensities.extend(intensities)
    return _stamped(message, stamp_ns)


def calibration_message(stamp_ns: int, rig: SensorRig) -> bytes:
    """Return the camera's intrinsics as a CameraCalibration."""
    message = CameraCalibration(
        frame_id=CAMERA_FRAME, width=WIDTH, height=HEIGHT, distortion_model="plumb_bob"
    )
    message.D.extend([0.0] * 5)
    message.K.extend(rig.intrinsics.ravel())
    message.R.extend(np.eye(3).ravel())
    message.P.extend(np.hstack([rig.intrinsics, np.zeros((3, 1))]).ravel())
    return _stamped(message, stamp_ns)


def transforms_message(stamp_ns: int, rig: SensorRig) -> bytes:
    """Return the poses of camera and lidar in base_link as FrameTransforms."""
    message = FrameTransforms()
    for child, pose in ((CAMERA_FRAME, rig.base_from_camera), (LIDAR_FRAME, rig.base_from_lidar)):
        edge = message.transforms.add(parent_frame_id=BASE_FRAME, child_frame_id=child)
        edge.timestamp.seconds, edge.timestamp.nanos = divmod(stamp_ns, 1_000_000_000)
        edge.translation.x, edge.translation.y, edge.translation.z = pose[:3, 3]
        x, y, z, w = quaternion_xyzw(pose[:3, :3])
        edge.rotation.x, edge.rotation.y, edge.rotation.z, edge.rotation.w = x, y, z, w
    return bytes(message.SerializeToString(deterministic=True))


def quaternion_xyzw(rotation: Matrix) -> tuple[float, float, float, float]:
    """Return the unit quaternion of a rotation matrix [3, 3] (Shepperd 1978)."""
    (a, b, c), (d, e, f), (g, h, i) = rotation
    rows = np.array(
        [
            [a - e - i + 1, b + d, c + g, h - f],
            [b + d, e - a - i + 1, f + h, c - g],
            [c + g, f + h, i - a - e + 1, d - b],
            [h - f, c - g, d - b, a + e + i + 1],
        ]
    )
    row = rows[int(np.argmax(rows.diagonal()))]
    x, y, z, w = row / np.linalg.norm(row)
    return float(x), float(y), float(z), float(w)


def _stamped(message: Any, stamp_ns: int) -> bytes:
    """Set the stamp of a message and serialize it."""
    message.timestamp.seconds, message.timestamp.nanos = divmod(stamp_ns, 1_000_000_000)
    return bytes(message.SerializeToString(deterministic=True))
