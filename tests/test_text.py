"""Text from files is shown, and acts on nothing: no terminal, no spreadsheet."""

from __future__ import annotations

import csv
import io
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perception.text import csv_cell, did_you_mean, listed, plural, visible


@given(st.text(st.characters(codec=None)))
def test_nothing_that_acts_on_a_terminal_is_left(text: str) -> None:
    shown = visible(text)
    assert not [c for c in shown if unicodedata.category(c) in ("Cc", "Cs") and c not in "\n\t"]
    shown.encode("utf-8")
    if text.isprintable():
        assert shown == text


def test_escape_sequences_are_written_out() -> None:
    assert visible("a\x1b[2J\x9b31m\r\u202eb") == "a\\u001b[2J\\u009b31m\\u000d\\u202eb"


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n", "\uff1d"])
def test_a_formula_becomes_text_in_a_csv_file(start: str) -> None:
    row = io.StringIO()
    csv.writer(row).writerow([csv_cell(f"{start}SUM(A1)")])
    assert row.getvalue().lstrip('"').startswith("'")


@pytest.mark.parametrize("value", [-3, 2.5, -1e-9, None, "-3", "+2.5", "-1e-9", "/topic", "a=b"])
def test_numbers_and_harmless_text_stay_as_they_are_in_a_csv_file(value: object) -> None:
    assert csv_cell(value) == value


@pytest.mark.parametrize(
    ("name", "expected"),
    [("topik", "; did you mean topic?"), ("speed", ""), (3, "")],
)
def test_the_nearest_known_name_is_suggested(name: object, expected: str) -> None:
    assert did_you_mean(name, ("topic", "rate"), "; ") == expected


def test_several_names_are_suggested_the_nearest_first() -> None:
    assert did_you_mean("mAP5", ("mAP", "mAP50", "IoU"), most=2) == ", did you mean mAP50, mAP?"


def test_one_is_singular() -> None:
    assert [plural(count, "scan") for count in (0, 1, 1200)] == ["0 scans", "1 scan", "1,200 scans"]


def test_a_long_list_says_how_many_are_left_out() -> None:
    assert listed(("a", "b"), 2) == "a, b"
    assert listed(("a", "b", "c", "d"), 2, "; ") == "a; b; and 2 more"
