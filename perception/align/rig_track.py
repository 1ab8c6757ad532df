"""The rig over time: camera infos, frames and picture shapes as they arrive, and the rig of a moment."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from typing import Generic, NamedTuple, TypeVar

import numpy as np

from perception.align.picture_camera import PictureCamera, PictureShape, picture_camera
from perception.config import CameraConfig
from perception.geometry import Matrix, TransformTree, invert_pose
from perception.geometry.motion import PoseHistory, poses_at
from perception.types import (
    CameraFrame,
    CameraInfo,
    Decoded,
    FrameTransforms,
    RangeScan,
    Rig,
    RigIssue,
    VideoPacket,
)

MAX_FRAMES = 65_536
"""More frames than that are not remembered."""

_MAX_CHANGES = 256

T = TypeVar("T")


class Placing(NamedTuple):
    """The rig of a moment, and what is to be said about the returns of a scan."""

    rig: Rig
    issues: tuple[RigIssue, ...] = ()


class RigTrack:
    """Keeps what messages say of one camera's rig, in bounded memory.

    A camera info and the shape of the picture hold from their stamp on, the first info also before. A frame
    that moves has the pose of the moment (`perception.geometry.motion`); those of `tf_static` never move:
    the last one counts. Only what was added takes part, so that a live program and a replay see the same.

    Args:
        camera: The camera; None: there is none, and nothing is placed or missed.
    """

    def __init__(self, camera: CameraConfig | None) -> None:
        self._camera = camera
        self._infos: _Changes[CameraInfo] = _Changes(_same_info, first_holds_before=True)
        self._shapes: _Changes[PictureShape] = _Changes(lambda a, b: a == b)
        self._frames: dict[str, PoseHistory] = {}
        self._moving: set[str] = set()
        self._tree = TransformTree()
        self._stale = False  # whether frames have changed since the tree was made
        self._view: tuple[tuple[CameraInfo | None, PictureShape | None], PictureCamera] | None = None
        self._rig = Rig()

    @property
    def knows_camera(self) -> bool:
        """Whether any camera info has arrived."""
        return bool(self._infos)

    def learn(self, message: Decoded) -> None:
        """Add a camera info, transforms or an image; other messages, and other cameras, are ignored."""
        if isinstance(message, CameraInfo):
            own = self._camera.calibration if self._camera is not None else None
            if own in (None, message.topic):
                self._infos.add(message.stamp_ns, message)
        elif isinstance(message, FrameTransforms):
            self._learn_transforms(message)
        elif isinstance(message, CameraFrame):
            self._shapes.add(message.stamp_ns, PictureShape.of(message))
        elif isinstance(message, VideoPacket) and any(message.size):
            self._shapes.add(message.stamp_ns, PictureShape(*message.size, message.frame_id))

    def begin_anew(self) -> None:
        """Forget times: time was broken. What was known last holds until more is known."""
        self._infos.settle()
        self._shapes.settle()
        for history in self._frames.values():
            history.settle(history.latest())
        self._moving.clear()
        self._stale = True

    def at(self, stamp_ns: int, image: CameraFrame | None = None, scan: RangeScan | None = None) -> Placing:
        """Return the rig of a moment.

        Args:
            stamp_ns: The moment; with an image, its own stamp counts.
            image: The image; None: the picture has the shape of the last one before.
            scan: Its frame is placed with its pose at the stamp of the scan.
        """
        if self._camera is None:
            return Placing(self._rig_of(PictureCamera(), self._tree_at(stamp_ns)))
        if image is not None:
            stamp_ns = image.stamp_ns
        shape = self._shapes.at(stamp_ns) if image is None else PictureShape.of(image)
        view = self._view_of(self._infos.at(stamp_ns), shape, self._camera)
        rig = self._rig_of(view, self._tree_at(stamp_ns))
        if scan is None:
            return Placing(rig)
        rig, held = self._with_own_pose(rig, stamp_ns, scan)
        obstacle = rig.obstacle(scan.frame_id)
        if obstacle is not None:
            return Placing(rig, (obstacle,))
        return Placing(rig, tuple(issue for issue in (rig.camera_issue, held) if issue is not None))

    # --- the camera ------------------------------------------------------------------------------

    def _view_of(
        self, info: CameraInfo | None, shape: PictureShape | None, camera: CameraConfig
    ) -> PictureCamera:
        key = info, shape
        if self._view is None or self._view[0][0] is not info or self._view[0][1] != shape:
            view = (
                PictureCamera(None, _no_info(camera)) if info is None else picture_camera(info, shape, camera)
            )
            self._view = key, view
        return self._view[1]

    def _rig_of(self, view: PictureCamera, tree: TransformTree) -> Rig:
        """Return a rig; the last one where nothing has changed, so that what it computed is kept."""
        last = self._rig
        same = last.calibration is view.calibration and last.transforms is tree
        if not (
            same and last.camera_issue is view.issue and last.picture_from_camera is view.picture_from_camera
        ):
            self._rig = Rig(view.calibration, tree, view.issue, view.picture_from_camera)
        return self._rig

    # --- frames ----------------------------------------------------------------------------------

    def _learn_transforms(self, message: FrameTransforms) -> None:
        static = message.topic.endswith("tf_static")
        for item in message.items:
            history = self._frames.get(item.child)
            if history is None or history.parent != item.parent:
                if history is None and len(self._frames) >= MAX_FRAMES:
                    continue
                history = self._frames[item.child] = PoseHistory(item.parent)
                self._moving.discard(item.child)
            if static:
                changed = history.settle(item.parent_from_child)
            else:
                changed = history.add(item.stamp_ns, item.parent_from_child)
            if changed and not (history.moves and item.child in self._moving):
                self._stale = True
                (self._moving.add if history.moves else self._moving.discard)(item.child)

    def _tree_at(self, stamp_ns: int) -> TransformTree:
        if self._stale:
            self._stale = False
            self._tree = TransformTree(self._edges_at(self._frames, stamp_ns))
        if not self._moving:
            return self._tree
        return self._tree.updated(self._edges_at(self._moving, stamp_ns))

    def _edges_at(self, children: Iterable[str], stamp_ns: int) -> dict[str, tuple[str, Matrix]]:
        histories = {child: self._frames[child] for child in children}
        poses = poses_at([history.at(stamp_ns) for history in histories.values()])
        return {
            child: (history.parent, pose)
            for (child, history), pose in zip(histories.items(), poses, strict=True)
        }

    def _chain(self, frame: str) -> Iterator[str]:
        """Yield a frame and its ancestors that have a parent, as far as no cycle begins."""
        seen = set()
        while frame in self._frames and frame not in seen:
            seen.add(frame)
            yield frame
            frame = self._frames[frame].parent

    def _with_own_pose(self, rig: Rig, stamp_ns: int, scan: RangeScan) -> tuple[Rig, RigIssue | None]:
        """Return the rig with the frame of a scan at the stamp of the scan, and a note on old transforms.

        As tf2 does it with a fixed frame: the nearest common ancestor of camera and scanner does not move.
        """
        if rig.calibration is None or not self._moving:
            return rig, None
        target, source = list(self._chain(rig.calibration.frame_id)), list(self._chain(scan.frame_id))
        shared = set(target) & set(source)
        target, source = [f for f in target if f not in shared], [f for f in source if f not in shared]
        held = self._held(target, stamp_ns) or self._held(source, scan.stamp_ns)
        if scan.stamp_ns == stamp_ns or not self._moving.intersection(source):
            return rig, held
        if rig.transforms.target_from_source(rig.calibration.frame_id, scan.frame_id) is None:
            return rig, held
        fixed_from_camera, fixed_from_scan = (
            self._fixed_from(target, stamp_ns),
            self._fixed_from(source, scan.stamp_ns),
        )
        own = {scan.frame_id: invert_pose(fixed_from_camera) @ fixed_from_scan}
        moved = Rig(rig.calibration, rig.transforms, rig.camera_issue, rig.picture_from_camera, own)
        return moved, held

    def _fixed_from(self, chain: list[str], stamp_ns: int) -> Matrix:
        """Return the pose of the first frame of a chain in the parent of its last one."""
        fixed_from_first = np.eye(4)
        for _, parent_from_frame in self._edges_at(chain, stamp_ns).values():
            fixed_from_first = parent_from_frame @ fixed_from_first
        return fixed_from_first

    def _held(self, chain: list[str], stamp_ns: int) -> RigIssue | None:
        for frame in chain:
            held_ns = self._frames[frame].at(stamp_ns).held_ns if frame in self._moving else 0
            if held_ns:
                pose = f"the pose of {frame!r}, which moves in {self._frames[frame].parent!r}"
                text = f"{pose}, is known only {held_ns / 1e6:.0f} ms away, and is held"
                return RigIssue("held_transform", text)
        return None


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

    def __bool__(self) -> bool:
        return bool(self._values)

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
