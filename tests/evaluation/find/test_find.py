"""Moments are found as an independent reading of the tables finds them; conditions are parsed, never run."""

from __future__ import annotations

import json
import shutil
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import perception
from perception.align.status_readings import StatusReadings
from perception.config import Config, to_yaml
from perception.errors import ConfigError, LogError
from perception.evaluation.find import FoundMoments, find_moments, names_of_tables
from perception.evaluation.find.expression import parse_condition
from perception.evaluation.match_rows import MatchRows
from perception.sinks import RunInfo
from perception.sinks.tables import Recording, TablesFolder, TablesSink
from perception.types import (
    ControlChannel,
    Detections,
    Output,
    Sample,
    StatusReading,
    TruthFrame,
    absent_sample,
)
from perception_tools.cli import run
from tests.sinks.build import START_NS, STEP_NS, output_of, sample_of, tick_of, truth_of

TICKS = 30
CONFIG = Config.model_validate(
    {
        "version": 1,
        "reference": "status",
        "sensors": {"status": {"topic": "/state", "fields": {"speed": "v"}}},
    }
)


def write(folder: Path, name: str, shift: float = 0.0) -> None:
    """Thirty ticks: the speed is their number, the curvature's error 0.001 times it; the camera blinks."""
    words = "--plugin 'my own'"
    place = (f"{name}.mcap", f"/logs/{name}.mcap")
    recording = Recording(name, *place, sensor_start_ns=START_NS, replay_options=words)
    readings = StatusReadings(CONFIG)
    with TablesSink(TablesFolder(folder), recording, readings, MatchRows()) as sink:
        sink.open(RunInfo(config=to_yaml(CONFIG), plugin="oracle"))
        for k in range(TICKS):
            stamp_ns = tick_of(k).stamp_ns
            readings.add_reading(StatusReading("/state", stamp_ns, stamp_ns, {"v": k + shift}))
            kind = "substitute" if k % 10 == 9 else "reference"
            output, truth = output_of(k, kind), truth_of(k)
            error = float("nan") if k == 29 else 0.001 * k
            channels = (ControlChannel("curvature", "1/m", 0.02 + error, 0.002),)
            assert output.control is not None
            output = replace(output, control=replace(output.control, channels=channels))
            truth = replace(truth, control={"curvature": 0.02})
            sink.write(sample_of(k, kind), output, truth, {"prepare": 1.0, "infer": float(k)})
        sink.close()
        sink.commit(
            {"status": "clean", "frames": TICKS, "errors": 0, "run": {}, "ledger": {}, "warnings": []}
        )


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tables")
    write(folder, "a")
    write(folder, "b", shift=100.0)
    return folder


def ticks_of(found: FoundMoments) -> list[tuple[str, int]]:
    return [(moment.recording, moment.tick) for moment in found.moments]


def each(folder: Path, condition: str) -> list[tuple[str, int]]:
    return ticks_of(find_moments(folder, condition, gap_s=0.0))


def test_the_issues_own_condition(tables: Path) -> None:
    found = find_moments(tables, "speed > 5 and control.curvature.error > 0.0205", gap_s=0.0)
    expected = [(name, k) for name in "ab" for k in range(21, 29)]
    assert ticks_of(found) == expected
    first = found.moments[0]
    assert first.values == {"speed": 21.0, "control.curvature.error": pytest.approx(0.021)}
    at_s = (21 * STEP_NS + 7_000_000) / 1e9
    assert first.from_s == pytest.approx(at_s)
    span = f"--start {at_s - 1:.3f} --end {at_s + 1:.3f}"
    assert first.command == f"perception replay a.mcap --plugin 'my own' {span}"
    assert (found.ticks, found.of_ticks, found.recordings) == (16, 60, 2)


