"""Doubts about a camera info: a lens that is off the middle of its pictures, a frame that is not optical."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from perception.align.picture_camera import is_rectified
from perception.autoconfig.base_frame import FirstFrames, first_frames
from perception.autoconfig.first_messages import first_frame, first_of
from perception.config import CameraConfig, Config
from perception.geometry import Matrix
from perception.logs import Log
from perception.types import CameraInfo, RangeScan

OFF_CENTRE, FAR_OFF_CENTRE = 0.08, 0.15
"""Shares of the size of a picture by which the middle of a lens is seldom, and never, off its middle."""

LEAST_RETURNS = 100
"""Of a cloud that tells where its sensor looks."""

LOOKS_UP = 0.7
"""The cosine of the angle to the vertical, 45 degrees, up to which a camera of a vehicle looks at the sky."""


def lens_doubts(log: Log, config: Config) -> Iterator[str]:
    """Yield what to tell the user of the camera infos of cameras, and of frames of depth images and clouds.

    Converters of KITTI write K of the raw pictures, which are larger, beside rectified ones on `image_raw`;
    others scale the pictures and the size, and leave K as it was. Gazebo's depth cameras write points with z
    forward in a frame with x forward.
    """
    topics = {topic for camera in config.sensors.cameras.values() for topic in camera.transforms}
    frames = first_frames(log, sorted(topics))
    for name, camera in config.sensors.cameras.items():
        info = first_of(log, camera.calibration, CameraInfo) if camera.calibration else None
        if info is None or not info.can_project:
            continue
        if info.roi is None and info.binning == (1, 1) and (doubt := _doubt(camera, info)):
            yield f"calibration: {info.topic} ({name}): {doubt}"
        frame = info.frame_id or first_frame(log, camera.topic, "camera")
        if doubt := _not_optical(frames, frame):
            yield f"transforms: {camera.topic} ({name}): {doubt}"
    for name, section in config.sensors.ranges.items():
        frame = first_frame(log, section.topic, "range")
        looks_up = _not_optical(frames, frame)
        if looks_up and (section.calibration or _is_along_z(log, section.topic)):
            yield f"transforms: {section.topic} ({name}): {looks_up}"


def _doubt(camera: CameraConfig, info: CameraInfo) -> str:
    k, p = info.intrinsics, info.projection
    is_raw = not is_rectified(camera)
    used = k if is_raw or p is None else p
    off = _off_centre(used, info)
    if (
        is_raw
        and p is not None
        and np.any(info.distortion)
        and off > max(OFF_CENTRE, 2 * _off_centre(p, info))
    ):
        return (
            f"K has the middle of the lens at {_middle(k)} of {info.width}x{info.height}, P at {_middle(p)}: "
            f"if the pictures on {camera.topic} are rectified, whatever its name says, set rectified: true "
            "beside it"
        )
    if off > FAR_OFF_CENTRE:
        return (
            f"the middle of the lens is at {_middle(used)} of {info.width}x{info.height}: the intrinsics are "
            "perhaps of another size, or of a part of the picture without its region (roi)"
        )
    return ""


def _not_optical(frames: FirstFrames, frame: str) -> str:
    """Return that a frame has z up, as that of a vehicle with x forward, where a camera's has z forward."""
    base = frames.named_base(frame) if frame and frames.tree.edges else None
    base_from_camera = frames.tree.target_from_source(base, frame) if base is not None else None
    if base_from_camera is None or base_from_camera[2, 2] < LOOKS_UP:
        return ""
    return (
        f"its frame {frame!r} has z up in {base!r}, as that of a vehicle has: so it looks straight up, and "
        "unless it is mounted so, nothing is where it is seen; record the optical frame (x right, y down, z "
        "forward)"
    )


def _is_along_z(log: Log, topic: str) -> bool:
    """Return whether all returns lie within 60 degrees of the z axis, as those of a depth camera do."""
    scan = first_of(log, topic, RangeScan, "range")
    if scan is None:
        return False
    points = scan.points_m[np.isfinite(scan.points_m).all(axis=1)].astype(np.float64)
    points = points[points.any(axis=1)]
    return len(points) >= LEAST_RETURNS and bool((2 * points[:, 2] > np.linalg.norm(points, axis=1)).all())


def _middle(matrix: Matrix) -> str:
    return f"{matrix[0, 2]:.0f}, {matrix[1, 2]:.0f}"


def _off_centre(matrix: Matrix, info: CameraInfo) -> float:
    """Return how far the principal point is from the middle of the picture, as a share of its size."""
    return float(max(abs(matrix[0, 2] / info.width - 0.5), abs(matrix[1, 2] / info.height - 0.5)))
