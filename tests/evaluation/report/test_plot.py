"""Axes are round and hold their values; what is drawn lies on the drawing."""

from __future__ import annotations

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perception.evaluation.report.number_text import interval, measured, percent, short
from perception.evaluation.report.plot import STYLES, Axis, Plot, legend, nice_axis
from tests.evaluation.report.build import HOSTILE, value
from tests.evaluation.report.reader import Page

NUMBERS = st.floats(-1e6, 1e6).filter(lambda x: x == 0 or abs(x) > 1e-6)
ANY = st.floats(allow_nan=True, allow_infinity=True)


@given(st.lists(NUMBERS, min_size=1), st.booleans())
def test_an_axis_holds_its_values_between_its_round_ticks(values: list[float], zero: bool) -> None:
    axis = nice_axis(values, zero=zero)
    slack = 1e-6 * (axis.high - axis.low)
    assert axis.low <= min(values) + slack
    assert axis.high >= max(values) - slack
    assert not zero or axis.low <= 0 <= axis.high
    assert 2 <= len(axis.ticks) <= 9
    steps = [after - before for before, after in zip(axis.ticks, axis.ticks[1:], strict=False)]
    assert max(steps) == pytest.approx(min(steps), rel=1e-6)
    lead = f"{steps[0]:.6e}".partition("e")[0].rstrip("0")
    assert lead in ("1.", "2.", "2.5", "5.")


@pytest.mark.parametrize("values", [[], [math.nan], [math.inf], [3.0], [0.0, 0.0]])
def test_an_axis_over_nothing_is_still_an_axis(values: list[float]) -> None:
    axis = nice_axis(values)
    assert axis.low < axis.high
    assert all(map(math.isfinite, axis.ticks))


@given(st.lists(st.tuples(ANY, ANY), max_size=30))
def test_every_point_lies_on_the_drawing_and_broken_ones_break_the_line(
    points: list[tuple[float, float]],
) -> None:
    plot = Plot(Axis(0, 1), Axis(-5, 5))
    path = plot.path(points)
    known = [all(map(math.isfinite, point)) for point in points]
    places = re.findall(r"([ML])([-\d.]+),([-\d.]+)", path)
    assert len(places) == sum(known)
    assert "nan" not in path
    assert "inf" not in path
    starts = sum(here and not before for before, here in zip([False, *known], known, strict=False))
    assert sum(pen == "M" for pen, _, _ in places) == starts
    for _, x, y in places:
        assert plot.left - 0.1 <= float(x) <= plot.right + 0.1
        assert plot.top - 0.1 <= float(y) <= plot.bottom + 0.1


def test_greater_is_higher_and_farther_right() -> None:
    plot = Plot(Axis(0, 10), Axis(0, 1))
    low, high = plot.at((1, 0.2)), plot.at((9, 0.8))
    assert low[0] < high[0]
    assert low[1] > high[1]


def test_series_differ_in_more_than_colour() -> None:
    page = Page(legend([str(place) for place in range(STYLES)]))
    marks = [attrs["d"] for name, attrs in page.elements if "mark" in attrs.get("class", "")]
    assert len(set(marks)) == STYLES


def test_a_drawing_says_in_words_what_it_shows_and_keeps_names_as_text() -> None:
    drawn = Plot(Axis(0, 1, HOSTILE), Axis(0, 1)).svg(HOSTILE, *[legend([HOSTILE])])
    page = Page(drawn)
    assert page.attributes("aria-label") == [HOSTILE]
    assert page.text.count(HOSTILE) == 2
    assert page.names <= {"svg", "path", "text", "ul", "li"}
    assert not page.wrong


@given(NUMBERS)
def test_numbers_are_rounded_and_never_lose_their_size(number: float) -> None:
    for told in (short(number), measured(number)):
        assert float(told.replace("\u2212", "-")) == pytest.approx(number, rel=6e-3)


@pytest.mark.parametrize(
    ("number", "told"),
    [
        *((1.0, "1.00"), (0.02, "0.0200"), (544.2, "544"), (0.0, "0"), (None, "\u2013")),
        *((-1.75, "\u22121.75"), (0.9996, "1.00"), (99.97, "100"), (math.nan, "\u2013"), (12345.6, "12346")),
    ],
)
def test_measured_numbers_have_three_digits(number: float | None, told: str) -> None:
    assert measured(number) == told


def test_shares_and_intervals() -> None:
    assert (percent(0.456), percent(None)) == ("46 %", "\u2013")
    assert interval(value(0.5)) == "0.450 to 0.550"
    assert interval(value(0.5, sure=False)) == ""