def test_ticks_that_follow_each_other_are_one_moment(tables: Path) -> None:
    found = find_moments(tables, "recording = 'a' and (tick >= 13 and tick < 16 or tick > 27)")
    assert found == perception.find(tables, found.condition)
    assert [(m.tick, m.ticks) for m in found.moments] == [(13, 3), (28, 2)]
    assert found.moments[0].to_s - found.moments[0].from_s == pytest.approx(2 * STEP_NS / 1e9)
    start, end = found.moments[0].command.split()[-3::2]
    assert float(end) - float(start) == pytest.approx(2 + 2 * STEP_NS / 1e9, abs=0.002)


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("not camera.present", [9, 19, 29]),
        ("camera.absence = 'silent' and tick < 15", [9]),
        ('kind == "substitute" and tick != 9', [19, 29]),
        ("detections.label = 'person' and detections.score > 0.8", []),
        ("detections.label = 'person' and detections.score > 0.5 and tick < 2", [0, 1]),
        ("detections.count = 3 and timing.infer >= 28", [28, 29]),
        ("timing.total - timing.infer < 1.5 and speed < 1", [0]),
        ("abs(-speed) * 2 >= 58 or false", [29]),
        ("tick = 29 and not known(control.curvature.error)", [29]),
        ("control.curvature.error > 0.0275", [28]),  # NaN is no number
        ("speed / 0 > 1", []),
        ("control.valid and detections.valid and tick < 1", [0]),
        ("plugin = 'oracle' and tick = 4", [4]),
        ("`status`.`speed` = 4", [4]),
    ],
)
def test_conditions(tables: Path, condition: str, expected: list[int]) -> None:
    text = f"recording = 'a' and ({condition})"
    assert each(tables, text) == [("a", k) for k in expected]


def test_counts_are_those_of_the_tables(tables: Path) -> None:
    import pandas as pd

    matches = pd.read_parquet(tables / "matches")
    for name, outcome in (("missed", "missed"), ("false_alarms", "false_alarm"), ("hits", "hit")):
        counts = matches[matches.outcome == outcome].groupby(["recording", "tick"], observed=True).size()
        some = sorted((str(recording), int(tick)) for recording, tick in counts[counts >= 1].index)
        assert each(tables, f"{name} >= 1") == some, name
    assert len(each(tables, "missed + false_alarms + hits >= 0")) == 2 * TICKS


def write_rows(folder: Path, rows: list[tuple[Sample, Output, TruthFrame]]) -> None:
    recording = Recording("c", "c.mcap", "/logs/c.mcap", sensor_start_ns=START_NS)
    with TablesSink(TablesFolder(folder), recording, StatusReadings(CONFIG), MatchRows()) as sink:
        sink.open(RunInfo(config=to_yaml(CONFIG), plugin="oracle"))
        for row in rows:
            sink.write(*row)
        sink.close()
        sink.commit(
            {"status": "clean", "frames": len(rows), "errors": 0, "run": {}, "ledger": {}, "warnings": []}
        )


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("truth.count = 0", [1]),
        ("missed = 0", [1]),
        ("false_alarms >= 0 or hits = 0", [0, 1]),  # of the last tick nothing is said of detections
        ("known(truth.count)", [0, 1, 3]),
        ("not known(missed)", [2, 3]),
        ("detections.count >= 0", [0, 1, 2, 3]),
    ],
)
def test_counts_of_truth_are_not_known_where_truth_is_not(
    condition: str, expected: list[int], tmp_path: Path
) -> None:
    """A tick with truth, one with truth of no object, one without truth, and one without detections."""
    nothing = [replace(truth_of(k), boxes=boxes) for k, boxes in ((1, ()), (2, None))]
    outputs = [output_of(0), *(output_of(k) for k in (1, 2)), replace(output_of(3), detections=None)]
    outputs[0] = replace(outputs[0], detections=Detections(False, error="blind"))
    truths = [truth_of(0), *nothing, truth_of(3)]
    write_rows(tmp_path, [(sample_of(k), outputs[k], truths[k]) for k in range(4)])
    assert [tick for _, tick in each(tmp_path, condition)] == expected


def test_what_is_to_be_ignored_is_not_missed_by_invalid_detections(tmp_path: Path) -> None:
    (box,) = truth_of(0).boxes or ()
    low = replace(box, xyxy=(44.0, 64.0, 50.0, 70.0))
    boxes = (box, low, replace(box, ignore=True), replace(box, visible=0.1))
    for k, head in enumerate((Detections(False, error="blind"), Detections(True, ("camera",)))):
        folder = tmp_path / str(k)
        truth = replace(truth_of(0), boxes=boxes)
        write_rows(folder, [(sample_of(0), replace(output_of(0), detections=head), truth)])
        assert each(folder, "missed = 1 and truth.count = 4 and matches.count = 4")


