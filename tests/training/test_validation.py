"""Scores of a run are in the units of what is predicted, whatever losses make of them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from perception.models.tensors import Inputs, Predictions
from perception.training.data.dataset import Dataset
from perception.training.data.sample_cache import CachedLog
from perception.training.data.training_sample import TrainingSample
from perception.training.validation import units, validate
from tests.training.conftest import SHAPE


class Oracle(nn.Module):
    """Says the truth of one sample after the other, but for distances and control that are off as told."""

    def __init__(self, dataset: Dataset, further: float, off: tuple[float, float]) -> None:
        super().__init__()
        self.config, self.dataset, self.further, self.off, self.next = SHAPE, dataset, further, off, 0

    def forward(self, inputs: Inputs) -> Predictions:
        rows = [self._row(self.next + k) for k in range(len(inputs.present))]
        self.next += len(rows)
        return Predictions(*(torch.stack(column) for column in zip(*rows, strict=True)))

    def _row(self, index: int) -> tuple[Tensor, ...]:
        truth, k = self.dataset[index].truth, SHAPE.detections
        count = len(truth.labels)
        boxes, metres, labels, scores = np.zeros((k, 4)), np.ones(k), np.zeros(k, int), np.zeros(k)
        boxes[:count], metres[:count] = truth.boxes, truth.distance_m * self.further
        labels[:count], scores[:count] = truth.labels, 0.9
        control = np.nan_to_num(truth.control) + np.array(self.off)
        found = (scores, labels, boxes, np.ones((k, 4)), metres, np.ones(k), control, np.ones(len(control)))
        return tuple(torch.from_numpy(np.asarray(a)) for a in found)


def test_distances_are_scored_in_parts_and_in_metres_and_control_in_its_channels_units(
    cached: CachedLog,
) -> None:
    dataset = Dataset([cached], [np.arange(0, 30, 2)])
    true = np.concatenate([dataset[i].truth.distance_m for i in range(len(dataset))])
    oracle = Oracle(dataset, further=1.1, off=(0.02, -0.5))
    found = validate(oracle, dataset, torch.device("cpu"))  # type: ignore[arg-type]
    assert found["mAP50"] == pytest.approx(1, abs=0.01)
    assert found["distance_rel"] == pytest.approx(0.1, rel=0.02)
    assert 0.1 * true.min() < found["distance_abs"] < 0.1 * true.max()
    twice = validate(Oracle(dataset, 1.2, (0.0, 0.0)), dataset, torch.device("cpu"))  # type: ignore[arg-type]
    assert twice["distance_abs"] == pytest.approx(2 * found["distance_abs"], rel=1e-4)
    assert found["MAE/curvature"] == pytest.approx(0.02, rel=1e-3)
    assert found["MAE/acceleration"] == pytest.approx(0.5, rel=1e-3)
    named = units(SHAPE)
    assert (named["distance_abs"], named["MAE/curvature"], named["MAE/acceleration"]) == ("m", "1/m", "m/s2")
    assert {name for name in found if name.startswith("MAE")} <= named.keys()


class PartlyLabelled(Dataset):
    """Every other object of the first class has no box in the truth."""

    def __getitem__(self, index: int) -> TrainingSample:
        sample = super().__getitem__(index)
        truth = sample.truth
        kept = (truth.labels != 0) | (np.arange(len(truth.labels)) % 2 == 0)
        parts = {name: getattr(truth, name)[kept] for name in ("labels", "boxes", "distance_m", "visible")}
        return sample._replace(truth=truth._replace(**parts))


def test_objects_without_a_box_are_no_false_alarms_where_a_class_is_not_complete(cached: CachedLog) -> None:
    rows = [np.arange(0, 30, 2)]
    oracle = Oracle(Dataset([cached], rows), further=1.0, off=(0.0, 0.0))
    scores = []
    for complete in ([1, 1, 1], [0, 1, 1]):
        oracle.next = 0
        dataset = PartlyLabelled([cached], rows, [np.array(complete, np.float32)])
        scores.append(validate(oracle, dataset, torch.device("cpu"))["mAP50"])  # type: ignore[arg-type]
    assert scores[0] < 0.95
    assert scores[1] == pytest.approx(1, abs=0.01)
