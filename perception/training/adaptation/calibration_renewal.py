"""Calibration renewed from what is certain without truth.

Distances are measured by returns, so their deviations are fitted to them. A score claims to be the share of
right boxes, and a box that the mirror image does not have is not right more often than by chance: what is
confirmed bounds a score from above, and so does what the first weights claimed: scores are only lowered. Two
views that differ bound the error of a box from below, so deviations of boxes are only raised.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from perception.models import FusionModel
from perception.models.calibration import LEAST, fit_factor, fit_scores, spread_of
from perception.training.adaptation.agreement import SAME_VIEW_IOU, matched
from perception.training.adaptation.report import CalibrationChange
from perception.training.adaptation.views import TwoViews
from perception.training.data.dataset import Dataset
from perception.types import SENSORS, Float64


def usual_sensors(dataset: Dataset) -> tuple[tuple[str, ...], NDArray[np.intp]]:
    """Return the sensors that most samples of a data set have, and the places of those samples."""
    present = [tuple(np.asarray(dataset.logs[log].column("present")[row]) > 0) for log, row in dataset.ids]
    usual = Counter(present).most_common(1)[0][0]
    places = np.flatnonzero([flags == usual for flags in present])
    return tuple(name for name, flag in zip(SENSORS, usual, strict=True) if flag), places


def renew_calibration(
    model: FusionModel,
    views: Sequence[TwoViews],
    distances: Float64,
    first_views: Sequence[TwoViews],
    sensors: Sequence[str] = SENSORS,
) -> list[CalibrationChange]:
    """Change the calibration of a model with some sensors present; return what changed.

    Args:
        model: Its calibration is that of the weights that it started from.
        views: By this model, of samples that it did not learn from.
        distances: [N, 3] predicted, by returns, and the predicted deviation, of boxes of the same samples.
        first_views: Of the same samples, by the weights that it started from.
        sensors: Those that these samples have; the calibration of other subsets stays.
    """
    row = sum(1 << place for place, name in enumerate(SENSORS) if name in sensors)
    changes = [*_scores(model, row, views, first_views), *_boxes(model, row, views)]
    if len(distances) >= LEAST:
        predicted, measured, std = distances.T
        factor = fit_factor(predicted - measured, std, model.config.loss_family)
        buffer = model.decoder.calibration.distance_factor
        old = float(buffer[row, 0])
        buffer[row, 0] = old * factor
        changes.append(CalibrationChange("distance deviation factor", old, old * factor, len(distances)))
    return changes


def _scores(
    model: FusionModel, row: int, views: Sequence[TwoViews], first_views: Sequence[TwoViews]
) -> list[CalibrationChange]:
    calibration, changes = model.decoder.calibration, []
    label, score, spread, confirmed = _score_rows(views)
    first_label, first_score, _, _ = _score_rows(first_views)
    for index, name in enumerate(model.config.classes):
        mine = label == index
        if mine.sum() < LEAST:
            continue
        claimed = _logit(score[mine])
        scale, bias = _no_surer(claimed, _logit(first_score[first_label == index]))
        claimed = scale * claimed + bias
        more, shift, by_spread = fit_scores(claimed, confirmed[mine], spread[mine])
        lower = more * claimed + shift + by_spread * spread[mine]
        if _mean_score(lower) >= _mean_score(claimed):  # it claims no more than what is confirmed
            more, shift, by_spread, lower = 1.0, 0.0, 0.0, claimed
        if (scale, bias, more, shift, by_spread) == (1, 0, 1, 0, 0):
            continue
        # All corrections are linear in the logit and the spread, so that they become one.
        buffers = (calibration.score_scale, calibration.score_bias, calibration.score_spread)
        before = [float(buffer[row, index]) for buffer in buffers]
        factor = more * scale
        after = [factor * before[0], factor * before[1] + more * bias + shift, factor * before[2] + by_spread]
        for buffer, value in zip(buffers, after, strict=True):
            buffer[row, index] = value
        mean = float(score[mine].mean())
        changes.append(CalibrationChange(f"mean score of {name}", mean, _mean_score(lower), int(mine.sum())))
    return changes


def _no_surer(claimed: Float64, first: Float64) -> tuple[float, float]:
    """Return scale and bias by which a class's surest boxes claim as much as those of the first weights did.

    Labels that a model gave itself make it surer, and no righter: the k-th surest box has no more evidence
    than the k-th surest of the weights that gave the labels. Where it claims no more, nothing changes: 1, 0.

    Args:
        claimed: [N] logits of scores.
        first: [M] of the first weights, for the same samples.
    """
    count = min(len(claimed), len(first))
    if count < LEAST:
        return 1.0, 0.0
    mine, theirs = (np.sort(values)[::-1][:count] for values in (claimed, first))
    if _mean_score(mine) <= _mean_score(theirs) or np.ptp(mine) < 1e-6:
        return 1.0, 0.0
    scale, bias = np.polyfit(mine, theirs, 1)
    return max(float(scale), 0.05), float(bias)


def _logit(scores: Float64) -> Float64:
    clipped = np.clip(scores, 1e-6, 1 - 1e-6)
    return np.log(clipped / (1 - clipped))


def _mean_score(logits: Float64) -> float:
    return float(np.mean(1 / (1 + np.exp(-logits))))


def _score_rows(views: Sequence[TwoViews]) -> tuple[Float64, Float64, Float64, Float64]:
    """Return class, score, spread, and whether the mirror image has it, of each box of the views."""
    rows = []
    for view in views:
        plain = view.plain
        has_mirror = (matched(plain, view.mirrored, SAME_VIEW_IOU) >= 0).astype(float)
        rows.append(
            (plain.labels.astype(float), plain.scores, spread_of(plain.boxes, plain.box_std), has_mirror)
        )
    label, score, spread, confirmed = (np.concatenate(column) for column in zip(*rows, strict=True))
    return label, score, spread, confirmed


def _boxes(model: FusionModel, row: int, views: Sequence[TwoViews]) -> list[CalibrationChange]:
    differences, stds = [], []
    for view in views:
        twins = matched(view.plain, view.mirrored, SAME_VIEW_IOU)
        (pairs,) = np.nonzero(twins >= 0)
        # Independent errors of both views add up: that of one is smaller by the square root of two.
        differences.append((view.plain.boxes[pairs] - view.mirrored.boxes[twins[pairs]]) / np.sqrt(2))
        stds.append(view.plain.box_std[pairs])
    errors, deviations = np.concatenate(differences), np.concatenate(stds)
    buffer = model.decoder.calibration.box_factor
    factors = [
        max(1.0, fit_factor(errors[:, side], deviations[:, side], model.config.loss_family))
        for side in range(4)
    ]
    if max(factors) == 1.0:
        return []
    old = buffer[row].clone()
    for side, factor in enumerate(factors):
        buffer[row, side] *= factor
    return [
        CalibrationChange("box deviation factor", float(old.mean()), float(buffer[row].mean()), len(errors))
    ]
