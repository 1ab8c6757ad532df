"""`perception compare` and the gates of `perception evaluate` as a user runs them."""

from __future__ import annotations

import json
import shlex
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import pytest

from perception.autoconfig import Overrides
from perception.evaluation import EvaluateOptions
from perception.evaluation.comparison.compare_logs import compare_logs
from perception.evaluation.comparison.comparison_report import ComparedReport, CompareReport
from perception.evaluation.report.value_schema import DifferenceReport, Verdict
from perception_tools.cli import run
from perception_tools.compare.text import show, summary
from tests.plugins.test_fusion import write_checkpoint
from tests.scripted_scene import write_scene

Capture = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("scene") / "a drive.mcap"
    return write_scene(path, duration_s=2.0, image_size=(128, 64))


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_checkpoint(tmp_path_factory.mktemp("weights") / "small.safetensors")


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")


@pytest.mark.slow
def test_two_checkpoints_share_what_was_prepared(scene: Path, weights: Path, capsys: Capture) -> None:
    arguments = ["compare", str(weights), f"fusion:{weights}", str(scene), "--min-support", "3"]
    assert run([*arguments, "--json"]) == 0
    report = CompareReport.model_validate_json(capsys.readouterr().out)
    assert (report.a.kind, report.b.kind) == ("checkpoint", "checkpoint")
    assert report.prepared_once == report.a.frames == report.b.frames == 20
    assert report.a.run["weights_sha256"] == report.b.run["weights_sha256"] != ""
    assert {m.difference.value for m in report.metrics} <= {0.0, None}
    assert report.resampling.heads["box"].no_interval == "1 blocks of 2 s; 10 are needed"
    assert run(arguments) == 0
    text = capsys.readouterr().out
    assert "no intervals for class, box, control, joint" in text
    assert "B is better in 0 values, worse in 0" in text


def test_the_commands_of_stored_sides_replay_what_made_them(
    scene: Path, weights: Path, capsys: Capture
) -> None:
    make = ["replay", str(scene), "--checkpoint", str(weights), "--backend", "torch"]
    fault = ["--fault", "camera.blackout=1,seed=1"]
    assert run([*make, *fault, "--output", "a.mcap"]) == 0
    assert run([*make, "--output", "b.mcap"]) == 0
    capsys.readouterr()
    assert run(["compare", "a.mcap", "b.mcap", str(scene), "--draws", "0", "--json"]) == 0
    moments = json.loads(capsys.readouterr().out)["apart"]
    assert moments
    for moment in moments:
        a, b = map(shlex.split, moment["commands"])
        assert a[a.index("--fault") + 1] == "camera.blackout=1,seed=1"
        assert "--fault" not in b
        for words in (a, b):
            assert words[words.index("--checkpoint") + 1] == str(weights)


def test_the_command_of_a_stored_side_has_the_options_that_made_it(scene: Path, weights: Path) -> None:
    """Also where the other side, which runs now, is given the same."""
    faults, torch = ("camera.blackout=1,seed=1",), {"backend": "torch"}
    make = ["replay", str(scene), "--checkpoint", str(weights), "--backend", "torch", "--fault", *faults]
    assert run([*make, "--output", "a.mcap"]) == 0
    same = EvaluateOptions(overrides=Overrides(engine=torch, faults=faults), resampling=None)
    other = replace(same, overrides=replace(same.overrides, faults=("camera.freeze=1,seed=2",)))
    for options in (same, other):
        report = compare_logs(("a.mcap", "street"), [scene], options=options)
        assert report.apart
        for moment in report.apart:
            stored, live = map(shlex.split, moment.commands)
            assert [stored[k + 1] for k, word in enumerate(stored) if word == "--fault"] == [*faults]
            assert live[live.index("--fault") + 1] == options.overrides.faults[0]


def test_stored_outputs_and_a_folder_of_them_compare(scene: Path, weights: Path, capsys: Capture) -> None:
    folder = Path("kept")
    folder.mkdir()
    kept = folder / f"{scene.stem}.outputs.mcap"
    torch = ["--backend", "torch"]  # converts nothing
    assert run(["evaluate", str(scene), "--checkpoint", str(weights), "-o", str(kept), *torch]) == 0
    capsys.readouterr()
    assert (
        run(["compare", str(folder), str(weights), str(scene), "--min-support", "3", "--json", *torch]) == 0
    )
    report = CompareReport.model_validate_json(capsys.readouterr().out)
    assert (report.a.kind, report.b.kind) == ("stored", "checkpoint")
    assert {m.difference.value for m in report.metrics} <= {0.0, None}


