"""Fits find what was distorted, stay put where there is little to go by, and never turn scores around."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perception.models.calibration import HALF_WIDTH, LEAST, fit_factor, fit_scores, spread_of


@given(st.floats(0.3, 2.5), st.floats(-1.5, 1.5), st.integers(0, 99))
@settings(max_examples=25)
def test_a_distortion_of_scores_is_found_again(scale: float, bias: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    true = rng.normal(0, 1.5, 20000)
    hits = rng.random(true.size) < 1 / (1 + np.exp(-true))
    found = fit_scores((true - bias) / scale, hits)
    assert found[0] == pytest.approx(scale, rel=0.12)
    assert found[1] == pytest.approx(bias, abs=0.12)
    assert found[2] == 0.0


@given(st.floats(-1.5, 0.5), st.integers(0, 99))
@settings(max_examples=15)
def test_what_the_spread_of_boxes_says_of_hits_is_found(weight: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    logits, spread = rng.normal(0, 1.5, 20000), rng.normal(-1, 0.8, 20000)
    hits = rng.random(logits.size) < 1 / (1 + np.exp(-(logits + weight * spread)))
    scale, bias, found = fit_scores(logits, hits, spread)
    assert (scale, found) == (pytest.approx(1, abs=0.12), pytest.approx(weight, abs=0.12))
    assert bias == pytest.approx(0, abs=0.15)


def test_the_spread_of_a_box_is_that_of_its_sides_over_its_size() -> None:
    boxes, stds = np.array([[0.0, 0, 10, 40]]), np.array([[1.0, 2, 1, 2]])
    np.testing.assert_allclose(spread_of(boxes, stds), np.log(2 / 10 + 4 / 40))


def test_scores_that_separate_perfectly_stay_finite() -> None:
    logits = np.linspace(-3, 3, 100)
    scale, bias, _ = fit_scores(logits, logits > 0)
    assert 1 < scale < 20
    assert abs(bias) < 1


def test_scores_that_are_wrong_are_not_turned_around() -> None:
    logits = np.linspace(-3, 3, 1000)
    assert fit_scores(logits, logits < 0)[0] > 0


@pytest.mark.parametrize("family", ["laplace", "gaussian"])
@given(factor=st.floats(0.2, 5), seed=st.integers(0, 99))
@settings(max_examples=15)
def test_four_of_five_errors_lie_in_their_interval_after_the_fit(
    family: str, factor: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    stds = rng.uniform(0.5, 2, 4000)
    draw = rng.laplace(0, 1 / np.sqrt(2), 4000) if family == "laplace" else rng.normal(0, 1, 4000)
    errors = draw * stds * factor
    found = fit_factor(errors, stds, family)
    assert found == pytest.approx(factor, rel=0.15)
    assert np.mean(abs(errors) <= HALF_WIDTH[family] * found * stds) == pytest.approx(0.8, abs=0.01)


def test_little_to_go_by_changes_nothing() -> None:
    few = np.ones(LEAST - 1)
    assert fit_scores(few, few > 0) == (1.0, 0.0, 0.0)
    assert fit_factor(few, few, "laplace") == 1.0
    assert fit_factor(np.full(100, np.nan), np.ones(100), "laplace") == 1.0
