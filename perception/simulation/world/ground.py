"""The painted ground: surfaces, wear, stains, and the lines that tell the robot where to go."""

from __future__ import annotations

import cv2
import numpy as np

from perception.simulation.objects.shapes import Vec3
from perception.simulation.scenario import stream
from perception.simulation.world.paths import STEP_M, Path
from perception.simulation.world.scene import Scene
from perception.simulation.world.textures import Image, Plane, clouds

BASES: dict[str, tuple[Vec3, ...]] = {
    "yard": ((0.50, 0.49, 0.47), (0.42, 0.40, 0.36), (0.52, 0.45, 0.36), (0.34, 0.34, 0.35)),
    "street": ((0.55, 0.54, 0.52), (0.48, 0.46, 0.44), (0.40, 0.44, 0.30)),
}
ROADS: tuple[Vec3, ...] = ((0.24, 0.24, 0.25), (0.30, 0.30, 0.30), (0.36, 0.35, 0.34), (0.20, 0.21, 0.22))


class _Canvas:
    """A painting of the ground; metres in, pixels out. Row 0 is the largest y."""

    def __init__(self, scene: Scene, largest_px: int) -> None:
        self.x0, x1, y0, self.y1 = scene.bounds
        self.px_per_m = min(40.0, largest_px / max(x1 - self.x0, self.y1 - y0))
        self.shape = (int((self.y1 - y0) * self.px_per_m), int((x1 - self.x0) * self.px_per_m))
        self.image = np.zeros((*self.shape, 3), np.float32)

    def pixels(self, points: np.ndarray) -> np.ndarray:
        """[N, 2] metres as fixed-point pixels with 4 fractional bits, as OpenCV draws them."""
        xy = np.stack([points[:, 0] - self.x0, self.y1 - points[:, 1]], axis=1) * self.px_per_m
        return np.round(xy * 16).astype(np.int32)

    def stroke(self, mask: Plane | Image, points: np.ndarray, width_m: float) -> None:
        """Draws a line into a mask."""
        width = max(1, round(width_m * self.px_per_m))
        # Lines are smoothed only in 8 bits; they are seen close by, where steps would show.
        smooth = mask.dtype == np.uint8
        cv2.polylines(
            mask,
            [self.pixels(points)],
            False,
            255 if smooth else 1.0,
            width,
            cv2.LINE_AA if smooth else cv2.LINE_8,
            4,
        )

    def blend(self, mask: Plane | Image, colour: Vec3, alpha: float | Plane = 1.0) -> None:
        """Lays a colour over the painting where the mask says so."""
        if mask.dtype == np.uint8:
            mask = mask.astype(np.float32) * np.float32(1 / 255)
        rows, columns = np.nonzero(mask.any(axis=1))[0], np.nonzero(mask.any(axis=0))[0]
        if not len(rows):
            return
        window = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        weight = mask[window] * (alpha[window] if isinstance(alpha, np.ndarray) else np.float32(alpha))
        part = self.image[window]
        for k in range(3):  # channel by channel: a broadcast over the last axis is several times slower
            part[..., k] += weight * (np.float32(colour[k]) - part[..., k])


