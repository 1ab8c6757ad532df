"""Vehicles: hatchbacks, saloons, estates, vans, pickups, lorries and small electric carts."""

from __future__ import annotations

import numpy as np

from perception.simulation.objects.colours import PAINT, grey, pick, shade
from perception.simulation.objects.shapes import Figure, Solid, Vec3, both_sides, box, extruded, rod
from perception.simulation.random_draws import pick_one, uniforms

GLASS: Vec3 = (0.09, 0.12, 0.15)
TYRE: Vec3 = (0.05, 0.05, 0.055)
HUB: Vec3 = (0.55, 0.56, 0.58)
HEADLAMP: Vec3 = (0.95, 0.93, 0.85)
TAIL_LAMP: Vec3 = (0.75, 0.05, 0.04)
MIRROR: Vec3 = (0.08, 0.08, 0.09)


def vehicle(rng: np.random.Generator) -> Figure:
    """Return a vehicle of 2.4 to 7 m length, facing x."""
    return pick_one(rng, (_car, _car, _car, _van, _pickup, _lorry, _cart))(rng)


def _car(rng: np.random.Generator) -> Figure:
    """Return an estate, a hatchback or a saloon of 3.5 to 4.9 m."""
    length, width, height = uniforms(rng, (3.5, 4.9), (1.62, 1.92), (1.38, 1.75))
    paint = pick(rng, PAINT)
    belt = rng.uniform(0.52, 0.58) * height + 0.02
    bonnet = rng.uniform(0.24, 0.32) * length
    boot = pick_one(rng, (0.02, 0.06, 0.17)) * length  # estate, hatchback, saloon
    front, back, half, low, nose = length / 2, -length / 2, width / 2, 0.20, belt - 0.10
    rake = rng.uniform(0.45, 0.75)
    cabin_back, cabin_front = back + boot + 0.03, front - bonnet + 0.05
    roof_back, roof_front = cabin_back + rng.uniform(0.12, 0.45), cabin_front - rake
    underside = [(back, low + 0.08), (back + 0.1, low), (front - 0.12, low), (front, low + 0.12)]
    top = [(front - 0.03, nose - 0.08), (front - bonnet, belt), (back + 0.02, belt - 0.03)]
    glass = ((cabin_back, cabin_front, belt - 0.02), (roof_back, roof_front, height - 0.05))
    roof_bottom = (roof_back - 0.06, roof_front + 0.06, height - 0.07)
    roof_top = (roof_back + 0.05, roof_front - 0.05, height)
    pillar = ((roof_back + roof_front) / 2, half - 0.11, (belt + height) / 2)
    parts = [
        extruded(underside + top, half, paint),
        _trapezoid(*glass, half - 0.06, GLASS, inset=0.14),
        _trapezoid(roof_bottom, roof_top, half - 0.17, paint, inset=0.03),
        *both_sides(
            box(pillar, (0.09, 0.12, height - belt - 0.04), paint, "gloss"),
            box((cabin_front - 0.12, half + 0.08, belt + 0.06), (0.10, 0.16, 0.12), shade(paint, 0.8)),
        ),
        *_wheels(length, half, rng.uniform(0.29, 0.36), 0.62),
        *_lamps(front, back, half, nose - 0.14, belt - 0.16),
        box((front + 0.005, 0, low + 0.14), (0.05, width * 0.8, 0.12), shade(paint, 0.3)),
        box((back - 0.005, 0, low + 0.14), (0.05, width * 0.85, 0.14), shade(paint, 0.35)),
        box((back - 0.02, 0, low + 0.34), (0.03, 0.46, 0.11), (0.9, 0.9, 0.85)),
    ]
    return Figure("vehicle", tuple(parts), (length + 0.05, width, height))


