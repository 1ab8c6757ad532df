"""The public door: what a notebook calls gives what the pipeline gives, and its examples run."""

from __future__ import annotations

import doctest
import shutil
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

import perception
from perception.autoconfig import Overrides
from perception.errors import ConfigError, LogError, MissingExtraError
from perception.evaluation import EvaluateOptions
from perception.evaluation.metrics import Rules
from perception.sinks import read_outputs
from perception.types.table import Table
from tests.scripted_scene import write_scene
from tests.short_logs import write_beginning


@pytest.fixture(scope="module")
def drive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small log: 8 frames."""
    return write_scene(tmp_path_factory.mktemp("api") / "drive.mcap", duration_s=0.8, image_size=(128, 64))


@pytest.fixture(scope="module")
def beginning(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_beginning(tmp_path_factory.mktemp("beginning") / "drive.mcap", 2.5)


@pytest.mark.parametrize(
    "name", [name for name in perception.__all__ if ">>>" in (getattr(perception, name).__doc__ or "")]
)
def test_examples_in_docstrings_run(
    name: str, beginning: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copy(beginning, tmp_path / "drive.mcap")
    tests = doctest.DocTestFinder(recurse=False).find(
        getattr(perception, name), name, globs={"perception": perception, "np": np}
    )
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    assert sum(runner.run(test).attempted for test in tests)
    assert runner.summarize(verbose=False).failed == 0


def test_replay_gives_what_the_output_log_holds(drive: Path, tmp_path: Path) -> None:
    path = tmp_path / "out.mcap"
    result = perception.replay(drive, write=path)
    assert result.summary.frames == len(result.outputs) == 8
    with perception.open_log(path) as log:
        stored = [item.output for item in read_outputs(log)]
    assert [o.tick.stamp_ns for o in stored] == [o.tick.stamp_ns for o in result.outputs]
    assert [o.control for o in stored] == [o.control for o in result.outputs]
    assert len(result.control) == sum(bool(o.control and o.control.valid) for o in result.outputs)
    assert sum(row["messages"] for row in result.ledger) == sum(
        sum(rows.values()) for rows in result.summary.ledger.values()
    )


def test_stream_gives_what_replay_gives(drive: Path) -> None:
    answers = list(perception.stream(drive))
    assert [answer.output for answer in answers] == list(perception.replay(drive).outputs)
    assert all(sample.tick == output.tick for sample, output in answers)


def test_a_stream_that_is_left_early_ends_its_thread(drive: Path) -> None:
    before = threading.active_count()
    answers = perception.stream(drive)
    next(answers)
    answers.close()
    assert threading.active_count() <= before


def test_a_stream_raises_what_its_run_raises(drive: Path) -> None:
    with pytest.raises(perception.PerceptionError, match="no_such"):
        list(perception.stream(drive, plugin="no_such"))


def test_a_plugin_is_called_like_a_function(drive: Path) -> None:
    with perception.open_log(drive) as log:
        config = perception.complete_config(log).config
    streamed = list(perception.stream(drive, config))
    with perception.open_plugin("fusion", config) as plugin:
        assert [plugin(sample) for sample, _ in streamed] == [output for _, output in streamed]


def test_seconds_and_patterns_that_fit_nothing_are_refused(drive: Path, tmp_path: Path) -> None:
    with pytest.raises(LogError, match="found no file"):
        perception.evaluate(str(tmp_path / "*.mcap"))
    with pytest.raises(ConfigError, match="start"):
        perception.replay(drive, start=2.0, end=1.0)


def test_arguments_of_evaluate_replace_the_values_of_its_options(drive: Path) -> None:
    options = EvaluateOptions(rules=Rules(min_height_px=20), overrides=Overrides("street"), end="0.7")
    report = perception.evaluate(drive, plugin="fusion", end=0.4, draws=0, options=options)
    assert (report.run["plugin"], report.logs[0].frames) == ("fusion", 4)
    assert report.rules.min_height_px == 20


def test_tables_become_data_frames(drive: Path) -> None:
    pandas = pytest.importorskip("pandas")
    result = perception.replay(drive)
    frame = result.control.to_pandas()
    assert isinstance(frame, pandas.DataFrame)
    assert {"stamp_ns", "curvature", "curvature_std"} <= set(frame.columns)
    assert len(frame) == len(result.control)


def test_without_pandas_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(MissingExtraError, match="tables"):
        Table([{"a": 1}]).to_pandas()


def test_objects_show_themselves_in_a_notebook(drive: Path) -> None:
    result = perception.replay(drive, end=0.5)
    assert "<table>" in result._repr_html_()
    answer = next(iter(perception.stream(drive)))
    assert answer._repr_html_().startswith('<img alt="sample 0" src="data:image/jpeg;base64,/9j/')
    assert answer.draw().ndim == 3
    hostile = Table([{"<script>": "<b>"}])._repr_html_()
    assert "<script>" not in hostile
    assert "<b>" not in hostile


def test_no_public_name_is_a_module() -> None:
    """`perception.align` must not be a function first and the submodule afterwards."""
    folder = Path(perception.__file__).parent
    modules = {path.stem for path in folder.iterdir() if path.suffix == ".py" or path.is_dir()}
    assert not modules & set(perception.__all__)
