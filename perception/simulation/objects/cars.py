"""Hatchbacks, saloons, estates and pickups."""

from __future__ import annotations

import numpy as np

from perception.simulation.objects.colours import PAINT, pick, shade
from perception.simulation.objects.shapes import Figure, box, extruded
from perception.simulation.objects.vehicle_parts import GLASS, lamps, wheels


def car(rng: np.random.Generator) -> Figure:
    """A car of 3.5 to 4.9 m."""
    length, width = float(rng.uniform(3.5, 4.9)), float(rng.uniform(1.62, 1.92))
    height = float(rng.uniform(1.38, 1.75))
    paint = pick(rng, PAINT)
    low, belt = 0.20, float(rng.uniform(0.52, 0.58)) * height + 0.02
    front, back = length / 2, -length / 2
    bonnet = float(rng.uniform(0.24, 0.32)) * length
    boot = float(rng.choice([0.02, 0.06, 0.17])) * length  # estate, hatchback, saloon
    half = width / 2
    nose = belt - 0.10
    body = extruded(
        [
            (back, low + 0.08),
            (back + 0.1, low),
            (front - 0.12, low),
            (front, low + 0.12),
            (front - 0.03, nose - 0.08),
            (front - bonnet, belt),
            (back + 0.02, belt - 0.03),
        ],
        half,
        paint,
    )
    rake = float(rng.uniform(0.45, 0.75))
    cabin_back, cabin_front = back + boot + 0.03, front - bonnet + 0.05
    roof_back, roof_front = cabin_back + float(rng.uniform(0.12, 0.45)), cabin_front - rake
    glass = extruded(
        [
            (cabin_back, belt - 0.02),
            (cabin_front, belt - 0.02),
            (roof_front, height - 0.05),
            (roof_back, height - 0.05),
        ],
        half - 0.06,
        GLASS,
        inset=0.14,
    )
    roof = extruded(
        [
            (roof_back - 0.06, height - 0.07),
            (roof_front + 0.06, height - 0.07),
            (roof_front - 0.05, height),
            (roof_back + 0.05, height),
        ],
        half - 0.17,
        paint,
        inset=0.03,
    )
    parts = [body, glass, roof]
    for side in (1, -1):
        x = (roof_back + roof_front) / 2
        parts.append(
            box(
                (x, side * (half - 0.11), (belt + height) / 2),
                (0.09, 0.12, height - belt - 0.04),
                paint,
                "gloss",
            )
        )
        parts.append(
            box(
                (cabin_front - 0.12, side * (half + 0.08), belt + 0.06), (0.10, 0.16, 0.12), shade(paint, 0.8)
            )
        )
    parts += wheels(length, half, float(rng.uniform(0.29, 0.36)), 0.62)
    parts += lamps(front, back, half, nose - 0.14, belt - 0.16)
    parts += [
        box((front + 0.005, 0, low + 0.14), (0.05, width * 0.8, 0.12), shade(paint, 0.3)),
        box((back - 0.005, 0, low + 0.14), (0.05, width * 0.85, 0.14), shade(paint, 0.35)),
        box((back - 0.02, 0, low + 0.34), (0.03, 0.46, 0.11), (0.9, 0.9, 0.85)),
    ]
    return Figure("vehicle", tuple(parts), (length + 0.05, width, height))


def pickup(rng: np.random.Generator) -> Figure:
    """A pickup of 4.8 to 5.6 m, some with a load."""
    length, width, height = (
        float(rng.uniform(4.8, 5.6)),
        float(rng.uniform(1.8, 2.05)),
        float(rng.uniform(1.7, 1.95)),
    )
    paint = pick(rng, PAINT)
    half, front, back, low, belt = width / 2, length / 2, -length / 2, 0.34, 1.05
    parts = [
        extruded(
            [
                (back, low),
                (front - 0.1, low),
                (front, low + 0.15),
                (front - 0.02, belt - 0.1),
                (front - 1.3, belt),
                (back, belt - 0.28),
            ],
            half,
            paint,
        ),
        extruded(
            [
                (front - 3.0, belt - 0.03),
                (front - 1.25, belt - 0.03),
                (front - 1.85, height - 0.05),
                (front - 2.85, height - 0.05),
            ],
            half - 0.07,
            GLASS,
            inset=0.13,
        ),
        extruded(
            [
                (front - 2.92, height - 0.07),
                (front - 1.78, height - 0.07),
                (front - 1.9, height),
                (front - 2.8, height),
            ],
            half - 0.19,
            paint,
        ),
    ]
    for side in (1, -1):
        parts.append(
            box(
                (back + (length - 3.0) / 2, side * (half - 0.05), belt - 0.10),
                (length - 3.0, 0.1, 0.42),
                paint,
                "gloss",
            )
        )
        parts.append(
            box(
                (front - 2.3, side * (half - 0.13), (belt + height) / 2),
                (0.10, 0.12, height - belt - 0.04),
                paint,
                "gloss",
            )
        )
    parts.append(box((back + 0.05, 0, belt - 0.10), (0.1, width - 0.05, 0.42), paint, "gloss"))
    if rng.random() < 0.6:
        load = pick(rng, PAINT)
        parts.append(box((back + 0.8, 0, belt + 0.1), (1.0, width * 0.6, 0.6), load))
    parts += wheels(length, half, 0.38, 0.64)
    parts += lamps(front, back, half, 0.84, 0.9)
    parts.append(box((front, 0, 0.48), (0.10, width * 0.92, 0.24), (0.2, 0.2, 0.21)))
    return Figure("vehicle", tuple(parts), (length, width, height))
