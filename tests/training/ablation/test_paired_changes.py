"""What is predicted of a few seeds, and of a few points, is right."""

from __future__ import annotations

import math
from itertools import permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perception.training.ablation.paired_changes import non_dominated, paired, spread

numbers = st.floats(-10, 10).map(lambda x: round(x, 2))


def test_a_spread_is_median_least_greatest_and_count() -> None:
    found = spread([3.0, 1.0, 2.0, 10.0])
    assert (found.median, found.low, found.high, found.count) == (2.5, 1.0, 10.0, 4)


@pytest.mark.parametrize(
    ("before", "after", "better", "verdict"),
    [
        # Differences 1.0, 1.1, 0.9: mean 1, standard deviation 0.1, t(2, 97.5 %) = 4.303: half 0.248.
        ([1.0, 2.0, 3.0], [2.0, 3.1, 3.9], "higher", "better"),
        ([1.0, 2.0, 3.0], [2.0, 3.1, 3.9], "lower", "worse"),
        ([2.0, 3.1, 3.9], [1.0, 2.0, 3.0], "lower", "better"),
        # Differences 1, 1, 0: all of them one way, but half = 4.303 * 0.577 / 1.732 = 1.434 > 0.667.
        ([0.0, 0.0, 0.0], [1.0, 1.0, 0.0], "higher", "cannot tell"),
        ([0.0], [100.0], "higher", "cannot tell"),
        ([1.0, 2.0], [1.0, 2.0], "higher", "cannot tell"),
        ([1.0, 2.0], [1.5, 2.5], "lower", "worse"),  # the same each time: no doubt is left
    ],
)
def test_a_change_is_called_better_or_worse_only_where_its_interval_leaves_out_zero(
    before: list[float], after: list[float], better: str, verdict: str
) -> None:
    assert paired(before, after, better).verdict == verdict  # type: ignore[arg-type]


def test_pairs_tell_what_spreads_would_hide() -> None:
    """Seeds differ by far more than the change; seed by seed it is always the same."""
    before, after = [0.10, 0.50, 0.90], [0.12, 0.521, 0.919]
    change = paired(before, after, "higher")
    assert change.verdict == "better"
    assert change.spread.median == pytest.approx(0.02)


@settings(max_examples=25)
@given(st.lists(st.tuples(numbers, numbers), min_size=1, max_size=5))
def test_the_order_of_seeds_does_not_matter_and_the_two_directions_are_opposite(
    pairs: list[tuple[float, float]],
) -> None:
    opposite = {"better": "worse", "worse": "better", "cannot tell": "cannot tell"}
    before, after = [a for a, _ in pairs], [b for _, b in pairs]
    verdict = paired(before, after, "higher").verdict
    assert paired(before[::-1], after[::-1], "higher").verdict == verdict
    assert paired(after, before, "higher").verdict == opposite[verdict]


def test_the_front_of_known_points() -> None:
    points = [(1.0, 1.0), (2.0, 3.0), (3.0, 2.0), (3.0, 2.0), (1.0, 3.0), (math.nan, 9.0)]
    assert non_dominated(points, ("higher", "higher")) == [False, True, True, True, False, False]
    assert non_dominated(points, ("lower", "higher")) == [False, False, False, False, True, False]
    assert non_dominated(points, ("lower", "lower")) == [True, False, False, False, False, False]


@settings(max_examples=25)
@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=8))
def test_every_point_off_the_front_is_beaten_by_one_on_it(points: list[tuple[int, int]]) -> None:
    front = non_dominated(points, ("higher", "lower"))
    assert any(front)
    for (a, b), (c, d) in permutations(points, 2):
        if c >= a and d <= b and (a, b) != (c, d):
            assert not front[points.index((a, b))]
    for point, on in zip(points, front, strict=True):
        if not on:
            beaten = [
                q for q, f in zip(points, front, strict=True) if f and q[0] >= point[0] and q[1] <= point[1]
            ]
            assert any(q != point for q in beaten)
