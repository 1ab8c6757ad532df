"""The intrinsics of the picture that was recorded, from a camera info that speaks of the sensor.

A camera info holds for the raw image of the whole sensor at full resolution. The picture may be a region of
it, binned, resized afterwards, or rectified: then P holds, as in `image_geometry`, and the lens is straight.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from perception.config import CameraConfig
from perception.geometry import Matrix, lens_problem
from perception.types import CameraFrame, CameraInfo, RigIssue

_RECTIFIED = re.compile(
    r"(?:^|(?<=[^a-z0-9]))(?<![^a-z0-9]not.)(?<![^a-z0-9]non.)(?<![^a-z0-9]no.)"
    r"(?:rect|rectif(?:y|ied)|undist(?:ort|orted)?)\d*(?:[^a-z0-9]|$)"
)
_CAPITAL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


class PictureShape(NamedTuple):
    """Size and frame of a picture."""

    width: int
    height: int
    frame_id: str

    @classmethod
    def of(cls, frame: CameraFrame) -> PictureShape:
        """Return those of an image."""
        return cls(frame.width, frame.height, frame.frame_id)


class PictureCamera(NamedTuple):
    """The camera of a picture.

    `calibration`, `issue` and `picture_from_camera` are those of `perception.types.Rig`.
    """

    calibration: CameraInfo | None = None
    issue: RigIssue | None = None
    picture_from_camera: Matrix | None = None


def is_rectified(camera: CameraConfig) -> bool:
    """Return whether the images of a camera are rectified: as configured, else by the name of the topic."""
    if camera.rectified is not None:
        return camera.rectified
    return bool(_RECTIFIED.search(_CAPITAL.sub("_", camera.topic).lower()))


def picture_camera(info: CameraInfo, picture: PictureShape | None, camera: CameraConfig) -> PictureCamera:
    """Return the camera of a picture. A camera info that fits as it is comes back as the same object.

    Args:
        info: As the log has it.
        picture: None where no image is known: then it has the size that the camera info gives it.
        camera: Says whether images are rectified, and whether a camera info of another frame holds.
    """
    if picture is not None and _is_of_another(info, picture, camera):
        return PictureCamera(None, _other_camera(info, picture))
    if picture is not None and not info.frame_id and picture.frame_id:
        info = replace(info, frame_id=picture.frame_id)
    offset = None
    if is_rectified(camera):
        if info.projection is not None and _projects(info.projection):
            offset = _offset(info.projection)
            info = _rectified(info, info.projection)
        elif np.any(info.distortion) or lens_problem(info.distortion_model, np.zeros(0)):
            text = (
                f"the images of {camera.topic} are rectified, and the camera info {info.topic} has no "
                "projection matrix P, only K of the bent lens; if they are raw, set "
                "sensors.camera.rectified: false"
            )
            return PictureCamera(None, RigIssue("no_projection", text))
    return _scaled(info, picture)._replace(picture_from_camera=offset)


def _projects(projection: Matrix) -> bool:
    """Return whether P [3, 4] is that of a pinhole: focal lengths, no rotation, depth as it is."""
    focal = projection[0, 0] > 0 and projection[1, 1] > 0
    return bool(focal and projection[1, 0] == 0 and np.array_equal(projection[2, :3], (0.0, 0.0, 1.0)))


def _is_of_another(info: CameraInfo, picture: PictureShape, camera: CameraConfig) -> bool:
    named = info.frame_id and picture.frame_id
    return bool(named) and info.frame_id not in (picture.frame_id, camera.calibration_frame)


def _other_camera(info: CameraInfo, picture: PictureShape) -> RigIssue:
    text = (
        f"the images are of the frame {picture.frame_id!r}, the camera info {info.topic} is of "
        f"{info.frame_id!r}, another camera; name the right topic in sensors.camera.calibration, or accept "
        f"this one with sensors.camera.calibration_frame: {info.frame_id}"
    )
    return RigIssue("other_camera", text)


def _rectified(info: CameraInfo, projection: Matrix) -> CameraInfo:
    """Return the camera info of the rectified picture, whose lens is straight."""
    intrinsics = projection[:, :3]
    straight = not np.any(info.distortion) and not lens_problem(info.distortion_model, info.distortion)
    if straight and np.array_equal(intrinsics, info.intrinsics):
        return info
    return replace(info, intrinsics=intrinsics, distortion=np.zeros(0), distortion_model="")


def _offset(projection: Matrix) -> Matrix | None:
    """Return 4x4 `picture_from_camera` of P = K [I | t], as of a right camera of a pair; None without t."""
    if not projection[:, 3].any():
        return None
    picture_from_camera = np.eye(4)
    picture_from_camera[:3, 3] = np.linalg.solve(projection[:, :3], projection[:, 3])
    return picture_from_camera


def _scaled(info: CameraInfo, picture: PictureShape | None) -> PictureCamera:
    """Return the camera info in pixels of the picture."""
    if not (info.width > 0 and info.height > 0):
        return PictureCamera(info)
    x, y, width, height = _region(info, picture)
    if picture is not None and picture[:2] == (width, height) and _is_binned_size(info, x, y, width, height):
        width, height = width * info.binning[0], height * info.binning[1]
    binned = width / info.binning[0], height / info.binning[1]
    size = (round(binned[0]), round(binned[1])) if picture is None else (picture.width, picture.height)
    if (x, y, width, height, *size) == (0, 0, *(info.width, info.height) * 2):
        return PictureCamera(info)
    if (size[0] - size[1]) * (binned[0] - binned[1]) < 0:
        sizes = f"the images are {size[0]}x{size[1]}, the camera info {info.topic} is for"
        return PictureCamera(None, RigIssue("rotated_image", f"{sizes} {binned[0]:g}x{binned[1]:g}: rotated"))
    intrinsics = info.intrinsics.copy()
    intrinsics[:2, 2] -= (x, y)
    intrinsics[0] *= size[0] / width
    intrinsics[1] *= size[1] / height
    scaled = replace(
        info, width=size[0], height=size[1], intrinsics=intrinsics, projection=None, binning=(1, 1), roi=None
    )
    return PictureCamera(scaled, _stretch(info, size, binned))


def _is_binned_size(info: CameraInfo, x: int, y: int, width: int, height: int) -> bool:
    """Return whether a size is that after binning, as some drivers write it.

    Then the principal point, which is one of the whole sensor, is nearer to the middle of the larger size.
    """
    u, v = (info.intrinsics[0, 2] - x) / width, (info.intrinsics[1, 2] - y) / height
    binned = abs(u / info.binning[0] - 0.5) + abs(v / info.binning[1] - 0.5)
    return bool(binned < abs(u - 0.5) + abs(v - 0.5))


def _region(info: CameraInfo, picture: PictureShape | None) -> tuple[int, int, int, int]:
    """Return x, y, width and height of the part of the sensor that the picture shows, at full resolution."""
    whole = 0, 0, info.width, info.height
    roi = info.roi
    if roi is None or not (roi.x or roi.y or roi.width or roi.height):
        return whole
    rest = info.width - roi.x, info.height - roi.y
    if picture is not None:  # of a region without a size the picture tells it, where it fits
        shown = picture.width * info.binning[0], picture.height * info.binning[1]
        if not (roi.width or roi.height) and (shown[0] > rest[0] or shown[1] > rest[1]):
            return whole
        rest = shown
    region = roi.x, roi.y, roi.width or rest[0], roi.height or rest[1]
    if min(region[2:]) < 1:
        return whole
    if picture is not None and picture[:2] == whole[2:] != region[2:]:
        return whole  # the region was announced, the picture is of the whole sensor
    return region


def _stretch(info: CameraInfo, size: tuple[int, int], binned: tuple[float, float]) -> RigIssue | None:
    """Return a note where the picture has another shape than its camera info."""
    (width, height), (full_width, full_height) = size, binned
    # A pixel may have been lost to rounding along each axis.
    if abs(width * full_height - height * full_width) <= max(*size, *binned):
        return None
    text = (
        f"the images are {width}x{height}, the camera info {info.topic} is for "
        f"{full_width:g}x{full_height:g}: taken as resized along each axis; an image that was cut needs the "
        "region (roi) in its camera info"
    )
    return RigIssue("stretched_image", text)
