"""The boxes that a model sees in samples, each looked at twice: as it is, and mirrored.

Dimension letters: K boxes, A control channels.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from perception.models import FusionModel
from perception.models.preprocess import InputSpec
from perception.models.tensors import Predictions
from perception.training.data.augmentation import Augmenter, sides_unsaid
from perception.training.data.dataset import Dataset
from perception.training.data.training_sample import TrainingSample
from perception.training.train_config import AugmentConfig
from perception.training.validation import predict
from perception.types import Float64

LEAST_SCORE = 0.05
"""Boxes of lower scores are left out: they are neither labels nor doubts."""

COUNTED_SCORE = 0.3
"""Boxes of at least this score count in the agreement of a model with itself, and say where objects stand."""

AT_ONCE = 4
"""Samples of a forward pass, each with its mirror image."""


class SeenBoxes(NamedTuple):
    """The boxes of one view, by falling score; `xyxy` in input pixels of the view that is not mirrored."""

    labels: NDArray[np.int64]  # [K]
    scores: Float64  # [K]
    boxes: Float64  # [K, 4]
    box_std: Float64  # [K, 4]
    distance_m: Float64  # [K]
    distance_std_m: Float64  # [K]

    def take(self, chosen: NDArray[np.generic]) -> SeenBoxes:
        """Return some of the boxes."""
        return SeenBoxes(*(column[chosen] for column in self))


class TwoViews(NamedTuple):
    """The boxes of a sample and of its mirror image, and the mean of their control values.

    Of channels of which it is not known whether a mirror image changes their sign, it is that of the sample.
    """

    plain: SeenBoxes
    mirrored: SeenBoxes
    control: Float64  # [A], NaN where no sensor is present


def seen_twice(model: FusionModel, dataset: Dataset) -> list[TwoViews]:
    """Return both views of each sample of a data set, in order."""
    config = model.config
    mirror = Augmenter(AugmentConfig(), config, InputSpec.of(config, {}))
    odd = AugmentConfig().odd
    unsaid = sides_unsaid(config, odd)
    signs = {q.name: np.nan if q.name in unsaid else -1.0 if q.name in odd else 1.0 for q in config.control}
    sign = np.array([*signs.values()])
    device = next(model.parameters()).device
    views: list[TwoViews] = []
    for start in range(0, len(dataset), AT_ONCE):
        samples = [dataset[index] for index in range(start, min(start + AT_ONCE, len(dataset)))]
        both = predict(model, [*samples, *map(mirror.mirrored, samples)], device)
        for place, sample in enumerate(samples):
            views.append(_two_views(both, place, len(samples), sample, config.input_width, sign))
    return views


def _two_views(
    both: Predictions, place: int, count: int, sample: TrainingSample, width: int, sign: Float64
) -> TwoViews:
    plain, mirrored = boxes_of(both, place), boxes_of(both, place + count)
    swapped = [2, 1, 0, 3]
    boxes = mirrored.boxes[:, swapped]
    boxes[:, [0, 2]] = width - boxes[:, [0, 2]]
    mirrored = mirrored._replace(boxes=boxes, box_std=mirrored.box_std[:, swapped])
    own, other = both.control[place], sign * both.control[place + count]
    control = np.where(np.isfinite(sign), (own + other) / 2, own)
    if not sample.inputs.present.any():
        control = np.full_like(control, np.nan)
    return TwoViews(plain, mirrored, control.astype(np.float64))


def boxes_of(predictions: Predictions, place: int) -> SeenBoxes:
    """Return the boxes of one sample of a batch, without those that are empty or below `LEAST_SCORE`."""
    scores, boxes = predictions.scores[place], predictions.boxes[place]
    has_area = (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
    kept = np.flatnonzero((scores >= LEAST_SCORE) & np.isfinite(boxes).all(1) & has_area)
    columns: Sequence[NDArray[np.generic]] = (
        scores,
        boxes,
        predictions.box_std[place],
        predictions.distance_m[place],
        predictions.distance_std_m[place],
    )
    numbers = [np.asarray(column[kept], np.float64) for column in columns]
    return SeenBoxes(np.asarray(predictions.labels[place][kept], np.int64), *numbers)


def to_device(model: FusionModel, device: str) -> FusionModel:
    """Return the model on `cpu`, `cuda`, or with `auto` on the GPU where there is one."""
    here = device == "cuda" or (device == "auto" and torch.cuda.is_available())
    return model.to(torch.device("cuda" if here else "cpu")).eval()
