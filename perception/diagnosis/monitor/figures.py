"""What a monitor reads off one output: a few numbers for each head, the same for every plugin."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from perception.types import Control, Detection, Detections, Output

FROM_SCORE = 0.1
"""Detections of lower scores are left out: plugins differ in how many of them they give."""

LIKELY = 0.5
"""Detections from here on are taken for objects where figures need some."""

NEXT_NS = 300_000_000
"""Outputs farther apart are not compared with one another."""

SAME = 0.3
"""Boxes of one label that overlap by so much (IoU) in successive outputs are of one object."""

Figures = dict[str, dict[str, float]]
"""Head -> name -> value. A head that is invalid has none; NaN: there was nothing to read it off."""

Array = NDArray[np.float64]


class FigureReader:
    """Reads figures off outputs, in order. Remembers the one before."""

    def __init__(self) -> None:
        self._before: Output | None = None

    def read(self, output: Output) -> Figures:
        """The figures of the next output, as `figures_of`."""
        before, self._before = self._before, output
        return figures_of(output, before)


def figures_of(output: Output, before: Output | None = None) -> Figures:
    """The figures of one output.

    class: `best_score`, the highest of the frame; `expected`, the sum of the scores, which is the number of
    objects that calibrated scores promise; `sureness`, the mean score, weighted by score: how far scores
    stay away from the middle. box: `box_std` over the size of the box and `distance_std` over the distance,
    both weighted by score; `jump/height` and `jump/distance`, by how many standard deviations the boxes of
    objects that were there before have changed. control: `std/<channel>`, in the channel's unit;
    `jump/<channel>`, the change since the output before, in standard deviations.

    Args:
        before: The output before; None, or too long ago: there are no jumps.
    """
    if before is not None and not 0 < output.tick.stamp_ns - before.tick.stamp_ns <= NEXT_NS:
        before = None
    found: Figures = {}
    detections, control = output.detections, output.control
    if detections is not None and detections.valid:
        items, table = _table(detections)
        found["class"] = _of_scores(table[:, 0])
        found["box"] = _of_boxes(table)
        if before is not None and before.detections is not None and before.detections.valid:
            found["box"] |= _jumps(items, table, *_table(before.detections))
    if control is not None and control.valid:
        found["control"] = _of_control(control, before.control if before is not None else None)
    return found


def _table(detections: Detections) -> tuple[list[Detection], Array]:
    """The detections that count, [N], and [N, 11]: score, box, its stds, distance, its std."""
    items = [item for item in detections.items if item.score >= FROM_SCORE]
    rows = [(d.score, *d.xyxy, *d.box_std, d.distance_m, d.distance_std_m) for d in items]
    return items, np.array(rows, np.float64).reshape(-1, 11)


def _of_scores(score: Array) -> dict[str, float]:
    if not len(score):
        return {"best_score": 0.0, "expected": 0.0, "sureness": float("nan")}
    expected = float(score.sum())
    sureness = float((score**2).sum()) / expected
    return {"best_score": float(score.max()), "expected": expected, "sureness": sureness}


def _of_boxes(table: Array) -> dict[str, float]:
    if not len(table):
        return {"box_std": float("nan"), "distance_std": float("nan")}
    score, box, std = table[:, 0], table[:, 1:5], table[:, 5:9]
    size = np.sqrt(np.maximum((box[:, 2] - box[:, 0]) * (box[:, 3] - box[:, 1]), 1.0))
    return {
        "box_std": float(np.average(std.mean(axis=1) / size, weights=score)),
        "distance_std": float(np.average(table[:, 10] / np.maximum(table[:, 9], 0.1), weights=score)),
    }


def _jumps(
    items: Sequence[Detection], table: Array, items_before: Sequence[Detection], before: Array
) -> dict[str, float]:
    """The middle one of the changes, of objects that are likely now and were there before."""
    likely = table[:, 0] >= LIKELY
    if not likely.any() or not len(before):
        return {}
    overlap = _overlaps(table[:, 1:5], before[:, 1:5])
    overlap *= np.array([[a.label == b.label for b in items_before] for a in items])
    partner = overlap.argmax(axis=1)
    kept = likely & (overlap[np.arange(len(table)), partner] >= SAME)
    if not kept.any():
        return {}
    now, then = table[kept], before[partner[kept]]
    height = (now[:, 4] - now[:, 2]) - (then[:, 4] - then[:, 2])
    sides = np.maximum(now[:, 6] + now[:, 8], 1e-6)
    stds = np.maximum(np.hypot(now[:, 10], then[:, 10]), 1e-6)
    return {
        "jump/height": float(np.median(np.abs(height) / sides)),
        "jump/distance": float(np.median(np.abs(now[:, 9] - then[:, 9]) / stds)),
    }


def _overlaps(a: Array, b: Array) -> Array:
    """Intersection over union, [N, M]."""
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, 2:], b[None, :, 2:])
    shared = np.clip(high - low, 0.0, None).prod(axis=2)
    area_a, area_b = ((x[:, 2] - x[:, 0]) * (x[:, 3] - x[:, 1]) for x in (a, b))
    union = area_a[:, None] + area_b[None] - shared
    found: Array = shared / np.maximum(union, 1e-9)
    return found


def _of_control(control: Control, before: Control | None) -> dict[str, float]:
    found = {f"std/{channel.name}": float(channel.std) for channel in control.channels}
    if before is not None and before.valid:
        then = {channel.name: channel for channel in before.channels}
        for now in control.channels:
            if now.name in then:
                std = float(np.hypot(now.std, then[now.name].std))
                found[f"jump/{now.name}"] = abs(now.value - then[now.name].value) / max(std, 1e-9)
    return found
