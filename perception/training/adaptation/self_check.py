"""What the held-out part says of a model without truth: agreement of views, and distances against returns."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from perception.models import FusionModel
from perception.training.adaptation.agreement import self_agreement
from perception.training.adaptation.labelling import in_source_pixels
from perception.training.adaptation.measured_distances import measured_distances
from perception.training.adaptation.report import SelfCheck
from perception.training.adaptation.views import COUNTED_SCORE, TwoViews, seen_twice
from perception.training.data.cache_spec import CacheSpec
from perception.training.data.dataset import Dataset
from perception.types import Float64

FEWEST_DISTANCES = 10
FEWER = 0.5
"""Fewer boxes than this share of those before are worse: who says little agrees with himself easily."""


class SelfChecked(NamedTuple):
    """The result of `self_check`, and what it was computed from.

    Attributes:
        summary: For the report.
        views: Of each sample.
        distances: Of each sample, [N, 3] of boxes with returns: predicted, by returns, and the predicted
            deviation; metres.
    """

    summary: SelfCheck
    views: list[TwoViews]
    distances: list[Float64]


def self_check(
    model: FusionModel, dataset: Dataset, spec: CacheSpec, before: SelfCheck | None = None
) -> SelfChecked:
    """Return how a model does on samples without looking at their truth.

    Args:
        model: The model.
        dataset: The samples.
        spec: How they were read.
        before: What another model reached on them: agreement is then that of no more boxes than it found.
            A model that finds further objects, the hardest ones, would else agree less.
    """
    views = seen_twice(model, dataset)
    seen = [view.plain.take(view.plain.scores >= COUNTED_SCORE) for view in views]
    boxes, names = {}, {}
    for sample, kept in zip(dataset.ids, seen, strict=True):
        boxes[sample] = in_source_pixels(kept.boxes, dataset, sample)
        names[sample] = [model.config.classes[label] for label in kept.labels]
    measured = measured_distances(dataset, spec, boxes, names)
    rows = []
    for sample, kept in zip(dataset.ids, seen, strict=True):
        metres = measured[sample].metres if sample in measured else np.full(len(kept.labels), np.nan)
        columns = np.stack([kept.distance_m, metres, kept.distance_std_m], 1)
        rows.append(columns[np.isfinite(columns).all(1)])
    distances = np.concatenate(rows)
    error = None
    if len(distances) >= FEWEST_DISTANCES:
        error = float(np.median(np.abs(distances[:, 0] - distances[:, 1]) / distances[:, 1]))
    count = float(np.mean([len(kept.labels) for kept in seen]))
    agreement = self_agreement(views, None if before is None else round(before.boxes * len(views)))
    summary = SelfCheck(agreement.share, count, error, len(distances), agreement.error)
    return SelfChecked(summary, views, rows)


def got_worse(before: SelfCheck, after: SelfCheck) -> list[str]:
    """Return why the held-out part, without truth, speaks against the new weights; empty: it does not.

    An agreement that falls by no more than its standard error does not: chance is as large.
    """
    reasons = []
    if before.agreement is not None and after.agreement is None:
        reasons.append(f"no box is left on the held-out part, where there were {before.boxes:.2g} a picture")
    elif (
        before.agreement is not None
        and after.agreement is not None
        and after.agreement < before.agreement - before.agreement_error
    ):
        reasons.append(
            f"on the held-out part mirrored views agree on {after.agreement:.1%} of the surest boxes, as "
            f"many as the first weights found, which agreed on {before.agreement:.1%} (standard error "
            f"{before.agreement_error:.1%})"
        )
    if after.agreement is not None and after.boxes < FEWER * before.boxes:
        reasons.append(
            f"on the held-out part {after.boxes:.2g} boxes are left in a picture, before {before.boxes:.2g}"
        )
    return reasons
