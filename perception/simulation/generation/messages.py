"""Simulated messages in Foxglove's protobuf schemas."""

from __future__ import annotations

import numpy as np

from perception.geometry import Matrix
from perception.logs.formats import encoding
from perception.simulation.world.scene import FIELD_OF_VIEW, HEIGHT, WIDTH, SensorRig

CAMERA_FRAME, LIDAR_FRAME, BASE_FRAME = "camera", "lidar", "base_link"

IMAGE_SCHEMA = encoding.IMAGE
CALIBRATION_SCHEMA = encoding.CALIBRATION
TRANSFORMS_SCHEMA = encoding.TRANSFORMS
SCAN_SCHEMA = encoding.SCAN


def image_message(stamp_ns: int, data: bytes, coding: str = "jpeg") -> bytes:
    """Return a CompressedImage."""
    return encoding.image(stamp_ns, CAMERA_FRAME, data, coding)


def scan_message(stamp_ns: int, ranges: Matrix, intensities: Matrix) -> bytes:
    """Return a LaserScan of ranges in m (inf: no return) and intensities, both from right to left."""
    # Single precision, as scanners give it: half of each double is then zero and compresses well.
    half = FIELD_OF_VIEW / 2
    return encoding.scan(stamp_ns, LIDAR_FRAME, np.float32(ranges), -half, half, intensities)


def calibration_message(stamp_ns: int, rig: SensorRig) -> bytes:
    """Return the camera's intrinsics as a CameraCalibration."""
    return encoding.calibration(stamp_ns, CAMERA_FRAME, (WIDTH, HEIGHT), rig.intrinsics)


def transforms_message(stamp_ns: int, rig: SensorRig) -> bytes:
    """Return the poses of camera and lidar in base_link as FrameTransforms."""
    poses = ((CAMERA_FRAME, rig.base_from_camera), (LIDAR_FRAME, rig.base_from_lidar))
    return encoding.transforms(stamp_ns, ((BASE_FRAME, child, pose) for child, pose in poses))