def _pickup(rng: np.random.Generator) -> Figure:
    """Return a pickup of 4.8 to 5.6 m; some carry a load."""
    length, width, height = uniforms(rng, (4.8, 5.6), (1.8, 2.05), (1.7, 1.95))
    paint = pick(rng, PAINT)
    front, back, half, low, belt = length / 2, -length / 2, width / 2, 0.34, 1.05
    underside = [(back, low), (front - 0.1, low), (front, low + 0.15)]
    top = [(front - 0.02, belt - 0.1), (front - 1.3, belt), (back, belt - 0.28)]
    glass = ((front - 3.0, front - 1.25, belt - 0.03), (front - 2.85, front - 1.85, height - 0.05))
    roof = ((front - 2.92, front - 1.78, height - 0.07), (front - 2.8, front - 1.9, height))
    bed = length - 3.0
    pillar = (front - 2.3, half - 0.13, (belt + height) / 2)
    parts = [
        extruded(underside + top, half, paint),
        _trapezoid(*glass, half - 0.07, GLASS, inset=0.13),
        _trapezoid(*roof, half - 0.19, paint),
        *both_sides(
            box((back + bed / 2, half - 0.05, belt - 0.10), (bed, 0.1, 0.42), paint, "gloss"),
            box(pillar, (0.10, 0.12, height - belt - 0.04), paint, "gloss"),
        ),
        box((back + 0.05, 0, belt - 0.10), (0.1, width - 0.05, 0.42), paint, "gloss"),
    ]
    if rng.random() < 0.6:
        parts.append(box((back + 0.8, 0, belt + 0.1), (1.0, width * 0.6, 0.6), pick(rng, PAINT)))
    parts += _wheels(length, half, 0.38, 0.64)
    parts += _lamps(front, back, half, 0.84, 0.9)
    parts.append(box((front, 0, 0.48), (0.10, width * 0.92, 0.24), (0.2, 0.2, 0.21)))
    return Figure("vehicle", tuple(parts), (length, width, height))


def _van(rng: np.random.Generator) -> Figure:
    length, width, height = uniforms(rng, (4.3, 5.8), (1.8, 2.1), (1.85, 2.5))
    paint = pick(rng, PAINT[:4] if rng.random() < 0.6 else PAINT)
    front, back, half, low, belt = length / 2, -length / 2, width / 2, 0.24, 1.05
    slope, middle = (height - belt) / 0.5, (belt + height) / 2 - 0.05
    underside = [(back, low), (front - 0.08, low), (front, low + 0.2), (front - 0.08, belt - 0.12)]
    top = [(front - 0.75, belt + 0.05), (front - 1.25, height), (back + 0.06, height), (back, height - 0.12)]
    screen_bottom = [(front - 0.70, belt + 0.02), (front - 0.73, belt - 0.02)]
    screen_top = [(front - 1.16, belt + 0.46 * slope - 0.06), (front - 1.20, belt + 0.44 * slope - 0.05)]
    parts = [
        extruded(underside + top, half, paint, inset=0.08),
        extruded(screen_bottom + screen_top, half - 0.12, GLASS, inset=0.05),
        *both_sides(
            box((front - 1.45, half - 0.035, middle), (0.75, 0.07, (height - belt) * 0.6), GLASS, "gloss"),
            box((front - 0.75, half + 0.09, belt + 0.15), (0.10, 0.18, 0.24), MIRROR),
        ),
    ]
    if rng.random() < 0.5:
        stripe = (length * 0.55, 0.04, 0.3)
        parts += both_sides(box((back + length * 0.36, half - 0.015, belt), stripe, pick(rng, PAINT)))
    parts.append(box((back - 0.005, 0, middle), (0.03, width * 0.78, (height - belt) * 0.5), GLASS, "gloss"))
    parts += _wheels(length, half, 0.34, 0.66)
    parts += _lamps(front - 0.02, back, half, 0.75, 0.95)
    parts.append(box((front - 0.03, 0, 0.42), (0.10, width * 0.9, 0.22), (0.15, 0.15, 0.16)))
    return Figure("vehicle", tuple(parts), (length, width, height))


