"""The panel below the picture: the state of each sensor, control, and the tick."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import numpy as np

from perception.sinks.canvas import Canvas, dashed, fill, fitted, put_text, ramp, text_width, zero_bar
from perception.sinks.palette import GREEN, RANGE_RAMP, RGB, SKY, VERMILION, WHITE
from perception.types import SENSORS, Control, ControlChannel, Input, Output, Sample, Tick

BACK: RGB = (24, 26, 30)
RULE: RGB = (58, 62, 70)
TEXT: RGB = (230, 232, 236)
DIM: RGB = (150, 156, 166)

ROWS = 3
FULL_SCALE = {"1/m": 0.1, "m/s2": 4.0}
"""The value that fills half a bar. Curvature is drawn by its square root, so that a motorway bend shows."""


def panel_height(unit: float) -> int:
    """Return its height in px for text of `unit` px; even."""
    return 2 * round((ROWS * 1.75 + 0.8) * unit / 2)


def draw_panel(
    canvas: Canvas,
    top: int,
    unit: float,
    sample: Sample,
    output: Output,
    drawn: int,
    frozen_s: Mapping[str, float] | None = None,
    *,
    ranges_m: tuple[float, float] | None = None,
    truth: bool = False,
) -> None:
    """Draw the panel over the full width of the canvas, from row `top` down.

    Args:
        canvas, top, unit: Where, and the size of its text, px.
        sample, output: What it is about.
        drawn: How many boxes are in view.
        frozen_s: Kind of sensor -> for how long it has shown the same content under new stamps.
        ranges_m: The ends of the range colours, where returns are in view.
        truth: Whether boxes of truth are in view.
    """
    width = canvas.shape[1]
    fill(canvas, (0, top, width, canvas.shape[0]), BACK)
    columns = _columns(width)
    for x in columns[1:3]:
        fill(canvas, (x, top + 0.5 * unit, x + 1, canvas.shape[0] - 0.5 * unit), RULE)
    rows = _rows(top, unit)
    left, right = columns[0] + 0.7 * unit, columns[1] - 0.7 * unit
    kinds: tuple[Mapping[str, Input[Any]], ...] = (sample.cameras, sample.ranges, sample.statuses)
    free = []
    for y, source, of_kind in zip(rows, sample.inputs, kinds, strict=True):
        absent = [each for each in of_kind.values() if not each.present]
        if absent:  # of several sensors one that is absent is what must be said
            source = absent[0]
        frozen = (frozen_s or {}).get(source.kind, 0.0)
        free.append(_sensor(canvas, y, unit, source, left, right, frozen) + 0.6 * unit)
    if truth:
        _truth_key(canvas, rows[0], unit, free[0], right)
    if ranges_m is not None:
        _range_key(canvas, rows[1], unit, free[1], right, ranges_m)
    _control(canvas, rows, unit, output.control, columns[1] + 0.8 * unit, columns[2] - 0.7 * unit)
    right = columns[3] - 0.4 * unit
    for y, (text, colour) in zip(rows, _tick_lines(output, drawn), strict=True):
        x = columns[2] + 0.8 * unit
        put_text(canvas, fitted(text, right - x, unit), x, y, unit, colour)


def _truth_key(canvas: Canvas, y: float, unit: float, left: float, right: float) -> None:
    """Draw what a dashed box is, where it has room between `left` and `right`."""
    size = 0.85 * unit
    words_x = right - text_width("truth", size)
    x = words_x - 2.4 * unit
    if x >= left:
        put_text(canvas, "truth", words_x, y, size, DIM)
        dashed(canvas, (x, y - 0.4 * unit, x + 1.8 * unit, y + 0.4 * unit), WHITE, unit / 4)


def _range_key(
    canvas: Canvas, y: float, unit: float, left: float, right: float, ranges_m: tuple[float, float]
) -> None:
    """Draw the colours of ranges, where they have room between `left` and `right`."""
    size, steps = 0.85 * unit, 24
    near, far = (f"{value:g} m" for value in ranges_m)
    far_x = right - text_width(far, size)
    bar_x = far_x - 4.4 * unit
    near_x = bar_x - 0.4 * unit - text_width(near, size)
    if near_x < left:
        return
    put_text(canvas, near, near_x, y, size, DIM)
    put_text(canvas, far, far_x, y, size, DIM)
    for k, colour in enumerate(ramp(np.linspace(0, 1, steps), RANGE_RAMP).tolist()):
        x = bar_x + k * 4 * unit / steps
        fill(canvas, (x, y - 0.3 * unit, x + 4 * unit / steps + 1, y + 0.3 * unit), colour)


def sensor_words(source: Input[Any], frozen_s: float = 0.0) -> str:
    """Return `age 12 ms`, why the input is absent, or for how long it has been frozen."""
    if not source.present:
        return source.reason or "absent"
    if frozen_s > 0:
        return f"frozen for {frozen_s:.1f} s"
    return "present" if source.age_ms is None else f"age {source.age_ms:.0f} ms"


def sources(based_on: tuple[str, ...]) -> str:
    """Return `from camera, range`, or `from all inputs`."""
    if not based_on:
        return ""
    return "from all inputs" if set(based_on) >= set(SENSORS) else f"from {', '.join(based_on)}"


def clock(tick: Tick) -> str:
    """Return the tick's stamp: time of day (UTC) where it is a date, else seconds."""
    seconds = tick.stamp_ns / 1e9
    if not 1e8 < seconds < 2.5e11:
        return f"{seconds:.3f} s"
    moment = datetime.fromtimestamp(tick.stamp_ns // 1_000_000_000, UTC)
    return f"{moment:%H:%M:%S}.{tick.stamp_ns // 1_000_000 % 1000:03d} UTC"


def _columns(width: int) -> tuple[float, float, float, float]:
    return 0.0, 0.37 * width, 0.77 * width, float(width)


def _rows(top: int, unit: float) -> list[float]:
    return [top + (0.4 + 1.75 * (k + 0.5)) * unit for k in range(ROWS)]


def _sensor(
    canvas: Canvas, y: float, unit: float, source: Input[Any], x: float, right: float, frozen_s: float
) -> float:
    """Draw the row of a sensor between `x` and `right`; return where its words end."""
    sound = source.present and frozen_s <= 0
    colour = GREEN if sound else VERMILION
    half = 0.36 * unit
    if sound:  # a full square, or a bar: told apart without colour too
        fill(canvas, (x, y - half, x + 2 * half, y + half), colour)
    else:
        fill(canvas, (x, y - 0.3 * half, x + 2 * half, y + 0.3 * half), colour)
    name_x = x + 1.4 * unit
    name = fitted(source.name, max(0.45 * (right - name_x), 4 * unit), unit, bold=True)
    put_text(canvas, name, name_x, y, unit, TEXT, bold=True)
    widths = (text_width(text, unit, bold=True) for text in (f"{name} ", "camera "))
    words_x = name_x + max(widths) + 0.6 * unit
    words = fitted(sensor_words(source, frozen_s), right - words_x, unit)
    return put_text(canvas, words, words_x, y, unit, DIM if sound else VERMILION)


def _control(
    canvas: Canvas, rows: list[float], unit: float, head: Control | None, x: float, right: float
) -> None:
    if head is None or not head.valid:
        text = (
            "no control head" if head is None else f"control invalid{': ' if head.error else ''}{head.error}"
        )
        colour = DIM if head is None else VERMILION
        put_text(canvas, fitted(text, right - x, unit), x, rows[0], unit, colour)
        return
    shown = head.channels if len(head.channels) <= len(rows) else head.channels[: len(rows) - 1]
    for y, channel in zip(rows, shown, strict=False):
        _channel(canvas, y, unit, channel, x, right)
    if len(shown) < len(rows):
        more = [channel.name for channel in head.channels[len(shown) :]]
        text = f"not shown: {', '.join(more)}" if more else sources(head.based_on)
        put_text(canvas, fitted(text, right - x, unit), x, rows[-1], unit, DIM)


def _channel(canvas: Canvas, y: float, unit: float, channel: ControlChannel, x: float, right: float) -> None:
    words = control_words(channel)
    words_x = right - 11.4 * unit
    bar_x = x + 7.4 * unit
    put_text(canvas, fitted(channel.name, 7.0 * unit, unit, bold=True), x, y, unit, TEXT, bold=True)
    value, spread = bar_position(channel)
    zero_bar(
        canvas, (bar_x, y - 0.42 * unit, words_x - 0.6 * unit, y + 0.42 * unit), value, spread, SKY, RULE
    )
    put_text(canvas, fitted(words, right - words_x, unit), words_x, y, unit, TEXT)


def control_words(channel: ControlChannel) -> str:
    """Return `+0.0123 ±0.0020 1/m`."""
    digits = 4 if channel.unit == "1/m" else 2
    std = f" ±{channel.std:.{digits}f}" if 0 < (channel.std or 0.0) < math.inf else ""
    return f"{channel.value:+.{digits}f}{std} {channel.unit}"


def bar_position(channel: ControlChannel) -> tuple[float, float]:
    """Return the end of the bar and the reach of its whisker, as fractions of half the bar.

    A positive curvature turns left, and so does its bar.
    """
    full = FULL_SCALE.get(channel.unit, max(1.0, abs(channel.value)))
    value = min(max(channel.value / full, -100.0), 100.0) if math.isfinite(channel.value) else 0.0
    std = channel.std or 0.0
    spread = min(std / full, 100.0) if 0 < std < math.inf else 0.0
    if channel.unit != "1/m":
        return value, spread
    root = math.sqrt(abs(value))
    reach = math.sqrt(abs(value) + spread) - root
    return -math.copysign(root, value), reach


def _tick_lines(output: Output, drawn: int) -> list[tuple[str, RGB]]:
    tick = output.tick
    head = output.detections
    if head is None:
        boxes = "no detection head"
    elif head.valid:
        boxes = f"{drawn} of {len(head.items)} boxes {sources(head.based_on)}"
    else:
        boxes = "detections invalid"
    substitute = tick.kind != "reference"
    return [
        (f"{clock(tick)}", TEXT),
        (f"tick {tick.index} · {tick.kind}", VERMILION if substitute else DIM),
        (boxes, DIM),
    ]
