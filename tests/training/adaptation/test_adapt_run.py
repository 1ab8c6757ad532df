"""An adaptation as a user has it: it learns without truth, repeats exactly, and refuses what got worse."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from perception.errors import ConfigError
from perception.models import FusionModel
from perception.models.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from perception.plugin.discovery import own_weights
from perception.training import train
from perception.training.adaptation import (
    AdaptOptions,
    AdaptReport,
    adapt,
    adapt_run,
    agreement,
    pseudo_labels,
)
from perception.training.adaptation.report import ScoreChange, Truthful
from perception_tools.adapt.text import show
from perception_tools.cli import run
from tests.scripted_scene import write_scene
from tests.training.conftest import SHAPE, small_config

ROOT = Path(__file__).resolve().parents[3]


SCENE: dict[str, Any] = {"seed": 3, "duration_s": 1.0, "scan_hz": 10.0, "status_hz": 20.0}


@pytest.fixture(scope="module")
def street(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One second of a scripted drive: 10 camera frames."""
    return write_scene(tmp_path_factory.mktemp("logs") / "street.mcap", **SCENE)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights that see boxes nearly everywhere, drawn from a seed."""
    model = FusionModel(SHAPE, seed=1)
    with torch.no_grad():
        bias = model.class_head.get_parameter("predict.bias")
        bias.fill_(0.5)
    path = tmp_path_factory.mktemp("weights") / "start.safetensors"
    save_checkpoint(path, model, Checkpoint(config=SHAPE, trained_on=({"log": "a"},)))
    return path


@pytest.fixture
def lenient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Boxes of weights that were never trained become labels."""
    monkeypatch.setattr(pseudo_labels, "CONFIRMED", 0.0)
    monkeypatch.setattr(agreement, "SAME_VIEW_IOU", 0.1)
    monkeypatch.setattr(agreement, "NEIGHBOUR_IOU", 0.05)
    monkeypatch.setattr(adapt_run, "got_worse", lambda before, after: [])
    monkeypatch.setattr(adapt_run, "check_on_truth", lambda *_: None)


def options(log: Path, weights: Path, cache: Path, out: Path, **changes: Any) -> AdaptOptions:
    settings: dict[str, Any] = {"rounds": 2, "steps": 2, "threads": 1, "device": "cpu", "cache": cache}
    return AdaptOptions((str(log),), out, str(weights), **(settings | changes))


def tensors(path: Path) -> dict[str, bytes]:
    return {name: t.numpy().tobytes() for name, t in load_checkpoint(path)[0].state_dict().items()}


def labels_in(report: AdaptReport) -> list[int]:
    return [sum(row.labels for row in done.classes) for done in report.rounds]


@pytest.mark.usefixtures("lenient")
def test_truth_in_the_log_is_not_learned_from_and_the_same_seed_gives_the_same_weights(
    weights: Path, street: Path, cache_root: Path, tmp_path: Path
) -> None:
    bare = write_scene(tmp_path / "street.mcap", **SCENE, truth=False)
    before = weights.read_bytes()
    results = {}
    for name, log in (("truth", street), ("none", bare)):
        report = adapt(options(log, weights, cache_root, tmp_path / name))
        assert report.status == "clean"
        assert all(labels_in(report)), "without labels this would prove nothing"
        assert report.checkpoint == str(tmp_path / name / "adapted.safetensors")
        results[name] = tensors(tmp_path / name / "adapted.safetensors")
        assert json.loads((tmp_path / name / "adapt.json").read_text())["schema"] == "perception.adapt/1"
    assert results["truth"] == results["none"]
    assert results["none"] != tensors(weights)
    assert weights.read_bytes() == before
    about = load_checkpoint(tmp_path / "none" / "adapted.safetensors")[1]
    assert [source["log"] for source in about.trained_on] == ["a", "street.mcap"]