@pytest.mark.parametrize(
    ("arguments", "code", "fault"),
    [
        ([], 2, "A, B: missing"),
        (["fusion", "fusion"], 2, "LOG: missing"),
        (["fusion", "fusoin", "{scene}"], 2, "fusoin"),
        (["fusion", "none.safetensors", "{scene}"], 2, "found no file none.safetensors"),
        (["a.mcap,b.mcap", "fusion", "{scene}"], 2, "expected one for each log, 1"),
        ([".", "fusion", "{scene}"], 2, "found no a drive.outputs.mcap"),
        (["fusion", "fusion", "{scene}", "--draws", "7"], 2, "--draws: expected 0, or 100"),
    ],
)
def test_usage_faults_are_named(
    scene: Path, arguments: list[str], code: int, fault: str, capsys: Capture
) -> None:
    assert run(["compare", *(argument.format(scene=scene) for argument in arguments)]) == code
    assert fault in capsys.readouterr().err


def test_the_schema_of_a_comparison_is_published(capsys: Capture) -> None:
    assert run(["compare", "--schema"]) == 0
    assert json.loads(capsys.readouterr().out)["properties"]["schema"]["const"] == "perception.compare/1"


def test_gates_and_a_reference_end_in_exit_code_4_and_junit(
    scene: Path, weights: Path, capsys: Capture
) -> None:
    torch = ["--backend", "torch"]  # converts nothing
    evaluate = ["evaluate", str(scene), "--checkpoint", str(weights), "--min-support", "3", *torch]
    assert run([*evaluate, "-o", "kept.mcap", "--require", "control.MAE/curvature >= 0"]) == 0
    capsys.readouterr()
    stored = ["evaluate", str(scene), "--outputs", "kept.mcap", "--min-support", "3"]
    gates = ["--require", "box.map50 <= 1", "--require", "class.F1 > 1", "--reference", "kept.mcap"]
    assert run([*stored, *gates, "--junit", "gates.xml"]) == 4
    text = capsys.readouterr().out
    assert "failed: class.F1 > 1: " in text
    assert "passed: box.map50 <= 1: " in text
    assert "control: decides as the reference in 20 frames" in text
    assert ET.parse("gates.xml").getroot().get("failures") == "1"
    again = ["evaluate", str(scene), "--checkpoint", str(weights), "--reference", "kept.mcap", *torch]
    without = ["--fault", "camera.blackout=1,seed=1"]
    assert run([*again, *without, "--tolerance", "control=0.001", "--json"]) == 4
    rows = {row["head"]: row for row in json.loads(capsys.readouterr().out)["reference"]}
    assert rows["control"]["diverged"] > 0
    assert shlex.split(rows["control"]["command"])[:3] == ["perception", "replay", str(scene)]


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        (["--strict"], "--strict: says how to judge"),
        (["--require", "box.mAP50 > 0.5", "--strict", "--draws", "0"], "needs intervals"),
        (
            ["--require", "timing.p95/total < 90", "--ablate", "each"],
            "timing is not measured with --ablate each",
        ),
        (["--junit", "x.xml"], "--junit: holds gates"),
        (["--reference", "a.mcap", "--reference", "b.mcap"], "expected one for each log, 1, found 2"),
        (["--tolerance", "iou=1"], "--tolerance: says how far"),
        (["--require", "box.map"], "expected as 'box.mAP50 >= 0.8'"),
        (["--slices", "colour"], "--slices: expected all, distance"),
    ],
)
def test_wrong_gates_are_named_before_the_run(
    scene: Path, options: list[str], fault: str, capsys: Capture
) -> None:
    assert run(["evaluate", str(scene), *options]) == 2
    assert fault in capsys.readouterr().err


def test_what_is_equal_however_it_is_drawn_is_called_the_same() -> None:
    def compared(value: float, low: float, verdict: Verdict) -> ComparedReport:
        told = DifferenceReport(value=value, low=low, high=-low, p=1.0, p_corrected=1.0, verdict=verdict)
        return ComparedReport(
            head="box", metric="IoU", better="higher", a=0.5, b=0.5 + value, support=9, difference=told
        )

    equal, open_ = compared(0, 0, "cannot tell"), compared(0, -0.1, "cannot tell")
    better = compared(1, 0, "better")
    assert summary([equal, equal]) == "B is the same in all 2 values"
    assert summary([equal, open_, better]) == (
        "B is better in 1 values, worse in 0, the same in 1; of 1 these logs cannot tell"
    )
    assert summary([open_]) == "B is better in 0 values, worse in 0; of 1 these logs cannot tell"


def test_a_warning_of_one_log_of_several_names_it(capsys: Capture) -> None:
    warning = {"code": "copy", "text": "its frames are those of a.mcap", "count": 1, "log": "/logs/b.mcap"}
    for logs, text in (
        (["/logs/a.mcap", "/logs/b.mcap"], "warning: b.mcap: its frames are"),
        (["/logs/b.mcap"], "warning: its frames are"),
    ):
        show(CompareReport(status="clean", logs=logs, warnings=[warning]))
        assert text in capsys.readouterr().out
