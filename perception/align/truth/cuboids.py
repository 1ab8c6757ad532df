"""Cuboids as a camera sees them: the rectangle around what lies in the image, and how much others hide.

A cuboid that reaches behind the camera or out of the picture is cut with the camera's view before it is
projected: a corner behind the camera has no pixel, but the rest of its edges has. Occlusion is decided by
rays: a grid of them through the cuboid's rectangle, and for each ray the cuboid that it enters first. That is
the depth order of the surfaces; the order of centres fails where long objects stand beside small ones.

Dimension letters: N cuboids, R rays.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from perception.geometry import Matrix, project, rays
from perception.geometry.lens import is_fisheye
from perception.types import CameraInfo

NEAR_M = 0.1
GRID = 20
"""Rays along each side of a rectangle: hidden parts are known to about 1 in 20 of its width."""

_SIGNS = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], dtype=np.float64)
_FACES = ((0, 1, 3, 2), (4, 5, 7, 6), (0, 1, 5, 4), (2, 3, 7, 6), (0, 2, 6, 4), (1, 3, 7, 5))
_EDGE_STEPS = 8  # points an edge is bent at, under distortion


@dataclass(frozen=True, slots=True, eq=False)
class CameraView:
    """The field of view of a camera: lens, image size, and its bounding planes [5, 4] (positive inside)."""

    intrinsics: Matrix
    distortion: Matrix
    model: str
    width: int
    height: int
    planes: Matrix


@dataclass(frozen=True, slots=True, eq=False)
class Solids:
    """N cuboids in the camera frame: centres [N, 3], axes [N, 3, 3] (columns), half sizes [N, 3]."""

    centre: Matrix
    axes: Matrix
    half: Matrix

    @classmethod
    def of(cls, camera_from_box: Matrix, size_m: Matrix) -> Solids:
        """Return solids from poses [N, 4, 4] and sizes [N, 3]."""
        return cls(camera_from_box[:, :3, 3], camera_from_box[:, :3, :3], size_m / 2)

    def take(self, rows: NDArray[np.intp] | NDArray[np.bool_]) -> Solids:
        return Solids(self.centre[rows], self.axes[rows], self.half[rows])

    def corners(self) -> Matrix:
        """Return [N, 8, 3] in the camera frame."""
        local = _SIGNS[None] * self.half[:, None]
        corners: Matrix = np.einsum("nij,nkj->nki", self.axes, local) + self.centre[:, None]
        return corners

    def contains_camera(self) -> NDArray[np.bool_]:
        """Return [N]: whether the camera is inside; such a cuboid is the vehicle that carries it."""
        origin = np.einsum("nji,nj->ni", self.axes, -self.centre)
        return np.asarray(np.all(np.abs(origin) <= self.half, axis=1))


def view_of(calibration: CameraInfo) -> CameraView:
    """Return the view of a calibrated camera."""
    width, height = calibration.width, calibration.height
    left, top, right, bottom = _bounds(calibration)
    planes = np.array(
        [[1, 0, -left, 0], [-1, 0, right, 0], [0, 1, -top, 0], [0, -1, bottom, 0], [0, 0, 1, -NEAR_M]],
        dtype=np.float64,
    )
    lens = calibration.distortion, calibration.distortion_model
    return CameraView(calibration.intrinsics, *lens, width, height, planes)


def _bounds(calibration: CameraInfo) -> tuple[float, float, float, float]:
    """Return the smallest and largest x/z and y/z of directions that reach the image."""
    width, height = float(calibration.width), float(calibration.height)
    along = np.linspace(0.0, 1.0, 33)
    zero, one = np.zeros_like(along), np.ones_like(along)
    border = np.concatenate(
        [np.stack(side, 1) for side in ((along, zero), (along, one), (zero, along), (one, along))]
    ) * (width, height)
    lens = calibration.distortion, calibration.distortion_model
    seen = rays(border, calibration.intrinsics, *lens)[:, :2]
    seen = seen[np.isfinite(seen).all(axis=1)]
    if not len(seen):  # no border pixel is reached: take what a pinhole would see
        seen = rays(border, calibration.intrinsics)[:, :2]
    left, top = seen.min(axis=0)
    right, bottom = seen.max(axis=0)
    return float(left), float(top), float(right), float(bottom)


def rectangles(solids: Solids, view: CameraView) -> Matrix:
    """Return [N, 4]: xyxy of each cuboid's projection, clipped to the image; NaN where it is not seen."""
    corners = solids.corners()
    sides = np.einsum("nkj,pj->nkp", corners, view.planes[:, :3]) + view.planes[:, 3]
    outside = (sides < 0).all(axis=1).any(axis=1) | solids.contains_camera()
    inside = (sides >= 0).all(axis=(1, 2))
    boxes = np.full((len(corners), 4), np.nan)
    for row in np.flatnonzero(~outside & np.isfinite(corners).all(axis=(1, 2))):
        faces = [corners[row][list(face)] for face in _FACES]
        if not inside[row]:
            faces = [face for face in (_clipped(face, view.planes) for face in faces) if len(face)]
        if faces:
            boxes[row] = _rectangle(faces, view)
    return boxes


