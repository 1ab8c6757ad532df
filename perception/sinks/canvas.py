"""Drawing on an RGB canvas: text, chips, boxes, dots and bars.

Canvases are uint8 [H, W, 3] RGB and are drawn on in place. Everything is clipped to the canvas.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

from perception.sinks.palette import RGB, ink_on
from perception.types import Float64

Canvas = NDArray[np.uint8]
Box = tuple[float, float, float, float]

_FONT, _BOLD = cv2.FONT_HERSHEY_SIMPLEX, cv2.FONT_HERSHEY_DUPLEX
_ASCII_ONLY = int(cv2.__version__.split(".")[0]) < 5  # older OpenCV draws "?" for anything else
_PLAIN = str.maketrans({"±": "+/-", "²": "2", "·": "|", "…": "~", "×": "x", "–": "-"})
_MARGIN = 32.0  # px


def put_text(
    canvas: Canvas, text: str, x: float, y: float, size: float, colour: RGB, *, bold: bool = False
) -> float:
    """Draw a line of text whose capitals are about 0.7 `size` px tall, from `x`, centred on `y`.

    Returns:
        The x at which it ends.
    """
    font, scale, weight = _font(size, bold)
    shown = _drawable(text)
    origin = round(x), round(y + 0.36 * size)
    cv2.putText(canvas, shown, origin, font, scale, colour, weight, cv2.LINE_AA)
    return x + text_width(text, size, bold=bold)


def text_width(text: str, size: float, *, bold: bool = False) -> float:
    """Return the width of a line of text in px."""
    font, scale, weight = _font(size, bold)
    return float(cv2.getTextSize(_drawable(text), font, scale, weight)[0][0])


def fitted(text: str, width: float, size: float, *, bold: bool = False) -> str:
    """Return the text, cut with an ellipsis where it is wider than `width` px."""
    if text_width(text, size, bold=bold) <= width:
        return text
    fits, too_long = 0, len(text)
    while too_long - fits > 1:
        middle = (fits + too_long) // 2
        if text_width(text[:middle] + "…", size, bold=bold) <= width:
            fits = middle
        else:
            too_long = middle
    return text[:fits].rstrip() + "…" if fits else ""


def chip_box(text: str, x: float, y: float, size: float) -> Box:
    """Return the box of a chip whose lower left corner is (x, y)."""
    return x, y - 1.5 * size, x + text_width(text, size, bold=True) + 0.8 * size, y


def chip(canvas: Canvas, text: str, box: Box, size: float, background: RGB) -> None:
    """Draw text on a filled background, in black or white, whichever reads better."""
    fill(canvas, box, background)
    middle = (box[1] + box[3]) / 2
    put_text(canvas, text, box[0] + 0.4 * size, middle, size, ink_on(background), bold=True)


def fill(canvas: Canvas, box: Box, colour: RGB) -> None:
    """Draw a filled rectangle."""
    x1, y1, x2, y2 = _within(box, canvas)
    cv2.rectangle(canvas, (x1, y1), (max(x1, x2 - 1), max(y1, y2 - 1)), colour, cv2.FILLED)


def outline(canvas: Canvas, box: Box, colour: RGB, thickness: int) -> None:
    """Draw a rectangle with a dark rim, visible on any background."""
    x1, y1, x2, y2 = _within(box, canvas)
    rim = thickness + max(2, thickness // 2 * 2)
    cv2.rectangle(canvas, (x1, y1), (x2, y2), (0, 0, 0), rim, cv2.LINE_AA)
    cv2.rectangle(canvas, (x1, y1), (x2, y2), colour, thickness, cv2.LINE_AA)


def dashed(canvas: Canvas, box: Box, colour: RGB, dash: float) -> None:
    """Draw a dashed rectangle over a dark line; dashes and gaps are about `dash` px long."""
    x1, y1, x2, y2 = _within(box, canvas)
    cv2.rectangle(canvas, (x1, y1), (x2, y2), (0, 0, 0), 2)
    corners = [(x1, y1), (x2, y1), (x2, y2), (x1, y2), (x1, y1)]
    for (ax, ay), (bx, by) in pairwise(corners):
        count = max(1, round(max(abs(bx - ax), abs(by - ay)) / (2 * dash)))
        for k in range(count):
            f, t = (k + 0.25) / count, (k + 0.75) / count
            start = round(ax + f * (bx - ax)), round(ay + f * (by - ay))
            end = round(ax + t * (bx - ax)), round(ay + t * (by - ay))
            cv2.line(canvas, start, end, colour)


def dots(canvas: Canvas, pixels: Float64, colours: NDArray[np.uint8], size: int) -> None:
    """Draw square dots of `size` px at [N, 2] pixels u, v with [N, 3] colours; the last lies on top."""
    corner = np.floor(pixels - size / 2 + 0.5).astype(np.int64)
    for dy in range(size):
        for dx in range(size):
            u, v = corner[:, 0] + dx, corner[:, 1] + dy
            inside = (u >= 0) & (u < canvas.shape[1]) & (v >= 0) & (v < canvas.shape[0])
            canvas[v[inside], u[inside]] = colours[inside]


def zero_bar(canvas: Canvas, box: Box, value: float, spread: float, colour: RGB, back: RGB) -> None:
    """Draw a bar from the middle: `value` -1 to 1 of half the width, with a whisker of +-`spread`."""
    fill(canvas, box, back)
    x1, y1, x2, y2 = box
    middle, half = (x1 + x2) / 2, (x2 - x1) / 2
    end = middle + half * _clipped(value)
    fill(canvas, (min(middle, end), y1, max(middle, end) + 1, y2), colour)
    low, high = (middle + half * _clipped(value + sign * spread) for sign in (-1, 1))
    thin = max(1.0, (y2 - y1) / 8)
    y = (y1 + y2) / 2
    fill(canvas, (low, y - thin / 2, high, y + thin / 2), (255, 255, 255))
    for x in (low, high):
        fill(
            canvas, (x - thin / 2, y1 + 0.2 * (y2 - y1), x + thin / 2, y2 - 0.2 * (y2 - y1)), (255, 255, 255)
        )
    fill(canvas, (middle - thin / 2, y1 - thin, middle + thin / 2, y2 + thin), (255, 255, 255))


def ramp(fractions: Float64, stops: Sequence[tuple[float, RGB]]) -> NDArray[np.uint8]:
    """Return [N, 3] colours at fractions 0 to 1 of a ramp."""
    at = [stop for stop, _ in stops]
    channels = [np.interp(fractions, at, [colour[c] for _, colour in stops]) for c in range(3)]
    return np.stack(channels, axis=-1).round().astype(np.uint8)


def _font(size: float, bold: bool) -> tuple[int, float, int]:
    heavy = max(1, round(size / 16)) if _ASCII_ONLY else 1
    return (_BOLD if bold else _FONT), size / (30 if _ASCII_ONLY else 27), heavy


def _drawable(text: str) -> str:
    """Return one line; in the nearest ASCII where OpenCV draws only that."""
    line = " ".join(text.split())
    return line.translate(_PLAIN).encode("ascii", "replace").decode() if _ASCII_ONLY else line


def _within(box: Box, canvas: Canvas) -> tuple[int, int, int, int]:
    """Return the box in whole px, cut a little outside the canvas: OpenCV overflows far from it."""
    height, width = canvas.shape[:2]
    left, right = (round(min(max(x, -_MARGIN), width + _MARGIN)) for x in (box[0], box[2]))
    top, bottom = (round(min(max(y, -_MARGIN), height + _MARGIN)) for y in (box[1], box[3]))
    return left, top, right, bottom


def _clipped(value: float) -> float:
    return min(max(value, -1.0), 1.0)
