"""The public door: what a notebook calls gives what the pipeline gives, and its examples run."""

from __future__ import annotations

import doctest
import shutil
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import perception
from perception.autoconfig import Overrides
from perception.autoconfig.log_times import sensor_start_ns
from perception.config import Config
from perception.errors import CheckpointError, ConfigError, LogError, MissingExtraError, OutputError
from perception.evaluation import EvaluateOptions, Resampling, evaluate_arguments
from perception.evaluation.evaluate_arguments import with_arguments
from perception.evaluation.metrics import Metric, Rules
from perception.logs import Damage
from perception.pipeline import ReplayOptions, Span, opened_plugin
from perception.pipeline.replay_summary import Warned
from perception.sinks import JsonlSink, read_outputs
from perception.types.table import Table
from tests.plugins.test_fusion import write_checkpoint
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


def test_a_checkpoint_may_be_the_folder_of_a_saved_model(drive: Path, tmp_path: Path) -> None:
    model = perception.FusionModel.from_pretrained(write_checkpoint(tmp_path / "small.safetensors"))
    model.save_pretrained(tmp_path / "mine")
    expected = perception.replay(drive, checkpoint=tmp_path / "small.safetensors", end=0.2)
    assert perception.replay(drive, checkpoint=str(tmp_path / "mine"), end=0.2).outputs == expected.outputs
    with pytest.raises(CheckpointError, match=r"model\.safetensors cannot be read: No such file"):
        perception.replay(drive, checkpoint=tmp_path)


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


def test_the_options_of_evaluate_hold_where_no_argument_replaces_them(
    drive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Counter:
        samples = 0

        def before(self, sample: object) -> None:
            self.samples += 1

        def after(self, progress: object) -> None:
            """Not of interest."""

    with perception.open_log(drive) as log:
        start_ns = sensor_start_ns(log, perception.complete_config(log).config)
    span, counter = Span(None, start_ns + 300_000_000), Counter()
    options = EvaluateOptions(
        replay=ReplayOptions(observer=counter, span=span), resampling=Resampling(100, seed=5, level=0.5)
    )
    made: list[Rules] = []

    def installed(rules: Rules) -> list[Metric]:
        made.append(rules)
        return []

    monkeypatch.setattr(evaluate_arguments, "installed_metrics", installed)
    report = perception.evaluate(drive, draws=200, options=options)
    assert counter.samples == report.logs[0].frames == 3
    assert report.resampling is not None
    assert (report.resampling.draws, report.resampling.seed, report.resampling.level) == (200, 5, 0.5)
    assert made


@pytest.mark.parametrize("there", [0, 1])
@pytest.mark.parametrize("options", [None, EvaluateOptions()])
def test_evaluate_takes_the_gpu_where_there_is_one(
    drive: Path, there: int, options: EvaluateOptions | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opened_plugin, "cuda_devices", lambda: there)
    torch = Config.model_validate({"engine": {"backend": "torch"}})
    taken = _replays_of(monkeypatch, lambda: perception.evaluate(drive, torch, options=options))
    assert taken.device == ("cuda" if there else "cpu")
    taken = _replays_of(monkeypatch, lambda: perception.evaluate(drive, torch, device="cpu", options=options))
    assert taken.device == "cpu"


def _replays_of(monkeypatch: pytest.MonkeyPatch, call: Callable[[], object]) -> ReplayOptions:
    """Return the options of the first replay of a call, which is not made."""

    class Taken(Exception):
        """The replay is not made."""

    def refuse(log: object, config: object, plugin: object, sinks: object, options: ReplayOptions) -> None:
        raise Taken(options)

    monkeypatch.setattr("perception.evaluation.evaluation.replay", refuse)
    with pytest.raises(Taken) as caught:
        call()
    options = caught.value.args[0]
    assert isinstance(options, ReplayOptions)
    return options


def test_evaluate_ablates_as_it_is_told() -> None:
    def ablate(given: Any) -> str | None:
        return with_arguments(None, None, None, None, None, None, given, None).ablate

    assert [ablate(word) for word in (True, "each", "faults", False)] == ["sensors", "each", "faults", None]
    with pytest.raises(ConfigError, match="expected sensors, each or faults, found 'nonsense'"):
        perception.evaluate("drive.mcap", ablate="nonsense")  # type: ignore[arg-type]


def test_evaluate_harms_no_file(drive: Path, tmp_path: Path) -> None:
    mine, config = tmp_path / "precious.txt", tmp_path / "c.yaml"
    mine.write_text("mine")
    config.write_text("version: 1\n")
    for path in (mine, config, drive):
        before = path.read_bytes()
        with pytest.raises(OutputError, match="would replace"):
            perception.evaluate(drive, config, options=EvaluateOptions(output=path))
        assert path.read_bytes() == before
    output = EvaluateOptions(output=mine)
    perception.evaluate(drive, config, end=0.2, options=output, force=True)
    perception.evaluate(drive, config, end=0.2, options=output)  # an earlier output now
    assert mine.read_bytes() != b"mine"


def test_a_log_counts_once(drive: Path) -> None:
    with pytest.raises(ConfigError, match="LOG: named twice"):
        perception.evaluate([drive, str(drive)])
    report = perception.evaluate([str(drive), str(drive.with_name("d*.mcap"))], end=0.2, draws=0)
    assert len(report.logs) == 1


def test_a_log_whose_name_looks_like_a_pattern_is_found(drive: Path, tmp_path: Path) -> None:
    odd = tmp_path / "drive[1].mcap"
    shutil.copy(drive, odd)
    assert perception.evaluate(str(odd), end=0.2, draws=0).logs[0].log == str(odd)


def test_a_plugin_beside_stored_outputs_is_refused(drive: Path) -> None:
    with pytest.raises(ConfigError, match="--plugin: needs a replay"):
        perception.evaluate(drive, plugin="street", options=EvaluateOptions(outputs=(Path("stored.mcap"),)))


def test_times_mean_the_same_to_replay_stream_and_evaluate(drive: Path) -> None:
    with perception.open_log(drive) as log:
        start_ns = sensor_start_ns(log, perception.complete_config(log).config)
    for start, end in ((0.2, np.float64(0.5)), (start_ns + 200_000_000, start_ns + 500_000_000)):
        frames = {
            perception.replay(drive, start=start, end=end).summary.frames,
            len(list(perception.stream(drive, start=start, end=end))),
            perception.evaluate(drive, start=start, end=end, draws=0).logs[0].frames,
        }
        assert frames == {3}
    for wrong in (-5, float("nan"), float("inf"), "soon"):
        with pytest.raises(ConfigError, match="--start: expected seconds"):
            perception.replay(drive, start=wrong)
        with pytest.raises(ConfigError, match="--end: expected seconds"):
            next(perception.stream(drive, end=wrong))


def test_what_complete_config_returned_is_a_configuration(drive: Path) -> None:
    with perception.open_log(drive) as log:
        choice = perception.complete_config(log)
    assert perception.replay(drive, choice, end=0.2, write=None).summary.frames == 2
    assert perception.evaluate(drive, choice, end=0.2, draws=0).logs[0].frames == 2
    next(perception.stream(drive, choice))
    with perception.open_plugin("fusion", choice) as plugin:
        assert plugin.plugin.manifest.name == "fusion"


def test_one_sink_is_a_list_of_one(drive: Path, tmp_path: Path) -> None:
    sink = JsonlSink(tmp_path / "out.jsonl")
    perception.replay(drive, end=0.2, sinks=sink)
    assert (tmp_path / "out.jsonl").read_text().count("\n") >= 2


def test_arguments_of_another_kind_are_refused_by_the_call_that_is_meant(drive: Path, tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="parse_config reads mappings"):
        perception.replay(drive, {"version": 1})  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="`write` takes the names of files"):
        perception.replay(drive, sinks="x")  # type: ignore[arg-type]
    with perception.open_log(drive) as log:
        with pytest.raises(TypeError, match=r"of an open log: log\.path"):
            perception.replay(log)  # type: ignore[arg-type]
        with pytest.raises(TypeError, match=r"of an open log: log\.path"):
            perception.evaluate(log)  # type: ignore[arg-type]
        choice = perception.complete_config(log)
    with pytest.raises(TypeError, match=r"of a choice: complete_config\(log\)\.config"):
        perception.Aligner(choice)  # type: ignore[arg-type]
    with pytest.raises(LogError, match="found none; name at least one"):
        perception.open_log([])
    with pytest.raises(OutputError, match=r"no sink writes \.csv files"):
        perception.replay(drive, write=tmp_path / "out.csv")


