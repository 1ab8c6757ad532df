"""The scene in Rerun: returns, positions with their covariance, and cameras, in one frame."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import rerun as rr
from numpy.typing import NDArray

from perception.geometry import Matrix
from perception.sinks.annotations import caption
from perception.sinks.palette import class_colour
from perception.sinks.picture_returns import packed_range_colours
from perception.sinks.scene import covariance_axes, placed_items
from perception.types import Rig, Sample
from perception.types.views import CameraRow
from perception_plugins.viewers.rerun_camera import packed_colours
from perception_plugins.viewers.rerun_rows import RecordingRows, When, path_part

SPACE = "space"
"""The root of the 3D scene."""
_FRUSTUM_M = 1.5


def camera_path(name: str) -> str:
    """Return the path of a camera: in the scene, so that its picture stands where the camera is."""
    return f"{SPACE}/{path_part(name)}"


class SpaceRows:
    """Writes the scene. Its frame is `base_frame` where the transforms reach it, else that of the first scan.

    Args:
        rows: The recording.
        base_frame: Of the configuration; empty: there is none.
        classes, min_score: As for `CameraRows`.
    """

    def __init__(
        self, rows: RecordingRows, base_frame: str, classes: Sequence[str], min_score: float
    ) -> None:
        self._rows, self._base_frame = rows, base_frame
        self._classes, self._min_score = classes, min_score
        self.frame: str | None = None
        self.cameras: set[str] = set()
        """The cameras whose place in the scene is known."""
        self._lenses: dict[str, tuple[float, ...]] = {}
        self._poses: dict[str, Matrix] = {}
        self._begin: When | None = None
        self._points: set[str] = set()
        self._unplaced: set[str] = set()

    def add(self, when: When, sample: Sample, views: Sequence[CameraRow]) -> list[str]:
        """Add a sample; return what is not placed in the scene, each once."""
        self._begin = self._begin or when
        if self.frame is None:
            self._choose_frame(sample)
        for view in views:
            self._camera(when, view)
            self._positions(when, view)
        return [text for name in sample.ranges if (text := self._returns(when, name, sample))]

    def _choose_frame(self, sample: Sample) -> None:
        scans = [source.value for source in sample.ranges.values() if source.value is not None]
        frames = [scan.frame_id for scan in scans]
        lenses = [placing.rig.calibration for placing in sample.placings.values()]
        frames += [lens.frame_id for lens in lenses if lens is not None]
        if not frames:
            return
        tree, base = sample.rig.transforms, self._base_frame
        reached = bool(base) and any(tree.target_from_source(base, name) is not None for name in frames)
        self.frame = self._base_frame if reached else frames[0]
        optical = not reached and (scans[0].optical if scans else True)
        axes = rr.ViewCoordinates.RDF if optical else rr.ViewCoordinates.FLU
        self._rows.constant(SPACE, axes)

    def _from(self, rig: Rig, frame: str) -> Matrix | None:
        return None if self.frame is None else rig.transforms.target_from_source(self.frame, frame)

    def _returns(self, when: When, name: str, sample: Sample) -> str:
        scan, entity = sample.ranges[name].value, f"{SPACE}/{path_part(name)}"
        pose = None if scan is None else self._from(sample.rig, scan.frame_id)
        points = np.zeros((0, 3), np.float32)
        ranges = np.zeros(0, np.float32)
        if scan is not None and pose is not None:
            points, ranges = _placed(scan.points_m, pose)
        if name not in self._points:
            self._points.add(name)
            self._rows.constant(entity, rr.Points3D.from_fields(radii=rr.Radius.ui_points(2.0)))
        colours = packed_range_colours(ranges)
        self._rows.add(entity, rr.Points3D, when, len(points), positions=points, colors=colours)
        if scan is None or pose is not None or name in self._unplaced:
            return ""
        self._unplaced.add(name)
        text = f"{name}: returns are not in the scene: no transforms connect {scan.frame_id!r} with"
        return f"{text} {self.frame!r}; name their topics in sensors.{name}.transforms"

    def _camera(self, when: When, view: CameraRow) -> None:
        rig, entity = view.sample.rig, camera_path(view.camera)
        lens = rig.calibration
        pose = None if lens is None or not lens.can_project else self._from(rig, lens.frame_id)
        if lens is None or pose is None:
            return
        if rig.picture_from_camera is not None:
            pose = pose @ np.linalg.inv(rig.picture_from_camera)
        # Known later than the picture, it holds from the beginning on: without it the viewer shows an error.
        moments = [when] if view.camera in self.cameras else list(dict.fromkeys([self._begin or when, when]))
        size = np.array([[lens.width, lens.height]], np.float32)
        k = np.asarray(lens.intrinsics, np.float32).T.reshape(1, 9)  # by columns
        if not np.array_equal(self._lenses.get(view.camera, ()), (*size[0], *k[0])):
            self._lenses[view.camera] = (*size[0], *k[0])
            columns = {"image_from_camera": k, "resolution": size}
            distance = np.array([_FRUSTUM_M], np.float32)
            for at in moments:
                self._rows.add(entity, rr.Pinhole, at, 1, **columns, image_plane_distance=distance)
        if view.camera not in self._poses or not np.array_equal(self._poses[view.camera], pose):
            self._poses[view.camera] = pose
            turn = np.asarray(pose[:3, :3], np.float32).T.reshape(1, 9)
            place = np.asarray(pose[:3, 3], np.float32).reshape(1, 3)
            for at in moments:
                self._rows.add(entity, rr.Transform3D, at, 1, translation=place, mat3x3=turn)
        self.cameras.add(view.camera)

    def _positions(self, when: When, view: CameraRow) -> None:
        head = view.output.detections
        if head is None or not self._base_frame or self.frame != self._base_frame:
            return
        items = [item for _, item in placed_items(view.output, self._min_score)]
        quaternions, stds = covariance_axes(items)
        colours = packed_colours([class_colour(item.label, self._classes) for item in items], 160)
        self._rows.add(
            f"{SPACE}/positions/{path_part(view.camera)}",
            rr.Ellipsoids3D,
            when,
            len(items),
            centers=np.array([item.position_m for item in items], np.float32).reshape(-1, 3),
            half_sizes=stds.astype(np.float32),
            quaternions=quaternions.astype(np.float32),
            labels=[caption(item) for item in items],
            colors=colours,
        )


def _placed(points_m: NDArray[np.floating], target_from_source: Matrix) -> tuple[Any, Any]:
    """Return the finite ones of points [N, 3] in the target frame, and their ranges [N], in float32."""
    own = points_m.astype(np.float32, copy=False)
    if not np.isfinite(own).all():
        own = own[np.isfinite(own).all(axis=1)]
    pose = target_from_source.astype(np.float32)
    return own @ pose[:3, :3].T + pose[:3, 3], np.sqrt(np.einsum("ij,ij->i", own, own))