@pytest.mark.parametrize("blind", ["front", "left"])
def test_detections_of_a_rig_are_valid_where_those_of_all_cameras_are(blind: str, tmp_path: Path) -> None:
    sample = absent_sample(tick_of(0), "not recorded", cameras=("front", "left"))
    heads = {name: Detections(True, (name,)) for name in sample.cameras}
    heads[blind] = Detections(False, error="blind")
    output = Output(tick_of(0), heads["front"], None, cameras=heads)
    write_rows(tmp_path, [(sample, output, TruthFrame(tick_of(0).stamp_ns))])
    assert each(tmp_path, "not detections.valid and detections.error = 'blind'")


@pytest.mark.parametrize(
    ("condition", "told"),
    [
        ("spead > 5", "did you mean speed"),
        ("control.curvatur > 5", "control.curvature"),
        ("camera.presnt", "camera.present"),
        ("speed", "expected a condition"),
        ("speed > 'fast'", "takes numbers, found a text"),
        ("camera.present > 1", "takes numbers"),
        ("kind = 3", "one type"),
        ("speed > 5 and", "found the end"),
        ("speed >", "found the end"),
        ("(speed > 5", "expected )"),
        ("1 < speed < 5", "and between two comparisons"),
        ("speed > 5; drop table runs", "found ';"),
        ("drop(speed)", "abs( or known("),
        ("speed > 5 -- '", "or an operator, found"),
        ("detections.score > 0.5 and truth.visible > 0", "one table"),
        ("(" * 60 + "speed > 5" + ")" * 60, "parentheses"),
        ("x" * 3000, "letters"),
    ],
)
def test_what_is_wrong_with_a_condition_is_told(tables: Path, condition: str, told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        find_moments(tables, condition)
    assert told in str(caught.value)


@given(st.text(max_size=30) | st.text("speed>5()'`andotr.- ", max_size=40))
def test_any_text_is_a_condition_or_is_refused(text: str) -> None:
    with suppress(ConfigError):
        parse_condition(text)


@given(st.text(max_size=20))
@settings(max_examples=10, deadline=None)
def test_texts_are_written_anew(tables: Path, text: str) -> None:
    quote = '"' if "'" in text else "'"
    if quote not in text:
        assert each(tables, f"kind = {quote}{text}{quote}") == []


def test_names_are_listed(tables: Path) -> None:
    names = names_of_tables(tables)
    assert names["speed"] == names["control.curvature.error"] == names["timing.total"] == "number"
    assert names["camera.absence"] == "text"
    assert names["camera.present"] == "flag"


def test_a_recording_of_two_runs_is_not_asked_and_named(tables: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(tables, tmp_path / "tables")
    (folder / "runs" / "recording=b" / "data.parquet").unlink()
    found = find_moments(folder, "speed > 5", gap_s=0.0)
    assert {moment.recording for moment in found.moments} == {"a"}
    assert found.status == "loss"
    assert found.left_out == [
        "b: status is not of a finished run; replay it again",
        "b: ticks is not of a finished run; replay it again",
    ]


def test_a_folder_without_tables_is_named(tmp_path: Path) -> None:
    with pytest.raises(LogError, match="replay --tables"):
        find_moments(tmp_path, "speed > 5")


def test_the_command_prints_moments_and_json(tables: Path, capsys: Any) -> None:
    assert run(["find", str(tables), "speed = 7", "--gap", "0"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "1 moment, 1 tick of 2 recordings, 60 ticks"
    assert lines[1].startswith("a 0.7")
    assert lines[2].strip().startswith("perception replay a.mcap --plugin 'my own' --start 0.0")
    assert run(["find", str(tables), "speed = 7", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["schema"], document["exit_code"], len(document["moments"])) == (
        "perception.find/1",
        0,
        1,
    )
    assert run(["find", str(tables), "spead = 7"]) == 2
    assert "did you mean speed" in capsys.readouterr().err
    assert run(["find", str(tables)]) == 0
    assert "camera.absence (text)" in capsys.readouterr().out
