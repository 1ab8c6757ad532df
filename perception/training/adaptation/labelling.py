"""A round's labels: boxes that views and time confirm, with the distances that returns say."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from perception.models import FusionModel
from perception.models.preprocess import PictureArea
from perception.training.adaptation.agreement import agreed_boxes
from perception.training.adaptation.enlarged_views import seen_enlarged
from perception.training.adaptation.labelled_dataset import LabelledDataset, neighbours_of
from perception.training.adaptation.measured_distances import measured_distances
from perception.training.adaptation.pseudo_labels import ClassRule, class_rules, labels_of
from perception.training.adaptation.report import ClassLabels
from perception.training.adaptation.views import TwoViews
from perception.training.data.cache_spec import CacheSpec
from perception.training.data.dataset import Dataset
from perception.training.data.training_sample import IGNORED, SampleId, SampleTruth
from perception.types import Float32, Float64


class Labelled(NamedTuple):
    """The labelled samples of a round, and the labels of each class."""

    dataset: LabelledDataset
    classes: tuple[ClassLabels, ...]


def labelled(
    model: FusionModel,
    views: Sequence[TwoViews],
    dataset: Dataset,
    spec: CacheSpec,
    control: Sequence[Float64],
) -> Labelled:
    """Return a data set with labels by a model.

    Args:
        model: Labels them.
        views: What it sees in each sample, whole.
        dataset: The samples; only their inputs are used.
        spec: How their logs are read.
        control: The control value that each sample teaches: what the first model said, so that it stays.
    """
    agreed = agreed_boxes(views, neighbours_of(dataset), seen_enlarged(model, dataset, views))
    rules = class_rules(agreed, len(spec.model.classes))
    labels = {
        sample: labels_of(boxes, rules, values, _area(dataset, sample).input_size)
        for sample, boxes, values in zip(dataset.ids, agreed, control, strict=True)
    }
    labels = _with_distances(labels, dataset, spec)
    return Labelled(LabelledDataset(dataset, labels), _counts(labels, rules, spec.model.classes))


def in_source_pixels(boxes: Float32 | Float64, dataset: Dataset, sample: SampleId) -> Float64:
    """Return boxes `xyxy` [N, 4] of the model's input in pixels of the picture of a sample."""
    corners = boxes.astype(np.float64).reshape(-1, 2, 2)
    return _area(dataset, sample).to_source(corners).reshape(-1, 4)


def _area(dataset: Dataset, sample: SampleId) -> PictureArea:
    return dataset.logs[sample.log].area(sample.row)


def _with_distances(
    labels: dict[SampleId, SampleTruth], dataset: Dataset, spec: CacheSpec
) -> dict[SampleId, SampleTruth]:
    boxes = {sample: in_source_pixels(truth.boxes, dataset, sample) for sample, truth in labels.items()}
    names = {s: [spec.model.classes[label] for label in truth.labels] for s, truth in labels.items()}
    measured = measured_distances(dataset, spec, boxes, names)
    return {
        sample: truth._replace(distance_m=measured[sample].metres.astype(np.float32))
        if sample in measured
        else truth
        for sample, truth in labels.items()
    }


def _counts(
    labels: dict[SampleId, SampleTruth], rules: Sequence[ClassRule], classes: Sequence[str]
) -> tuple[ClassLabels, ...]:
    label = np.concatenate([truth.labels for truth in labels.values()])
    doubt = np.concatenate([truth.visible for truth in labels.values()]) == IGNORED
    known = np.isfinite(np.concatenate([truth.distance_m for truth in labels.values()]))
    return tuple(
        ClassLabels(
            name,
            rule.score,
            rule.confirmed,
            int(((label == place) & ~doubt).sum()),
            int(((label == place) & doubt).sum()),
            int(((label == place) & ~doubt & known).sum()),
        )
        for place, (name, rule) in enumerate(zip(classes, rules, strict=True))
    )
