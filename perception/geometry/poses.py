"""Poses and projection.

Transforms are 4x4 float64 matrices named `target_from_source`, so that a chain reads itself:
`camera_from_lidar = camera_from_base @ base_from_lidar`. A camera frame is optical: x right,
y down, z forward. A vehicle frame is x forward, y left, z up. Lengths are metres, angles radians.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from perception.geometry.lens import distort, undistort

Matrix = NDArray[np.float64]


def is_optical(frame_id: str) -> bool:
    """Return whether a frame is one of a camera by its name (REP 103): x right, y down, z forward."""
    return "optical" in frame_id.rsplit("/", 1)[-1].lower()


def rotation_from_quaternion(x: float, y: float, z: float, w: float) -> Matrix:
    """Return the 3x3 rotation of a quaternion, which need not have unit length.

    A zero quaternion, which some writers leave in unset poses, is the identity.
    """
    return np.array(_rotation_rows(x, y, z, w), np.float64)


def _rotation_rows(x: float, y: float, z: float, w: float) -> tuple[tuple[float, float, float], ...]:
    norm = float(x * x + y * y + z * z + w * w)
    if not norm > 0.0:
        return (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)
    s = 2.0 / norm
    return (
        (1 - s * (y * y + z * z), s * (x * y - z * w), s * (x * z + y * w)),
        (s * (x * y + z * w), 1 - s * (x * x + z * z), s * (y * z - x * w)),
        (s * (x * z - y * w), s * (y * z + x * w), 1 - s * (x * x + y * y)),
    )


def pose_matrix(
    translation: tuple[float, float, float], quaternion_xyzw: tuple[float, float, float, float]
) -> Matrix:
    """Return the 4x4 `parent_from_child` of a child at `translation` (m) with the given orientation."""
    (a, b, c), (d, e, f), (g, h, i) = _rotation_rows(*quaternion_xyzw)
    x, y, z = translation
    return np.array(((a, b, c, x), (d, e, f, y), (g, h, i, z), (0.0, 0.0, 0.0, 1.0)), np.float64)


def invert_pose(target_from_source: Matrix) -> Matrix:
    """Return the inverse of a rigid 4x4 transform."""
    source_from_target = np.eye(4)
    rotation = target_from_source[:3, :3].T
    source_from_target[:3, :3] = rotation
    source_from_target[:3, 3] = -rotation @ target_from_source[:3, 3]
    return source_from_target


@dataclass(frozen=True, slots=True)
class TransformTree:
    """The latest transform of every (parent, child) pair: an immutable snapshot.

    Attributes:
        edges: child frame -> (parent frame, 4x4 `parent_from_child`).
    """

    edges: Mapping[str, tuple[str, Matrix]] = field(default_factory=dict)

    def updated(self, edges: Mapping[str, tuple[str, Matrix]]) -> TransformTree:
        """Return a new tree in which `edges` replace those of the same child."""
        return TransformTree({**self.edges, **edges})

    def frames(self) -> set[str]:
        """Return all frames named in the tree."""
        return set(self.edges) | {parent for parent, _ in self.edges.values()}

    def target_from_source(self, target: str, source: str) -> Matrix | None:
        """Return the 4x4 transform between two frames, or None where the tree does not connect them."""
        if target == source:
            return np.eye(4)
        above_target = self._ancestors(target)
        above_source = self._ancestors(source)
        for frame, ancestor_from_source in above_source.items():
            if frame in above_target:
                return invert_pose(above_target[frame]) @ ancestor_from_source
        return None

    def _ancestors(self, frame: str) -> dict[str, Matrix]:
        """Return each ancestor of `frame` (itself first) with `ancestor_from_frame`; stops at a cycle."""
        ancestors = {frame: np.eye(4)}
        current = frame
        while current in self.edges:
            parent, parent_from_current = self.edges[current]
            if parent in ancestors:
                break
            ancestors[parent] = parent_from_current @ ancestors[current]
            current = parent
        return ancestors


def project(
    points_m: NDArray[np.floating], intrinsics: Matrix, distortion: Matrix | None = None, model: str = ""
) -> Matrix:
    """Return the pixels of points given in the camera frame.

    Args:
        points_m: [N, 3], camera frame, metres. Points at or behind the camera give NaN, and so do points
            so far off the axis that the distortion polynomial would fold them back into the image.
        intrinsics: [3, 3] camera matrix K.
        distortion: Coefficients of the lens, as `perception.geometry.lens` orders them; None: none.
        model: Name of the lens model, as calibrations have it.

    Returns:
        [N, 2] pixels u, v; u grows to the right and v downwards. Whole numbers are pixel centres.
    """
    z = np.where(points_m[:, 2] > 1e-6, points_m[:, 2], np.nan)
    coefficients = np.zeros(0) if distortion is None else distortion
    x, y = distort(points_m[:, 0] / z, points_m[:, 1] / z, coefficients, model)
    u = intrinsics[0, 0] * x + intrinsics[0, 1] * y + intrinsics[0, 2]
    v = intrinsics[1, 1] * y + intrinsics[1, 2]
    return np.stack([u, v], axis=1)


def rays(
    pixels: NDArray[np.floating], intrinsics: Matrix, distortion: Matrix | None = None, model: str = ""
) -> Matrix:
    """Return the directions (x, y, 1) in the camera frame that `project` sends to the given pixels.

    Args:
        pixels: [N, 2].
        intrinsics, distortion, model: As in `project`.

    Returns:
        [N, 3]; NaN where no direction before the camera leads to the pixel.
    """
    y = (np.asarray(pixels[:, 1], dtype=np.float64) - intrinsics[1, 2]) / intrinsics[1, 1]
    x = (pixels[:, 0] - intrinsics[0, 2] - intrinsics[0, 1] * y) / intrinsics[0, 0]
    x, y = undistort(x, y, np.zeros(0) if distortion is None else distortion, model)
    return np.stack([x, y, np.ones_like(x)], axis=1)


def transform_points(target_from_source: Matrix, points_m: NDArray[np.floating]) -> Matrix:
    """Return [N, 3] points of the source frame, in the target frame."""
    return np.asarray(points_m, dtype=np.float64) @ target_from_source[:3, :3].T + target_from_source[:3, 3]
