"""Colour palettes and colour arithmetic. Colours are r, g, b from 0 to 1, as the renderer takes them."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence

import numpy as np

from perception.simulation.objects.shapes import Vec3


def palette(percent: str) -> tuple[Vec3, ...]:
    """Return the colours of a table of numbers: red, green and blue of each colour, in percent."""
    values = [int(number) / 100 for number in percent.split()]
    return tuple(zip(values[::3], values[1::3], values[2::3], strict=True))


SKIN = palette("93 76 65   85 64 50   68 47 34   48 31 22   32 20 14")
HAIR = palette("8 6 5   25 15 8   55 38 18   75 62 40   60 60 60   40 15 8")
CLOTHES = palette(
    """
    10 11 13   20 22 26   12 18 38   18 32 60   35 48 68   62 10 12   80 25 20   14 38 22   36 42 20
    80 78 72   92 92 92   50 36 24   72 58 40   45 20 45   85 55 60   90 70 15   15 50 55   55 55 56
    """
)
PAINT = palette(
    """
    88 88 88   70 71 73   42 43 45   10 10 11   60 7 8   10 20 48
    18 38 66   10 32 20   78 70 55   45 28 16   85 66 10   30 50 55
    """
)
METAL = palette("12 25 55   10 40 22   55 12 10   35 35 36   45 28 16   14 14 15")


def pick(rng: np.random.Generator, colours: Sequence[Vec3]) -> Vec3:
    """Draw a colour and vary it a little in brightness and hue."""
    base = colours[int(rng.integers(len(colours)))]
    r, g, b = np.clip(np.asarray(base) * rng.uniform(0.85, 1.15) + rng.normal(0, 0.03, 3), 0.02, 0.98)
    return (float(r), float(g), float(b))


def shade(rgb: Vec3, factor: float) -> Vec3:
    """Return the colour made darker (`factor` below 1) or lighter."""
    r, g, b = (min(1.0, max(0.0, c * factor)) for c in rgb)
    return (r, g, b)


def grey(level: float) -> Vec3:
    """Return a grey of one brightness."""
    return (level, level, level)


def hsv(hue: float, saturation: float, value: float) -> Vec3:
    """Return the colour of a hue (0 to 1, taken modulo 1), saturation and value."""
    return colorsys.hsv_to_rgb(hue % 1.0, saturation, value)
