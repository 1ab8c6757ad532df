"""The rig over time: camera infos, frames and picture shapes as they arrive, and the rig of a moment."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

import numpy as np

from perception.align.frame_track import FrameTrack
from perception.align.picture_camera import PictureCamera, PictureShape, picture_camera
from perception.config import CameraConfig
from perception.geometry import Matrix, TransformTree, invert_pose
from perception.types import (
    CameraFrame,
    CameraInfo,
    Decoded,
    FrameTransforms,
    Placing,
    RangeScan,
    Rig,
    RigIssue,
    VideoPacket,
)

_MAX_CHANGES = 256

T = TypeVar("T")


class RigTrack:
    """Keeps what messages say of one camera's rig, in bounded memory.

    A camera info and the shape of the picture hold from their stamp on, the first info also before.

    Args:
        camera: The camera; None: there is none, and nothing is placed or missed.
        frames: The frames of the rig; None: its own, of the transforms that it learns.
        name: The camera's name in the configuration, for what is said.
    """

    def __init__(
        self, camera: CameraConfig | None, frames: FrameTrack | None = None, name: str = "camera"
    ) -> None:
        self._name = name
        self._shares_frames = frames is not None
        self.frames = frames if frames is not None else FrameTrack()
        self._camera = camera
        self._infos: _Changes[CameraInfo] = _Changes(_same_info, first_holds_before=True)
        self._shapes: _Changes[PictureShape] = _Changes(lambda a, b: a == b)
        self._view: tuple[tuple[CameraInfo | None, PictureShape | None], PictureCamera] | None = None
        self._rig = Rig()

    def learn(self, message: Decoded) -> None:
        """Add a camera info, transforms or an image; other messages, and other cameras, are ignored."""
        if isinstance(message, CameraInfo):
            own = self._camera.calibration if self._camera is not None else None
            if own in (None, message.topic):
                self._infos.add(message.stamp_ns, message)
        elif isinstance(message, FrameTransforms) and not self._shares_frames:
            self.frames.learn(message)
        elif isinstance(message, CameraFrame):
            self._shapes.add(message.stamp_ns, PictureShape.of(message))
        elif isinstance(message, VideoPacket) and any(message.size):
            self._shapes.add(message.stamp_ns, PictureShape(*message.size, message.frame_id))

    def begin_anew(self) -> None:
        """Forget times: time was broken. What was known last holds until more is known."""
        self._infos.settle()
        self._shapes.settle()
        if not self._shares_frames:
            self.frames.begin_anew()

    def at(
        self,
        stamp_ns: int,
        image: CameraFrame | None = None,
        scan: RangeScan | Sequence[RangeScan] | None = None,
    ) -> Placing:
        """Return the rig of a moment.

        Args:
            stamp_ns: The moment; with an image, its own stamp counts.
            image: The image; None: the picture has the shape of the last one before.
            scan: Scans; the frame of each is placed with its pose at the stamp of the scan.
        """
        if self._camera is None:
            return Placing(self._rig_of(PictureCamera(), self.frames.tree_at(stamp_ns)))
        if image is not None:
            stamp_ns = image.stamp_ns
        shape = self._shapes.at(stamp_ns) if image is None else PictureShape.of(image)
        view = self._view_of(self._infos.at(stamp_ns), shape, self._camera)
        rig = self._rig_of(view, self.frames.tree_at(stamp_ns))
        scans = () if scan is None else (scan,) if isinstance(scan, RangeScan) else scan
        return self._placed(rig, stamp_ns, scans)

    # --- the camera ------------------------------------------------------------------------------

    def _view_of(
        self, info: CameraInfo | None, shape: PictureShape | None, camera: CameraConfig
    ) -> PictureCamera:
        key = info, shape
        if self._view is None or self._view[0][0] is not info or self._view[0][1] != shape:
            view = (
                PictureCamera(None, _no_info(camera)) if info is None else picture_camera(info, shape, camera)
            )
            self._view = key, view._replace(issue=self._named(view.issue))
        return self._view[1]

    def _named(self, issue: RigIssue | None) -> RigIssue | None:
        return None if issue is None else issue.of_camera(self._name)

    def _rig_of(self, view: PictureCamera, tree: TransformTree) -> Rig:
        """Return a rig; the last one where nothing has changed, so that what it computed is kept."""
        last = self._rig
        same = last.calibration is view.calibration and last.transforms is tree
        if not (
            same and last.camera_issue is view.issue and last.picture_from_camera is view.picture_from_camera
        ):
            self._rig = Rig(view.calibration, tree, view.issue, view.picture_from_camera)
        return self._rig

    def _placed(self, rig: Rig, stamp_ns: int, scans: Sequence[RangeScan]) -> Placing:
        """Return the rig with the frame of each scan at the stamp of the scan, and the issues.

        As tf2 does it with a fixed frame: the nearest common ancestor of camera and scanner does not move.
        """
        own: dict[str | tuple[str, int], Matrix] = {}
        issues: list[RigIssue] = []
        several = len(scans) > 1
        for scan in scans:
            pose, held = self._own_pose(rig, stamp_ns, scan)
            if pose is not None:
                own.setdefault(scan.frame_id, pose)
                own[scan.frame_id, scan.stamp_ns] = pose
            elif several and (tree_pose := rig.camera_from(scan.frame_id)) is not None:
                own[scan.frame_id, scan.stamp_ns] = tree_pose  # another scan of this frame may have its own
            obstacle = self._named(rig.obstacle(scan.frame_id))
            noted = [rig.camera_issue, held] if obstacle is None else [obstacle]
            issues += [issue.of(scan.topic) if several else issue for issue in noted if issue is not None]
        if any(isinstance(key, str) for key in own):
            rig = Rig(rig.calibration, rig.transforms, rig.camera_issue, rig.picture_from_camera, own)
        return Placing(rig, tuple(issues))

    def _own_pose(self, rig: Rig, stamp_ns: int, scan: RangeScan) -> tuple[Matrix | None, RigIssue | None]:
        """Return `camera_from_frame` of a scan where it is not that of the image's moment, and a note."""
        frames = self.frames
        if rig.calibration is None or not frames.moves():
            return None, None
        target, source = list(frames.chain(rig.calibration.frame_id)), list(frames.chain(scan.frame_id))
        shared = set(target) & set(source)
        target, source = [f for f in target if f not in shared], [f for f in source if f not in shared]
        held = frames.held(target, stamp_ns) or frames.held(source, scan.stamp_ns)
        if scan.stamp_ns == stamp_ns or not frames.moves(source):
            return None, held
        if rig.transforms.target_from_source(rig.calibration.frame_id, scan.frame_id) is None:
            return None, held
        fixed_from_camera = frames.fixed_from(target, stamp_ns)
        return invert_pose(fixed_from_camera) @ frames.fixed_from(source, scan.stamp_ns), held


