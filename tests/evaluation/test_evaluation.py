"""Logs in, one report out: replayed, from stored outputs, and by subset of the sensors."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from copy import copy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from perception.autoconfig import complete_config
from perception.evaluation import SUBSETS, EvaluateOptions, Evaluation, EvaluationReport, subset_name
from perception.evaluation.metrics import Result, Rules, Value
from perception.logs import Query, open_log
from perception.logs.perception_proto import decode_status
from perception.pipeline import ReplayOptions, Span, replay
from perception.sinks import McapSink
from perception.types import Output, TruthBox, TruthFrame
from tests.evaluation.oracle import Oracle, TogetherOracle, Truth
from tests.pipeline.memory_plugin import MemoryPlugin
from tests.scripted_scene import START_NS, Row, write_scene

RULES = Rules(min_support=5)


def evaluate(path: Path, load, output: Path | None = None, **options) -> EvaluationReport:
    evaluation = Evaluation(EvaluateOptions(rules=RULES, **options))
    with open_log(path) as log:
        evaluation.replay(log, complete_config(log).config, load, output)
    return evaluation.report()


def number(report: EvaluationReport, head: str, name: str) -> float | None:
    """The one value of that name."""
    (value,) = [metric.values[name] for metric in report.heads[head].values() if name in metric.values]
    return value.value


@pytest.fixture(scope="module")
def perfect(street: Path, truth: Truth) -> EvaluationReport:
    """The report of a plugin that says the truth."""
    return evaluate(street, lambda: Oracle(truth))


def half() -> ReplayOptions:
    """The first 3 s."""
    return ReplayOptions(span=Span(None, START_NS + 3_000_000_000))


def test_a_plugin_that_says_the_truth_gets_full_marks(perfect: EvaluationReport) -> None:
    report = perfect
    assert report.status == "clean"
    assert number(report, "box", "mAP") == 1.0
    assert number(report, "box", "distance_abs") == pytest.approx(0.0, abs=1e-6)
    assert number(report, "class", "F1") == 1.0
    assert number(report, "control", "MAE/curvature") == pytest.approx(0.0, abs=1e-9)
    assert number(report, "control", "R2/acceleration") == pytest.approx(1.0)
    assert report.heads["control"]["control_errors"].values["MAE/curvature"].unit == "1/m"
    assert report.heads["timing"]["latency"].values["p50/total"].value > 0
    assert report.heads["timing"]["latency"].values["p50/total"].support == 60
    assert report.logs[0].frames == 60
    assert report.logs[0].replay["ledger"]


def test_rules_take_the_family_and_the_classes_of_the_run(perfect: EvaluationReport) -> None:
    report = perfect
    assert report.rules.family == "gaussian"
    assert report.rules.classes == ["vehicle", "person", "cone"]
    assert number(report, "control", "NLL/curvature") == pytest.approx(np.log(0.1 * np.sqrt(2 * np.pi)))


def test_persistence_is_the_command_of_half_a_second_ago(perfect: EvaluationReport, truth: Truth) -> None:
    report = perfect
    stamps = sorted(truth.control)
    values = np.array([truth.control[stamp]["acceleration"] for stamp in stamps])
    expected = np.abs(values[5:] - values[:-5]).mean()  # 10 Hz
    assert number(report, "control", "MAE_persistence/acceleration") == pytest.approx(expected, rel=0.05)


def test_stored_outputs_score_as_the_replay_did(street: Path, truth: Truth, tmp_path: Path) -> None:
    kept = tmp_path / "kept.mcap"
    replayed = evaluate(street, lambda: Oracle(truth), kept)
    evaluation = Evaluation(EvaluateOptions(rules=RULES))
    with open_log(street) as log, open_log(kept) as stored:
        evaluation.score(stored, log, complete_config(log).config)
    found = evaluation.report()
    for head in ("class", "box", "control", "joint"):
        assert found.heads[head] == replayed.heads[head], head
    assert found.heads["timing"]["latency"].values["p50/total"].support == 60
    assert found.moments == replayed.moments
    assert found.logs[0].outputs == str(kept)


def test_the_frames_of_stored_outputs_are_ticks_also_of_several_cameras(tmp_path: Path) -> None:
    def doubled(row: Row) -> Iterator[Row]:
        yield row
        if row.topic.startswith("/camera/"):
            yield replace(row, topic=row.topic.replace("/camera/", "/left/"))

    drive = write_scene(tmp_path / "x.mcap", duration_s=1.0, image_size=(64, 32), mutate=doubled)
    kept = tmp_path / "kept.mcap"
    replayed = evaluate(drive, MemoryPlugin, kept)
    evaluation = Evaluation(EvaluateOptions(rules=RULES))
    with open_log(drive) as log, open_log(kept) as stored:
        assert "/perception/left/detections" in stored.channels
        evaluation.score(stored, log, complete_config(log).config)
    assert evaluation.report().logs[0].frames == replayed.logs[0].frames == 10


def test_two_logs_are_scored_as_one(street: Path, truth: Truth, tmp_path: Path) -> None:
    other = write_scene(tmp_path / "other.mcap", seed=4, duration_s=3.0)
    evaluation = Evaluation(EvaluateOptions(rules=RULES))
    for path, predicted in ((street, truth), (other, Truth(other))):
        with open_log(path) as log:
            evaluation.replay(log, complete_config(log).config, lambda predicted=predicted: Oracle(predicted))
    report = evaluation.report()
    assert [log.frames for log in report.logs] == [60, 30]
    assert report.heads["box"]["mean_average_precision"].frames["scored"] == 90
    assert number(report, "box", "mAP") == 1.0


def test_errors_of_each_frame_lie_beside_the_outputs(street: Path, truth: Truth, tmp_path: Path) -> None:
    kept, blind = tmp_path / "kept.mcap", (START_NS + 4_000_000_000, START_NS + 4_500_000_000)
    evaluate(street, lambda: Oracle(truth, blind), kept)
    with open_log(kept) as log:
        rows = {"boxes": {}, "control": {}}
        for message in log.messages(Query(frozenset(f"/perception/metrics/{name}" for name in rows))):
            stamp_ns, values = decode_status(message.data)
            rows[message.topic.rpartition("/")[2]][stamp_ns] = {name: value for name, _, value in values}
        ticks = {message.log_time_ns for message in log.messages(Query(frozenset({"/perception/inputs"})))}
    assert len(rows["boxes"]) == len(rows["control"]) == len(ticks) == 60
    for stamp_ns, found in rows["boxes"].items():
        if blind[0] <= stamp_ns < blind[1]:
            assert found["missed"] > 0
            assert found["error"] == 1.0
            assert rows["control"][stamp_ns]["curvature"] == pytest.approx(1.0)
        else:
            assert (found["missed"], found["false_alarms"], found["error"]) == (0, 0, 0)


def test_the_worst_moment_is_where_it_was_blind(street: Path, truth: Truth) -> None:
    blind = (START_NS + 4_000_000_000, START_NS + 5_000_000_000)
    evaluation = Evaluation(EvaluateOptions(rules=RULES, moments=3), lambda m: f"replay {m.log} {m.stamp_ns}")
    with open_log(street) as log:
        evaluation.replay(log, complete_config(log).config, lambda: Oracle(truth, blind))
    first, *others = evaluation.report().moments
    assert blind[0] <= first.stamp_ns < blind[1]
    assert "missed" in first.what
    assert first.command == f"replay {street} {first.stamp_ns}"
    assert all(abs(other.log_time_ns - first.log_time_ns) >= 2e9 for other in others)


def without(names: list[str]):
    """A scene's hook that drops all messages of the named sensors."""
    topics = {"camera": "/camera/image", "range": "/scan", "status": "/vehicle/state"}
    gone = {topics[name] for name in names}
    return lambda row: [] if row.topic in gone else [row]


