"""The tables of a result: a row for each detection of each camera, and columns also without rows."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import pytest

from perception.pipeline import Summary
from perception.results import ReplayResult
from perception.types.table import Table
from tests.sinks.build import output_of


def result_of(*outputs: Any) -> ReplayResult:
    return ReplayResult(cast("Summary", None), outputs)


def test_the_detections_of_every_camera_are_rows() -> None:
    output = output_of(0)
    assert output.detections is not None
    of_left = replace(output.detections, items=output.detections.items[:1], position_frame="left")
    output = replace(output, cameras={"front": output.detections, "left": of_left})
    table = result_of(output).detections
    assert [row["camera"] for row in table] == ["front"] * len(output.cameras["front"].items) + ["left"]
    assert table[-1]["position_frame"] == "left"
    assert table[-1]["label"] == of_left.items[0].label
    assert tuple(table[0]) == table.columns


def test_a_table_without_rows_has_its_columns() -> None:
    pandas = pytest.importorskip("pandas")
    table = result_of().detections
    assert len(table) == 0
    assert isinstance(table.to_pandas()["label"], pandas.Series)
    assert table.columns == result_of(output_of(0)).detections.columns
    assert table[:0].columns == table.columns
    assert result_of().control.columns == ("tick", "stamp_ns")


def test_the_columns_of_a_table_are_those_of_its_first_row_unless_they_are_given() -> None:
    rows = [{"a": 1}, {"a": 2}]
    assert Table(rows).columns == Table(rows)[1:].columns == ("a",)
    assert Table([]).columns == ()
    assert Table([], ("a", "b"))._repr_html_().count("<th>") == 2
