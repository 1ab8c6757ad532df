"""Scores of a run are in the units of what is predicted, whatever losses make of them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from perception.models.tensors import Inputs, Predictions
from perception.training.data.dataset import Dataset
from perception.training.data.sample_cache import CachedLog
from perception.training.validation import units, validate
from tests.training.conftest import SHAPE


class Oracle(nn.Module):
    """Says the truth of one sample after the other, but for distances and control that are off as told.

    `alarm` is a class of which it finds one more object in each sample.
    """

    def __init__(
        self, dataset: Dataset, further: float = 1.0, off: tuple[float, float] = (0.0, 0.0), alarm: str = ""
    ) -> None:
        super().__init__()
        self.config, self.dataset, self.further, self.off, self.next = SHAPE, dataset, further, off, 0
        self.alarm = alarm

    def forward(self, inputs: Inputs) -> Predictions:
        rows = [self._row(self.next + k) for k in range(len(inputs.present))]
        self.next += len(rows)
        return Predictions(*(torch.stack(column) for column in zip(*rows, strict=True)))

    def _row(self, index: int) -> tuple[Tensor, ...]:
        truth, k = self.dataset[index].truth, SHAPE.detections + 1
        count = len(truth.labels)
        boxes, metres, labels, scores = np.zeros((k, 4)), np.ones(k), np.zeros(k, int), np.zeros(k)
        boxes[:count], metres[:count] = truth.boxes, truth.distance_m * self.further
        labels[:count], scores[:count] = truth.labels, 0.9
        if self.alarm:  # in a corner where nothing is
            labels[count], scores[count] = SHAPE.classes.index(self.alarm), 0.95
            boxes[count] = (1, 1, 13, 31)
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


@pytest.mark.parametrize("alarm", ["vehicle", "cone"])
def test_a_find_of_a_class_that_is_not_completely_labelled_is_no_false_alarm(
    cached: CachedLog, alarm: str
) -> None:
    chosen = [np.arange(0, 30, 2)]
    known = np.array([label != alarm for label in SHAPE.classes], np.float32)
    score = {}
    for name, complete in (("all", None), ("some", [known])):
        dataset = Dataset([cached], chosen, complete)
        score[name] = validate(Oracle(dataset, alarm=alarm), dataset, torch.device("cpu"))  # type: ignore[arg-type]
    assert score["some"]["mAP50"] == pytest.approx(1, abs=0.01)
    assert score["all"]["mAP50"] < 0.95
