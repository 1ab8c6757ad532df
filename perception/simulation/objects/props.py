"""Cones and barrels, and the scenery that belongs to no class: crates, trees, lamps, bins, rocks."""

from __future__ import annotations

import numpy as np

from perception.simulation.objects.colours import CLOTHES, METAL, PAINT, hsv, pick, shade
from perception.simulation.objects.shapes import (
    Figure,
    Solid,
    ball,
    bar,
    box,
    frustum,
    hull,
    rod,
    turned_figure,
)

_ON_SIDE = (float(np.sqrt(0.5)), 0.0, float(np.sqrt(0.5)), 0.0)  # a quarter turn about y: z goes to x


def cone(rng: np.random.Generator) -> Figure:
    """A traffic cone of 0.45 to 1 m, one in twelve fallen over."""
    height = float(rng.uniform(0.45, 1.0))
    radius = height * float(rng.uniform(0.19, 0.26))
    hue = float(rng.choice([0.035, 0.05, 0.02, 0.16, 0.25], p=[0.4, 0.25, 0.15, 0.12, 0.08]))
    colour = hsv(
        hue + float(rng.normal(0, 0.008)), float(rng.uniform(0.85, 1.0)), float(rng.uniform(0.75, 1.0))
    )
    foot = shade(colour, 0.75) if rng.random() < 0.5 else (0.08, 0.08, 0.08)
    side, thick, top = radius * 2.5, 0.045, radius * 0.16

    def r(z: float) -> float:
        return radius + (top - radius) * (z - thick) / (height - thick)

    parts = [box((0, 0, thick / 2), (side, side, thick), foot), frustum(thick, radius, height, top, colour)]
    bands = int(rng.integers(0, 3))
    for k in range(bands):
        z0 = height * (0.40 + 0.27 * k)
        z1 = z0 + height * 0.15
        parts.append(frustum(z0, r(z0) + 0.006, z1, r(z1) + 0.006, (0.92, 0.92, 0.92), "satin"))
    figure = Figure("cone", tuple(parts), (side, side, height))
    if rng.random() < 1 / 12:
        return turned_figure(figure, _ON_SIDE, side / 2 * 0.98, (height, side, side))
    return figure


def barrel(rng: np.random.Generator) -> Figure:
    """A steel drum or a traffic drum of 0.65 to 1.15 m; some steel drums lie."""
    if rng.random() < 0.45:
        return _traffic_drum(rng)
    height, radius = float(rng.uniform(0.65, 1.0)), float(rng.uniform(0.23, 0.33))
    colour = pick(rng, METAL)
    parts: list[Solid] = [rod((0, 0, 0), (0, 0, height), radius, colour, "satin")]
    hoops = (0.02, height * 0.35, height * 0.67, height - 0.02)
    hoop = shade(colour, 0.8)
    parts += [rod((0, 0, z - 0.018), (0, 0, z + 0.018), radius + 0.013, hoop, "satin") for z in hoops]
    parts.append(rod((radius * 0.5, 0, height), (radius * 0.5, 0, height + 0.02), 0.035, (0.2, 0.2, 0.2)))
    if rng.random() < 0.5:
        parts.append(
            rod((0, 0, height * 0.40), (0, 0, height * 0.60), radius + 0.004, shade(pick(rng, PAINT), 1.1))
        )
    figure = Figure("barrel", tuple(parts), (2 * radius, 2 * radius, height))
    if rng.random() < 0.15:
        return turned_figure(figure, _ON_SIDE, radius + 0.013, (height, 2 * radius, 2 * radius))
    return figure


def _traffic_drum(rng: np.random.Generator) -> Figure:
    height, radius = float(rng.uniform(0.8, 1.15)), float(rng.uniform(0.22, 0.30))
    colour = hsv(float(rng.uniform(0.02, 0.07)), 0.95, float(rng.uniform(0.8, 1.0)))
    parts = [Solid("cylinder", (radius * 1.35, 0.04), (0, 0, 0.04), (0.07, 0.07, 0.07))]
    edges = np.linspace(0.08, height, 6)
    for k in range(5):
        shrink = 1.0 - 0.05 * k
        tint = (0.93, 0.93, 0.92) if k % 2 else colour
        parts.append(
            rod((0, 0, float(edges[k])), (0, 0, float(edges[k + 1])), radius * shrink, tint, "satin")
        )
    parts.append(box((0, 0, height + 0.03), (radius, 0.05, 0.06), shade(colour, 0.7)))
    return Figure("barrel", tuple(parts), (2 * radius * 1.35, 2 * radius * 1.35, height + 0.06))


