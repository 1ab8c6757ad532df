"""What a monitor reads off one output: a few numbers for each head, the same for every plugin."""

from __future__ import annotations

import numpy as np

from perception.outputs import Control, Detections, Output

FROM_SCORE = 0.1
"""Detections of lower scores are left out: plugins differ in how many of them they give."""

Figures = dict[str, dict[str, float]]
"""Head -> name -> value. A head that is invalid has none; NaN: there was nothing to read it off."""


def figures_of(output: Output) -> Figures:
    """The figures of one output.

    class: `best_score`, the highest of the frame; `expected`, the sum of the scores, which is the number of
    objects that calibrated scores promise. box: `box_std` over the size of the box and `distance_std` over
    the distance, both weighted by score. control: `std/<channel>`, in the channel's unit.
    """
    found: Figures = {}
    detections, control = output.detections, output.control
    if detections is not None and detections.valid:
        found["class"], found["box"] = _of_detections(detections)
    if control is not None and control.valid:
        found["control"] = _of_control(control)
    return found


def _of_detections(detections: Detections) -> tuple[dict[str, float], dict[str, float]]:
    items = [item for item in detections.items if item.score >= FROM_SCORE]
    if not items:
        nothing = float("nan")
        return {"best_score": 0.0, "expected": 0.0}, {"box_std": nothing, "distance_std": nothing}
    table = np.array([(d.score, *d.xyxy, *d.box_std, d.distance_m, d.distance_std_m) for d in items])
    score, box, std = table[:, 0], table[:, 1:5], table[:, 5:9]
    size = np.sqrt(np.maximum((box[:, 2] - box[:, 0]) * (box[:, 3] - box[:, 1]), 1.0))
    about_class = {"best_score": float(score.max()), "expected": float(score.sum())}
    about_box = {
        "box_std": float(np.average(std.mean(axis=1) / size, weights=score)),
        "distance_std": float(np.average(table[:, 10] / np.maximum(table[:, 9], 0.1), weights=score)),
    }
    return about_class, about_box


def _of_control(control: Control) -> dict[str, float]:
    return {f"std/{channel.name}": float(channel.std) for channel in control.channels}
