"""Tables of the command line: they fit the width, and no number is cut."""

from __future__ import annotations

import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from perception.evaluation.report.schema import EvaluationReport
from perception.evaluation.report.value_schema import DifferenceReport, SliceReport
from perception_tools.evaluate.text import show
from perception_tools.printed_tables import shortened, show_table
from tests.evaluation.report.build import heads

names = st.text("abcdefgh_", min_size=1, max_size=40)
numbers = st.text("0123456789", min_size=1, max_size=14)


def printed(head: list[str], rows: list[list[str]], width: int = 80) -> list[str]:
    out = io.StringIO()
    show_table(Console(file=out, width=width), head, rows, title="title")
    return out.getvalue().splitlines()


@settings(max_examples=25)
@given(st.data(), st.integers(1, 30), st.integers(1, 6))
def test_a_table_fits_and_shows_each_number(data: st.DataObject, columns: int, count: int) -> None:
    head = ["", *(data.draw(names.filter(lambda name: len(name) < 30)) for _ in range(columns))]
    rows = [[data.draw(names), *(data.draw(numbers) for _ in range(columns))] for _ in range(count)]
    lines = printed(head, rows)
    assert max(map(len, lines)) <= 80
    shown = " ".join(lines).split()
    for row in rows:
        for number in row[1:]:
            assert shown.count(number) >= row[1:].count(number)
    for name in head[1:]:
        assert name in shown


def test_words_are_folded_and_repeated_where_numbers_continue_below() -> None:
    lines = printed(["", "a" * 20, "b" * 20], [["w" * 40, "1", "2"]], width=60)
    assert sum(line.count("w") for line in lines) == 80
    assert max(map(len, lines)) <= 60


@pytest.mark.parametrize("classes", [3, 12, 40])
def test_a_report_with_many_long_names_fits_80_columns(
    classes: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    labels = [f"construction_vehicle_{number}" for number in range(classes)]
    difference = DifferenceReport(value=-0.5, low=-0.6, high=-0.4, p=1e-4, p_corrected=0.01, verdict="worse")
    part = SliceReport(
        by="status:wheel_odometry.twist.linear.x",
        part="-12.345 to 23.456",
        head="control",
        metric="MAE/steering_angle_velocity",
        better="lower",
        value=0.125,
        support=30,
        rest=0.625,
        rest_support=50,
        difference=difference,
    )
    report = EvaluationReport(status="clean", heads=heads(labels, "steering_angle_velocity"), slices=[part])
    show(report)
    text = capsys.readouterr().out
    assert max(map(len, text.splitlines())) <= 80
    assert "…" not in text
    for word in ("undefined", "0.125", "0.625", "Holm's correction for 1 comparisons", labels[-1]):
        assert word in text, word


@given(st.text(st.characters(categories=["L", "N", "P"]), max_size=120), st.integers(5, 80))
def test_a_name_is_whole_or_shortened_in_the_middle(name: str, width: int) -> None:
    shown = shortened(name, width)
    assert cell_len(shown) <= width
    if cell_len(name) <= width:
        assert shown == name
    else:
        assert "..." in shown


def test_a_topic_stays_on_one_line() -> None:
    topic = "/robot/sensors/front_left_stereo_camera_module/driver_node_a/image_rect/compressed"
    lines = printed(["topic", "messages", "outcome"], [[topic, "5", "5 used"]])
    (line,) = [line for line in lines if "/robot" in line]
    assert "/robot/sensors/front" in line
    assert "/compressed" in line
    assert "5 used" in line
