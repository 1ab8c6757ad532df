"""One score over all heads, for early stopping and sorting."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from perception.evaluation.metrics.base import Result, Value
from perception.types import Float64

VERSION = "joint/2"
WEIGHTS = {"boxes": 0.5, "distance": 0.15, "control": 0.25, "calibration": 0.1}
METRICS = ("mean_average_precision", "distance_errors", "control_errors", "detection_calibration")
"""The metrics that the parts are computed from."""


def joint(results: Iterable[Result]) -> Result:
    """Return the weighted mean of up to four parts, each from 0 to 1; greater is better.

    ===========  ======  =================================================================================
    part         weight  value
    ===========  ======  =================================================================================
    boxes        0.5     mAP@50:95
    distance     0.15    1 / (1 + distance_rel / 0.1): one half at a mean error of 10 %
    control      0.25    mean over channels of 1 / (1 + sqrt(1 - R2)), at most one half for a constant. (By
                         absolute errors a constant median gets more where truth is mostly zero, as
                         steering is on a straight road.)
    calibration  0.1     1 - D-ECE
    ===========  ======  =================================================================================

    Each is multiplied by the share of the head's frames that were valid, so that invalid outputs do not pay.
    A part is left out, and the weights of the others scaled up, only where truth does not support it, or the
    outputs leave it unknown: no match states a distance. A model without anything to measure (no match, no
    detection, an invalid head) gets 0 for that part.
    Scores compare only between the same parts over the same logs; `details` names both parts and version.
    """
    by_metric = {result.metric: result for result in results}
    values = {
        name: np.array([value.value])
        for metric in METRICS
        if metric in by_metric
        for name, value in by_metric[metric].values.items()
        if value.value is not None
    }
    valid = {
        head: np.array([_valid(by_metric[metric]) if metric in by_metric else 0.0])
        for head, metric in (("boxes", METRICS[0]), ("control", METRICS[2]))
    }
    scores = {
        name: float(score[0]) for name, score in joint_values(by_metric.values(), values, valid).items()
    }
    support = max((result.frames.get("scored", 0) for result in by_metric.values()), default=0)
    table = {name: Value(score, support, "", "higher") for name, score in scores.items()}
    if not table:
        table = {"joint": Value(None, support, "", "higher", "no part has enough truth")}
    parts = sorted(name.partition("/")[2] for name in scores if name != "joint")
    details = {"version": VERSION, "parts": parts, "weights": WEIGHTS}
    return Result("joint", "joint", table, details)


def joint_values(
    results: Iterable[Result], values: Mapping[str, Float64], valid: Mapping[str, Float64]
) -> dict[str, Float64]:
    """Return the joint score and its parts under each of D draws, [D]; empty if truth supports no part.

    Args:
        results: The point estimates: they decide which parts there are.
        values: [D] the values of `METRICS` by name.
        valid: [D] the share of the frames with truth in which `boxes` and `control` were valid.
    """
    by_metric = {result.metric: result for result in results}
    boxes, distance, control, calibration = (by_metric.get(metric) for metric in METRICS)
    seen, zero = valid["boxes"], np.zeros(len(valid["boxes"]))
    parts: dict[str, Float64] = {}
    if boxes is not None and (boxes.values["mAP"].defined or boxes.frames["invalid"]):
        parts["boxes"] = seen * values["mAP"] if boxes.values["mAP"].defined else zero
        if distance is not None and _asks_for_distance(distance):
            known = distance.values["distance_rel"].defined
            parts["distance"] = seen / (1 + values["distance_rel"] / 0.1) if known else zero
        if calibration is not None:
            parts["calibration"] = (
                seen * (1 - values["D-ECE"]) if calibration.values["D-ECE"].defined else zero
            )
    if control is not None:
        skills = _skills(control, values, zero)
        if skills or control.frames["invalid"]:
            parts["control"] = valid["control"] * np.mean(skills, axis=0) if skills else zero
    names = [name for name in WEIGHTS if name in parts]
    if not names:
        return {}
    weight = sum(WEIGHTS[name] for name in names)
    score: Float64 = sum((WEIGHTS[name] * parts[name] for name in names), zero) / weight
    return {"joint": score} | {f"joint/{name}": parts[name] for name in names}


def _asks_for_distance(distance: Result) -> bool:
    """Return whether truth has distances, and not all matches leave theirs unknown."""
    unknown = distance.details["missing"] and not distance.values["distance_bias"].support
    return not unknown and bool(distance.details["truth"] or not distance.frames["scored"])


def _skills(control: Result, values: Mapping[str, Float64], zero: Float64) -> list[Float64]:
    """Return 1 / (1 + sqrt(1 - R2)) of each channel; 0 for a channel missing from a valid head."""
    skills = []
    for name, value in control.values.items():
        if not name.startswith("R2/"):
            continue
        channel = name.removeprefix("R2/")
        if value.defined:
            skills.append(1 / (1 + np.sqrt(np.maximum(1 - values[name], 0.0))))
        elif control.details["missing"].get(channel):
            skills.append(zero)
    return skills


def _valid(result: Result) -> float:
    """Return the share of frames with truth in which the head was valid."""
    scored, invalid = result.frames["scored"], result.frames["invalid"]
    return scored / (scored + invalid) if scored + invalid else 0.0
