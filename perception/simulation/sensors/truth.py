"""The true boxes of one frame, with their distances and visible shares.

The outline of an object is the union of the convex hulls of its projected solids, cut at the near plane.
Boxes are amodal and do not depend on rendering; only visible shares come from the rendered segmentation.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from perception.geometry import Matrix, transform_points
from perception.simulation.world.model import World
from perception.simulation.world.scene import HEIGHT, WIDTH
from perception.types import TruthBox

MIN_VISIBLE = 0.1
MIN_HEIGHT_PX, MIN_WIDTH_PX = 8.0, 4.0
MAX_DISTANCE_M = 32.0
NEAR_PLANE_M = 0.15


def truth_boxes(world: World, camera_from_world: Matrix, geoms: NDArray[np.int32]) -> list[TruthBox]:
    """Return the boxes of all objects in view, nearest first.

    Args:
        world: Posed at the moment of the frame.
        camera_from_world: 4x4, optical frame.
        geoms: [HEIGHT, WIDTH] geom of each pixel, -1 for none.
    """
    shown = world.geom_object[geoms[geoms >= 0]]
    seen = np.bincount(shown[shown >= 0], minlength=len(world.objects))
    centres = _centres(world, camera_from_world)
    distances = np.linalg.norm(centres, axis=1)
    near = (distances < MAX_DISTANCE_M) & (centres[:, 2] > -4.0) & (seen > 0)
    outlines = project_outlines(world, camera_from_world, np.nonzero(near)[0])
    boxes = []
    for index, polygons in outlines.items():
        inside = [clipped for polygon in polygons if len(clipped := clip_to_image(polygon))]
        if not inside:
            continue
        every = np.concatenate(inside)
        (x1, y1), (x2, y2) = every.min(axis=0), every.max(axis=0)
        if x2 - x1 < MIN_WIDTH_PX or y2 - y1 < MIN_HEIGHT_PX:
            continue
        visible = min(1.0, float(seen[index]) / max(1, silhouette_pixels(inside)))
        if visible >= MIN_VISIBLE:
            shape, distance = world.objects[index], float(distances[index])
            xyxy = (float(x1), float(y1), float(x2), float(y2))
            boxes.append(TruthBox(shape.figure.label, xyxy, distance, round(visible, 4), shape.track_id))
    return sorted(boxes, key=lambda b: b.distance_m)


def project_outlines(
    world: World, camera_from_world: Matrix, objects: NDArray[np.intp]
) -> dict[int, list[Matrix]]:
    """Return the pieces of each object in front of the camera, as points [N, 2] in pixels by object index."""
    wanted = np.isin(world.piece_object, objects)
    lengths = np.diff(world.piece_start)
    chosen = np.repeat(wanted, lengths)
    geom = world.outline_geom[chosen]
    rotation = world.data.geom_xmat.reshape(-1, 3, 3)[geom]
    points = np.einsum("nij,nj->ni", rotation, world.outline[chosen]) + world.data.geom_xpos[geom]
    points = transform_points(camera_from_world, points)
    intrinsics = world.scene.rig.intrinsics
    outlines: dict[int, list[Matrix]] = {}
    edges = np.concatenate([[0], np.cumsum(lengths[wanted])])
    for k, index in enumerate(world.piece_object[wanted]):
        piece = _in_front(points[edges[k] : edges[k + 1]])
        if len(piece):
            pixels = piece[:, :2] / piece[:, 2:] * intrinsics[0, 0] + intrinsics[:2, 2]
            outlines.setdefault(int(index), []).append(pixels)
    return outlines


def clip_to_image(polygon: Matrix) -> Matrix:
    """Return the part of the convex hull of points [N, 2] that lies within the image; it may be empty.

    This is not the same as clipping the box around it: objects beside the camera are very tall outside it.
    """
    low, high = polygon.min(axis=0), polygon.max(axis=0)
    if low.min() >= 0 and high[0] <= WIDTH and high[1] <= HEIGHT:
        return polygon
    corners = np.asarray(cv2.convexHull(polygon.astype(np.float32))[:, 0], float)
    for axis, limit, sign in ((0, 0, 1), (0, WIDTH, -1), (1, 0, 1), (1, HEIGHT, -1)):
        if len(corners) == 0:
            break
        ahead = np.roll(corners, -1, axis=0)
        d, d_ahead = sign * (corners[:, axis] - limit), sign * (ahead[:, axis] - limit)
        crossing = (d >= 0) != (d_ahead >= 0)
        f = d[crossing] / (d[crossing] - d_ahead[crossing])
        cuts = corners[crossing] + (ahead[crossing] - corners[crossing]) * f[:, None]
        kept = np.concatenate([corners[d >= 0], cuts])
        corners = (
            np.asarray(cv2.convexHull(kept.astype(np.float32))[:, 0], float) if len(kept) > 2 else kept[:0]
        )
    return np.asarray(np.clip(corners, 0, (WIDTH, HEIGHT)))


def silhouette_pixels(polygons: list[Matrix]) -> int:
    """Return the number of pixels that the union of hulls within the image covers."""
    every = np.concatenate(polygons)
    x1, y1 = np.floor(every.min(axis=0)).astype(int)
    x2, y2 = np.maximum(np.ceil(every.max(axis=0)).astype(int), (x1 + 1, y1 + 1))
    # Small outlines are drawn enlarged, because single pixels matter.
    scale = 4 if (x2 - x1) * (y2 - y1) < 4000 else 1
    mask = np.zeros(((y2 - y1) * scale, (x2 - x1) * scale), np.uint8)
    for polygon in polygons:
        # Pixel i covers [i, i + 1), but OpenCV's points lie at pixel centres. It also fills every pixel
        # that an edge touches: shrinking towards the middle moves edges half a pixel inwards.
        shifted = (polygon - (x1, y1)) * scale - 0.5
        hull = cv2.convexHull(shifted.astype(np.float32))[:, 0]
        middle = hull.mean(axis=0)
        extent = np.maximum(np.ptp(hull, axis=0), 1e-3)
        hull = middle + (hull - middle) * np.maximum(0.0, 1 - 1.0 / extent)
        cv2.fillConvexPoly(mask, np.round(hull * 16).astype(np.int32), 1, cv2.LINE_8, 4)
    return round(int(np.count_nonzero(mask)) / scale**2)


def _in_front(points: Matrix) -> Matrix:
    """Cut a convex piece at the near plane; return points in front and where lines cross the plane."""
    front = points[:, 2] > NEAR_PLANE_M
    if front.all() or not front.any():
        return points if front.all() else points[:0]
    a, b = points[front][:, None], points[~front][None]
    f = (a[..., 2:] - NEAR_PLANE_M) / (a[..., 2:] - b[..., 2:])
    cut = (a + (b - a) * f).reshape(-1, 3)
    return np.concatenate([points[front], cut])


def _centres(world: World, camera_from_world: Matrix) -> Matrix:
    """Return the centres [objects, 3] of the boxes around the objects, camera frame, m."""
    bodies = np.array([o.body for o in world.objects], int)
    up = world.data.xmat[bodies].reshape(-1, 3, 3)[:, :, 2]
    heights = np.array([o.figure.size_m[2] for o in world.objects])
    return transform_points(camera_from_world, world.data.xpos[bodies] + up * heights[:, None] / 2)
