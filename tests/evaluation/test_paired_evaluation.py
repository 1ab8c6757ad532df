"""Two on the same logs: what surely differs is told, what does not is not, and nothing is read twice."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from perception.autoconfig import Overrides, complete_config
from perception.evaluation import EvaluateOptions
from perception.evaluation.comparison.compare_logs import compare_logs
from perception.evaluation.comparison.comparison_report import CompareReport
from perception.evaluation.comparison.paired_evaluation import PairedEvaluation, Side
from perception.evaluation.evaluate_logs import evaluate_logs
from perception.evaluation.metrics import Rules
from perception.evaluation.resampling import Resampling
from perception.logs import Log, open_log
from perception.models import FusionModel
from perception.models.checkpoint import Checkpoint, save_checkpoint
from perception.pipeline import ReplayOptions, Span, replay
from perception.plugin import Prepared
from perception.sinks import McapSink
from perception.types import Control, ControlChannel, Output
from tests.evaluation.oracle import Oracle, Truth
from tests.fusion_scenes import SMALL
from tests.pipeline.memory_plugin import MemoryPlugin
from tests.scripted_scene import START_NS, write_scene
from tests.small_logs import SmallLog

OPTIONS = EvaluateOptions(rules=Rules(min_support=5), resampling=Resampling(draws=200))


@pytest.fixture(scope="module")
def drive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Long enough for ten blocks."""
    path = tmp_path_factory.mktemp("drive") / "drive.mcap"
    rates = {"camera_hz": 5.0, "scan_hz": 2.0, "status_hz": 20.0}
    return write_scene(path, seed=5, duration_s=22.0, image_size=(64, 32), **rates)


@pytest.fixture(scope="module")
def truth(drive: Path) -> Truth:
    return Truth(drive)


class Careless(Oracle):
    """Every other second it steers too far left and sees nothing."""

    def _say(self, sample):
        at_s = (sample.tick.stamp_ns - START_NS) / 1e9
        self.wrong = (0, 2**62) if at_s % 2 >= 1 else (0, 0)
        return super()._say(sample)


class Failing(Oracle):
    """Fails on every tenth sample, in either stage."""

    def prepare(self, sample):
        if sample.tick.index % 20 == 10:
            raise RuntimeError("no pixels")
        return super().prepare(sample)

    def step(self, prepared):
        if prepared[0].sample.tick.index % 20 == 0:
            raise RuntimeError("no answer")
        return super().step(prepared)


def compare(
    path: Path, a: Side, b: Side, stored: tuple[Log | None, Log | None] = (None, None)
) -> CompareReport:
    comparison = PairedEvaluation((a, b), OPTIONS, lambda moment, side: f"see {'AB'[side]} {moment.at_s:.1f}")
    with open_log(path) as log:
        assert comparison.add(log, complete_config(log).config, stored)
    report = comparison.report()
    assert CompareReport.model_validate(report.to_json()) == report
    return report


def live(name: str, kind: type[Oracle], truth: Truth) -> Side:
    return Side(name, "plugin", lambda: kind(truth))


@pytest.fixture(scope="module")
def careless(drive: Path, truth: Truth) -> CompareReport:
    """One that says the truth, and one that errs every other second."""
    return compare(drive, live("good", Oracle, truth), live("careless", Careless, truth))


def test_the_same_twice_differs_in_nothing(drive: Path, truth: Truth) -> None:
    report = compare(drive, live("one", Oracle, truth), live("two", Oracle, truth))
    assert report.status == "clean"
    assert report.a.frames == report.b.frames == 110
    assert {m.difference.verdict for m in report.metrics} == {"cannot tell"}
    assert {m.difference.value for m in report.metrics if m.difference.value is not None} == {0.0}
    assert not report.apart


def test_the_worse_one_is_surely_worse_and_the_frames_are_those_where_it_is(
    drive: Path, truth: Truth, careless: CompareReport
) -> None:
    report = careless
    found = {m.metric: m for m in report.metrics}
    for name in ("recall", "MAE/curvature", "joint"):
        assert found[name].difference.verdict == "worse", name
        assert found[name].difference.p_corrected < 0.05
    assert found["recall"].difference.high < 0 < found["MAE/curvature"].difference.low
    assert found["IoU"].difference.verdict == "cannot tell"
    assert found["mAP"].difference.high < 0  # but once among so many it may be chance
    assert found["recall"].b == pytest.approx(found["recall"].a / 2, abs=0.1)
    assert report.apart
    for moment in report.apart:
        assert (moment.stamp_ns - START_NS) / 1e9 % 2 >= 0.9
        assert moment.difference > 0
        assert moment.what.startswith("A is better")
        assert moment.commands == [f"see A {moment.at_s:.1f}", f"see B {moment.at_s:.1f}"]
    other = compare(drive, live("careless", Careless, truth), live("good", Oracle, truth))
    turned = {m.metric: m for m in other.metrics}
    assert turned["recall"].difference.verdict == "better"
    assert turned["recall"].difference.value == pytest.approx(-found["recall"].difference.value)


def test_stored_outputs_compare_as_the_plugins_that_made_them(
    drive: Path, truth: Truth, careless: CompareReport, tmp_path: Path
) -> None:
    kept = tmp_path / "kept.mcap"
    with open_log(drive) as log:
        replay(log, complete_config(log).config, Careless(truth), [McapSink(kept)])
    both = careless
    with open_log(kept) as stored:
        mixed = compare(drive, live("good", Oracle, truth), Side("kept", "stored"), (None, stored))
    assert [m.difference for m in mixed.metrics] == [m.difference for m in both.metrics]
    assert mixed.apart == both.apart