@pytest.mark.parametrize("kind", [Oracle, TogetherOracle], ids=["one by one", "together"])
def test_ablation_says_what_each_subset_would(street: Path, truth: Truth, kind) -> None:
    report = evaluate(street, lambda: kind(truth), ablate="sensors")
    assert list(report.ablation) == [subset_name(subset) for subset in SUBSETS]
    assert len(report.ablation) == 7
    for subset in SUBSETS:
        heads = report.ablation[subset_name(subset)]
        shift = sum(
            {"camera": 0.0, "range": 1.5, "status": 3.0}[n] for n in ("range", "status") if n not in subset
        )
        mae = heads["control"]["control_errors"].values["MAE/curvature"].value
        assert mae == pytest.approx(shift, abs=1e-6)
        boxes = heads["box"]["mean_average_precision"]
        if "camera" in subset:
            assert boxes.frames["scored"] == 60
            assert (boxes.values["mAP"].value == 1.0) == (shift == 0)
        else:
            assert boxes.frames["invalid"] == 60
            assert boxes.values["mAP"].value is None
    assert report.ablation["camera+range+status"]["box"] == report.heads["box"]
    assert "timing" not in report.heads  # a frame took seven answers


def test_each_frame_is_prepared_once_where_the_plugin_answers_together(street: Path, truth: Truth) -> None:
    plugin = TogetherOracle(truth)
    evaluate(street, lambda: plugin, ablate="sensors", replay=half())
    assert plugin.calls == Counter(open=1, prepare=30, step_subsets=30)


