"""The four scores of an evaluation, for each head and for distance, as shown in fault and latency curves.

Each is from 0 to 1, greater is better, and is multiplied by the share of the frames with truth that got an
answer: an invalid head never gains.

==========  ===================================================================================
class       the best F1 over all classes
box         mAP@50:95
distance    1 / (1 + distance_rel / 0.1): one half at a mean error of 10 %
control     mean over channels of 1 / (1 + MAE / MAE_mean): one half where the mean would do as well
==========  ===================================================================================
"""

from __future__ import annotations

from collections.abc import Mapping

from perception.evaluation.report.value_schema import Heads, MetricReport

SCORES = ("class", "box", "distance", "control")

Scores = dict[str, float | None]


def scores_of(heads: Heads, frames: Mapping[str, int] | None = None) -> Scores:
    """Return the four scores of an evaluation; None where the truth is insufficient.

    Args:
        heads: Head -> metric -> its report.
        frames: How many frames with truth there are, as `frames_of` counts them, where an evaluation may have
            met fewer: the others then count as without an answer.
    """
    joint = heads["joint"]["joint"].values
    scores: Scores = {}
    f1 = heads["class"]["precision_recall"].values["F1"].value
    boxes = heads["box"]["mean_average_precision"]
    scores["class"] = None if f1 is None else f1 * _answered(boxes)
    for name, part in (("box", "boxes"), ("distance", "distance"), ("control", "control")):
        value = joint.get(f"joint/{part}")
        scores[name] = None if value is None else value.value
    if scores["box"] is None:
        scores["class"] = None
    elif scores["class"] is None:
        scores["class"] = 0.0 if boxes.frames.get("invalid") or scores["box"] == 0.0 else None
    if frames is None:
        return scores
    met = frames_of(heads)
    return {
        name: None if value is None else value * min(met[name] / frames[name], 1.0) if frames[name] else value
        for name, value in scores.items()
    }


def frames_of(heads: Heads) -> dict[str, int]:
    """Return the number of frames with truth for each score."""
    boxes = _met(heads["box"]["mean_average_precision"])
    control = _met(heads["control"]["control_errors"])
    return {"class": boxes, "box": boxes, "distance": boxes, "control": control}


def _met(metric: MetricReport) -> int:
    return metric.frames.get("scored", 0) + metric.frames.get("invalid", 0)


def _answered(metric: MetricReport) -> float:
    met = _met(metric)
    return metric.frames.get("scored", 0) / met if met else 0.0