class BoxesAlone(Oracle):
    """States neither distances nor control."""

    def __init__(self, truth: Truth) -> None:
        super().__init__(truth)
        self.manifest = replace(self.manifest, heads=("class", "box"))

    def _say(self, sample):
        output = super()._say(sample)
        items = [replace(item, distance_m=None, distance_std_m=None) for item in output.detections.items]
        return replace(output, detections=replace(output.detections, items=tuple(items)), control=None)


def test_joint_scores_of_other_parts_are_shown_and_not_compared(drive: Path, truth: Truth) -> None:
    """What states nothing but boxes is scored on boxes alone: its joint score is of something else."""
    report = compare(drive, live("careless", Careless, truth), live("boxes", BoxesAlone, truth))
    joint = {m.metric: m for m in report.metrics}["joint"]
    assert joint.a < joint.b
    assert (joint.difference.value, joint.difference.verdict) == (None, "cannot tell")
    (warning,) = [w for w in report.warnings if w["code"] == "other_parts"]
    assert "boxes, calibration, control, distance" in warning["text"]
    alike = compare(drive, live("boxes", BoxesAlone, truth), live("again", BoxesAlone, truth))
    assert {m.metric: m for m in alike.metrics}["joint"].difference.value == 0
    assert not alike.warnings


def test_as_many_outputs_of_other_moments_are_told(drive: Path, truth: Truth, tmp_path: Path) -> None:
    with open_log(drive) as log:
        config, start_ns = complete_config(log).config, log.survey.start_ns or 0
        middle_ns = start_ns + 11_000_000_000
        for name, span in (("a", Span(None, middle_ns)), ("b", Span(middle_ns, None))):
            replay(log, config, Oracle(truth), [McapSink(tmp_path / name)], ReplayOptions(span=span))
    with open_log(tmp_path / "a") as a, open_log(tmp_path / "b") as b:
        halves = compare(drive, Side("a", "stored"), Side("b", "stored"), (a, b))
        same = compare(drive, Side("a", "stored"), Side("a", "stored"), (a, a))
    (warning,) = [w for w in halves.warnings if w["code"] == "other_frames"]
    assert "answered by one of them alone" in warning["text"]
    assert not same.warnings


def test_where_one_fails_the_other_goes_on(drive: Path, truth: Truth) -> None:
    report = compare(drive, live("failing", Failing, truth), live("good", Oracle, truth))
    assert (report.a.invalid, report.b.invalid) == (11, 0)
    assert report.status == "loss"
    (warning,) = [w for w in report.warnings if w["code"] == "plugin_error"]
    assert warning["text"] == "failing failed in 11 frames, first: RuntimeError: no answer"
    frames = report.b.heads["control"]["control_errors"].frames
    assert (frames["scored"], frames["invalid"]) == (110, 0)


class Aside(MemoryPlugin):
    """Steers by the true 0.1/m in the picture of `b`, and further to the left in others."""

    def _one(self, item: Prepared) -> Output:
        camera = item.sample.camera.name
        channels = (ControlChannel("curvature", "1/m", 0.1 if camera == "b" else 0.3, 0.1),)
        return replace(super()._one(item), control=Control(True, (camera,), channels=channels))


def test_both_take_control_from_the_camera_that_is_configured(tmp_path: Path) -> None:
    rig = SmallLog().control()
    for name in ("a", "b"):
        rig.image(f"/{name}/image", frame=name)
    with open_log(rig.write(tmp_path / "rig.mcap")) as log:
        config = complete_config(log).config.model_copy(update={"control_camera": "b"})
        comparison = PairedEvaluation((Side("A", "plugin", Aside), Side("B", "plugin", Aside)), OPTIONS)
        assert comparison.add(log, config)
    found = {m.metric: m for m in comparison.report().metrics}["MAE/curvature"]
    assert found.a == found.b == pytest.approx(0.0, abs=1e-6)


def test_each_side_uses_returns_as_far_as_it_does_alone(drive: Path, tmp_path: Path) -> None:
    """Its weights, or its plugin, say how far, where nobody configured it."""
    model = FusionModel(SMALL, seed=1)
    paths = [tmp_path / f"{limit_m}.safetensors" for limit_m in (30, 4)]
    for path in paths:
        save_checkpoint(path, model, Checkpoint(config=SMALL, preprocess={"max_range_m": float(path.stem)}))
    options = EvaluateOptions(overrides=Overrides(engine={"backend": "torch", "precision": "fp32"}))
    report = compare_logs((str(paths[0]), str(paths[1])), [drive], options=options)
    found = {m.metric: m for m in report.metrics}["MAE/curvature"]
    alone = []
    for path in paths:
        own = replace(options, overrides=replace(options.overrides, checkpoint=path))
        metric = evaluate_logs([drive], options=own).heads["control"]["control_errors"]
        alone.append(metric.values["MAE/curvature"].value)
    assert [found.a, found.b] == alone
    assert found.a != found.b
    for moment in report.apart:  # what replays it replays it as it was
        for path, command in zip(paths, moment.commands, strict=True):
            assert f"--checkpoint {path} --backend torch --precision fp32" in command
    assert report.apart
