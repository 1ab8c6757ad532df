"""The painted ground: surfaces, wear, stains, markings, and the lines of the route and its branches."""

from __future__ import annotations

import cv2
import numpy as np

from perception.simulation.objects.colours import grey, palette
from perception.simulation.objects.shapes import Vec3
from perception.simulation.random_draws import random_stream, side, uniforms
from perception.simulation.world.paths import STEP_M, Path
from perception.simulation.world.scene import Scene
from perception.simulation.world.textures import Image, Plane, smooth_noise

BASES = {
    "yard": palette("50 49 47   42 40 36   52 45 36   34 34 35"),
    "street": palette("55 54 52   48 46 44   40 44 30"),
}
ROADS = palette("24 24 25   30 30 30   36 35 34   20 21 22")


class _Canvas:
    """An image of the ground that is painted in metres. Row 0 is the largest y."""

    def __init__(self, scene: Scene, largest_px: int) -> None:
        self.x0, x1, y0, self.y1 = scene.bounds
        self.px_per_m = min(40.0, largest_px / max(x1 - self.x0, self.y1 - y0))
        self.shape = (int((self.y1 - y0) * self.px_per_m), int((x1 - self.x0) * self.px_per_m))
        self.image = np.zeros((*self.shape, 3), np.float32)

    def mask(self) -> Image:
        """Return an empty mask of 8 bits."""
        return np.zeros(self.shape, np.uint8)

    def pixels(self, points: np.ndarray) -> np.ndarray:
        """Return points [N, 2] in m as fixed-point pixels with 4 fractional bits, as OpenCV draws them."""
        xy = np.stack([points[:, 0] - self.x0, self.y1 - points[:, 1]], axis=1) * self.px_per_m
        return np.round(xy * 16).astype(np.int32)

    def stroke(self, mask: Image, points: np.ndarray, width_m: float) -> None:
        """Draw an antialiased line through points [N, 2] in m into a mask."""
        width = max(1, round(width_m * self.px_per_m))
        cv2.polylines(mask, [self.pixels(points)], False, 255, width, cv2.LINE_AA, 4)

    def blend(self, mask: Plane | Image, colour: Vec3, alpha: float | Plane = 1.0) -> None:
        """Blend a colour into the image with a weight of mask (0 to 1, or 0 to 255 in 8 bits) times alpha."""
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
    """Return the texture of the ground [H, W, 3], which covers `scene.bounds`."""
    if scene.mirror:
        return np.ascontiguousarray(paint_ground(scene.mirrored(), largest_px)[::-1])
    rng = random_stream(scene.seed, "ground")
    canvas = _Canvas(scene, largest_px)
    fine, coarse = smooth_noise(rng, canvas.shape, 24, 3), smooth_noise(rng, canvas.shape, 400, 4)
    half = (canvas.shape[0] // 2 + 1, canvas.shape[1] // 2 + 1)
    coarse_grain = rng.standard_normal(half, dtype=np.float32)
    grain = cv2.resize(coarse_grain, canvas.shape[::-1], interpolation=cv2.INTER_NEAREST)
    canvas.image[:] = BASES[scene.place][int(rng.integers(len(BASES[scene.place])))]
    _paint_patches(rng, canvas, coarse, scene.place)
    _paint_roads(rng, canvas, scene)
    uneven = 1 + 0.05 * fine + 0.06 * coarse + 0.07 * grain
    for k in range(3):
        canvas.image[..., k] *= uneven
    _paint_stains(rng, canvas, scene.route)
    _paint_cracks(rng, canvas, scene.route)
    _paint_markings(rng, canvas, scene.route)
    _paint_lines(canvas, scene, fine)
    np.clip(canvas.image, 0, 1, out=canvas.image)
    canvas.image *= 255
    return canvas.image.astype(np.uint8)


def _paint_patches(rng: np.random.Generator, canvas: _Canvas, coarse: Plane, place: str) -> None:
    """Paint grass, bare earth and, in some yards, the joints of slabs."""
    red, green, blue, threshold = uniforms(rng, (0.18, 0.32), (0.28, 0.40), (0.12, 0.20), (0.6, 1.8))
    canvas.blend(np.asarray(np.clip((coarse - threshold) * 3, 0, 1), np.float32), (red, green, blue))
    earth = np.clip((-coarse - rng.uniform(0.8, 2.0)) * 3, 0, 1)
    canvas.blend(np.asarray(earth, np.float32), (0.40, 0.33, 0.25))
    if place == "yard" and rng.random() < 0.6:
        step = int(rng.uniform(2.5, 5.0) * canvas.px_per_m)
        canvas.image[::step] *= 0.7
        canvas.image[:, ::step] *= 0.7
        canvas.image[1::step] *= 0.8


def _paint_roads(rng: np.random.Generator, canvas: _Canvas, scene: Scene) -> None:
    """Paint a road with kerbs in a street, and worn tracks in some yards."""
    road, paths = ROADS[int(rng.integers(len(ROADS)))], (scene.route, *scene.branches)
    if scene.place == "street":
        width = rng.uniform(4.5, 7.0)
        for extra, colour in ((0.3, (0.62, 0.61, 0.59)), (0.0, road)):
            mask = canvas.mask()
            for path in paths:
                canvas.stroke(mask, path.points, width + extra)
            canvas.blend(mask, colour)
    elif rng.random() < 0.6:
        mask = canvas.mask()
        for path in paths:
            canvas.stroke(mask, path.points, rng.uniform(2.5, 4.0))
        soft = np.asarray(cv2.GaussianBlur(mask, (0, 0), 12), np.uint8)
        canvas.blend(soft, road, rng.uniform(0.2, 0.7))


def _paint_stains(rng: np.random.Generator, canvas: _Canvas, route: Path) -> None:
    mask = np.zeros(canvas.shape, np.float32)
    for _ in range(int(route.length_m * 0.5)):
        x, y, heading = route.at(rng.uniform(0, route.length_m))
        column, row = canvas.pixels(np.array([[x + rng.normal(0, 4), y + rng.normal(0, 4)]]))[0]
        width, height = (rng.uniform(0.1, 0.9, 2) * canvas.px_per_m * 16).astype(int)
        centre, axes = (int(column), int(row)), (int(width), int(height))
        angle, darkness = float(np.rad2deg(heading)), rng.uniform(0.1, 0.5)
        cv2.ellipse(mask, centre, axes, angle, 0, 360, darkness, -1, cv2.LINE_8, 4)
    canvas.blend(np.asarray(cv2.GaussianBlur(mask, (0, 0), 4), np.float32), (0.10, 0.10, 0.11))


def _paint_cracks(rng: np.random.Generator, canvas: _Canvas, route: Path) -> None:
    mask = canvas.mask()
    for _ in range(int(route.length_m * 0.4)):
        x, y, _ = route.at(rng.uniform(0, route.length_m))
        steps = np.cumsum(rng.normal(0, 0.15, (int(rng.integers(8, 40)), 2)) + rng.normal(0, 0.12, 2), axis=0)
        canvas.stroke(mask, steps + np.array([x, y]) + rng.normal(0, 4, 2), 0.02)
    canvas.blend(mask, grey(0.12), rng.uniform(0.2, 0.7))


def _paint_markings(rng: np.random.Generator, canvas: _Canvas, route: Path) -> None:
    """Paint parking bays and zebra crossings, which mean nothing to the robot."""
    mask = canvas.mask()
    for _ in range(int(route.length_m / 25)):
        centre, along, left = _frame_at(route, rng.uniform(5, route.length_m))
        left = side(rng) * left
        corner = centre + left * rng.uniform(2.0, 3.5)
        for k in range(int(rng.integers(2, 6))):
            start = corner + along * 2.5 * k
            canvas.stroke(mask, np.stack([start, start + left * 4.5]), 0.1)
    for _ in range(int(route.length_m / 40)):
        centre, along, left = _frame_at(route, rng.uniform(8, route.length_m))
        for across in np.arange(-2.25, 2.5, 0.9):
            canvas.stroke(mask, centre + left * across + np.outer([-1.3, 1.3], along), 0.4)
    canvas.blend(mask, (0.8, 0.8, 0.78), rng.uniform(0.3, 0.8))


def _frame_at(route: Path, station_m: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return a point of the route and the unit vectors along it and to its left, each [2]."""
    x, y, heading = route.at(station_m)
    c, s = np.cos(heading), np.sin(heading)
    return np.array([x, y]), np.array([c, s]), np.array([-s, c])


def _paint_lines(canvas: _Canvas, scene: Scene, fine: Plane) -> None:
    """Paint the lines of the branches, then that of the route, which lies above them where they fork."""
    paint = scene.paint
    remaining = np.clip(1.3 - paint.wear - 0.35 * paint.wear * fine, 0.12, 1.0)
    colours = [paint.branches[k % len(paint.branches)] for k in range(len(scene.branches))]
    for path, colour in zip((*scene.branches, scene.route), (*colours, paint.route), strict=True):
        mask = canvas.mask()
        dash, count = paint.dash_m, len(path.points)
        length, gap = max(1, int(dash / STEP_M)), max(1, int(dash * 0.7 / STEP_M))
        starts = range(0, count - 1, length + gap) if dash else (0,)
        for start in starts:
            dashed = path.points[start : start + length + 1] if dash else path.points
            canvas.stroke(mask, dashed, paint.width_m)
        canvas.blend(mask, colour, remaining)
