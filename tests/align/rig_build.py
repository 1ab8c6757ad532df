"""A rig of named sensors, and decoded messages of them. Times are milliseconds."""

from __future__ import annotations

from typing import Any

import numpy as np

from perception.config import Config, parse_config
from perception.types import (
    CameraFrame,
    CameraInfo,
    FrameTransform,
    FrameTransforms,
    RangeScan,
    StatusReading,
)

MS = 1_000_000


def rig_config(**changes: Any) -> Config:
    """Two cameras, two range sensors and two statuses; `front` makes the ticks."""
    sensors = {
        "front": {"kind": "camera", "topic": "/front", "calibration": "/front/info", "transforms": ["/tf"]},
        "left": {"kind": "camera", "topic": "/left", "calibration": "/left/info"},
        "lidar": {"kind": "range", "topic": "/lidar"},
        "radar": {"kind": "range", "topic": "/radar"},
        "odom": {"kind": "status", "topic": "/odom", "fields": {"speed": "v"}, "steps": 4},
        "imu": {"kind": "status", "topic": "/imu", "fields": {"yaw_rate": "w"}, "steps": 4},
    }
    sensors |= changes.pop("sensors", {})
    data = {"reference": "front", "reference_rate_hz": 10, "sensors": sensors} | changes
    return parse_config(data)


def image(name: str, at_ms: float, size: tuple[int, int] = (64, 48)) -> CameraFrame:
    source = f"{name} {at_ms}".encode()
    stamp = round(at_ms * MS)
    return CameraFrame(f"/{name}", stamp, stamp, name, source, "jpeg", *size, source=source)


def camera_info(name: str, focal: float = 40.0, size: tuple[int, int] = (64, 48), **more: Any) -> CameraInfo:
    matrix = np.array([[focal, 0, size[0] / 2], [0, focal, size[1] / 2], [0, 0, 1.0]])
    return CameraInfo(f"/{name}/info", 0, 0, name, *size, matrix, np.zeros(0), "", **more)


def transform(child: str, pose: np.ndarray, at_ms: float = 0.0, parent: str = "base") -> FrameTransforms:
    stamp = round(at_ms * MS)
    return FrameTransforms("/tf", stamp, stamp, (FrameTransform(parent, child, pose, stamp),))


def scan(name: str, at_ms: float, points: Any = ((5.0, 0.0, 0.0),), frame: str = "") -> RangeScan:
    stamp = round(at_ms * MS)
    array = np.asarray(points, np.float32)
    return RangeScan(f"/{name}", stamp, stamp, frame or name, array, source=f"{name} {at_ms}".encode())


def reading(name: str, at_ms: float, **values: float) -> StatusReading:
    stamp = round(at_ms * MS)
    return StatusReading(f"/{name}", stamp, stamp, values, source=f"{name} {at_ms}".encode())


def looking(x: float, y: float) -> np.ndarray:
    """Return `base_from_camera` of a camera at the origin that looks along (x, y) of the base."""
    pose = np.eye(4)
    forward = np.array([x, y, 0.0]) / np.hypot(x, y)
    down = np.array([0.0, 0.0, -1.0])
    pose[:3, 2], pose[:3, 1], pose[:3, 0] = forward, down, np.cross(down, forward)
    return pose