def _lorry(rng: np.random.Generator) -> Figure:
    length, width, height = uniforms(rng, (5.6, 7.0), (2.1, 2.4), (2.6, 3.2))
    cab, cargo = pick(rng, PAINT), pick(rng, PAINT)
    front, back, half, cab_height = length / 2, -length / 2, width / 2, rng.uniform(2.1, 2.5)
    box_length, bonnet = length - 1.85, front - 0.05
    box_x, box_z = back + box_length / 2, (0.85 + height) / 2
    cab_bottom = [(front - 1.7, 0.45), (bonnet, 0.45), (front, 0.7), (bonnet, 1.3)]
    cab_top = [(front - 0.3, cab_height), (front - 1.7, cab_height)]
    screen_bottom = [(front - 0.02, 1.3), (front - 0.1, 1.28)]
    screen_top = [(front - 0.30, cab_height - 0.12), (front - 0.23, cab_height - 0.14)]
    parts = [
        box((box_x, 0, box_z), (box_length, width, height - 0.85), cargo, "satin"),
        box((box_x, 0, 0.70), (box_length, width * 0.5, 0.3), grey(0.1)),
        extruded(cab_bottom + cab_top, half - 0.05, cab, inset=0.05),
        extruded(screen_bottom + screen_top, half - 0.16, GLASS),
        box((back + 0.02, 0, box_z), (0.06, 0.04, height - 1.0), shade(cargo, 0.5)),
        *both_sides(
            box((front - 0.85, half - 0.065, 1.62), (0.75, 0.06, 0.55), GLASS, "gloss"),
            box((front - 0.25, half + 0.08, 1.8), (0.08, 0.16, 0.4), MIRROR),
            box((box_x, half, 1.0), (box_length, 0.03, 0.12), shade(cargo, 0.6)),
        ),
        *_wheels(length, half, 0.45, 0.64),
        *_lamps(front - 0.02, back, half, 0.75, 0.72),
    ]
    return Figure("vehicle", tuple(parts), (length, width, height))


def _cart(rng: np.random.Generator) -> Figure:
    length, width, height = uniforms(rng, (2.4, 3.0), (1.2, 1.4), (1.7, 1.95))
    paint, black = pick(rng, PAINT), grey(0.1)
    front, back, half, dashboard = length / 2, -length / 2, width / 2, length / 2 - 0.5
    underside = [(back, 0.24), (front - 0.1, 0.24), (front, 0.45)]
    top = [(front - 0.15, 0.82), (dashboard, 0.88), (front - 0.55, 0.5), (back, 0.5)]
    y, top_z = half - 0.05, height - 0.05
    posts = [rod((x, y, 0.5), (x * 0.86, y, top_z), 0.025, black) for x in (back + 0.25, dashboard)]
    parts = [
        extruded(underside + top, half, paint),
        box((back + 0.5, 0, 0.62), (0.9, width * 0.92, 0.34), (0.12, 0.11, 0.1)),
        box((back + 0.12, 0, 0.95), (0.14, width * 0.9, 0.5), (0.14, 0.13, 0.12)),
        box((-0.1, 0, height - 0.03), (length * 0.72, width, 0.06), (0.85, 0.85, 0.82)),
        rod((dashboard, 0, 0.85), (front - 0.72, 0, 1.05), 0.14, black),
        *both_sides(posts[0]),
        *both_sides(posts[1]),
        *_wheels(length, half, 0.25, 0.66),
        *_lamps(front - 0.06, back, half, 0.62, 0.42),
    ]
    return Figure("vehicle", tuple(parts), (length, width, height))


def _trapezoid(bottom: Vec3, top: Vec3, half_width: float, rgb: Vec3, inset: float = 0.0) -> Solid:
    """Return a cabin or roof; `bottom` and `top` are its back x, front x and height."""
    profile = [(bottom[0], bottom[2]), (bottom[1], bottom[2]), (top[1], top[2]), (top[0], top[2])]
    return extruded(profile, half_width, rgb, inset=inset)


def _wheels(length: float, half: float, radius: float, spread: float) -> list[Solid]:
    """Return four wheels; `half` is half the width, `spread` the wheelbase as a share of the length."""
    outer, solids = half + 0.01, []
    for x in (-spread * length / 2, spread * length / 2):
        tyre = rod((x, outer, radius), (x, outer - 0.22, radius), radius, TYRE)
        hub = rod((x, outer + 0.012, radius), (x, outer - 0.05, radius), radius * 0.6, HUB, "satin")
        solids += both_sides(tyre, hub)
    return solids


def _lamps(front: float, back: float, half: float, front_z: float, back_z: float) -> list[Solid]:
    """Return the headlamps and the red tail lamps."""
    return both_sides(
        box((front - 0.03, half * 0.76, front_z), (0.09, half * 0.36, 0.13), HEADLAMP, "glow"),
        box((back + 0.02, half * 0.84, back_z), (0.08, half * 0.24, 0.2), TAIL_LAMP, "glow"),
    )
