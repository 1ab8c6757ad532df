"""Charts are drawn for what a report holds, in the colours of the page, and keep names as text."""

from __future__ import annotations

import math
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perception.evaluation.report import chart_axes, charts
from perception.evaluation.report.inline_svg import SERIES, chart, series
from perception.text import visible_line
from tests.evaluation.report.build import HOSTILE, full
from tests.evaluation.report.reader import Page

NAMES = st.text(st.characters(), max_size=30) | st.sampled_from(
    [HOSTILE, "$x^2$", "_hidden", "\\frac", "\ud800", "\u202ecod", ' style="fill: red" id="x"']
)
NUMBERS = st.floats(-1e6, 1e6) | st.just(math.nan)


@settings(max_examples=5, deadline=None)
@given(st.lists(NAMES, min_size=3, max_size=3), NAMES)
def test_names_stay_text_in_a_chart(names: list[str], label: str) -> None:
    with chart(label, "one") as drawn:
        axes = drawn.figure.subplots()
        for place, name in enumerate(names):
            axes.plot([0, 1], [0, 1], label=name, **series(place))
        chart_axes.legend(axes)
    page = Page(str(drawn.svg))
    assert not page.wrong
    assert page.names <= {"svg", "g", "path", "text", "defs", "use", "clippath", "rect"}
    assert page.attributes("aria-label") == [visible_line(label)]
    text = " ".join(page.text.split())
    assert all(" ".join(visible_line(name)[:59].split()) in text for name in names)


@settings(max_examples=5, deadline=None)
@given(st.lists(st.lists(st.tuples(NUMBERS, NUMBERS), max_size=30), min_size=3, max_size=3))
def test_numbers_that_are_not_finite_are_left_out(lines: list[list[tuple[float, float]]]) -> None:
    with chart("points", "one") as drawn:
        axes = drawn.figure.subplots()
        for place, points in enumerate(lines):
            axes.plot([x for x, _ in points], [y for _, y in points], **series(place))
    assert "nan" not in drawn.svg
    assert math.isfinite(len(drawn.svg))


def test_series_differ_in_more_than_colour() -> None:
    looks = [series(place) for place in range(SERIES)]
    assert len({look["color"] for look in looks}) == SERIES
    assert len({look["marker"] for look in looks}) == SERIES
    assert len({str(look["linestyle"]) for look in looks}) == SERIES


def test_colours_are_those_of_the_theme() -> None:
    cards = [*charts.precision_recall(full()), charts.reliability(full()), charts.slices(full())]
    for card in cards:
        assert card is not None
        assert "var(--s1)" in card.svg or "var(--s2)" in card.svg
        assert not re.search(r"#[0-9a-f]{6}\b", card.svg)


@pytest.mark.parametrize("marks", [True, False])
def test_the_same_chart_is_the_same_text(marks: bool) -> None:
    def draw() -> str:
        with chart("line", "one") as drawn:
            drawn.figure.subplots().plot([0, 1], [1, 0], **series(1, marks))
        return drawn.svg

    assert draw() == draw()
