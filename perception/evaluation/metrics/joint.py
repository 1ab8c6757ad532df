"""One score for early stopping and sorting. It is for choosing; the parts say what it means."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from perception.evaluation.metrics.base import Result, Value

VERSION = "joint/1"
WEIGHTS = {"boxes": 0.5, "distance": 0.15, "control": 0.25, "calibration": 0.1}


def joint(results: Iterable[Result]) -> Result:
    """The weighted mean of up to four parts, each from 0 to 1, greater is better.

    ===========  ======  =================================================================================
    part         weight  value
    ===========  ======  =================================================================================
    boxes        0.5     mAP@50:95
    distance     0.15    1 / (1 + distance_rel / 0.1): one half at a mean error of 10 %
    control      0.25    mean over channels of 1 / (1 + MAE / MAE_mean): one half where saying the mean of
                         truth would do as well
    calibration  0.1     1 - D-ECE
    ===========  ======  =================================================================================

    Each is multiplied by the share of the head's frames that were valid, so that saying nothing does not pay.
    A part is left out, and the weights of the others scaled up, only where truth does not support it: a model
    that offers nothing to be measured by (no match, no detection, an invalid head) gets 0 for that part.
    Scores compare only between the same parts over the same logs; `details` names both parts and version.
    """
    found = {result.metric: result for result in results}
    parts = {
        name: part
        for name, part in (
            ("boxes", _boxes(found)),
            ("distance", _distance(found)),
            ("control", _control(found)),
            ("calibration", _calibration(found)),
        )
        if part is not None
    }
    weight = sum(WEIGHTS[name] for name in parts)
    support = max((result.frames.get("scored", 0) for result in found.values()), default=0)
    score = sum(WEIGHTS[name] * part for name, part in parts.items()) / weight if parts else None
    value = Value(score, support, "", "higher", "" if parts else "no part has enough truth")
    values = {"joint": value} | {
        f"joint/{name}": Value(part, support, "", "higher") for name, part in parts.items()
    }
    details = {"version": VERSION, "parts": sorted(parts), "weights": WEIGHTS}
    return Result("joint", "joint", values, details)


def _boxes(found: dict[str, Result]) -> float | None:
    result = found.get("mean_average_precision")
    if result is None:
        return None
    value = result.values["mAP"].value
    if value is None:
        return 0.0 if result.frames["invalid"] else None
    return _valid(result) * value


def _distance(found: dict[str, Result]) -> float | None:
    result = found.get("distance_errors")
    if result is None or _boxes(found) is None or (result.frames["scored"] and not result.details["truth"]):
        return None
    value = result.values["distance_rel"].value
    return _valid(result) / (1 + value / 0.1) if value is not None else 0.0


def _calibration(found: dict[str, Result]) -> float | None:
    result = found.get("detection_calibration")
    if result is None or _boxes(found) is None:
        return None
    value = result.values["D-ECE"].value
    return _valid(result) * (1 - value) if value is not None else 0.0


def _control(found: dict[str, Result]) -> float | None:
    result = found.get("control_errors")
    if result is None:
        return None
    skills = []
    for name, value in result.values.items():
        if not name.startswith("MAE/"):
            continue
        channel = name.removeprefix("MAE/")
        mean = result.values[f"MAE_mean/{channel}"].value
        if value.value is not None and mean:
            skills.append(1 / (1 + value.value / mean))
        elif result.details["missing"].get(channel):
            skills.append(0.0)
    if not skills:
        return 0.0 if result.frames["invalid"] else None
    return _valid(result) * float(np.mean(skills))


def _valid(result: Result) -> float:
    """The share of frames with truth in which the head was valid."""
    scored, invalid = result.frames["scored"], result.frames["invalid"]
    return scored / (scored + invalid) if scored + invalid else 0.0
