"""Scores that need no other head: known answers, and a model that says the truth gets the best of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from perception.models import FusionModel
from perception.training.ablation.dense_scores import (
    average_precision,
    dense_scores,
    mean_precision,
    overlap,
    weighted_median,
)
from perception.training.data.dataset import Dataset
from perception.training.data.sample_cache import CachedLog
from tests.training.conftest import SHAPE, small_config


def test_average_precision_of_a_known_ranking() -> None:
    """Positives in the places 1, 3 and 6: (1/1 + 2/3 + 3/6) / 3."""
    predicted = np.array([0.9, 0.8, 0.7, 0.6, 0.5, 0.4], np.float32)
    positive = np.array([True, False, True, False, False, True])
    assert average_precision(predicted, positive) == pytest.approx((1 + 2 / 3 + 1 / 2) / 3)
    assert average_precision(predicted, ~positive & False) is None


@settings(max_examples=25)
@given(st.lists(st.tuples(st.integers(0, 3), st.booleans()), min_size=1, max_size=20))
def test_average_precision_is_the_mean_precision_at_each_positive(cells: list[tuple[int, bool]]) -> None:
    """Against the definition, ties counting together."""
    predicted = np.array([s for s, _ in cells], np.float32)
    positive = np.array([p for _, p in cells])
    at = [positive[predicted >= s].mean() for s, p in cells if p]
    found = average_precision(predicted, positive)
    assert found == (pytest.approx(float(np.mean(at))) if at else None)


def test_cells_that_are_neither_centre_nor_background_do_not_count() -> None:
    heat = np.array([[9.0], [8.0], [7.0], [1.0]], np.float32)
    assert mean_precision(heat, np.array([[0.5], [np.nan], [1.0], [0.0]], np.float32)) == 1.0
    assert mean_precision(heat, np.array([[0.0], [np.nan], [1.0], [0.0]], np.float32)) == 0.5
    assert mean_precision(heat, np.zeros((4, 1), np.float32)) is None


def test_boxes_around_one_point_overlap_as_boxes_do() -> None:
    """4 x 4 and 2 x 6 around a common corner region: shared 2 x 3, whole 16 + 12 - 6."""
    one = torch.tensor([1.0, 1.0, 3.0, 3.0]).view(1, 4, 1, 1)
    other = torch.tensor([0.0, 3.0, 2.0, 3.0]).view(1, 4, 1, 1)
    both = (0 + 2) * (1 + 3)
    assert overlap(one, other).item() == pytest.approx(both / (16 + 12 - both))
    assert overlap(one, one).item() == pytest.approx(1.0)


def test_a_weighted_median_is_where_half_the_weight_is_reached() -> None:
    values = np.array([3.0, 1.0, 2.0], np.float32)
    assert weighted_median(values, np.array([1, 1, 1], np.float32)) == 2.0
    assert weighted_median(values, np.array([9, 1, 1], np.float32)) == 3.0


def test_a_log_is_scored_sample_by_sample_alike_whatever_the_batches(
    cached: CachedLog, street: Path, cache_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Losses are means over all objects, not means of means."""
    config = small_config(street, cache_root, tmp_path)
    dataset = Dataset([cached], [np.arange(0, 30, 4)])
    model = FusionModel(SHAPE, seed=1)
    whole = dense_scores(model, dataset, config)
    monkeypatch.setattr("perception.training.ablation.dense_scores.BATCH", 3)
    parts = dense_scores(model, dataset, config)
    assert set(whole) == {
        *(f"loss/{head}" for head in ("class", "box", "distance", "control")),
        *("class_AP", "box_IoU", "distance_err"),
    }
    assert parts == pytest.approx(whole, rel=1e-4)
    assert 0 < whole["box_IoU"] < 1
