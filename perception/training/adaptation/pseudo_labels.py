"""Labels from what is certain, doubts from what is not.

After self-training (Lee 2013, Pseudo-Label) on an ensemble of views (Radosavovic et al. 2018, Data
distillation), with a score for each class from which its boxes are confirmed. Dimension letters: C classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from perception.training.adaptation.agreement import AgreedBoxes
from perception.training.data.training_sample import IGNORED, SampleTruth
from perception.types import Float64

CONFIRMED = 0.8
"""The share of a class's boxes above its score that views and time must confirm."""

LEAST_LABEL_SCORE = 0.3
LEAST_DOUBT_SCORE = 0.05
"""Mean scores over all views: from the second on a box is a doubt, which is neither learned nor punished."""

FEWEST_BOXES = 10
"""Of fewer boxes nothing is said about a class."""


class ClassRule(NamedTuple):
    """The score from which boxes of a class become labels; None: none are certain enough."""

    score: float | None
    confirmed: float | None  # the share of the boxes from that score on which views and time agree
    boxes: int  # from that score on, or from `LEAST_LABEL_SCORE` where no score is enough


def class_rules(agreed: Sequence[AgreedBoxes], classes: int) -> list[ClassRule]:
    """Return for each class the lowest score from which enough of its boxes are confirmed."""
    labels = np.concatenate([boxes.labels for boxes in agreed])
    certain = np.concatenate([boxes.certain for boxes in agreed])
    # The score of an unconfirmed box is low because views lack it: compare what those say that have it.
    scores = np.concatenate([boxes.claimed for boxes in agreed])
    return [_rule(scores[labels == label], certain[labels == label]) for label in range(classes)]


def _rule(scores: Float64, certain: Float64) -> ClassRule:
    order = np.argsort(-scores, kind="stable")
    scores, confirmed = scores[order], np.cumsum(certain[order]) / np.arange(1, len(order) + 1)
    count = int((scores >= LEAST_LABEL_SCORE).sum())
    enough = np.flatnonzero(confirmed[:count] >= CONFIRMED)
    enough = enough[enough >= FEWEST_BOXES - 1]
    if not len(enough):
        return ClassRule(None, float(confirmed[count - 1]) if count else None, count)
    last = int(enough[-1])
    return ClassRule(float(scores[last]), float(confirmed[last]), last + 1)


def labels_of(
    agreed: AgreedBoxes, rules: Sequence[ClassRule], control: Float64, source_size: tuple[float, float]
) -> SampleTruth:
    """Return the labels of one sample; distances are not known yet.

    Of a class without a score nothing is said where it has no box, and its boxes are doubts: it is neither
    learned nor unlearned.
    """
    least = np.array([np.inf if rule.score is None else rule.score for rule in rules])[agreed.labels]
    label = agreed.certain & (agreed.scores >= least)
    kept = np.flatnonzero(label | (agreed.scores >= LEAST_DOUBT_SCORE))
    return SampleTruth(
        labels=agreed.labels[kept],
        boxes=agreed.boxes[kept].astype(np.float32),
        distance_m=np.full(len(kept), np.nan, np.float32),
        visible=np.where(label[kept], 1.0, IGNORED).astype(np.float32),
        boxes_known=np.array(1, np.float32),
        control=control.astype(np.float32),
        measured=np.full(len(control), np.nan, np.float32),
        source_size=np.asarray(source_size, np.float32),
        complete=np.array([rule.score is not None for rule in rules], np.float32),
    )
