"""The formulas against scikit-learn and scipy on random and degenerate input."""

from __future__ import annotations

import numpy as np
import pytest

from perception.evaluation.metrics import ControlErrors, Rules
from perception.evaluation.metrics.curves import best_f1, calibration_error, equal_mass_bins
from perception.evaluation.metrics.uncertainty import HALF_WIDTH_80, covered_80, negative_log_likelihood
from tests.evaluation.metrics.build import control_frame
from tests.extras import needs

needs("dev", "sklearn", "scipy")  # imported by the tests: it takes seconds


def ranked(seed: int, count: int, ties: bool) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    score = np.sort(rng.integers(1, 6, count) / 6 if ties else rng.uniform(0.1, 1, count))[::-1]
    return score, rng.uniform(size=count) < score**2


@pytest.mark.parametrize("ties", [False, True], ids=["distinct scores", "equal scores"])
@pytest.mark.parametrize("count", [1, 2, 40])
@pytest.mark.parametrize("seed", range(3))
def test_best_f1_is_the_best_of_every_cutoff(seed: int, count: int, ties: bool) -> None:
    from sklearn.metrics import f1_score

    score, hit = ranked(seed, count, ties)
    missed = 3  # truth that nothing was said about: positive, never predicted
    true = np.append(hit, np.ones(missed, dtype=bool))
    tried = {}
    for cut in np.unique(score):
        kept = np.append(score >= cut, np.zeros(missed, dtype=bool))
        tried[cut] = f1_score(true, kept)
    best = best_f1(hit, score, int(hit.sum()) + missed)
    assert best.f1 == pytest.approx(max(tried.values()))
    assert tried[best.score] == pytest.approx(best.f1)


@pytest.mark.parametrize("ties", [False, True], ids=["distinct scores", "equal scores"])
@pytest.mark.parametrize("seed", range(4))
def test_equal_mass_bins_are_those_of_scikit_learn(seed: int, ties: bool) -> None:
    from sklearn.calibration import calibration_curve

    score, correct = ranked(seed, 500, ties)
    accuracy, confidence = calibration_curve(correct, score, n_bins=15, strategy="quantile")
    bins = equal_mass_bins(score, correct, 15)
    assert bins.accuracy == pytest.approx(accuracy)
    assert bins.confidence == pytest.approx(confidence)
    assert bins.size.sum() == 500
    shuffled = np.random.default_rng(0).permutation(500)
    again = equal_mass_bins(score[shuffled], correct[shuffled], 15)
    assert calibration_error(again) == pytest.approx(calibration_error(bins))


@pytest.mark.parametrize("seed", range(3))
def test_likelihood_and_coverage_are_those_of_scipy(seed: int) -> None:
    from scipy import stats

    rng = np.random.default_rng(seed)
    error, std = rng.normal(0, 3, 200), rng.uniform(0.01, 4, 200)
    for family, law in (
        ("laplace", stats.laplace(scale=std / np.sqrt(2))),
        ("gaussian", stats.norm(scale=std)),
    ):
        assert negative_log_likelihood(error, std, family) == pytest.approx(-law.logpdf(error))
        low, high = law.interval(0.8)
        assert covered_80(error, std, family).tolist() == ((low <= error) & (error <= high)).tolist()
        assert HALF_WIDTH_80[family] == pytest.approx(law.interval(0.8)[1][0] / std[0])


@pytest.mark.parametrize("seed", range(3))
def test_regression_errors_are_those_of_scikit_learn(seed: int) -> None:
    from sklearn.metrics import mean_absolute_error, r2_score, root_mean_squared_error

    rng = np.random.default_rng(seed)
    true, metric = rng.normal(2, 3, 60), ControlErrors(Rules())
    predicted, measured = true + rng.normal(0.3, 1, 60), true + rng.normal(0, 0.5, 60)
    for s, t, m in zip(predicted, true, measured, strict=True):
        metric.update(*control_frame(s, t, measured=m))
    found = {name.partition("/")[0]: value.value for name, value in metric.compute().values.items()}
    assert found["MAE"] == pytest.approx(mean_absolute_error(true, predicted))
    assert found["RMSE"] == pytest.approx(root_mean_squared_error(true, predicted))
    assert found["R2"] == pytest.approx(r2_score(true, predicted))
    assert found["MAE_persistence"] == pytest.approx(mean_absolute_error(true, measured))
    assert found["MAE_mean"] == pytest.approx(mean_absolute_error(true, np.full(60, true.mean())))