def _clipped(face: Matrix, planes: Matrix) -> Matrix:
    """Return the part of a convex polygon [V, 3] inside all planes (Sutherland and Hodgman 1974)."""
    for plane in planes:
        side = face @ plane[:3] + plane[3]
        if (side >= 0).all():
            continue
        kept: list[Matrix] = []
        for here, there, a, b in zip(face, np.roll(face, -1, axis=0), side, np.roll(side, -1), strict=True):
            if a >= 0:
                kept.append(here)
            if (a >= 0) != (b >= 0):
                kept.append(here + (there - here) * (a / (a - b)))
        if not kept:
            return np.empty((0, 3))
        face = np.array(kept)
    return face


def _rectangle(faces: list[Matrix], view: CameraView) -> Matrix:
    points = np.concatenate(faces)
    if np.any(view.distortion) or is_fisheye(view.model):
        starts, ends = points, np.concatenate([np.roll(face, -1, axis=0) for face in faces])
        step = np.linspace(0.0, 1.0, _EDGE_STEPS, endpoint=False)[:, None, None]
        points = (starts + (ends - starts) * step).reshape(-1, 3)
    pixels = project(points, view.intrinsics, view.distortion, view.model)
    pixels = pixels[np.isfinite(pixels).all(axis=1)]
    if not len(pixels):
        return np.full(4, np.nan)
    size = np.array([view.width, view.height], dtype=np.float64)
    low, high = np.clip(pixels.min(axis=0), 0, size), np.clip(pixels.max(axis=0), 0, size)
    return np.concatenate([low, high]) if (high > low).all() else np.full(4, np.nan)


def visible_fractions(
    solids: Solids, boxes: Matrix, view: CameraView, wanted: Sequence[int] | None = None
) -> Matrix:
    """Return [N]: of the rays through each rectangle that meet its cuboid, the part that meets it first.

    What the border of the image cuts off counts neither as visible nor as hidden.

    Args:
        solids, boxes, view: As `rectangles` has them.
        wanted: The rows that are asked for; the others are 1. None: all.
    """
    corners = solids.corners()
    nearest, farthest = corners[..., 2].min(axis=1), corners[..., 2].max(axis=1)
    fractions = np.ones(len(boxes))
    for row in range(len(boxes)) if wanted is None else wanted:
        x1, y1, x2, y2 = boxes[row]
        overlap = (boxes[:, 0] < x2) & (boxes[:, 2] > x1) & (boxes[:, 1] < y2) & (boxes[:, 3] > y1)
        others = np.flatnonzero(overlap & (nearest < farthest[row]))
        others = others[others != row]
        if not others.size:
            continue
        middle = (np.arange(GRID) + 0.5) / GRID
        u, v = np.meshgrid(x1 + (x2 - x1) * middle, y1 + (y2 - y1) * middle)
        pixels = np.stack([u.ravel(), v.ravel()], axis=1)
        directions = rays(pixels, view.intrinsics, view.distortion, view.model)
        depth = _entry_depth(solids.take(np.concatenate([[row], others])), directions)
        own = np.isfinite(depth[0])
        if own.any():
            fractions[row] = float((depth[0, own] <= depth[1:, own].min(axis=0)).mean())
    return fractions


def _entry_depth(solids: Solids, directions: Matrix) -> Matrix:
    """Return the [N, R] depth at which rays (x, y, 1) enter cuboids, infinite where they miss (slab test)."""
    with np.errstate(divide="ignore", invalid="ignore"):
        towards = 1.0 / np.einsum("nji,rj->nri", solids.axes, directions)
        origin = np.einsum("nji,nj->ni", solids.axes, -solids.centre)[:, None]
        near, far = (-solids.half[:, None] - origin) * towards, (solids.half[:, None] - origin) * towards
        enter = np.fmax.reduce(np.fmin(near, far), axis=2)
        leave = np.fmin.reduce(np.fmax(near, far), axis=2)
    hit = (leave >= enter) & (leave > 0)
    return np.where(hit, np.maximum(enter, 0.0), np.inf)
