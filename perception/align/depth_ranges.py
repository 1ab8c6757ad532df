"""Depth images as the returns of a range sensor: each pixel with a distance is one, along its ray."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from perception.align.picture_camera import PictureShape, picture_camera
from perception.config import CameraConfig, RangeConfig
from perception.geometry import rays
from perception.types import CameraInfo, Decoded, DepthImage, Float32, RangeScan, Undecodable

NO_CAMERA_INFO = "no_camera_info"
"""The code of a depth image that came before the first camera info: it is sound, and no loss."""

MAX_PIXELS = 100_000
"""Of a larger image every second pixel of every second row is taken, or every third of every third, ..."""


class DepthRanges:
    """Turns depth images into scans with the camera info of the depth camera, which may change.

    Args:
        config: The range sensor; None: there is none.
        name: Its name in the configuration, for errors.
    """

    def __init__(self, config: RangeConfig | None, name: str = "range") -> None:
        self._path = f"sensors.{name}."
        self._camera: CameraConfig | None = None
        if config is not None and config.calibration is not None:
            self._camera = CameraConfig(
                topic=config.topic,
                calibration=config.calibration,
                calibration_frame=config.calibration_frame,
                rectified=config.rectified,
            )
        self._info: CameraInfo | None = None
        self._rays: tuple[tuple[CameraInfo, PictureShape], Float32] | None = None

    def learn(self, message: Decoded) -> None:
        """Add a camera info of the depth camera; other messages are ignored."""
        if isinstance(message, CameraInfo) and self._camera and message.topic == self._camera.calibration:
            self._info = message

    def scan_of(self, message: Decoded) -> Decoded:
        """Return the scan of a depth image, or why there is none; any other message as it is."""
        if not isinstance(message, DepthImage):
            return message
        height, width = message.depth_m.shape
        shape = PictureShape(width, height, message.frame_id)
        if self._camera is None:
            return _refused(message, f"a depth image needs {self._path}calibration, its camera info")
        if self._info is None:
            reason = f"no camera info had arrived on {self._camera.calibration}"
            return replace(_refused(message, reason), code=NO_CAMERA_INFO)
        view = picture_camera(self._info, shape, self._camera)
        if view.calibration is None or not view.calibration.can_project:
            why = "" if view.issue is None else view.issue.text.replace("sensors.camera.", self._path)
            return _refused(message, why or f"the camera info {self._info.topic} cannot place pixels")
        step = _step(width, height)
        depth = message.depth_m[::step, ::step].ravel()
        known = np.isfinite(depth)
        points = self._rays_of(self._info, view.calibration, shape, step)[known] * depth[known, None]
        if view.picture_from_camera is not None:  # rays begin beside the origin of the frame
            points = points - view.picture_from_camera[:3, 3].astype(np.float32)
        return RangeScan(
            message.topic,
            message.stamp_ns,
            message.log_time_ns,
            message.frame_id or self._info.frame_id,
            points,
            source=message.source,
            stamped=message.stamped,
            stamp_problem=message.stamp_problem,
            optical=True,
        )

    def _rays_of(self, info: CameraInfo, camera: CameraInfo, shape: PictureShape, step: int) -> Float32:
        """Return [N, 3]: where each pixel looks, at a depth of 1 (x right, y down, z forward)."""
        key = info, shape
        if self._rays is None or self._rays[0][0] is not info or self._rays[0][1] != shape:
            v, u = np.mgrid[0 : shape.height : step, 0 : shape.width : step]
            pixels = np.stack([u.ravel(), v.ravel()], axis=1).astype(np.float64)
            lens = camera.distortion, camera.distortion_model
            self._rays = key, rays(pixels, camera.intrinsics, *lens).astype(np.float32)
        return self._rays[1]


def _step(width: int, height: int) -> int:
    step = 1
    while -(-width // step) * -(-height // step) > MAX_PIXELS:
        step += 1
    return step


def _refused(message: DepthImage, reason: str) -> Undecodable:
    stamp = message.stamp_ns, message.log_time_ns
    return Undecodable(message.topic, *stamp, reason, message.source, message.stamped, message.stamp_problem)
