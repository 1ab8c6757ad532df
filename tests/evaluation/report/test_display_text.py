"""Numbers and names as people read them."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perception.evaluation.report.display_text import interval, measured, percent, short
from perception.text import visible
from tests.evaluation.report.build import HOSTILE, value

NUMBERS = st.floats(-1e6, 1e6).filter(lambda x: x == 0 or abs(x) > 1e-6)
ANY = st.text(st.characters()) | st.sampled_from([HOSTILE, "\ud800", "\u202ecod.exe", "a\x00b", "--><b>"])


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


@given(ANY)
def test_whatever_is_shown_can_be_written_to_a_file(name: str) -> None:
    assert visible(name).encode("utf-8").decode() == visible(name)


def test_characters_that_hide_or_turn_text_are_written_out() -> None:
    assert visible("a\u202eb\x07\ud800") == "a\\u202eb\\u0007\\ud800"
    assert visible("Straße, 雨 ✓") == "Straße, 雨 ✓"
