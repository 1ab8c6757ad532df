"""Cameras, cuboids and streams of truth."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from perception.geometry import TransformTree, pose_matrix
from perception.types import (
    Absent,
    CameraInfo,
    Cuboid,
    Cuboids,
    Input,
    Rig,
    Sample,
    StatusReading,
    Tick,
    TruthBox,
    TruthBoxes,
)

MS = 1_000_000
WIDTH, HEIGHT = 640, 480
K = np.array([[400.0, 0, 320], [0, 400.0, 240], [0, 0, 1]])


def rig(distortion: Sequence[float] = (), transforms: TransformTree | None = None) -> Rig:
    calibration = CameraInfo(
        "/calibration", 0, 0, "camera", WIDTH, HEIGHT, K, np.array(distortion, dtype=np.float64), "plumb_bob"
    )
    return Rig(calibration, transforms or TransformTree())


def cuboid(
    centre: Sequence[float],
    size: Sequence[float] = (2.0, 2.0, 2.0),
    label: str = "Car",
    quaternion: Sequence[float] = (0.0, 0.0, 0.0, 1.0),
    frame_id: str = "camera",
    track_id: str = "",
) -> Cuboid:
    x, y, z, w = quaternion
    pose = pose_matrix((centre[0], centre[1], centre[2]), (x, y, z, w))
    return Cuboid(label, track_id, frame_id, pose, (size[0], size[1], size[2]))


def cuboids(*items: Cuboid, stamp_ns: int = 0) -> Cuboids:
    return Cuboids("/cuboids", stamp_ns, stamp_ns, items)


def boxes_message(
    stamp_ns: int, log_time_ns: int | None = None, label: str = "car", visible: float = 1.0
) -> TruthBoxes:
    """One box that tells by its distance which message it came from."""
    box = TruthBox(label, (1.0, 2.0, 30.0, 40.0), stamp_ns / 1e9, visible, "t")
    return TruthBoxes("/boxes", stamp_ns, stamp_ns if log_time_ns is None else log_time_ns, (box,))


def control_message(stamp_ns: int, log_time_ns: int | None = None) -> StatusReading:
    """A command whose curvature is its stamp in seconds."""
    values = {"curvature": stamp_ns / 1e9, "acceleration": 1.0}
    return StatusReading("/control", stamp_ns, stamp_ns if log_time_ns is None else log_time_ns, values)


def sample(index: int, stamp_ns: int, log_time_ns: int | None = None) -> Sample:
    tick = Tick(index, "reference", stamp_ns, stamp_ns if log_time_ns is None else log_time_ns)
    camera, scan, status = (
        Input(n, "", None, absence=Absent("not_configured", "not configured"))
        for n in ("camera", "range", "status")
    )
    return Sample(tick, camera, scan, status, rig())  # type: ignore[arg-type]