def test_subsets_do_not_share_a_plugins_memory(street: Path, truth: Truth) -> None:
    made: list[Oracle] = []

    def load() -> Oracle:
        made.append(Oracle(truth, memory=True))
        return made[-1]

    report = evaluate(street, load, ablate="sensors", replay=half())
    assert [plugin.seen for plugin in made] == [30] * 7
    alone = evaluate(street, lambda: Oracle(truth, memory=True), replay=half())
    assert report.heads["box"] == alone.heads["box"]


def test_a_frame_at_which_the_plugin_fails_is_invalid_in_every_subset(street: Path, truth: Truth) -> None:
    report = evaluate(street, lambda: Oracle(truth, fails_at=7), ablate="sensors", replay=half())
    assert report.status == "loss"
    for heads in report.ablation.values():
        assert heads["control"]["control_errors"].frames["invalid"] == 1
        assert heads["control"]["control_errors"].frames["scored"] == 29


class Broken:
    """A metric of another package that cannot go on."""

    name, head = "broken", "mine"

    def __init__(self) -> None:
        self.count = 0

    def update(self, output: Output, truth: TruthFrame) -> None:
        self.count += 1
        if self.count > 3:
            raise ZeroDivisionError("no more")

    def compute(self) -> Result:
        return Result(self.name, self.head, {"count": Value(float(self.count), self.count)})

    def merge(self, other: Broken) -> None: ...


class Counting(Broken):
    name = "counting"

    def update(self, output: Output, truth: TruthFrame) -> None:
        self.count += 1


def test_a_guest_metric_that_breaks_is_named_and_the_rest_goes_on(street: Path, truth: Truth) -> None:
    report = evaluate(street, lambda: Oracle(truth), guests=lambda rules: [Broken(), Counting()])
    assert report.faults == {"broken": "ZeroDivisionError: no more"}
    assert report.heads["mine"]["counting"].values["count"].value == 60
    assert number(report, "box", "mAP") == 1.0


def test_a_copy_of_a_log_under_another_name_is_pointed_out(
    street: Path, truth: Truth, tmp_path: Path
) -> None:
    other, copy = write_scene(tmp_path / "other.mcap", seed=4, duration_s=1.0), tmp_path / "copy.mcap"
    copy.write_bytes(street.read_bytes())
    evaluation = Evaluation(EvaluateOptions(rules=RULES))
    for path in (street, other, copy):
        with open_log(path) as log:
            config = complete_config(log).config
            evaluation.replay(log, config, lambda path=path: Oracle(truth if path != other else Truth(other)))  # type: ignore[misc]
    (warning,) = [w for w in evaluation.report().warnings if w["code"] == "copy"]
    assert warning["log"] == str(copy)
    assert f"those of {street}: a copy counts twice" in warning["text"]