def scenery(rng: np.random.Generator, street: bool) -> Figure:
    """Something that stands about."""
    makers = [_crate, _pallet, _bin, _rock, _bush, _bollard, _tyres, _sign]
    weights = (
        np.array([2, 2, 1, 1.5, 2, 1, 1.5, 1.0]) if not street else np.array([1, 0.5, 3, 0.5, 2, 3, 0.3, 2.0])
    )
    return makers[int(rng.choice(len(makers), p=weights / weights.sum()))](rng)


def tree(rng: np.random.Generator) -> Figure:
    """A tree of 3.5 to 8 m."""
    height = float(rng.uniform(3.5, 8.0))
    trunk = height * float(rng.uniform(0.3, 0.45))
    leaf = hsv(float(rng.uniform(0.2, 0.36)), float(rng.uniform(0.4, 0.75)), float(rng.uniform(0.2, 0.45)))
    parts = [
        rod(
            (0, 0, 0),
            (0.1, 0, trunk * 1.2),
            height * 0.022 + 0.04,
            pick(rng, ((0.25, 0.18, 0.12), (0.35, 0.3, 0.25))),
        )
    ]
    spread = height * float(rng.uniform(0.16, 0.26))
    for _ in range(int(rng.integers(4, 8))):
        x, y = rng.normal(0, spread * 0.5, 2)
        z = float(rng.uniform(trunk + spread * 0.5, height - spread * 0.4))
        half = spread * float(rng.uniform(0.5, 0.9))
        parts.append(
            ball(
                (float(x), float(y), z), (half, half, half * 0.8), shade(leaf, float(rng.uniform(0.75, 1.25)))
            )
        )
    return Figure("", tuple(parts), (spread, spread, height))


def lamp_post(rng: np.random.Generator) -> Figure:
    """A street lamp."""
    height, grey = float(rng.uniform(3.8, 6.0)), float(rng.uniform(0.15, 0.5))
    tint = (grey, grey, grey)
    parts = [
        rod((0, 0, 0), (0, 0, height), 0.06, tint),
        rod((0, 0, 0), (0, 0, 0.5), 0.10, tint),
        bar((0, 0, height), (0.9, 0, height + 0.1), 0.035, tint),
        box((0.95, 0, height + 0.08), (0.5, 0.2, 0.1), (0.9, 0.88, 0.75), "glow"),
    ]
    return Figure("", tuple(parts), (0.3, 0.3, height))


def _crate(rng: np.random.Generator) -> Figure:
    x, y, z = (float(v) for v in rng.uniform(0.4, 1.3, 3))
    wood = pick(rng, ((0.55, 0.40, 0.24), (0.45, 0.33, 0.22), (0.30, 0.38, 0.30)))
    parts = [box((0, 0, z / 2), (x, y, z), wood)]
    planks = (0.06 * z, 0.5 * z, 0.94 * z)
    parts += [box((0, 0, at), (x + 0.03, y + 0.03, 0.07), shade(wood, 0.8)) for at in planks]
    return Figure("", tuple(parts), (x, y, z))


def _pallet(rng: np.random.Generator) -> Figure:
    layers, wood = int(rng.integers(1, 6)), pick(rng, ((0.60, 0.46, 0.30), (0.5, 0.4, 0.3)))
    parts = []
    for k in range(layers):
        parts.append(
            box((0, 0, 0.15 * k + 0.12), (1.2, 0.8, 0.04), shade(wood, float(rng.uniform(0.85, 1.1))))
        )
        parts += [
            box((0, y, 0.15 * k + 0.05), (1.2, 0.1, 0.10), shade(wood, 0.7)) for y in (-0.35, 0.0, 0.35)
        ]
    height = 0.15 * layers
    if rng.random() < 0.5:
        load = pick(rng, CLOTHES)
        top = float(rng.uniform(0.3, 0.9))
        parts.append(box((0, 0, height + top / 2), (1.1, 0.72, top), load))
        height += top
    return Figure("", tuple(parts), (1.2, 0.8, height))


