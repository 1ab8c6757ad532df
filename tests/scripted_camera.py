"""The camera of the scripted scene: shaded quads in painter's order, and the truth of what is seen."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from perception.types import TruthBox
from tests.scripted_street import Array, Street

CAMERA_IN_BASE = np.array([0.6, 0.0, 1.35])
_NEAR_M = 0.25
_SUN = np.array([-0.45, 0.55, 0.70])
_HAZE = np.array([214, 205, 196])  # BGR, as all colours here
_OPTICAL = np.array([[0.0, -1.0, 0.0], [0.0, 0.0, -1.0], [1.0, 0.0, 0.0]])  # camera_from_base, rotation


class Camera:
    """A pinhole camera at the front of the vehicle, looking ahead."""

    def __init__(self, street: Street, size: tuple[int, int]) -> None:
        self.street = street
        self.width, self.height = size
        focal = 0.62 * self.width
        self.intrinsics = np.array([[focal, 0, self.width / 2], [0, focal, 0.44 * self.height], [0, 0, 1.0]])
        self._seen: dict[float, list[TruthBox]] = {}

    def image(self, t: float) -> Array:
        """What the camera sees, BGR, without noise."""
        image, self._seen[t] = _render(self, t)
        return image

    def boxes(self, t: float) -> list[TruthBox]:
        """What is to be seen in the image, nearest first."""
        if t not in self._seen:
            self.image(t)
        return self._seen[t]


def _render(camera: Camera, t: float) -> tuple[Array, list[TruthBox]]:
    image = _background(camera, t)
    rotation, translation = camera.street.bodies(t)
    own = camera.street.owner
    quads = (
        np.einsum("nij,nkj->nki", rotation[own], camera.street.quads) + translation[own, None]
    )  # base frame
    normals = np.cross(quads[:, 1] - quads[:, 0], quads[:, 2] - quads[:, 0])
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    centres = quads.mean(1) - CAMERA_IN_BASE
    depth = np.linalg.norm(centres, axis=1)
    light = 0.62 + 0.38 * np.clip(normals @ (camera.street.base_from_world(t)[0] @ _SUN), -0.6, 1.0)
    haze = 1.0 - np.exp(-depth / 90.0)[:, None]
    colours = np.clip(camera.street.colours * light[:, None], 0, 255) * (1 - haze) + _HAZE * haze
    corners = (quads - CAMERA_IN_BASE) @ _OPTICAL.T
    facing = (
        (np.einsum("ni,ni->n", normals, centres) < 0) & (corners[:, :, 2].max(1) > _NEAR_M) & (depth < 75)
    )
    distance = np.linalg.norm(translation - CAMERA_IN_BASE, axis=1)
    order = np.lexsort((-depth, camera.street.layers, -distance[own]))
    drawn: dict[int, list[Array]] = {}
    ids = np.zeros((camera.height, camera.width), np.uint16)
    shown = order[facing[order]]
    for i, polygon in zip(shown, _pixels(camera, corners[shown]), strict=True):
        if polygon is None:
            continue
        cv2.fillConvexPoly(image, polygon, colours[i].tolist(), cv2.LINE_AA, 4)
        cv2.fillConvexPoly(ids, polygon, int(own[i]) + 1, cv2.LINE_8, 4)
        drawn.setdefault(int(own[i]), []).append(polygon)
    counts = np.bincount(ids.ravel(), minlength=len(camera.street.things) + 1)[1:]
    boxes = []
    for i, polygons in drawn.items():
        thing = camera.street.things[i]
        if thing.label and distance[i] < 60 and counts[i] > 0:
            centre = translation[i] + (0, 0, thing.size[2] / 2) - CAMERA_IN_BASE
            box = _truth_box(camera, i, polygons, int(counts[i]), float(np.linalg.norm(centre)))
            boxes += [box] if box else []
    return image, sorted(boxes, key=lambda box: box.distance_m)


def _truth_box(
    camera: Camera, i: int, polygons: list[Array], visible: int, distance_m: float
) -> TruthBox | None:
    """The projection clipped to the image, and the share of the own silhouette that nothing hides."""
    points = np.concatenate(polygons) / 16 + 0.5
    x1, y1 = np.clip(points.min(0), 0, (camera.width, camera.height))
    x2, y2 = np.clip(points.max(0), 0, (camera.width, camera.height))
    alone = np.zeros((camera.height, camera.width), np.uint8)
    for polygon in polygons:
        cv2.fillConvexPoly(alone, polygon, 1, cv2.LINE_8, 4)
    silhouette = cv2.countNonZero(alone)
    share = visible / silhouette if silhouette else 0.0
    if silhouette < 12 or share < 0.1 or x2 - x1 < 2 or y2 - y1 < 3:
        return None
    return TruthBox(
        camera.street.things[i].label, (float(x1), float(y1), float(x2), float(y2)), distance_m, share, str(i)
    )


def _pixels(camera: Camera, corners: Array) -> list[Array | None]:
    """Polygons [N, 4, 3] of the camera frame in OpenCV's fixed-point pixels; None: out of sight."""
    whole = corners[:, :, 2].min(1) >= _NEAR_M
    z = np.maximum(corners[:, :, 2:], _NEAR_M)
    fixed = _fixed_point(camera, corners[:, :, :2] / z)
    low, high = fixed.min(1), fixed.max(1)
    outside = (high < 0).any(1) | (low[:, 0] > 16 * camera.width) | (low[:, 1] > 16 * camera.height)
    return [
        (None if outside[i] else fixed[i]) if whole[i] else _cut(camera, corners[i])
        for i in range(len(corners))
    ]