def paint_ground(scene: Scene, largest_px: int = 4096) -> Image:
    """The ground's texture [H, W, 3], covering `scene.bounds`."""
    if scene.mirror:
        return np.ascontiguousarray(paint_ground(scene.mirrored(), largest_px)[::-1])
    rng = stream(scene.seed, "ground")
    canvas = _Canvas(scene, largest_px)
    fine, coarse = clouds(rng, canvas.shape, 24, 3), clouds(rng, canvas.shape, 400, 4)
    grain = cv2.resize(
        rng.standard_normal((canvas.shape[0] // 2 + 1, canvas.shape[1] // 2 + 1), dtype=np.float32),
        canvas.shape[::-1],
        interpolation=cv2.INTER_NEAREST,
    )
    base = BASES[scene.place][int(rng.integers(len(BASES[scene.place])))]
    canvas.image[:] = base
    _patches(rng, canvas, coarse, scene.place)
    _roads(rng, canvas, scene)
    uneven = 1 + 0.05 * fine + 0.06 * coarse + 0.07 * grain
    for k in range(3):
        canvas.image[..., k] *= uneven
    _stains(rng, canvas, scene)
    _cracks(rng, canvas, scene)
    _markings(rng, canvas, scene)
    _ways(canvas, scene, fine)
    np.clip(canvas.image, 0, 1, out=canvas.image)
    canvas.image *= 255
    return canvas.image.astype(np.uint8)


def _patches(rng: np.random.Generator, canvas: _Canvas, coarse: Plane, place: str) -> None:
    grass = (float(rng.uniform(0.18, 0.32)), float(rng.uniform(0.28, 0.40)), float(rng.uniform(0.12, 0.20)))
    threshold = float(rng.uniform(0.6, 1.8))
    canvas.blend(np.asarray(np.clip((coarse - threshold) * 3, 0, 1), np.float32), grass)
    dirt = (0.40, 0.33, 0.25)
    bare = np.clip((-coarse - float(rng.uniform(0.8, 2.0))) * 3, 0, 1)
    canvas.blend(np.asarray(bare, np.float32), dirt)
    if place == "yard" and rng.random() < 0.6:  # slabs
        step = int(float(rng.uniform(2.5, 5.0)) * canvas.px_per_m)
        canvas.image[::step] *= 0.7
        canvas.image[:, ::step] *= 0.7
        canvas.image[1::step] *= 0.8


def _roads(rng: np.random.Generator, canvas: _Canvas, scene: Scene) -> None:
    road = ROADS[int(rng.integers(len(ROADS)))]
    if scene.place == "street":
        width = float(rng.uniform(4.5, 7.0))
        kerb = np.zeros(canvas.shape, np.uint8)
        for path in (scene.route, *scene.branches):
            canvas.stroke(kerb, path.points, width + 0.3)
        canvas.blend(kerb, (0.62, 0.61, 0.59))
        inner = np.zeros(canvas.shape, np.uint8)
        for path in (scene.route, *scene.branches):
            canvas.stroke(inner, path.points, width)
        canvas.blend(inner, road)
    elif rng.random() < 0.6:
        track = np.zeros(canvas.shape, np.uint8)
        for path in (scene.route, *scene.branches):
            canvas.stroke(track, path.points, float(rng.uniform(2.5, 4.0)))
        soft = np.asarray(cv2.GaussianBlur(track, (0, 0), 12), np.uint8)
        canvas.blend(soft, road, float(rng.uniform(0.2, 0.7)))


def _stains(rng: np.random.Generator, canvas: _Canvas, scene: Scene) -> None:
    mask = np.zeros(canvas.shape, np.float32)
    for _ in range(int(scene.route.length_m * 0.5)):
        x, y, heading = scene.route.at(float(rng.uniform(0, scene.route.length_m)))
        x, y = x + float(rng.normal(0, 4)), y + float(rng.normal(0, 4))
        centre = canvas.pixels(np.array([[x, y]]))[0]
        axes = (rng.uniform(0.1, 0.9, 2) * canvas.px_per_m * 16).astype(int)
        cv2.ellipse(
            mask,
            tuple(int(v) for v in centre),
            tuple(int(v) for v in axes),
            float(np.rad2deg(heading)),
            0,
            360,
            float(rng.uniform(0.1, 0.5)),
            -1,
            cv2.LINE_8,
            4,
        )
    canvas.blend(np.asarray(cv2.GaussianBlur(mask, (0, 0), 4), np.float32), (0.10, 0.10, 0.11))


def _cracks(rng: np.random.Generator, canvas: _Canvas, scene: Scene) -> None:
    mask = np.zeros(canvas.shape, np.uint8)
    for _ in range(int(scene.route.length_m * 0.4)):
        x, y, _ = scene.route.at(float(rng.uniform(0, scene.route.length_m)))
        steps = np.cumsum(rng.normal(0, 0.15, (int(rng.integers(8, 40)), 2)) + rng.normal(0, 0.12, 2), axis=0)
        canvas.stroke(mask, steps + np.array([x, y]) + rng.normal(0, 4, 2), 0.02)
    canvas.blend(mask, (0.12, 0.12, 0.12), float(rng.uniform(0.2, 0.7)))


def _markings(rng: np.random.Generator, canvas: _Canvas, scene: Scene) -> None:
    """Paint that means nothing to the robot: parking bays, manholes, a zebra crossing or two."""
    mask = np.zeros(canvas.shape, np.uint8)
    for _ in range(int(scene.route.length_m / 25)):
        x, y, heading = scene.route.at(float(rng.uniform(5, scene.route.length_m)))
        side = float(rng.choice([-1, 1]))
        along, left = (
            np.array([np.cos(heading), np.sin(heading)]),
            side * np.array([-np.sin(heading), np.cos(heading)]),
        )
        corner = np.array([x, y]) + left * float(rng.uniform(2.0, 3.5))
        for k in range(int(rng.integers(2, 6))):
            canvas.stroke(
                mask, np.stack([corner + along * 2.5 * k, corner + along * 2.5 * k + left * 4.5]), 0.1
            )
    for _ in range(int(scene.route.length_m / 40)):
        x, y, heading = scene.route.at(float(rng.uniform(8, scene.route.length_m)))
        along, left = (
            np.array([np.cos(heading), np.sin(heading)]),
            np.array([-np.sin(heading), np.cos(heading)]),
        )
        for across in np.arange(-2.25, 2.5, 0.9):
            canvas.stroke(mask, np.array([x, y]) + left * across + np.outer([-1.3, 1.3], along), 0.4)
    canvas.blend(mask, (0.8, 0.8, 0.78), float(rng.uniform(0.3, 0.8)))


def _ways(canvas: _Canvas, scene: Scene, fine: Plane) -> None:
    """The lines to follow, the robot's own last, so that it lies above the others where they part."""
    paint = scene.paint
    kept = np.clip(1.3 - paint.wear - 0.35 * paint.wear * fine, 0.12, 1.0)
    for k, branch in enumerate(scene.branches):
        mask = np.zeros(canvas.shape, np.uint8)
        _line(canvas, mask, branch, scene)
        canvas.blend(mask, paint.others[k % len(paint.others)], kept)
    mask = np.zeros(canvas.shape, np.uint8)
    _line(canvas, mask, scene.route, scene)
    canvas.blend(mask, paint.route, kept)


def _line(canvas: _Canvas, mask: Image, path: Path, scene: Scene) -> None:
    dash = scene.paint.dash_m
    if dash == 0:
        canvas.stroke(mask, path.points, scene.paint.width_m)
        return
    step, gap = max(1, int(dash / STEP_M)), max(1, int(dash * 0.7 / STEP_M))
    for start in range(0, len(path.points) - 1, step + gap):
        piece = path.points[start : start + step + 1]
        if len(piece) > 1:
            canvas.stroke(mask, piece, scene.paint.width_m)
