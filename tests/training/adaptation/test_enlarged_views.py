"""Enlarged parts: what a model finds there stands in the whole picture, where it is."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from perception.models import FusionModel
from perception.models.tensors import RETURN_CHANNELS, Predictions
from perception.training.adaptation import enlarged_views
from perception.training.adaptation.enlarged_views import MARGIN_PX, seen_enlarged
from perception.training.adaptation.views import SeenBoxes, TwoViews
from perception.training.data.dataset import Dataset
from perception.training.data.sample_cache import CachedLog
from perception.training.data.training_sample import TrainingSample
from tests.training.conftest import SHAPE

U, V, IN_IMAGE = (RETURN_CHANNELS.index(name) for name in ("u", "v", "in_image"))
WIDTH, HEIGHT = SHAPE.input_width, SHAPE.input_height


def whole(top: float) -> TwoViews:
    """Sure boxes of 10 pixels at a height."""
    seen = SeenBoxes(
        np.zeros(3, np.int64),
        np.full(3, 0.9),
        np.array([[x, top, x + 8, top + 10] for x in (0.0, 30.0, 60.0)]),
        np.ones((3, 4)),
        np.ones(3),
        np.ones(3),
    )
    return TwoViews(seen, seen, np.zeros(2))


class Finder:
    """Stands for a model that finds a white square, and the return in the middle of it."""

    def __init__(self) -> None:
        self.returns_seen: list[bool] = []

    def __call__(self, _: Any, samples: list[TrainingSample], __: Any) -> Predictions:
        count = len(samples)
        boxes, scores = np.zeros((count, 1, 4)), np.zeros((count, 1))
        for place, sample in enumerate(samples):
            rows, columns = np.nonzero(sample.inputs.image[0] > 127)
            if not len(rows):
                continue
            box = np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])
            boxes[place, 0], scores[place, 0] = box, 0.9
            (first, *_) = sample.inputs.returns
            inside = first[IN_IMAGE] > 0 and (box[:2] <= first[:2]).all() and (first[:2] <= box[2:]).all()
            if (box[:2] > 0).all() and (box[2:] < (WIDTH, HEIGHT)).all():  # else an edge may have cut it
                self.returns_seen.append(bool(inside))
        labels, ones = np.zeros((count, 1), int), np.ones((count, 1))
        std, control = np.ones((count, 1, 4)), np.zeros((count, 2))
        return Predictions(scores, labels, boxes, std, ones, ones, control, control)


class Painted(Dataset):
    """The samples of a log with another picture: black with a white square, and a return in its middle."""

    def __init__(self, dataset: Dataset, square: tuple[int, int, int, int], camera: bool = True) -> None:
        super().__init__(dataset.logs, [])
        self.ids, self.square, self.camera = list(dataset.ids), square, camera

    def __getitem__(self, index: int) -> TrainingSample:
        sample = super().__getitem__(index)
        x1, y1, x2, y2 = self.square
        image = np.zeros_like(sample.inputs.image)
        image[:, y1:y2, x1:x2] = 255
        returns = sample.inputs.returns.copy()
        returns[0, [U, V, IN_IMAGE]] = (x1 + x2) / 2, (y1 + y2) / 2, 1
        present = sample.inputs.present.copy()
        present[0] = float(self.camera)
        return sample._replace(inputs=sample.inputs._replace(image=image, returns=returns, present=present))


@pytest.mark.parametrize("square", [(40, 20, 48, 30), (4, 20, 12, 30), (114, 24, 124, 32), (60, 18, 68, 26)])
def test_boxes_and_returns_of_a_part_stand_where_they_are_in_the_whole(
    cached: CachedLog, monkeypatch: pytest.MonkeyPatch, square: tuple[int, int, int, int]
) -> None:
    finder = Finder()
    monkeypatch.setattr(enlarged_views, "predict", finder)
    dataset = Painted(Dataset([cached], [np.arange(3)]), square)
    views = seen_enlarged(FusionModel(SHAPE), dataset, [whole(20.0)] * 3)
    assert len(views) == 3
    for parts in views:
        assert len(parts) == enlarged_views.PARTS
        found = [box for part in parts for box in part.seen.boxes]
        assert found, "the square lies in at least one part"
        for box in found:
            assert box == pytest.approx(square, abs=0.6)  # enlarging smooths half a pixel
        for part in parts:
            low, high = part.region[:2], part.region[2:]
            inside = (low <= square[:2]).all() and (square[2:] <= high).all()
            assert len(part.seen.labels) == inside
    assert finder.returns_seen
    assert all(finder.returns_seen)


def test_what_an_edge_of_a_part_cuts_is_left_out_and_an_edge_of_the_picture_cuts_nothing(
    cached: CachedLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(enlarged_views, "predict", Finder())
    dataset = Dataset([cached], [np.arange(1)])
    middle = WIDTH // 2
    (parts,) = seen_enlarged(
        FusionModel(SHAPE), Painted(dataset, (middle - 4, 20, middle + 4, 30)), [whole(20.0)]
    )
    assert [len(part.seen.labels) for part in parts] == [0, 1, 0]
    (parts,) = seen_enlarged(FusionModel(SHAPE), Painted(dataset, (0, 20, 8, 30)), [whole(20.0)])
    assert [len(part.seen.labels) for part in parts] == [1, 0, 0]
    assert parts[0].region[0] == -np.inf
    assert parts[0].region[2] == WIDTH // 2 - MARGIN_PX


@pytest.mark.parametrize("height", [0.0, 20.0, HEIGHT - 10.0])
def test_parts_lie_where_the_boxes_are(
    cached: CachedLog, monkeypatch: pytest.MonkeyPatch, height: float
) -> None:
    monkeypatch.setattr(enlarged_views, "predict", Finder())
    dataset = Painted(Dataset([cached], [np.arange(2)]), (40, 20, 48, 30))
    for parts in seen_enlarged(FusionModel(SHAPE), dataset, [whole(height)] * 2):
        for part in parts:
            assert part.region[1] <= height
            assert height + 10 <= part.region[3]


def test_a_sample_without_a_picture_has_no_enlarged_views(
    cached: CachedLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(enlarged_views, "predict", Finder())
    dataset = Painted(Dataset([cached], [np.arange(2)]), (40, 20, 48, 30), camera=False)
    assert seen_enlarged(FusionModel(SHAPE), dataset, [whole(20.0)] * 2) == [[], []]