def test_words_that_cannot_match_are_pointed_out(street: Path, truth: Truth) -> None:
    evaluation = Evaluation(EvaluateOptions(rules=RULES))
    with open_log(street) as log:
        config = complete_config(log).config
        other = config.model_copy(
            update={"truth": config.truth.model_copy(update={"classes": {"vehicle": "car", "person": "man"}})}
        )
        evaluation.replay(log, other, lambda: Oracle(truth))
    (warning,) = [w for w in evaluation.report().warnings if w["code"] == "class_words"]
    assert "truth says car, man; the plugin knows only vehicle, person, cone" in warning["text"]
    assert warning["text"].endswith("under truth: classes: {car: vehicle, man: person}")


def test_finds_beside_partial_labels_are_no_false_alarms(street: Path, truth: Truth) -> None:
    """The plugin also finds a person that is in no label."""
    seen = copy(truth)
    unlabelled = TruthBox("person", (2.0, 2.0, 22.0, 62.0), 9.0, 1.0, "")
    seen.boxes = {stamp: (unlabelled, *boxes) for stamp, boxes in truth.boxes.items()}
    found, alarms = {}, {}
    for incomplete in ("", "person", "vehicle"):
        evaluation = Evaluation(EvaluateOptions(rules=RULES))
        with open_log(street) as log:
            config = complete_config(log).config
            known = config.truth.model_copy(
                update={"incomplete_classes": (incomplete,) if incomplete else ()}
            )
            evaluation.replay(log, config.model_copy(update={"truth": known}), lambda: Oracle(seen))
        report = evaluation.report()
        found[incomplete] = {name: number(report, "class", f"AP50/{name}") for name in ("person", "vehicle")}
        confusion = report.heads["class"]["confusion"].details
        alarms[incomplete] = confusion["matrix"][-1][confusion["labels"].index("person")]
    assert found["person"] == {"person": 1.0, "vehicle": 1.0}
    assert found[""] == found["vehicle"]
    assert (found[""]["person"] or 0.0) < 0.9
    assert alarms == {"": 60, "person": 0, "vehicle": 60}


def test_outputs_of_another_log_are_pointed_out(street: Path, truth: Truth, tmp_path: Path) -> None:
    other, kept = write_scene(tmp_path / "other.mcap", seed=4, duration_s=1.0), tmp_path / "kept.mcap"
    with open_log(other) as log:
        replay(log, complete_config(log).config, Oracle(Truth(other)), [McapSink(kept)])
    evaluation = Evaluation(EvaluateOptions(rules=RULES))
    with open_log(street) as log, open_log(kept) as stored:
        evaluation.score(stored, log, complete_config(log).config)
    assert [w["code"] for w in evaluation.report().warnings] == ["other_log"]


def test_nothing_evaluated_is_a_report_too() -> None:
    report = Evaluation().report()
    assert report.outcome == "clean"
    assert number(report, "box", "mAP") is None


def test_replay_options_are_passed_on(street: Path, truth: Truth) -> None:
    span = Span(START_NS + 1_000_000_000, START_NS + 3_000_000_000)
    report = evaluate(street, lambda: Oracle(truth), replay=ReplayOptions(span=span))
    assert report.logs[0].frames == 20


def test_a_log_without_truth_is_said_to_have_none(truth: Truth, tmp_path: Path) -> None:
    report = evaluate(write_scene(tmp_path / "bare.mcap", duration_s=1.0, truth=False), lambda: Oracle(truth))
    assert [w["code"] for w in report.warnings] == ["no_truth", "no_truth"]
    assert number(report, "box", "mAP") is None
    assert number(report, "joint", "joint") is None
