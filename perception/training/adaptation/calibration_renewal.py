"""Calibration renewed from what is certain without truth.

Distances are measured by returns, so their deviations are fitted to them. A score claims to be the share of
right boxes, and a box that the mirror image does not have is not right more often than by chance: what is
confirmed bounds a score from above, so scores are only lowered. Two views that differ bound the error of a
box from below, so deviations of boxes are only raised.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from perception.models import FusionModel
from perception.models.calibration import LEAST, fit_factor, fit_scores, spread_of
from perception.training.adaptation.agreement import SAME_VIEW_IOU, matched
from perception.training.adaptation.report import CalibrationChange
from perception.training.adaptation.views import TwoViews
from perception.types import Float64

ALL = -1
"""The row of all sensors."""


def renew_calibration(
    model: FusionModel, views: Sequence[TwoViews], distances: Float64
) -> list[CalibrationChange]:
    """Change the calibration of a model with all sensors present; return what changed.

    Args:
        model: Its calibration is that of the weights that it started from.
        views: By this model, of samples that it did not learn from.
        distances: [N, 3] predicted, by returns, and the predicted deviation, of boxes of the same samples.
    """
    changes = [*_scores(model, views), *_boxes(model, views)]
    if len(distances) >= LEAST:
        predicted, measured, std = distances.T
        factor = fit_factor(predicted - measured, std, model.config.loss_family)
        buffer = model.decoder.calibration.distance_factor
        old = float(buffer[ALL, 0])
        buffer[ALL, 0] = old * factor
        changes.append(CalibrationChange("distance deviation factor", old, old * factor, len(distances)))
    return changes


def _scores(model: FusionModel, views: Sequence[TwoViews]) -> list[CalibrationChange]:
    calibration, changes = model.decoder.calibration, []
    rows = [_score_rows(view) for view in views]
    label, score, spread, confirmed = (np.concatenate(column) for column in zip(*rows, strict=True))
    claimed = np.log(np.clip(score, 1e-6, 1 - 1e-6) / (1 - np.clip(score, 1e-6, 1 - 1e-6)))
    for index, name in enumerate(model.config.classes):
        mine = label == index
        if mine.sum() < LEAST:
            continue
        scale, bias, by_spread = fit_scores(claimed[mine], confirmed[mine], spread[mine])
        lower = 1 / (1 + np.exp(-(scale * claimed[mine] + bias + by_spread * spread[mine])))
        if lower.mean() >= score[mine].mean():
            continue  # it claims no more than what is confirmed
        # Both corrections are linear in the logit and the spread, so that they become one.
        buffers = (calibration.score_scale, calibration.score_bias, calibration.score_spread)
        before = [float(buffer[ALL, index]) for buffer in buffers]
        after = [scale * before[0], scale * before[1] + bias, scale * before[2] + by_spread]
        for buffer, value in zip(buffers, after, strict=True):
            buffer[ALL, index] = value
        changes.append(
            CalibrationChange(
                f"mean score of {name}", float(score[mine].mean()), float(lower.mean()), int(mine.sum())
            )
        )
    return changes


def _score_rows(view: TwoViews) -> tuple[Float64, Float64, Float64, Float64]:
    """Return class, score, spread, and whether the mirror image has it, of each box of a view."""
    plain = view.plain
    twins = matched(plain, view.mirrored, SAME_VIEW_IOU)
    confirmed = twins >= 0
    return (
        plain.labels.astype(np.float64),
        plain.scores,
        spread_of(plain.boxes, plain.box_std),
        confirmed.astype(np.float64),
    )


def _boxes(model: FusionModel, views: Sequence[TwoViews]) -> list[CalibrationChange]:
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
    old = buffer[ALL].clone()
    for side, factor in enumerate(factors):
        buffer[ALL, side] *= factor
    return [
        CalibrationChange("box deviation factor", float(old.mean()), float(buffer[ALL].mean()), len(errors))
    ]