@pytest.mark.usefixtures("lenient")
def test_weights_that_got_worse_are_refused_and_nothing_is_written(
    weights: Path, street: Path, cache_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fallen, risen = ScoreChange("mAP50", 0.5, 0.4, "worse"), ScoreChange("mAP", 0.1, 0.2, "better")
    monkeypatch.setattr(adapt_run, "got_worse", lambda before, after: ["agrees less"])
    monkeypatch.setattr(adapt_run, "check_on_truth", lambda *_: Truthful("labels", (fallen, risen)))
    before = weights.read_bytes()
    report = adapt(options(street, weights, cache_root, tmp_path / "run", rounds=1))
    assert report.status == "gate_failed"
    assert report.refused == ("agrees less", "on labels mAP50 is surely worse: 0.5 before, 0.4 after")
    assert report.checkpoint == str(weights)
    assert not (tmp_path / "run" / "adapted.safetensors").exists()
    assert weights.read_bytes() == before


@pytest.mark.usefixtures("lenient")
def test_an_interrupt_ends_without_a_result(
    weights: Path, street: Path, cache_root: Path, tmp_path: Path
) -> None:
    report = adapt(options(street, weights, cache_root, tmp_path / "run"), stop=lambda: True)
    assert (report.status, report.rounds[0].reason) == ("interrupted", "interrupted")
    assert not (tmp_path / "run" / "adapted.safetensors").exists()


def test_classes_that_are_incomplete_in_the_truth_matter_to_the_verdict_alone(
    weights: Path, street: Path, cache_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is learned from truth, and the comparison is an evaluation, which these are for."""
    seen: list[Any] = []
    monkeypatch.setattr(adapt_run, "check_on_truth", lambda *given: seen.append(given[4].config))
    config = tmp_path / "config.yaml"
    config.write_text("truth: {boxes: /truth/detections, incomplete_classes: [person]}\n")
    adapt(options(street, weights, cache_root, tmp_path / "run", rounds=1, config=config))
    assert [config.truth.incomplete_classes for config in seen] == [("person",)]


def test_weights_that_are_certain_of_nothing_say_so(
    weights: Path, street: Path, cache_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No label, and classes are left as they are; the part with truth is looked at for real."""
    monkeypatch.setattr(pseudo_labels, "CONFIRMED", 1.1)
    report = adapt(options(street, weights, cache_root, tmp_path / "run", rounds=1))
    assert labels_in(report) == [0]
    assert report.rounds[0].reason == "no_labels"
    assert any("no box was certain enough" in note for note in report.notes)
    assert report.truth is not None
    assert "held-out part" in report.truth.source
    assert "mAP50" in {score.name for score in report.truth.scores}


def test_truth_in_other_words_is_said_beside_its_scores(
    weights: Path,
    street: Path,
    cache_root: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(pseudo_labels, "CONFIRMED", 1.1)
    config = tmp_path / "words.yaml"
    config.write_text("version: 1\ntruth: {classes: {vehicle: lorry, person: pedestrian}}\n")
    report = adapt(options(street, weights, cache_root, tmp_path / "run", rounds=1, config=config))
    assert report.truth is not None
    assert any("truth says lorry, pedestrian" in text for text in report.truth.warnings)
    show(report)
    assert "warning: truth says lorry" in capsys.readouterr().out


class Interrupted(Exception):
    """The weights to start from are known: enough."""


@pytest.mark.parametrize(("simulated", "plugin"), [(False, "street"), (True, "fusion")])
def test_recorded_logs_start_from_weights_that_saw_real_pictures(
    simulated: bool, plugin: str, street: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = ROOT / "sample_logs" / "yard_day.mcap" if simulated else street
    started: list[Path] = []

    def load(path: Path) -> None:
        started.append(path)
        raise Interrupted

    monkeypatch.setattr(adapt_run, "load_checkpoint", load)
    with pytest.raises(Interrupted):
        adapt(AdaptOptions((str(log),), tmp_path / "run"))
    assert started == [own_weights(plugin)]


def test_wrong_options_are_all_said_at_once(weights: Path, cache_root: Path, tmp_path: Path) -> None:
    (tmp_path / "rounds").mkdir()
    wrong = options(Path("x.mcap"), weights, cache_root, tmp_path, minutes=0.0, rounds=0, hold_out=1.0)
    with pytest.raises(ConfigError) as error:
        adapt(wrong)
    assert len(error.value.errors) == 4


def test_a_file_in_place_of_the_folder_is_named_before_anything_is_read(
    weights: Path, tmp_path: Path
) -> None:
    (taken := tmp_path / "taken").write_text("mine")
    for place in (taken, taken / "below"):
        with pytest.raises(ConfigError, match="--out: "):
            adapt(options(Path("x.mcap"), weights, tmp_path, place))
    assert taken.read_text() == "mine"


@pytest.mark.usefixtures("lenient")
def test_the_command_prints_what_changed_and_one_object_as_json(
    weights: Path,
    street: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    words = [
        "adapt",
        str(street),
        "--checkpoint",
        str(weights),
        "--steps",
        "2",
        "--rounds",
        "1",
        "--threads",
        "1",
    ]
    assert run([*words, "--out", str(tmp_path / "a")]) == 0
    shown = capsys.readouterr().out
    for text in ("round 1: 2 steps", "vehicle", "mirrored views agree on", "no truth: ", "weights: "):
        assert text in shown
    monkeypatch.setattr(adapt_run, "got_worse", lambda before, after: ["agrees less"])
    assert run([*words, "--out", str(tmp_path / "b"), "--json"]) == 4
    report = json.loads(capsys.readouterr().out)
    assert (report["schema"], report["status"]) == ("perception.adapt/1", "gate_failed")
    assert report["calibrated_with"] == ["camera", "range", "status"]
    assert (report["exit_code"], report["refused"]) == (4, ["agrees less"])
    assert run([*words, "--out", str(tmp_path / "a")]) != 0
    assert "adapted.safetensors" in capsys.readouterr().err


@pytest.mark.slow
def test_weights_that_know_the_scene_learn_from_their_own_labels(cache_root: Path, tmp_path: Path) -> None:
    """A model that was trained on a street labels it, with distances by returns."""
    street = write_scene(tmp_path / "street.mcap", seed=3, duration_s=2.0)
    schedule = {"steps": 400, "warmup_steps": 10, "validate_every": 400, "save_every": 400, "ema": 0.98}
    first = small_config(street, cache_root, tmp_path / "first", schedule=schedule, optimiser={"lr": 0.005})
    train(first)
    report = adapt(
        options(street, tmp_path / "first" / "best.safetensors", cache_root, tmp_path / "run", steps=40)
    )
    assert all(labels_in(report))
    assert sum(row.distances for done in report.rounds for row in done.classes) > 0
    assert report.status in ("clean", "gate_failed")
    assert (tmp_path / "run" / "adapted.safetensors").exists() == (report.status == "clean")
    assert report.after is not None
    assert report.truth is not None
