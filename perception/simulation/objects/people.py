"""People and cyclists, built from solids with drawn proportions, clothes and luggage."""

from __future__ import annotations

import numpy as np

from perception.simulation.objects.colours import CLOTHES, HAIR, SKIN, grey, palette, pick, shade
from perception.simulation.objects.shapes import (
    Figure,
    Joint,
    Quat,
    Solid,
    Vec3,
    ball,
    bar,
    box,
    frustum,
    posed_figure,
    rod,
)
from perception.simulation.random_draws import uniforms

SAFETY_HELMETS = palette("95 75 10   95 95 95   90 30 10   10 30 80")
SIDES = ((1, "l"), (-1, "r"))
DARK: Vec3 = (0.06, 0.06, 0.07)


def person(rng: np.random.Generator) -> Figure:
    """Return a standing or walking person of 1.3 to 2 m with the joints leg_l, leg_r, arm_l and arm_r."""
    height = float(np.clip(rng.normal(1.72, 0.13), 1.3, 2.0))
    build = rng.uniform(0.85, 1.25)
    hip, shoulder = 0.50 * height, 0.815 * height
    half_hip, half_shoulder = 0.052 * height * build, 0.115 * height * build
    trousers, top = pick(rng, CLOTHES), pick(rng, CLOTHES)
    skin, hair = pick(rng, SKIN), pick(rng, HAIR)
    shoe = shade(pick(rng, CLOTHES), 0.5)
    parts: list[Solid] = []
    joints: list[Joint] = []
    for side, name in SIDES:
        y, joint = side * half_hip * 1.15, f"leg_{name}"
        joints.append(Joint(joint, (0.0, y, hip)))
        parts += _leg(y, hip, height, build, trousers, shoe, joint)
        y, joint = side * (half_shoulder + 0.022 * height), f"arm_{name}"
        joints.append(Joint(joint, (0.0, y, shoulder)))
        sleeve = skin if rng.random() < 0.3 else top
        elbow = (0.0, y + side * 0.02, 0.63 * height)
        hand = (0.05 * height, y + side * 0.015, 0.47 * height)
        parts += [
            bar((0, y, shoulder - 0.01), elbow, 0.030 * height * build, top, joint=joint),
            bar(elbow, hand, 0.024 * height * build, sleeve, joint=joint),
            ball(hand, (0.03 * height,) * 3, skin, joint=joint),
        ]
    depth = 0.066 * height * build
    shoulder_y, shoulder_z = half_shoulder * 0.72, shoulder - 0.02 * height
    parts += [
        ball((0, 0, hip + 0.02 * height), (depth * 1.1, half_hip * 2.1, 0.075 * height), trousers),
        box((0, 0, 0.645 * height), (depth * 1.9, half_shoulder * 1.75, 0.27 * height), top),
        bar((0, shoulder_y, shoulder_z), (0, -shoulder_y, shoulder_z), depth * 0.85, top),
        rod((0, 0, shoulder), (0.005, 0, 0.88 * height), 0.032 * height, skin),
        ball((0.01, 0, 0.925 * height), (0.056 * height, 0.047 * height, 0.070 * height), skin),
        *_head_cover(rng, height, hair),
        *_outfit(rng, height, half_shoulder, depth, trousers),
    ]
    width = 2 * (half_shoulder + 0.07 * height)
    return Figure("person", tuple(parts), (0.30 * height, width, height * 1.01), tuple(joints))


def posed_person(rng: np.random.Generator) -> Figure:
    """Return a person whose arms and legs are turned at random: walking, sitting, waving."""
    swing = {"leg_l": (-95, 35), "leg_r": (-95, 35), "arm_l": (-150, 50), "arm_r": (-150, 50)}
    spread = {"leg_l": 15, "leg_r": -15, "arm_l": 60, "arm_r": -60}
    turns = {name: _turn(rng.uniform(*swing[name]), rng.uniform() * spread[name]) for name in swing}
    return posed_figure(person(rng), turns)


