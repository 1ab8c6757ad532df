"""Palettes. Colours are linear-looking r, g, b from 0 to 1, as the renderer takes them."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence

import numpy as np

from perception.simulation.objects.shapes import Vec3

SKIN: tuple[Vec3, ...] = (
    (0.93, 0.76, 0.65),
    (0.85, 0.64, 0.50),
    (0.68, 0.47, 0.34),
    (0.48, 0.31, 0.22),
    (0.32, 0.20, 0.14),
)
HAIR: tuple[Vec3, ...] = (
    (0.08, 0.06, 0.05),
    (0.25, 0.15, 0.08),
    (0.55, 0.38, 0.18),
    (0.75, 0.62, 0.4),
    (0.6, 0.6, 0.6),
    (0.4, 0.15, 0.08),
)
CLOTHES: tuple[Vec3, ...] = (
    (0.10, 0.11, 0.13),
    (0.20, 0.22, 0.26),
    (0.12, 0.18, 0.38),
    (0.18, 0.32, 0.60),
    (0.35, 0.48, 0.68),
    (0.62, 0.10, 0.12),
    (0.80, 0.25, 0.20),
    (0.14, 0.38, 0.22),
    (0.36, 0.42, 0.20),
    (0.80, 0.78, 0.72),
    (0.92, 0.92, 0.92),
    (0.50, 0.36, 0.24),
    (0.72, 0.58, 0.40),
    (0.45, 0.20, 0.45),
    (0.85, 0.55, 0.60),
    (0.90, 0.70, 0.15),
    (0.15, 0.50, 0.55),
    (0.55, 0.55, 0.56),
)
PAINT: tuple[Vec3, ...] = (
    (0.88, 0.88, 0.88),
    (0.70, 0.71, 0.73),
    (0.42, 0.43, 0.45),
    (0.10, 0.10, 0.11),
    (0.60, 0.07, 0.08),
    (0.10, 0.20, 0.48),
    (0.18, 0.38, 0.66),
    (0.10, 0.32, 0.20),
    (0.78, 0.70, 0.55),
    (0.45, 0.28, 0.16),
    (0.85, 0.66, 0.10),
    (0.30, 0.50, 0.55),
)
METAL: tuple[Vec3, ...] = (
    (0.12, 0.25, 0.55),
    (0.10, 0.40, 0.22),
    (0.55, 0.12, 0.10),
    (0.35, 0.35, 0.36),
    (0.45, 0.28, 0.16),
    (0.14, 0.14, 0.15),
)


def pick(rng: np.random.Generator, palette: Sequence[Vec3], jitter: float = 0.06) -> Vec3:
    """One colour of a palette, never twice quite the same."""
    base = palette[int(rng.integers(len(palette)))]
    r, g, b = np.clip(np.asarray(base) * rng.uniform(0.85, 1.15) + rng.normal(0, jitter / 2, 3), 0.02, 0.98)
    return (float(r), float(g), float(b))


def shade(rgb: Vec3, factor: float) -> Vec3:
    """Darker (below 1) or lighter."""
    r, g, b = (min(1.0, max(0.0, c * factor)) for c in rgb)
    return (r, g, b)


def hsv(hue: float, saturation: float, value: float) -> Vec3:
    """A colour by hue (0 to 1, taken modulo 1), saturation and value."""
    return colorsys.hsv_to_rgb(hue % 1.0, saturation, value)
