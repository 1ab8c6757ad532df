"""The rig: where the sensors sit, as far as it was known at one tick, and what cannot be placed by it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple

from perception.geometry import Matrix, TransformTree
from perception.text import listed
from perception.types.placement import PLACED, RigIssue
from perception.types.rig_messages import CameraInfo


@dataclass(frozen=True, slots=True, eq=False)
class Rig:
    """Where the sensors sit, as far as it was known at the tick.

    Attributes:
        calibration: Intrinsics in pixels of the image that was recorded: scaled to it, and those of the
            rectified image where it is one. None: not known, or not those of the image.
        transforms: Of the moment of the image.
        camera_issue: Why there are no intrinsics, or what is odd about them.
        picture_from_camera: 4x4, where the projection of a rectified image is seen from beside the camera's
            frame (the right camera of a stereo pair); None: from its origin.
        camera_from_own: Frame -> 4x4 `camera_from_frame` with that frame at another moment than the image's:
            of the range sensor, where scan and image were not taken together and the frames move. With
            several scans also by frame and stamp.
    """

    calibration: CameraInfo | None = None
    transforms: TransformTree = field(default_factory=TransformTree)
    camera_issue: RigIssue | None = None
    picture_from_camera: Matrix | None = None
    camera_from_own: Mapping[str | tuple[str, int], Matrix] = field(default_factory=dict)

    def camera_from(self, frame_id: str, stamp_ns: int | None = None) -> Matrix | None:
        """4x4 `camera_from_frame`, read-only, or None where calibration or transforms do not say.

        Args:
            frame_id: The frame.
            stamp_ns: Of the scan that it is the frame of, where there are several; None: the first one's.
        """
        return _camera_from(self, frame_id, stamp_ns)

    def obstacle(self, frame_id: str) -> RigIssue | None:
        """Return why points of a frame cannot be placed in the image; None where they can."""
        if self.camera_issue is not None and self.camera_issue.code not in PLACED:
            return self.camera_issue
        if self.calibration is None:
            return RigIssue("no_camera_info", "there is no camera info")
        if self.calibration.problem is not None:
            return self.calibration.problem
        if self.camera_from(frame_id) is None:
            return self._no_transform(frame_id)
        return None

    def _no_transform(self, frame_id: str) -> RigIssue:
        assert self.calibration is not None
        if not frame_id:
            return RigIssue("no_transform", "the message names no frame: its frame_id is empty")
        if not self.calibration.frame_id:
            text = "neither the pictures nor the camera info name a frame: their frame_id is empty"
            return RigIssue("no_transform", text)
        frames = sorted(self.transforms.frames())
        known = f"those of the log name {listed(frames)}" if frames else "there are none"
        text = (
            f"no transforms connect {frame_id!r} with the camera's frame {self.calibration.frame_id!r}; "
            f"{known}: name their topics in sensors.camera.transforms"
        )
        return RigIssue("no_transform", text)


class Placing(NamedTuple):
    """The rig of a moment as one camera sees it, and the issues of the returns of its scans."""

    rig: Rig
    issues: tuple[RigIssue, ...] = ()


@lru_cache(maxsize=256)  # by identity: a rig holds for many frames
def _camera_from(rig: Rig, frame_id: str, stamp_ns: int | None) -> Matrix | None:
    if rig.calibration is None:
        return None
    own = rig.camera_from_own
    camera_from_frame = own.get(frame_id)
    if stamp_ns is not None:
        camera_from_frame = own.get((frame_id, stamp_ns), camera_from_frame)
    if camera_from_frame is None:
        camera_from_frame = rig.transforms.target_from_source(rig.calibration.frame_id, frame_id)
    if camera_from_frame is None:
        return None
    if rig.picture_from_camera is not None:
        camera_from_frame = rig.picture_from_camera @ camera_from_frame
    camera_from_frame.flags.writeable = False
    return camera_from_frame
