"""Textures: noise, walls with windows, and the sky. Images are uint8 RGB arrays, row 0 at the top."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from perception.simulation.objects.shapes import Vec3

Image = NDArray[np.uint8]
Plane = NDArray[np.float32]


def smooth_noise(rng: np.random.Generator, shape: tuple[int, int], cell_px: float, octaves: int = 4) -> Plane:
    """Return noise of mean 0 and deviation 1: a sum of random grids, each twice as fine as the last."""
    total = np.zeros(shape, np.float32)
    for k in range(octaves):
        rows, cols = (max(2, int(n / cell_px * 2**k) + 2) for n in shape)
        grid = rng.standard_normal((min(rows, shape[0]), min(cols, shape[1])), dtype=np.float32)
        total += cv2.resize(grid, (shape[1], shape[0]), interpolation=cv2.INTER_CUBIC) * (0.6**k)
    return np.asarray((total - total.mean()) / (total.std() + 1e-6), np.float32)


def facade(rng: np.random.Generator, surface: str, tint: Vec3, size: int = 256) -> Image:
    """Return one bay of a wall, 3 m wide and 3 m high, which repeats."""
    shape = (size, size)
    value = 1.0 + 0.05 * _tiled(rng, shape, 40) + 0.03 * rng.standard_normal(shape, dtype=np.float32)
    image = np.asarray(tint, np.float32) * value[..., None]
    if "brick" in surface:
        image = _bricks(rng, image, size)
    elif surface == "stone":
        image = _bricks(rng, image, size, rows=7, per_row=4)
    elif surface in ("metal", "container"):
        ribs = 12 if surface == "container" else 18
        wave = 0.5 + 0.5 * np.sin(np.arange(size) / size * 2 * np.pi * ribs)
        image *= (0.78 + 0.32 * wave).astype(np.float32)[None, :, None]
        if surface == "container":
            rust = np.clip(_tiled(rng, shape, 30) - 1.2, 0, 1)[..., None]
            image = image * (1 - rust) + rust * np.array([0.35, 0.2, 0.12], np.float32)
    elif "concrete" in surface:
        image[:: size // 2] *= 0.75
        image[:, :: size // 2] *= 0.75
    if surface in ("brick", "plaster", "stone") or (surface in ("metal", "concrete") and rng.random() < 0.5):
        _window(rng, image, size)
    return np.asarray(np.clip(image, 0, 1) * 255, np.uint8)


def sky_faces(rng: np.random.Generator, zenith: Vec3, horizon: Vec3, cover: float, size: int = 128) -> Image:
    """Return the faces of a sky [6, size, size, 3] in MuJoCo's order: right, left, up, down, front, back.

    `cover` is the cloud cover, 0 to 1.
    """
    noise_map = smooth_noise(rng, (192, 384), 70, 4)
    ramp = np.linspace(0, 1, 64)  # joins the left edge to the right one
    noise_map[:, :64] = noise_map[:, :64] * ramp + noise_map[:, ::-1][:, :64] * np.linspace(1, 0, 64)
    a = (np.arange(size) + 0.5) / size * 2 - 1
    u, v = np.meshgrid(a, -a)  # u to the right, v upwards on each face
    one = np.ones_like(u)
    # World directions (x, y, z) of each face's pixels; a cube map is seen from inside.
    faces = [(one, -u, v), (-one, u, v), (v * 0 + u, -v, one), (u, v, -one), (u, one, v), (-u, -one, v)]
    images = []
    for x, y, z in faces:
        norm = np.sqrt(x * x + y * y + z * z)
        up = np.clip(z / norm, 0, 1)
        base = np.asarray(horizon) + (np.asarray(zenith) - np.asarray(horizon)) * (up**0.55)[..., None]
        column = ((np.arctan2(y, x) / (2 * np.pi) + 0.5) * 383).astype(np.float32)
        row = ((1 - up) * 191).astype(np.float32)
        clouds = cv2.remap(noise_map, column, row, cv2.INTER_LINEAR)
        white = np.clip((clouds - (1.2 - 2.2 * cover)) * 0.6, 0, 1) * np.clip(up * 5, 0, 1) * 0.75
        bright = np.mean(horizon) * np.array([1.0, 1.0, 1.02])
        images.append(np.clip(base * (1 - white[..., None]) + bright * white[..., None], 0, 1))
    return np.asarray(np.stack(images) * 255, np.uint8)


def _tiled(rng: np.random.Generator, shape: tuple[int, int], cell: float) -> Plane:
    """Return noise whose opposite edges match."""
    plane = smooth_noise(rng, shape, cell, 3)
    rolled = np.roll(plane, (shape[0] // 2, shape[1] // 2), (0, 1))
    ramp = [np.abs(np.linspace(-1, 1, n, dtype=np.float32)) for n in shape]
    weight = np.maximum(ramp[0][:, None], ramp[1][None, :]) ** 2
    return np.asarray(plane * (1 - weight) + rolled * weight, np.float32)


def _bricks(rng: np.random.Generator, image: Plane, size: int, rows: int = 24, per_row: int = 8) -> Plane:
    height, width = size / rows, size / per_row
    y, x = np.mgrid[0:size, 0:size]
    row = (y / height).astype(int)
    shifted = (x + (row % 2) * width / 2) % size
    column = (shifted / width).astype(int)
    tones = rng.normal(1.0, 0.10, (rows, per_row))
    joint = ((y % height) < max(1, height * 0.12)) | ((shifted % width) < max(1, width * 0.05))
    image = image * tones[row % rows, column % per_row][..., None].astype(np.float32)
    image[joint] = image[joint] * 0.4 + 0.35
    return np.asarray(image, np.float32)


def _window(rng: np.random.Generator, image: Plane, size: int) -> None:
    width, height = (int(size * float(v)) for v in rng.uniform((0.28, 0.34), (0.55, 0.55)))
    x, y = (size - width) // 2, int(size * 0.28)
    frame = rng.uniform(0.3, 0.95)
    glass = np.array([0.16, 0.20, 0.25], np.float32) * rng.uniform(0.6, 1.6)
    image[y - 6 : y + height + 6, x - 6 : x + width + 6] = frame
    ramp = np.linspace(1.5, 0.7, height, dtype=np.float32)[:, None, None]
    image[y : y + height, x : x + width] = glass * ramp
    image[y : y + height, x + width // 2 - 3 : x + width // 2 + 3] = frame
    if rng.random() < 0.5:
        image[y + height // 3 - 3 : y + height // 3 + 3, x : x + width] = frame
    image[y + height + 6 : y + height + 14, x - 12 : x + width + 12] *= 0.8  # sill
