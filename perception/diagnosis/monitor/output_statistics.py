"""Statistics of one output: a few numbers for each head, the same for every plugin."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from perception.geometry.boxes import overlap
from perception.types import Control, ControlChannel, Float64, Output

FROM_SCORE = 0.1
"""Detections of lower scores are left out: plugins differ in how many of them they return."""

LIKELY = 0.5
"""Detections of this score or more count as objects."""

NEXT_NS = 300_000_000
"""Outputs farther apart are not compared with one another."""

SAME = 0.3
"""Boxes of one label with this overlap (IoU) or more in successive outputs are of one object."""

Statistics = dict[str, dict[str, float]]
"""Head -> name -> value. An invalid head has none; NaN: there was nothing to compute it from."""


class StatisticsReader:
    """Computes the statistics of successive outputs; keeps the previous one."""

    def __init__(self) -> None:
        self._before: _Scored | None = None

    def read(self, output: Output) -> Statistics:
        """Return the statistics of the next output.

        class: `best_score`, the highest of the frame; `expected`, the sum of the scores, which is the number
        of objects that calibrated scores promise; `sureness`, the mean score, weighted by score: how far
        scores stay away from the middle. box: `box_std` over the size of the box and `distance_std` over the
        distance, both weighted by score; `jump/height` and `jump/distance`, by how many standard deviations
        the boxes of objects that were there before have changed. control: `std/<channel>`, in the channel's
        unit; `jump/<channel>`, the change since the output before, in standard deviations. There are no jumps
        at the first output, and after a gap.
        """
        before, self._before = self._before, _Scored(output)
        return _statistics(self._before, before)


class _Scored:
    """An output, and its detections that count as a table.

    Attributes:
        labels: [N], or None: the head is not valid.
        table: [N, 11]: score, box, its stds, distance, its std; NaN where a value is unknown.
    """

    def __init__(self, output: Output) -> None:
        self.output = output
        self.labels: NDArray[np.str_] | None = None
        detections = output.detections
        items = detections.items if detections is not None else ()
        items = tuple(item for item in items if item.score >= FROM_SCORE)
        if detections is not None and detections.valid:
            self.labels = np.array([item.label for item in items], np.str_)
        rows = [(d.score, *d.xyxy, *(d.box_std or _NO_STD), d.distance_m, d.distance_std_m) for d in items]
        self.table: Float64 = np.array(rows, np.float64).reshape(-1, 11)  # None becomes NaN


_NO_STD = (None,) * 4


def _statistics(now: _Scored, before: _Scored | None) -> Statistics:
    output = now.output
    if before is not None and not 0 < output.tick.stamp_ns - before.output.tick.stamp_ns <= NEXT_NS:
        before = None
    statistics: Statistics = {}
    if now.labels is not None:
        statistics["class"] = _of_scores(now.table[:, 0])
        statistics["box"] = _of_boxes(now.table)
        if before is not None and before.labels is not None:
            statistics["box"] |= _jumps(now.labels, now.table, before.labels, before.table)
    heads_before = before.output.heads() if before is not None else {}
    for name, head in output.heads().items():
        if isinstance(head, Control) and head.valid:
            earlier = heads_before.get(name)
            statistics[name] = _of_control(head, earlier if isinstance(earlier, Control) else None)
    return statistics


def _of_scores(score: Float64) -> dict[str, float]:
    if not len(score):
        return {"best_score": 0.0, "expected": 0.0, "sureness": float("nan")}
    expected = float(score.sum())
    sureness = float((score**2).sum()) / expected
    return {"best_score": float(score.max()), "expected": expected, "sureness": sureness}


def _of_boxes(table: Float64) -> dict[str, float]:
    score, box, std = table[:, 0], table[:, 1:5], table[:, 5:9]
    size = np.sqrt(np.maximum((box[:, 2] - box[:, 0]) * (box[:, 3] - box[:, 1]), 1.0))
    return {
        "box_std": _average(std.mean(axis=1) / size, score),
        "distance_std": _average(table[:, 10] / np.maximum(table[:, 9], 0.1), score),
    }


def _average(values: Float64, score: Float64) -> float:
    """Return the mean of the known values [N], weighted by score; NaN where none is known."""
    known = ~np.isnan(values)
    return float(np.average(values[known], weights=score[known])) if known.any() else float("nan")


def _jumps(
    labels: NDArray[np.str_], table: Float64, labels_before: NDArray[np.str_], before: Float64
) -> dict[str, float]:
    """Return the median change of the objects that are likely now and were there before."""
    likely = table[:, 0] >= LIKELY
    if not likely.any() or not len(before):
        return {}
    shared = overlap(table[:, 1:5], before[:, 1:5]) * (labels[:, None] == labels_before)
    partner = shared.argmax(axis=1)
    kept = likely & (shared[np.arange(len(table)), partner] >= SAME)
    if not kept.any():
        return {}
    now, then = table[kept], before[partner[kept]]
    height = (now[:, 4] - now[:, 2]) - (then[:, 4] - then[:, 2])
    sides = np.maximum(now[:, 6] + now[:, 8], 1e-6)
    stds = np.maximum(np.hypot(now[:, 10], then[:, 10]), 1e-6)
    return {
        "jump/height": _median(np.abs(height) / sides),
        "jump/distance": _median(np.abs(now[:, 9] - then[:, 9]) / stds),
    }


def _median(values: Float64) -> float:
    """Return the median of the known values [N]; NaN where none is known."""
    known = ~np.isnan(values)
    return float(np.median(values[known])) if known.any() else float("nan")


def _of_control(control: Control, before: Control | None) -> dict[str, float]:
    stds = {channel.name: _std(channel) for channel in control.channels}
    statistics = {f"std/{name}": std for name, std in stds.items()}
    if before is not None and before.valid:
        then = {channel.name: channel for channel in before.channels}
        for now in control.channels:
            if now.name in then:
                std = float(np.hypot(stds[now.name], _std(then[now.name])))
                change = abs(now.value - then[now.name].value)
                statistics[f"jump/{now.name}"] = change / max(std, 1e-9)
    return statistics


def _std(channel: ControlChannel) -> float:
    return float("nan") if channel.std is None else float(channel.std)
