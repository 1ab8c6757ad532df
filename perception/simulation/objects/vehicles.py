"""Vehicles: hatchbacks, saloons, estates, vans, pickups, lorries and small electric carts."""

from __future__ import annotations

import numpy as np

from perception.simulation.objects.cars import car, pickup
from perception.simulation.objects.colours import PAINT, pick, shade
from perception.simulation.objects.shapes import Figure, Solid, box, extruded, rod
from perception.simulation.objects.vehicle_parts import GLASS, lamps, wheels


def vehicle(rng: np.random.Generator) -> Figure:
    """A vehicle of 2.4 to 7 m, facing x."""
    kind = rng.choice(["car", "car", "car", "van", "pickup", "lorry", "cart"])
    if kind == "car":
        return car(rng)
    if kind == "van":
        return _van(rng)
    if kind == "pickup":
        return pickup(rng)
    if kind == "lorry":
        return _lorry(rng)
    return _cart(rng)


def _van(rng: np.random.Generator) -> Figure:
    length, width, height = (
        float(rng.uniform(4.3, 5.8)),
        float(rng.uniform(1.8, 2.1)),
        float(rng.uniform(1.85, 2.5)),
    )
    paint = pick(rng, PAINT[:4] if rng.random() < 0.6 else PAINT)
    half, front, back, low = width / 2, length / 2, -length / 2, 0.24
    belt = 1.05
    body = extruded(
        [
            (back, low),
            (front - 0.08, low),
            (front, low + 0.2),
            (front - 0.08, belt - 0.12),
            (front - 0.75, belt + 0.05),
            (front - 1.25, height),
            (back + 0.06, height),
            (back, height - 0.12),
        ],
        half,
        paint,
        inset=0.08,
    )
    parts = [body]
    slope = (height - belt) / 0.5
    screen = extruded(
        [
            (front - 0.70, belt + 0.02),
            (front - 0.73, belt - 0.02),
            (front - 1.16, belt + 0.46 * slope - 0.06),
            (front - 1.20, belt + 0.44 * slope - 0.05),
        ],
        half - 0.12,
        GLASS,
        inset=0.05,
    )
    parts.append(screen)
    for side in (1, -1):
        parts.append(
            box(
                (front - 1.45, side * (half - 0.035), (belt + height) / 2 - 0.05),
                (0.75, 0.07, (height - belt) * 0.6),
                GLASS,
                "gloss",
            )
        )
        parts.append(
            box((front - 0.75, side * (half + 0.09), belt + 0.15), (0.10, 0.18, 0.24), (0.08, 0.08, 0.09))
        )
    if rng.random() < 0.5:
        stripe = pick(rng, PAINT)
        x, y, band = back + length * 0.36, half - 0.015, (length * 0.55, 0.04, 0.3)
        parts += [box((x, side * y, belt), band, stripe) for side in (1, -1)]
    parts.append(
        box(
            (back - 0.005, 0, (belt + height) / 2 - 0.05),
            (0.03, width * 0.78, (height - belt) * 0.5),
            GLASS,
            "gloss",
        )
    )
    parts += wheels(length, half, 0.34, 0.66)
    parts += lamps(front - 0.02, back, half, 0.75, 0.95)
    parts.append(box((front - 0.03, 0, 0.42), (0.10, width * 0.9, 0.22), (0.15, 0.15, 0.16)))
    return Figure("vehicle", tuple(parts), (length, width, height))


def _lorry(rng: np.random.Generator) -> Figure:
    length, width, height = (
        float(rng.uniform(5.6, 7.0)),
        float(rng.uniform(2.1, 2.4)),
        float(rng.uniform(2.6, 3.2)),
    )
    cab, cargo = pick(rng, PAINT), pick(rng, PAINT)
    half, front, back, cab_height = width / 2, length / 2, -length / 2, float(rng.uniform(2.1, 2.5))
    box_length = length - 1.85
    parts: list[Solid] = [
        box(
            (back + box_length / 2, 0, (0.85 + height) / 2),
            (box_length, width, height - 0.85),
            cargo,
            "satin",
        ),
        box((back + box_length / 2, 0, 0.70), (box_length, width * 0.5, 0.3), (0.1, 0.1, 0.1)),
        extruded(
            [
                (front - 1.7, 0.45),
                (front - 0.05, 0.45),
                (front, 0.7),
                (front - 0.05, 1.3),
                (front - 0.3, cab_height),
                (front - 1.7, cab_height),
            ],
            half - 0.05,
            cab,
            inset=0.05,
        ),
        extruded(
            [
                (front - 0.02, 1.3),
                (front - 0.1, 1.28),
                (front - 0.30, cab_height - 0.12),
                (front - 0.23, cab_height - 0.14),
            ],
            half - 0.16,
            GLASS,
        ),
        box((back + 0.02, 0, (0.85 + height) / 2), (0.06, 0.04, height - 1.0), shade(cargo, 0.5)),
    ]
    for side in (1, -1):
        parts.append(box((front - 0.85, side * (half - 0.065), 1.62), (0.75, 0.06, 0.55), GLASS, "gloss"))
        parts.append(box((front - 0.25, side * (half + 0.08), 1.8), (0.08, 0.16, 0.4), (0.08, 0.08, 0.09)))
        parts.append(
            box((back + box_length / 2, side * half, 1.0), (box_length, 0.03, 0.12), shade(cargo, 0.6))
        )
    parts += wheels(length, half, 0.45, 0.64)
    parts += lamps(front - 0.02, back, half, 0.75, 0.72)
    return Figure("vehicle", tuple(parts), (length, width, height))


def _cart(rng: np.random.Generator) -> Figure:
    length, width, height = (
        float(rng.uniform(2.4, 3.0)),
        float(rng.uniform(1.2, 1.4)),
        float(rng.uniform(1.7, 1.95)),
    )
    paint = pick(rng, PAINT)
    half, front, back = width / 2, length / 2, -length / 2
    parts: list[Solid] = [
        extruded(
            [
                (back, 0.24),
                (front - 0.1, 0.24),
                (front, 0.45),
                (front - 0.15, 0.82),
                (front - 0.5, 0.88),
                (front - 0.55, 0.5),
                (back, 0.5),
            ],
            half,
            paint,
        ),
        box((back + 0.5, 0, 0.62), (0.9, width * 0.92, 0.34), (0.12, 0.11, 0.1)),
        box((back + 0.12, 0, 0.95), (0.14, width * 0.9, 0.5), (0.14, 0.13, 0.12)),
        box((-0.1, 0, height - 0.03), (length * 0.72, width, 0.06), (0.85, 0.85, 0.82)),
        rod((front - 0.5, 0, 0.85), (front - 0.72, 0, 1.05), 0.14, (0.1, 0.1, 0.1)),
    ]
    y, top, black = half - 0.05, height - 0.05, (0.1, 0.1, 0.1)
    posts = [(x, side * y) for x in (back + 0.25, front - 0.5) for side in (1, -1)]
    parts += [rod((x, y, 0.5), (x * 0.86, y, top), 0.025, black) for x, y in posts]
    parts += wheels(length, half, 0.25, 0.66)
    parts += lamps(front - 0.06, back, half, 0.62, 0.42)
    return Figure("vehicle", tuple(parts), (length, width, height))