def _turn(pitch_deg: float, roll_deg: float) -> Quat:
    """Return the rotation about y, then about x."""
    (cp, sp), (cr, sr) = ((np.cos(a), np.sin(a)) for a in np.deg2rad([pitch_deg, roll_deg]) / 2)
    return (float(cr * cp), float(sr * cp), float(cr * sp), float(sr * sp))


def _leg(
    y: float, hip: float, height: float, build: float, trousers: Vec3, shoe: Vec3, joint: str
) -> list[Solid]:
    knee, ankle = (0.005, y, 0.27 * height), (-0.01, y, 0.06 * height)
    sole = (0.15 * height, 0.058 * height, 0.044 * height)
    return [
        bar((0, y, hip), knee, 0.048 * height * build, trousers, joint=joint),
        bar(knee, ankle, 0.036 * height * build, trousers, joint=joint),
        box((0.04 * height, y, 0.022 * height), sole, shoe, joint=joint),
    ]


def _head_cover(rng: np.random.Generator, height: float, hair: Vec3) -> list[Solid]:
    kind, z = rng.random(), 0.955 * height
    if kind < 0.15:  # a safety helmet
        colour = SAFETY_HELMETS[int(rng.integers(4))]
        return [
            ball((0.01, 0, z), (0.072 * height, 0.063 * height, 0.052 * height), colour, "satin"),
            Solid("cylinder", (0.075 * height, 0.004 * height), (0.02, 0, z - 0.012 * height), colour),
        ]
    if kind < 0.3:  # a cap
        colour = pick(rng, CLOTHES)
        return [
            ball((0.0, 0, z), (0.06 * height, 0.052 * height, 0.045 * height), colour),
            box((0.06 * height, 0, z - 0.005), (0.07 * height, 0.07 * height, 0.008 * height), colour),
        ]
    parts = [ball((-0.008, 0, z - 0.008), (0.058 * height, 0.052 * height, 0.05 * height), hair)]
    if kind > 0.7:  # long hair
        size = (0.035 * height, 0.045 * height, 0.08 * height)
        parts.append(ball((-0.03 * height, 0, 0.905 * height), size, hair))
    return parts


def _outfit(
    rng: np.random.Generator, height: float, half_shoulder: float, depth: float, trousers: Vec3
) -> list[Solid]:
    kind = rng.random()
    if kind < 0.22:  # a warning vest with reflective bands
        vest = (0.85, 0.95, 0.1) if rng.random() < 0.5 else (0.98, 0.45, 0.05)
        band = (depth * 2.25, half_shoulder * 1.95, 0.025 * height)
        return [
            box((0, 0, 0.66 * height), (depth * 2.15, half_shoulder * 1.85, 0.24 * height), vest),
            *(box((0, 0, z * height), band, grey(0.9), "satin") for z in (0.60, 0.68)),
        ]
    if kind < 0.42:  # a backpack
        size = (0.10 * height, 0.17 * height, 0.24 * height)
        return [box((-depth - 0.05 * height, 0, 0.68 * height), size, pick(rng, CLOTHES))]
    if kind < 0.56:  # a skirt
        return [frustum(0.26 * height, 0.125 * height, 0.56 * height, 0.085 * height, trousers)]
    if kind < 0.68:  # a bag in the right hand
        size = (0.16 * height, 0.05 * height, 0.15 * height)
        return [box((0.02, -half_shoulder - 0.06 * height, 0.36 * height), size, pick(rng, CLOTHES))]
    return []


