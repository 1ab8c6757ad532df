"""What all vehicles have: glass, wheels and lamps."""

from __future__ import annotations

from perception.simulation.objects.shapes import Solid, Vec3, box, rod

GLASS: Vec3 = (0.09, 0.12, 0.15)
TYRE: Vec3 = (0.05, 0.05, 0.055)
HUB: Vec3 = (0.55, 0.56, 0.58)


def wheels(length: float, half: float, radius: float, spread: float) -> list[Solid]:
    """Four wheels; `spread` is the wheelbase as a share of the length."""
    parts: list[Solid] = []
    for x in (-spread * length / 2, spread * length / 2):
        for side in (1, -1):
            outer = side * (half + 0.01)
            parts.append(rod((x, outer, radius), (x, outer - side * 0.22, radius), radius, TYRE))
            parts.append(
                rod(
                    (x, outer + side * 0.012, radius),
                    (x, outer - side * 0.05, radius),
                    radius * 0.6,
                    HUB,
                    "satin",
                )
            )
    return parts


def lamps(front: float, back: float, half: float, front_z: float, back_z: float) -> list[Solid]:
    """Lit lamps in front and red ones behind."""
    parts: list[Solid] = []
    for side in (1, -1):
        parts.append(
            box(
                (front - 0.03, side * half * 0.76, front_z),
                (0.09, half * 0.36, 0.13),
                (0.95, 0.93, 0.85),
                "glow",
            )
        )
        parts.append(
            box(
                (back + 0.02, side * half * 0.84, back_z),
                (0.08, half * 0.24, 0.2),
                (0.75, 0.05, 0.04),
                "glow",
            )
        )
    return parts
