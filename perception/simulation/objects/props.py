"""Cones and barrels, and scenery without a class: crates, trees, lamps, bins, rocks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from perception.simulation.objects.colours import CLOTHES, METAL, PAINT, grey, hsv, palette, pick, shade
from perception.simulation.objects.shapes import (
    Figure,
    Finish,
    Solid,
    Vec3,
    ball,
    bar,
    box,
    frustum,
    hull,
    rod,
    turned_figure,
)
from perception.simulation.random_draws import pick_one, uniforms

_ON_SIDE = (float(np.sqrt(0.5)), 0.0, float(np.sqrt(0.5)), 0.0)  # a quarter turn about y: z goes to x
TRUNKS = palette("25 18 12   35 30 25")
CRATES = palette("55 40 24   45 33 22   30 38 30")
PALLETS = palette("60 46 30   50 40 30")
BINS = palette("15 35 18   20 20 22   15 25 45")
BOLLARDS = palette("30 30 30   75 70 60   80 65 10")
SIGNS = palette("10 25 60   75 8 8   90 90 90   10 45 20")


def cone(rng: np.random.Generator) -> Figure:
    """Return a traffic cone of 0.45 to 1 m; one in twelve has fallen over."""
    height = rng.uniform(0.45, 1.0)
    radius = height * rng.uniform(0.19, 0.26)
    hue = pick_one(rng, (0.035, 0.05, 0.02, 0.16, 0.25), (0.4, 0.25, 0.15, 0.12, 0.08))
    colour = hsv(hue + rng.normal(0, 0.008), *uniforms(rng, (0.85, 1.0), (0.75, 1.0)))
    foot = shade(colour, 0.75) if rng.random() < 0.5 else grey(0.08)
    side, thick, top = radius * 2.5, 0.045, radius * 0.16

    def radius_at(z: float) -> float:
        return radius + (top - radius) * (z - thick) / (height - thick)

    parts = [box((0, 0, thick / 2), (side, side, thick), foot), frustum(thick, radius, height, top, colour)]
    for k in range(int(rng.integers(0, 3))):  # reflective bands
        z0 = height * (0.40 + 0.27 * k)
        z1 = z0 + height * 0.15
        parts.append(frustum(z0, radius_at(z0) + 0.006, z1, radius_at(z1) + 0.006, grey(0.92), "satin"))
    figure = Figure("cone", tuple(parts), (side, side, height))
    if rng.random() < 1 / 12:
        return turned_figure(figure, _ON_SIDE, side / 2 * 0.98, (height, side, side))
    return figure


def plain_cone(rng: np.random.Generator) -> Figure:
    """Return a cone of 0.2 to 1 m of one colour, foot and all, with a hole in its top (as in halls)."""
    height = rng.uniform(0.2, 1.0)
    radius, edge, top = (height * share for share in uniforms(rng, (0.2, 0.32), (0.04, 0.12), (0.04, 0.1)))
    hue = pick_one(rng, (0.125, 0.05, 0.0, 0.6, 0.35), (0.45, 0.25, 0.12, 0.1, 0.08))
    colour = hsv(hue + rng.normal(0, 0.012), *uniforms(rng, (0.75, 1.0), (0.6, 1.0)))
    foot = shade(colour, rng.uniform(0.85, 1.0))
    finish: Finish = pick_one(rng, ("matte", "satin", "gloss"), (0.3, 0.4, 0.3))
    half, inner = radius * rng.uniform(1.05, 1.3), rng.uniform(0.8, 0.95)
    corners = [(x, y) for x in (-half, half) for y in (-half, half)]
    slab: list[Vec3] = [(x, y, 0.0) for x, y in corners]
    slab += [(x * inner, y * inner, edge) for x, y in corners]
    parts = [
        hull(slab, foot, finish),
        frustum(edge, radius, edge + 0.03 * height, radius * 0.92, foot, finish),
        frustum(edge + 0.03 * height, radius * 0.88, height, top, colour, finish),
        _column(height * 0.999, height * 1.001, top * rng.uniform(0.5, 0.85), grey(0.04)),
    ]
    return Figure("cone", tuple(parts), (2 * half, 2 * half, height))


def barrel(rng: np.random.Generator) -> Figure:
    """Return a steel drum or a traffic drum of 0.65 to 1.15 m; some steel drums lie on their side."""
    if rng.random() < 0.45:
        return _traffic_drum(rng)
    height, radius = uniforms(rng, (0.65, 1.0), (0.23, 0.33))
    colour = pick(rng, METAL)
    parts = [_column(0, height, radius, colour, "satin")]
    hoops, hoop_colour = (0.02, height * 0.35, height * 0.67, height - 0.02), shade(colour, 0.8)
    parts += [_column(z - 0.018, z + 0.018, radius + 0.013, hoop_colour, "satin") for z in hoops]
    parts.append(rod((radius * 0.5, 0, height), (radius * 0.5, 0, height + 0.02), 0.035, grey(0.2)))
    if rng.random() < 0.5:  # a painted band
        parts.append(_column(height * 0.40, height * 0.60, radius + 0.004, shade(pick(rng, PAINT), 1.1)))
    figure = Figure("barrel", tuple(parts), (2 * radius, 2 * radius, height))
    if rng.random() < 0.15:
        return turned_figure(figure, _ON_SIDE, radius + 0.013, (height, 2 * radius, 2 * radius))
    return figure


def _traffic_drum(rng: np.random.Generator) -> Figure:
    height, radius = uniforms(rng, (0.8, 1.15), (0.22, 0.30))
    colour = hsv(rng.uniform(0.02, 0.07), 0.95, rng.uniform(0.8, 1.0))
    parts = [Solid("cylinder", (radius * 1.35, 0.04), (0, 0, 0.04), grey(0.07))]
    edges = [float(z) for z in np.linspace(0.08, height, 6)]
    for k in range(5):
        tint = (0.93, 0.93, 0.92) if k % 2 else colour
        parts.append(_column(edges[k], edges[k + 1], radius * (1.0 - 0.05 * k), tint, "satin"))
    parts.append(box((0, 0, height + 0.03), (radius, 0.05, 0.06), shade(colour, 0.7)))
    return Figure("barrel", tuple(parts), (2 * radius * 1.35, 2 * radius * 1.35, height + 0.06))


def scenery(rng: np.random.Generator, street: bool) -> Figure:
    """Return an object without a class, as streets or yards have them."""
    makers = (_crate, _pallet, _bin, _rock, _bush, _bollard, _tyres, _sign)
    weights = np.array([1, 0.5, 3, 0.5, 2, 3, 0.3, 2.0] if street else [2, 2, 1, 1.5, 2, 1, 1.5, 1.0])
    return pick_one(rng, makers, list(weights / weights.sum()))(rng)


THING = "thing"
"""The label of what has no class: the world tells the pixels of labelled objects alone."""


def thing(rng: np.random.Generator) -> Figure:
    """Return an object without a class: one of a yard, or a box, ball, roll or heap of them in any colour."""
    if rng.random() < 0.4:
        return replace(scenery(rng, street=rng.random() < 0.5), label=THING)
    parts = []
    for k in range(int(rng.integers(1, 4))):
        half_x, half_y, half_z = uniforms(rng, *[(0.08, 0.3)] * 3)
        x, y = uniforms(rng, (-0.2, 0.2), (-0.2, 0.2))
        at: Vec3 = (x, y, half_z + 0.2 * k)
        colour, yaw = hsv(*uniforms(rng, (0, 1), (0.2, 1), (0.1, 1))), rng.uniform(0, np.pi)
        shapes = (
            box(at, (2 * half_x, 2 * half_y, 2 * half_z), colour, "satin", yaw=yaw),
            ball(at, (half_x, half_y, half_z), colour, "satin"),
            rod(at, (x + half_x, y + half_y, at[2]), half_z, colour, "satin"),
        )
        parts.append(pick_one(rng, shapes, (0.5, 0.25, 0.25)))
    return Figure(THING, tuple(parts), (1.0, 1.0, 1.0))


def tree(rng: np.random.Generator) -> Figure:
    """Return a tree of 3.5 to 8 m."""
    height = rng.uniform(3.5, 8.0)
    trunk = height * rng.uniform(0.3, 0.45)
    leaf = hsv(*uniforms(rng, (0.2, 0.36), (0.4, 0.75), (0.2, 0.45)))
    parts = [rod((0, 0, 0), (0.1, 0, trunk * 1.2), height * 0.022 + 0.04, pick(rng, TRUNKS))]
    spread = height * rng.uniform(0.16, 0.26)
    for _ in range(int(rng.integers(4, 8))):
        x, y = rng.normal(0, spread * 0.5, 2)
        z = rng.uniform(trunk + spread * 0.5, height - spread * 0.4)
        half = spread * rng.uniform(0.5, 0.9)
        colour = shade(leaf, rng.uniform(0.75, 1.25))
        parts.append(ball((float(x), float(y), z), (half, half, half * 0.8), colour))
    return Figure("", tuple(parts), (spread, spread, height))


def lamp_post(rng: np.random.Generator) -> Figure:
    """Return a street lamp."""
    height, level = uniforms(rng, (3.8, 6.0), (0.15, 0.5))
    tint = grey(level)
    parts = [
        _column(0, height, 0.06, tint),
        _column(0, 0.5, 0.10, tint),
        bar((0, 0, height), (0.9, 0, height + 0.1), 0.035, tint),
        box((0.95, 0, height + 0.08), (0.5, 0.2, 0.1), (0.9, 0.88, 0.75), "glow"),
    ]
    return Figure("", tuple(parts), (0.3, 0.3, height))


def _crate(rng: np.random.Generator) -> Figure:
    x, y, z = uniforms(rng, *[(0.4, 1.3)] * 3)
    wood = pick(rng, CRATES)
    parts = [box((0, 0, z / 2), (x, y, z), wood)]
    planks = (0.06 * z, 0.5 * z, 0.94 * z)
    parts += [box((0, 0, at), (x + 0.03, y + 0.03, 0.07), shade(wood, 0.8)) for at in planks]
    return Figure("", tuple(parts), (x, y, z))


def _pallet(rng: np.random.Generator) -> Figure:
    layers, wood = int(rng.integers(1, 6)), pick(rng, PALLETS)
    parts = []
    for k in range(layers):
        board = shade(wood, rng.uniform(0.85, 1.1))
        parts.append(box((0, 0, 0.15 * k + 0.12), (1.2, 0.8, 0.04), board))
        blocks = [(0, y, 0.15 * k + 0.05) for y in (-0.35, 0.0, 0.35)]
        parts += [box(pos, (1.2, 0.1, 0.10), shade(wood, 0.7)) for pos in blocks]
    height = 0.15 * layers
    if rng.random() < 0.5:
        load, top = pick(rng, CLOTHES), rng.uniform(0.3, 0.9)
        parts.append(box((0, 0, height + top / 2), (1.1, 0.72, top), load))
        height += top
    return Figure("", tuple(parts), (1.2, 0.8, height))


def _bin(rng: np.random.Generator) -> Figure:
    tint = pick(rng, BINS)
    height, width = uniforms(rng, (0.9, 1.25), (0.5, 1.1))
    half, corners = width / 2, [(-1, -1), (-1, 1), (1, -1), (1, 1)]
    bottom = [(sx * 0.28, sy * (half - 0.04), 0.1) for sx, sy in corners]
    top = [(sx * (0.28 + 0.05), sy * (half - 0.04 + 0.04), 0.1 + (height - 0.2)) for sx, sy in corners]
    parts = [
        hull(bottom + top, tint),
        box((0, 0, height - 0.05), (0.72, width + 0.06, 0.08), shade(tint, 0.8)),
        rod((-0.25, half, 0.09), (-0.25, -half, 0.09), 0.09, grey(0.05)),
    ]
    return Figure("", tuple(parts), (0.72, width, height))


def _rock(rng: np.random.Generator) -> Figure:
    size = rng.uniform(0.3, 1.1)
    points = rng.normal(0, 1, (22, 3))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    points *= rng.uniform(0.75, 1.0, (22, 1)) * (size / 2, size / 2 * 0.8, size * 0.36)
    points[:, 2] += size * 0.22
    level = rng.uniform(0.3, 0.6)
    rock = hull([(float(x), float(y), float(z)) for x, y, z in points], (level, level * 0.97, level * 0.9))
    return Figure("", (rock,), (size, size, size * 0.5))


def _bush(rng: np.random.Generator) -> Figure:
    leaf = hsv(*uniforms(rng, (0.18, 0.36), (0.4, 0.7), (0.2, 0.45)))
    size = rng.uniform(0.6, 1.5)
    parts = []
    for _ in range(int(rng.integers(3, 7))):
        x, y = rng.normal(0, size * 0.25, 2)
        half = size * rng.uniform(0.25, 0.42)
        colour = shade(leaf, rng.uniform(0.7, 1.3))
        parts.append(ball((float(x), float(y), half * 0.75), (half, half, half * 0.85), colour))
    return Figure("", tuple(parts), (size, size, size * 0.6))


def _bollard(rng: np.random.Generator) -> Figure:
    height, tint = rng.uniform(0.6, 1.0), pick(rng, BOLLARDS)
    parts = [
        _column(0, height, 0.08, tint),
        ball((0, 0, height), (0.08, 0.08, 0.05), tint),
        _column(height * 0.75, height * 0.87, 0.085, grey(0.9)),
    ]
    return Figure("", tuple(parts), (0.17, 0.17, height))


def _tyres(rng: np.random.Generator) -> Figure:
    count, radius = int(rng.integers(1, 6)), rng.uniform(0.28, 0.45)
    parts = []
    for k in range(count):
        low, high = rng.normal(0, 0.02, 2)
        parts.append(rod((low, 0, 0.21 * k), (high, 0, 0.21 * k + 0.2), radius, (0.07, 0.07, 0.075)))
    parts.append(_column(0.2 * count, 0.21 * count + 0.002, radius * 0.55, grey(0.2)))
    return Figure("", tuple(parts), (2 * radius, 2 * radius, 0.21 * count))


def _sign(rng: np.random.Generator) -> Figure:
    height = rng.uniform(1.8, 2.6)
    plate, white, z = pick(rng, SIGNS), grey(0.92), height - 0.3
    parts = [_column(0, height, 0.035, (0.5, 0.5, 0.52))]
    if rng.random() < 0.5:
        parts.append(rod((0.04, 0, z), (0.06, 0, z), 0.3, plate))
        parts.append(rod((0.06, 0, z), (0.065, 0, z), 0.22, white))
    else:
        parts.append(box((0.05, 0, z), (0.03, 0.6, 0.45), plate))
        parts.append(box((0.068, 0, z), (0.006, 0.5, 0.12), white))
    return Figure("", tuple(parts), (0.2, 0.6, height))


def _column(z0: float, z1: float, radius: float, rgb: Vec3, finish: Finish = "matte") -> Solid:
    """Return an upright cylinder about the figure's z axis."""
    return rod((0, 0, z0), (0, 0, z1), radius, rgb, finish)