def cyclist(rng: np.random.Generator) -> Figure:
    """Return a bicycle with its rider, 1.4 to 1.9 m high, with the joints leg_l and leg_r."""
    (scale,) = uniforms(rng, (0.88, 1.12))
    paint, top, trousers = pick(rng, CLOTHES), pick(rng, CLOTHES), pick(rng, CLOTHES)
    skin = pick(rng, SKIN)
    radius, base, grip = 0.34 * scale, 0.52 * scale, (0.32 * scale, 0.24, 1.02 * scale)
    parts = _bicycle(scale, radius, base, paint)
    if rng.random() < 0.35:  # a crate on the carrier
        parts.append(box((-base - 0.02, 0, 0.88 * scale), (0.36, 0.34, 0.26), pick(rng, CLOTHES)))
    lean = rng.uniform(0.12, 0.34)
    hip: Vec3 = (-0.24 * scale, 0.0, 1.0 * scale)
    neck: Vec3 = (hip[0] + lean, 0.0, hip[2] + 0.50 * scale)
    crown: Vec3 = (neck[0] + 0.05, 0.0, neck[2] + 0.19 * scale)
    helmet = pick(rng, CLOTHES) if rng.random() < 0.7 else pick(rng, HAIR)
    waist = ((hip[0] + neck[0]) / 2, 0.0, (hip[2] + neck[2]) / 2)
    helmet_pos = (crown[0] - 0.01, 0, crown[2] + 0.055 * scale)
    parts += [
        bar(hip, waist, 0.145 * scale, top),
        bar(waist, neck, 0.150 * scale, top),
        bar((neck[0], 0.13, neck[2]), (neck[0], -0.13, neck[2]), 0.075 * scale, top),
        ball(crown, (0.095 * scale, 0.08 * scale, 0.12 * scale), skin),
        ball(helmet_pos, (0.12 * scale, 0.093 * scale, 0.075 * scale), helmet, "satin"),
    ]
    joints = []
    for side, name in SIDES:
        y, joint = side * 0.10, f"leg_{name}"
        joints.append(Joint(joint, (hip[0], y, hip[2])))
        knee = (hip[0] + 0.36 * scale, y, hip[2] - 0.24 * scale)
        foot = (hip[0] + 0.20 * scale, y, hip[2] - 0.66 * scale)
        elbow = (neck[0] + 0.12, side * 0.26, neck[2] - 0.26 * scale)
        sleeve = skin if rng.random() < 0.5 else top
        parts += [
            bar((hip[0], y, hip[2]), knee, 0.075 * scale, trousers, joint=joint),
            bar(knee, foot, 0.052 * scale, trousers, joint=joint),
            box((foot[0] + 0.06, y, foot[2] - 0.03), (0.25, 0.09, 0.08), DARK, joint=joint),
            bar((neck[0], side * 0.17, neck[2]), elbow, 0.050 * scale, top),
            bar(elbow, (grip[0], side * grip[1], grip[2]), 0.040 * scale, sleeve),
        ]
    if rng.random() < 0.4:  # a backpack
        parts.append(box((waist[0] - 0.20, 0, waist[2] + 0.05), (0.18, 0.28, 0.38), pick(rng, CLOTHES)))
    size = (2 * (base + radius), 0.56, crown[2] + 0.13 * scale)
    return Figure("cyclist", tuple(parts), size, tuple(joints))


def _bicycle(scale: float, radius: float, base: float, paint: Vec3) -> list[Solid]:
    parts: list[Solid] = []
    spokes = ((0.012, 0.012, radius * 1.7), (radius * 1.7, 0.012, 0.012))
    for x in (-base, base):
        parts.append(Solid("ring", (radius, radius * 0.84, 0.022), (x, 0, radius), DARK))
        parts += [box((x, 0, radius), size, (0.6, 0.6, 0.62)) for size in spokes]
    rear, crank = (-base, 0.0, radius), (-0.08 * scale, 0.0, radius * 0.95)
    seat, head = (-0.24 * scale, 0.0, 0.86 * scale), (0.36 * scale, 0.0, 0.80 * scale)
    fork = ((base, 0, radius), (0.32 * scale, 0, 1.0 * scale))
    tubes = ((crank, seat), (crank, head), (seat, head), (rear, crank), (rear, seat), fork)
    handlebar_x, handlebar_z = 0.32 * scale, 1.02 * scale
    return [
        *parts,
        *(bar(a, b, 0.024, paint, "gloss") for a, b in tubes),
        bar((handlebar_x, 0.27, handlebar_z), (handlebar_x, -0.27, handlebar_z), 0.018, DARK),
        ball((-0.26 * scale, 0, 0.92 * scale), (0.14, 0.08, 0.045), DARK),
    ]