def test_the_moments_of_stored_outputs_are_replayed_as_these_were_made(drive: Path, tmp_path: Path) -> None:
    with perception.open_log(drive) as log:
        config = perception.complete_config(log, overrides=Overrides(options={"min_score": 0.2})).config
    for name, made_by, expected in (
        ("a", None, ""),
        ("b", config, " --plugin fusion --option min_score=0.2"),
    ):
        stored = tmp_path / f"{name}.mcap"
        perception.replay(drive, made_by, write=stored)
        report = perception.evaluate(drive, options=EvaluateOptions(outputs=(stored,)), draws=0)
        commands = {moment.command.partition(" --start")[0] for moment in report.moments}
        assert commands == {f"perception replay {drive}{expected}"}


def test_tables_become_data_frames(drive: Path) -> None:
    pandas = pytest.importorskip("pandas")
    result = perception.replay(drive)
    frame = result.control.to_pandas()
    assert set(result.detections.to_pandas()["camera"]) <= {"camera"}
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


def test_a_result_in_a_notebook_says_what_was_absent_and_what_went_wrong(drive: Path) -> None:
    result = perception.replay(drive, end=0.5)
    summary = replace(
        result.summary,
        inputs={"camera": {"present": 3, "absent": 17}},
        warnings=(Warned("code", "the wheels are square", 4),),
        damage=(Damage(0, 1, 34, None, "a chunk <b>is</b> missing"),),
    )
    shown = summary._repr_html_()
    for text in ("<td>17</td>", "the wheels are square", "a chunk &lt;b&gt;is&lt;/b&gt; missing"):
        assert text in shown


def test_a_notebook_colours_classes_by_their_place_among_those_of_the_plugin(drive: Path) -> None:
    """By the label alone several classes would have one colour."""
    answer = next(iter(perception.stream(drive)))
    assert answer.run is not None
    assert len(answer.run.classes) > 1
    result = perception.replay(drive, end=0.5)
    assert result.source is not None
    assert result.source.run.classes == answer.run.classes


def test_no_public_name_is_a_module() -> None:
    """`perception.align` must not be a function first and the submodule afterwards."""
    folder = Path(perception.__file__).parent
    modules = {path.stem for path in folder.iterdir() if path.suffix == ".py" or path.is_dir()}
    assert not modules & set(perception.__all__)