def _cut(camera: Camera, corners: Array) -> Array | None:
    """One polygon without what lies before the near plane."""
    kept = []
    for a, b in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        if a[2] >= _NEAR_M:
            kept.append(a)
        if (a[2] >= _NEAR_M) != (b[2] >= _NEAR_M):
            kept.append(a + (b - a) * (_NEAR_M - a[2]) / (b[2] - a[2]))
    if len(kept) < 3:
        return None
    found = np.array(kept)
    return _fixed_point(camera, found[:, :2] / found[:, 2:])


def _fixed_point(camera: Camera, rays: Array) -> Array:
    k = camera.intrinsics  # OpenCV counts from the centre of the first pixel
    uv = rays * (k[0, 0], k[1, 1]) + (k[0, 2] - 0.5, k[1, 2] - 0.5)
    return np.clip(np.rint(uv * 16), -(1 << 20), 1 << 20).astype(np.int32)


def _background(camera: Camera, t: float) -> Array:
    """Sky, ground, street, markings and shadows."""
    horizon = camera.intrinsics[1, 2]
    rows = np.arange(camera.height)[:, None]
    up = np.clip((horizon - rows) / horizon, 0, 1)
    sky = _HAZE * (1 - up) + np.array((206, 148, 96)) * up
    below = np.clip((rows - horizon) / (camera.height - horizon), 0, 1) ** 0.6
    ground = _HAZE * (1 - below) + np.array((86, 122, 112)) * below
    column = np.where(rows < horizon, sky, ground)
    image = np.ascontiguousarray(
        np.broadcast_to(column[:, None], (camera.height, camera.width, 3)).astype(np.uint8)
    )
    s0 = camera.street.ego(t)[0]
    steps = s0 + np.concatenate([np.arange(-1.0, 12.0, 1.0), np.arange(12.0, 78.0, 3.0)])
    for left, right, bgr in (
        (11.5, 7.2, (138, 142, 146)),
        (7.2, -3.7, (84, 82, 82)),
        (-3.7, -6.9, (138, 142, 146)),
    ):
        _strip(camera, t, image, steps, left, right, bgr, cv2.LINE_8)
    first = np.floor(s0 / 6.0) * 6.0
    dashes = np.arange(first, s0 + 60.0, 3.0)
    _strip(camera, t, image, dashes, 1.82, 1.68, (222, 226, 228), cv2.LINE_AA, every=2)
    for lateral in (7.1, -3.6):
        _strip(camera, t, image, steps, lateral + 0.08, lateral - 0.08, (196, 200, 204), cv2.LINE_AA)
    rotation, translation = camera.street.bodies(t)
    near = [
        i
        for i, thing in enumerate(camera.street.things)
        if thing.label and np.hypot(*translation[i, :2]) < 50
    ]
    half = np.array([(*camera.street.things[i].size[:2], 0.0) for i in near]) / 2 + (0.08, 0.08, 0.0)
    feet = half[:, None] * np.array([(1, 1, 0), (-1, 1, 0), (-1, -1, 0), (1, -1, 0)])
    corners = np.einsum("nij,nkj->nki", rotation[near], feet) + translation[near][:, None]
    for polygon in _pixels(camera, (corners - CAMERA_IN_BASE) @ _OPTICAL.T):
        if polygon is not None:
            cv2.fillConvexPoly(image, polygon, (58, 56, 56), cv2.LINE_AA, 4)
    return image


def _strip(
    camera: Camera,
    t: float,
    image: Array,
    s: Array,
    left: float,
    right: float,
    bgr: Any,
    line: int,
    every: int = 1,
) -> None:
    """A band of the ground between two laterals; `every` 2: a broken line."""
    rotation, translation = camera.street.base_from_world(t)
    edges = []
    for lateral in (left, right):
        x, y, _ = camera.street.place(s, lateral)
        base = np.stack([x, y, np.zeros(len(x))], axis=1) @ rotation.T + translation
        edges.append((base - CAMERA_IN_BASE) @ _OPTICAL.T)
    a, b = edges
    haze = 1 - np.exp(-np.abs(a[:, 2:]) / 90.0)
    colours = (np.array(bgr) * (1 - haze) + _HAZE * haze).tolist()
    quads = np.stack([a[:-1], a[1:], b[1:], b[:-1]], axis=1)[::every]
    for polygon, colour in zip(_pixels(camera, quads), colours[:-1:every], strict=True):
        if polygon is not None:
            cv2.fillConvexPoly(image, polygon, colour, line, 4)