def _bin(rng: np.random.Generator) -> Figure:
    tint = pick(rng, ((0.15, 0.35, 0.18), (0.2, 0.2, 0.22), (0.15, 0.25, 0.45)))
    height, width = float(rng.uniform(0.9, 1.25)), float(rng.uniform(0.5, 1.1))
    parts = [
        hull(
            [
                (sx * (0.28 + 0.05 * k), sy * (width / 2 - 0.04 + 0.04 * k), 0.1 + k * (height - 0.2))
                for k in (0, 1)
                for sx in (-1, 1)
                for sy in (-1, 1)
            ],
            tint,
        ),
        box((0, 0, height - 0.05), (0.72, width + 0.06, 0.08), shade(tint, 0.8)),
        rod((-0.25, width / 2, 0.09), (-0.25, -width / 2, 0.09), 0.09, (0.05, 0.05, 0.05)),
    ]
    return Figure("", tuple(parts), (0.72, width, height))


def _rock(rng: np.random.Generator) -> Figure:
    size = float(rng.uniform(0.3, 1.1))
    points = rng.normal(0, 1, (22, 3))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    points *= rng.uniform(0.75, 1.0, (22, 1)) * (size / 2, size / 2 * 0.8, size * 0.36)
    points[:, 2] += size * 0.22
    grey = float(rng.uniform(0.3, 0.6))
    rock = hull([(float(x), float(y), float(z)) for x, y, z in points], (grey, grey * 0.97, grey * 0.9))
    return Figure("", (rock,), (size, size, size * 0.5))


def _bush(rng: np.random.Generator) -> Figure:
    leaf = hsv(float(rng.uniform(0.18, 0.36)), float(rng.uniform(0.4, 0.7)), float(rng.uniform(0.2, 0.45)))
    size = float(rng.uniform(0.6, 1.5))
    parts = []
    for _ in range(int(rng.integers(3, 7))):
        x, y = rng.normal(0, size * 0.25, 2)
        half = size * float(rng.uniform(0.25, 0.42))
        parts.append(
            ball(
                (float(x), float(y), half * 0.75),
                (half, half, half * 0.85),
                shade(leaf, float(rng.uniform(0.7, 1.3))),
            )
        )
    return Figure("", tuple(parts), (size, size, size * 0.6))


def _bollard(rng: np.random.Generator) -> Figure:
    height, tint = (
        float(rng.uniform(0.6, 1.0)),
        pick(rng, ((0.3, 0.3, 0.3), (0.75, 0.7, 0.6), (0.8, 0.65, 0.1))),
    )
    parts = [
        rod((0, 0, 0), (0, 0, height), 0.08, tint),
        ball((0, 0, height), (0.08, 0.08, 0.05), tint),
        rod((0, 0, height * 0.75), (0, 0, height * 0.87), 0.085, (0.9, 0.9, 0.9)),
    ]
    return Figure("", tuple(parts), (0.17, 0.17, height))


def _tyres(rng: np.random.Generator) -> Figure:
    count, radius = int(rng.integers(1, 6)), float(rng.uniform(0.28, 0.45))
    parts = [
        rod(
            (float(rng.normal(0, 0.02)), 0, 0.21 * k),
            (float(rng.normal(0, 0.02)), 0, 0.21 * k + 0.2),
            radius,
            (0.07, 0.07, 0.075),
        )
        for k in range(count)
    ]
    parts.append(rod((0, 0, 0.2 * count), (0, 0, 0.21 * count + 0.002), radius * 0.55, (0.2, 0.2, 0.2)))
    return Figure("", tuple(parts), (2 * radius, 2 * radius, 0.21 * count))


def _sign(rng: np.random.Generator) -> Figure:
    height = float(rng.uniform(1.8, 2.6))
    plate = pick(rng, ((0.1, 0.25, 0.6), (0.75, 0.08, 0.08), (0.9, 0.9, 0.9), (0.1, 0.45, 0.2)))
    parts = [rod((0, 0, 0), (0, 0, height), 0.035, (0.5, 0.5, 0.52))]
    if rng.random() < 0.5:
        parts.append(rod((0.04, 0, height - 0.3), (0.06, 0, height - 0.3), 0.3, plate))
        parts.append(rod((0.06, 0, height - 0.3), (0.065, 0, height - 0.3), 0.22, (0.92, 0.92, 0.92)))
    else:
        parts.append(box((0.05, 0, height - 0.3), (0.03, 0.6, 0.45), plate))
        parts.append(box((0.068, 0, height - 0.3), (0.006, 0.5, 0.12), (0.92, 0.92, 0.92)))
    return Figure("", tuple(parts), (0.2, 0.6, height))
