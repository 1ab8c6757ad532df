"""The histogram of durations against numpy's quantiles, and the bookkeeping of stages."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from perception.pipeline.stage_times import DurationHistogram, StageTimes


@pytest.mark.parametrize("fraction", [0.5, 0.95, 0.99])
def test_quantiles_are_right_to_one_percent(fraction: float) -> None:
    durations = np.random.default_rng(1).lognormal(1.0, 1.5, 20_000)
    spread = DurationHistogram()
    for duration in durations:
        spread.add(float(duration))
    assert spread.quantile_ms(fraction) == pytest.approx(np.quantile(durations, fraction), rel=0.012)
    assert spread.worst_ms == durations.max()


def test_without_durations_there_is_no_quantile() -> None:
    assert np.isnan(DurationHistogram().quantile_ms(0.5))


def test_extremes_land_in_the_outer_bins() -> None:
    spread = DurationHistogram()
    for duration in (0.0, 1e12):
        spread.add(duration)
    assert spread.quantile_ms(0.0) < 1.1e-4
    assert spread.count == 2


@given(st.lists(st.floats(0, 1e12), min_size=1, max_size=50), st.floats(0, 1))
def test_no_quantile_is_above_the_greatest_duration(durations: list[float], fraction: float) -> None:
    spread = DurationHistogram()
    for duration in durations:
        spread.add(duration)
    assert spread.quantile_ms(fraction) <= max(durations)
    assert spread.quantile_ms(fraction) <= spread.quantile_ms(1.0)


def test_time_spent_inside_is_not_counted_twice() -> None:
    times = StageTimes()
    inner = times.watched("read", iter([1, 2, 3]))
    assert list(times.watched("align", inner, inner="read")) == [1, 2, 3]
    spent = times.take().wall_ms
    assert spent["read"] >= 0
    assert spent["align"] >= 0
    assert times.take().wall_ms["read"] == 0.0
