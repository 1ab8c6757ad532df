"""Tables alone give the report that the logs give."""

from __future__ import annotations

import shutil
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from perception.align.status_readings import StatusReadings
from perception.autoconfig import complete_config
from perception.config import Config, to_yaml
from perception.errors import ConfigError, LogError
from perception.evaluation import EvaluateOptions, Evaluation, Resampling, evaluate_tables, parse_gates
from perception.evaluation.match_rows import MatchRows
from perception.evaluation.metrics import Rules
from perception.evaluation.scored_source import ScoredSource
from perception.evaluation.slices.frame_conditions import FrameConditions
from perception.logs import open_log
from perception.pipeline.span import parse_span
from perception.pipeline.tables import TablesPlace, tables_sink
from perception.sinks import RunInfo
from perception.sinks.tables import Recording, TablesFolder, TablesSink
from perception.types import absent_sample
from tests.evaluation.oracle import Oracle, Truth
from tests.evaluation.scored import RULES as SCORED_RULES
from tests.evaluation.scored import drive
from tests.scripted_scene import write_scene

OPTIONS = EvaluateOptions(
    rules=Rules(min_support=5),
    resampling=Resampling(draws=100),
    slices=("distance", "class", "speed", "time", "status"),
)


def evaluate(logs: list[Path], folder: Path | None, options: EvaluateOptions = OPTIONS, **oracle: Any):
    """Return the report over logs; with a folder, the outputs also go there as tables."""
    evaluation = Evaluation(options)
    for path in logs:
        with ExitStack() as stack:
            log = stack.enter_context(open_log(path))
            config, tables = complete_config(log).config, None
            if folder is not None:
                place = TablesPlace(folder, matches=MatchRows)
                tables = stack.enter_context(tables_sink(place, log, config, options.replay))
            evaluation.replay(log, config, lambda p=path: Oracle(Truth(p), **oracle), tables=tables)
    return evaluation.report()


def without_wall_clock(report: Any) -> dict[str, Any]:
    """Return a report without what differs between two runs, and between a log and its tables."""
    document = report.to_json()
    del document["seconds"]
    for moment in document["moments"]:
        del moment["command"]  # of the caller of an `Evaluation`
    for log in document["logs"]:
        del log["outputs"]
    return document


