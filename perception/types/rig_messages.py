"""Messages of the rig: camera infos and transforms, as they were recorded."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from perception.geometry import Matrix, lens_problem
from perception.types.message_checks import check_array, hold_times
from perception.types.placement import RigIssue

Float64 = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class RegionOfInterest:
    """The part of the full sensor that an image shows, in pixels of the full sensor, before binning."""

    x: int
    y: int
    width: int
    height: int
    do_rectify: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class CameraInfo:
    """Intrinsics of a camera, as the message has them: nothing is scaled to an image here.

    `intrinsics` is K [3, 3] of the raw image of the full sensor, `width` x `height`; `distortion` and
    `distortion_model` are written as in the message. `rectification` R [3, 3] and `projection` P [3, 4] are
    None where the message leaves them at zero, `binning` is (1, 1) and `roi` None where it has none.
    """

    topic: str
    stamp_ns: int
    log_time_ns: int
    frame_id: str
    width: int
    height: int
    intrinsics: Matrix
    distortion: Float64
    distortion_model: str = ""
    source: bytes = field(default=b"", repr=False)
    stamped: bool = True
    stamp_problem: str = ""
    rectification: Matrix | None = None
    projection: Matrix | None = None
    binning: tuple[int, int] = (1, 1)
    roi: RegionOfInterest | None = None

    def __post_init__(self) -> None:
        hold_times(self)
        check_array("intrinsics", self.intrinsics, 3, 3)
        check_array("distortion", self.distortion, None)
        if self.rectification is not None:
            check_array("rectification", self.rectification, 3, 3)
        if self.projection is not None:
            check_array("projection", self.projection, 3, 4)

    @property
    def can_project(self) -> bool:
        """Whether points can be projected: a known lens, an image size, and focal lengths."""
        return self.problem is None

    @property
    def problem(self) -> RigIssue | None:
        """Why no point can be projected; None where points can."""
        return _problem(self)


@dataclass(frozen=True, slots=True, eq=False)
class FrameTransform:
    """The pose of one frame in another: `parent_from_child` [4, 4], measured at `stamp_ns`."""

    parent: str
    child: str
    parent_from_child: Matrix
    stamp_ns: int

    def __post_init__(self) -> None:
        hold_times(self, "stamp_ns")
        check_array("parent_from_child", self.parent_from_child, 4, 4)


@dataclass(frozen=True, slots=True, eq=False)
class FrameTransforms:
    """Poses of frames, in the order of the message; `ignored` transforms of it could not be used."""

    topic: str
    stamp_ns: int
    log_time_ns: int
    items: tuple[FrameTransform, ...]
    source: bytes = field(default=b"", repr=False)
    stamped: bool = True
    stamp_problem: str = ""
    ignored: int = 0
    ignored_reason: str = ""  # of the first

    @property
    def edges(self) -> dict[str, tuple[str, Matrix]]:
        """Child frame -> (parent frame, 4x4 `parent_from_child`), the last of each child."""
        return {item.child: (item.parent, item.parent_from_child) for item in self.items}


RigMessage = CameraInfo | FrameTransforms


_LEAST_PIXEL = 1e-3
_LEAST_FOCAL = 0.02  # of the width: a straight lens that sees 175 degrees


@lru_cache(maxsize=16)  # by identity: a calibration holds for many frames
def _problem(camera_info: CameraInfo) -> RigIssue | None:
    k, place = camera_info.intrinsics, f"the camera info {camera_info.topic}".rstrip()
    if reason := lens_problem(camera_info.distortion_model, camera_info.distortion):
        return RigIssue("unknown_lens", f"{place}: {reason}")
    if not (camera_info.width > 0 and camera_info.height > 0):
        return RigIssue("bad_camera_info", f"{place} has no image size")
    if not (k[0, 0] > 0 and k[1, 1] > 0):
        return RigIssue("bad_camera_info", f"{place} has no focal lengths")
    if k[0, 0] < _LEAST_FOCAL * camera_info.width or k[1, 1] < _LEAST_FOCAL * camera_info.height:
        text = (
            f"{place} has focal lengths of {k[0, 0]:.3g} and {k[1, 1]:.3g} for pictures of "
            f"{camera_info.width}x{camera_info.height}: expected are pixels, these are perhaps shares or mm"
        )
        return RigIssue("bad_camera_info", text)
    if max(abs(k[1, 0]), abs(k[2, 0]), abs(k[2, 1])) > _LEAST_PIXEL:
        return RigIssue("bad_camera_info", f"{place}: K is no camera matrix, or is written by columns")
    if k[0, 2] == 0 == k[1, 2]:
        return RigIssue("bad_camera_info", f"{place} has no principal point: cx and cy of K are 0")
    return None
