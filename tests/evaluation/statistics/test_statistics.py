"""The coverage of intervals, and the distributions behind them beside those of scipy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perception.evaluation.statistics import (
    Blocks,
    BootstrapSpread,
    Draws,
    autocorrelation,
    holm,
    student_quantile,
    student_tail,
)

STEP_NS = 100_000_000


def ar1(rng: np.random.Generator, memory: float, logs: int, frames: int) -> np.ndarray:
    """[logs, frames] of mean 0 and variance 1, from the stationary start."""
    chance = rng.standard_normal((logs, frames)) * np.sqrt(1 - memory**2)
    chance[:, 0] /= np.sqrt(1 - memory**2)
    from scipy.signal import lfilter

    return lfilter([1.0], [1.0, -memory], chance, axis=1)


def mean_spread(series: np.ndarray, draws: int = 200, seed: int = 0) -> BootstrapSpread | None:
    """The spread of the mean of errors [logs, frames] at 10 Hz, as an evaluation makes it."""
    found = autocorrelation(list(series))
    stamps = np.arange(series.shape[1]) * STEP_NS
    blocks = Blocks([stamps] * len(series), max(2.0, found.time * 0.1))
    if blocks.why_not:
        return None
    drawn = Draws(blocks, draws, seed)
    place = np.concatenate([blocks.of(log, stamps) for log in range(len(series))])
    sums = np.bincount(place, series.ravel(), len(blocks))
    counts = np.bincount(place, minlength=len(blocks))

    def means(weights):
        return (weights @ sums) / (weights @ counts)

    by_log = None if drawn.logs is None else means(drawn.logs)
    missed = found.missed(blocks.length_s / 0.1)
    return BootstrapSpread(float(series.mean()), blocks, means(drawn.blocks), by_log, missed)


@pytest.mark.parametrize(
    ("memory", "logs", "frames", "between"),
    [
        (0.0, 1, 400, 0.0),
        pytest.param(0.8, 1, 1200, 0.0, marks=pytest.mark.slow),
        pytest.param(0.8, 5, 200, 0.0, marks=pytest.mark.slow),
        (0.8, 8, 200, 0.3),
    ],
)
def test_intervals_of_correlated_errors_have_their_nominal_coverage(
    memory: float, logs: int, frames: int, between: float
) -> None:
    rng = np.random.default_rng(round(1000 * memory) + logs)
    covered = []
    for trial in range(300):
        series = ar1(rng, memory, logs, frames) + between * rng.standard_normal((logs, 1))
        spread = mean_spread(series, seed=trial)
        if spread is not None:
            interval = spread.interval(0.95)
            covered.append(interval.low <= 0 <= interval.high)
    assert len(covered) > 270
    assert 0.92 <= np.mean(covered) <= 0.98


def test_p_values_of_no_difference_have_their_nominal_size() -> None:
    rng = np.random.default_rng(5)
    p = [mean_spread(ar1(rng, 0.7, 1, 600), seed=trial).p_value() for trial in range(300)]
    assert 0.02 <= np.mean(np.array(p) < 0.05) <= 0.08
    assert mean_spread(ar1(rng, 0.7, 1, 600) + 3).p_value() < 1e-6


def test_the_autocorrelation_time_is_that_of_the_process() -> None:
    for memory in (0.0, 0.5, 0.9):
        found = autocorrelation(list(ar1(np.random.default_rng(1), memory, 4, 20000)))
        assert found.time == pytest.approx((1 + memory) / (1 - memory), rel=0.08)
        assert found.rho[0] == 1.0


def test_what_blocks_miss_is_what_the_formula_of_the_process_says() -> None:
    memory, length = 0.9, 19
    found = autocorrelation(list(ar1(np.random.default_rng(2), memory, 4, 40000)))
    lags = np.arange(1, 400)
    whole = 1 + 2 * np.sum(memory**lags)
    seen = 1 + 2 * np.sum(np.clip(1 - lags / length, 0, None) * memory**lags)
    assert found.missed(length) == pytest.approx(np.sqrt(whole / seen), rel=0.03)
    assert found.missed(1e6) == pytest.approx(1.0, abs=0.01)


def test_series_that_never_change_or_are_too_short_have_no_memory() -> None:
    assert autocorrelation([np.full(50, 3.0)]).time == 1.0
    assert autocorrelation([np.arange(3.0)]).time == 1.0
    assert autocorrelation([]).time == 1.0
    holes = ar1(np.random.default_rng(3), 0.8, 1, 5000)[0]
    holes[::50] = np.nan
    assert autocorrelation([holes]).time == pytest.approx(9.0, rel=0.25)


def test_independent_errors_give_the_interval_of_scipys_bootstrap() -> None:
    from scipy.stats import bootstrap

    rng = np.random.default_rng(4)
    means = rng.gamma(2.0, 1.0, 300)  # one frame a block
    blocks = Blocks([np.arange(300) * 2_000_000_000], 2.0)
    draws = Draws(blocks, 4000, 0)
    found = BootstrapSpread(float(means.mean()), blocks, draws.blocks @ means / 300, None).interval(0.95)
    other = bootstrap((means,), np.mean, n_resamples=4000, method="percentile", rng=rng)
    width = other.confidence_interval.high - other.confidence_interval.low
    assert found.low == pytest.approx(other.confidence_interval.low, abs=0.06 * width)
    assert found.high == pytest.approx(other.confidence_interval.high, abs=0.06 * width)
    assert found.std_error == pytest.approx(other.standard_error, rel=0.06)


def test_draws_keep_each_log_its_blocks_and_repeat_with_the_seed() -> None:
    blocks = Blocks([np.arange(n) * STEP_NS for n in (100, 45, 200, 60, 30, 0)], 2.0)
    assert np.bincount(blocks.log).tolist() == [5, 3, 10, 3, 2]
    draws = Draws(blocks, 200, 7)
    for log in range(5):
        own = blocks.log == log
        assert (draws.blocks[:, own].sum(axis=1) == own.sum()).all()
        assert (draws.logs[:, own] == draws.logs[:, own][:, :1]).all()
    assert (Draws(blocks, 200, 7).blocks == draws.blocks).all()
    assert (Draws(blocks, 200, 8).blocks != draws.blocks).any()
    assert Draws(Blocks([np.arange(300) * STEP_NS] * 4, 2.0), 200).logs is None


def test_few_blocks_give_no_interval_and_say_so() -> None:
    blocks = Blocks([np.arange(180) * STEP_NS], 2.0)
    assert blocks.why_not == "9 blocks of 2 s; 10 are needed"
    assert not Blocks([np.arange(200) * STEP_NS], 2.0).why_not
    with pytest.raises(ValueError, match="another"):
        blocks.of(0, np.array([10**12]))


def test_a_range_cuts_the_interval_but_never_leaves_its_value_outside() -> None:
    blocks = Blocks([np.arange(300) * STEP_NS], 2.0)
    rng = np.random.default_rng(0)
    found = BootstrapSpread(0.99, blocks, 0.99 + 0.05 * rng.standard_normal(500), None).interval(
        0.95, 0.0, 1.0
    )
    assert found.high == 1.0
    assert found.low < 0.9
    assert BootstrapSpread(0.5, blocks, np.full(500, np.nan), None).interval() is None
    assert BootstrapSpread(0.5, blocks, np.full(500, np.nan), None).p_value() is None


@given(st.floats(0, 40), st.floats(0.6, 1e5))
def test_students_tail_is_scipys(t: float, freedom: float) -> None:
    from scipy import stats

    assert student_tail(t, freedom) == pytest.approx(stats.t.sf(t, freedom), rel=1e-9, abs=1e-290)


@settings(max_examples=25)
@given(st.floats(0.5, 0.9999), st.floats(1, 1e4))
def test_students_quantile_is_scipys(share: float, freedom: float) -> None:
    from scipy import stats

    assert student_quantile(share, freedom) == pytest.approx(stats.t.ppf(share, freedom), abs=1e-8, rel=1e-7)


def test_student_with_infinite_freedom_is_normal() -> None:
    from scipy import stats

    assert student_tail(1.5, np.inf) == pytest.approx(stats.norm.sf(1.5))
    with pytest.raises(ValueError, match="0 or more"):
        student_tail(-1.0, 3)
    with pytest.raises(ValueError, match=r"from 0\.5"):
        student_quantile(0.2, 3)


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.04, None, 0.6]) == [pytest.approx(0.08), None, 0.6]
    assert holm([]) == []
    with pytest.raises(ValueError, match="from 0 to 1"):
        holm([1.2])


@given(st.lists(st.floats(0, 1), max_size=12))
def test_holm_rejects_what_its_steps_reject(p_values: list[float]) -> None:
    """Holm's own rule: go up the sorted p-values and stop at the first above alpha / (those left)."""
    corrected = holm(p_values)
    order = np.argsort(p_values, kind="stable")
    going = True
    for rank, place in enumerate(order):
        limit = 0.05 / (len(p_values) - rank)
        if abs(p_values[place] - limit) < 1e-12:
            return
        going = going and p_values[place] <= limit
        assert (corrected[place] <= 0.05) == going