@pytest.fixture(scope="module")
def drives(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("drives")
    seeds = {"another": 4, "street": 3}
    options = {"duration_s": 3.0, "scan_hz": 5.0, "status_hz": 20.0}
    return [write_scene(folder / f"{name}.mcap", seed=seed, **options) for name, seed in seeds.items()]


@pytest.fixture(scope="module")
def written(drives: list[Path]) -> tuple[Path, Any]:
    """The tables of both logs, and the report of the evaluation that wrote them."""
    folder = drives[0].parent / "tables"
    return folder, evaluate(drives, folder, fails_at=7)


def test_the_report_of_tables_is_that_of_the_logs(written: tuple[Path, Any]) -> None:
    folder, report = written
    assert without_wall_clock(evaluate_tables(folder, OPTIONS)) == without_wall_clock(report)
    assert {item.by for item in report.slices} >= {"distance", "class", "time"}
    assert any(item.by.startswith("status:") for item in report.slices)


def test_a_part_of_tables_is_that_part_of_the_log(drives: list[Path], written: tuple[Path, Any]) -> None:
    whole = replace(OPTIONS, slices=(), resampling=None)
    report = evaluate_tables(written[0], replace(whole, start="1", end="2.5"))
    evaluation = Evaluation(whole)
    for path in drives:
        with open_log(path) as log:
            config = complete_config(log).config
            span = parse_span(log, config, "1", "2.5")
            evaluation.replay(log, config, lambda p=path: Oracle(Truth(p)), span=span)
    expected = evaluation.report()
    assert [log.frames for log in report.logs] == [log.frames for log in expected.logs] == [15, 15]
    for head in ("class", "box", "control", "joint"):
        assert report.heads[head] == expected.heads[head], head


def test_other_rules_need_no_other_replay(drives: list[Path], written: tuple[Path, Any]) -> None:
    options = replace(OPTIONS, rules=Rules(min_support=5, min_height_px=40.0), slices=(), resampling=None)
    expected = evaluate(drives, None, options, fails_at=7)
    assert evaluate_tables(written[0], options).heads["box"] == expected.heads["box"]


def test_gates_judge_tables(written: tuple[Path, Any]) -> None:
    gates = tuple(parse_gates(["box.mAP50 >= 0.5", "control.MAE/curvature < -1"], ()))
    report = evaluate_tables(written[0], EvaluateOptions(rules=OPTIONS.rules, gates=gates))
    assert [gate.passed for gate in report.gates] == [True, False]


def test_a_recording_without_its_run_is_left_out_and_named(
    drives: list[Path], written: tuple[Path, Any], tmp_path: Path
) -> None:
    folder = shutil.copytree(written[0], tmp_path / "tables")
    shutil.rmtree(folder / "runs" / "recording=another")
    report = evaluate_tables(folder, replace(OPTIONS, resampling=None))
    assert [log.log for log in report.logs] == [str(drives[1])]
    assert report.status == "loss"
    (warning,) = [w for w in report.to_json()["warnings"] if w["code"] == "not_whole"]
    assert warning["text"].startswith("another: ")


def test_tables_of_two_runs_are_no_recording(written: tuple[Path, Any], tmp_path: Path) -> None:
    folder = shutil.copytree(written[0], tmp_path / "tables")
    shutil.rmtree(folder / "runs" / "recording=another")
    place = folder / "control" / "recording=street" / "data.parquet"
    table = pq.read_table(place, partitioning=None)
    table = table.set_column(0, "receipt", [["another"] * len(table)])
    pq.write_table(table, place)
    with pytest.raises(LogError, match="street: control: not there, or not of the run"):
        evaluate_tables(folder)
    place.unlink()
    with pytest.raises(LogError, match="street: control: not there, or not of the run"):
        evaluate_tables(folder)


def test_what_needs_logs_is_refused(tmp_path: Path) -> None:
    options = EvaluateOptions(ablate="sensors", latencies_ms=(0.0,), outputs=(Path("a.mcap"),))
    with pytest.raises(ConfigError) as caught:
        evaluate_tables(tmp_path, options)
    assert all(name in str(caught.value) for name in ("--ablate", "--latency-ms", "--outputs"))


def test_a_folder_without_tables_is_named(tmp_path: Path) -> None:
    with pytest.raises(LogError, match="replay --tables"):
        evaluate_tables(tmp_path)


def test_intervals_of_tables_are_those_of_the_outputs(tmp_path: Path) -> None:
    frames = [
        (replace(output, tick=replace(output.tick, index=number)), truth)
        for number, (output, truth) in enumerate(drive(5, 300))
    ]
    options = EvaluateOptions(rules=SCORED_RULES, resampling=Resampling(draws=200, seed=7))
    recording = Recording("drive", "drive.mcap", "/logs/drive.mcap")
    with TablesSink(TablesFolder(tmp_path), recording, StatusReadings(Config()), MatchRows()) as sink:
        sink.open(RunInfo(config=to_yaml(Config())))
        for output, truth in frames:
            sink.write(absent_sample(output.tick, "not recorded"), output, truth)
        sink.close()
        sink.commit({"status": "clean", "frames": 300, "errors": 0, "run": {}, "ledger": {}, "warnings": []})
    evaluation = Evaluation(options)
    source = ScoredSource("drive.mcap", 0, "", lambda stamps, images: FrameConditions())
    scorer = evaluation.sink(source)
    scorer.open(RunInfo())
    for output, truth in frames:
        scorer.score(output, truth)
    evaluation.add(source, scorer, 300)
    expected, report = evaluation.report(), evaluate_tables(tmp_path, options)
    assert report.heads == expected.heads
    assert report.resampling == expected.resampling
    assert report.figures == expected.figures
    values = [value for metric in report.heads["box"].values() for value in metric.values.values()]
    assert any(value.interval is not None for value in values)