def _no_info(camera: CameraConfig) -> RigIssue:
    if camera.calibration is None:
        text = "no camera info is configured: name its topic in sensors.camera.calibration"
    else:
        text = f"no usable camera info had arrived on {camera.calibration}"
    return RigIssue("no_camera_info", text)


def _same_info(one: CameraInfo, other: CameraInfo) -> bool:
    """Return whether two camera infos say the same, whatever their time."""
    plain = ("frame_id", "width", "height", "distortion_model", "binning", "roi")
    return all(getattr(one, name) == getattr(other, name) for name in plain) and all(
        np.array_equal(a, b) if a is not None and b is not None else a is b
        for a, b in (
            (one.intrinsics, other.intrinsics),
            (one.distortion, other.distortion),
            (one.projection, other.projection),
        )
    )


class _Changes(Generic[T]):
    """A value over time: each change holds from its stamp on, the first perhaps also before."""

    def __init__(self, same: Callable[[T, T], bool], first_holds_before: bool = False) -> None:
        self._same = same
        self._first_holds_before = first_holds_before
        self._stamps: list[int] = []
        self._values: list[T] = []

    def add(self, stamp_ns: int, value: T) -> None:
        """Add what was said at a moment."""
        at = bisect_right(self._stamps, stamp_ns)
        if at and self._same(self._values[at - 1], value):
            return
        if at < len(self._values) and self._same(self._values[at], value):
            self._stamps[at] = stamp_ns  # it held earlier than was known
            return
        self._stamps.insert(at, stamp_ns)
        self._values.insert(at, value)
        del self._stamps[:-_MAX_CHANGES], self._values[:-_MAX_CHANGES]

    def settle(self) -> None:
        """Forget times: the last value holds from now on."""
        if self._values:
            self._stamps, self._values = [0], [self._values[-1]]

    def at(self, stamp_ns: int) -> T | None:
        """Return the value at a moment; None where nothing is known."""
        at = bisect_right(self._stamps, stamp_ns) - 1
        if at < 0 and not (self._first_holds_before and self._values):
            return None
        return self._values[max(at, 0)]
