"""`perception evaluate` as a user runs it: tables, JSON, stored outputs, ablation, and clear faults."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import pytest

from perception.evaluation import EvaluationReport
from perception_tools.cli import run
from tests.forked_python import ForkedPython
from tests.plugins.test_fusion import write_checkpoint
from tests.scripted_scene import write_scene

Capture = pytest.CaptureFixture[str]
TORCH = ("--backend", "torch")
"""With weights of a test: nothing is converted, which takes longer than the rest of the test."""


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scene")
    return write_scene(folder / "a drive.mcap", duration_s=2.0, image_size=(128, 64))


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Longer than the part of a log around a moment."""
    folder = tmp_path_factory.mktemp("scene")
    return write_scene(folder / "a drive.mcap", duration_s=3.0, image_size=(128, 64))


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_checkpoint(tmp_path_factory.mktemp("weights") / "small.safetensors")


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def report(capsys: Capture, *arguments: object, code: int = 0) -> EvaluationReport:
    """What `--json` says of a run, which must end with that exit code and keep to the schema."""
    found = run(["evaluate", *map(str, arguments), "--json"])
    captured = capsys.readouterr()
    assert found == code, captured.out + captured.err
    document = json.loads(captured.out)
    assert document["exit_code"] == code
    assert all(log["replay"]["exit_code"] == 0 for log in document["logs"] if log["replay"])
    return EvaluationReport.model_validate_json(captured.out)


def test_tables_for_people(
    scene: Path, weights: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert run(["evaluate", str(scene), "--checkpoint", str(weights), *TORCH, "--min-support", "3"]) == 0
    text = capsys.readouterr().out
    tables = [line for line in text.splitlines() if "perception replay" not in line and "warning" not in line]
    assert max(map(len, tables)) <= 80
    for word in ("class", "confusion", "box", "mAP75", "control", "curvature", "timing", "p99", "joint"):
        assert word in text, word
    assert "undefined" in text
    assert "the worst moments" in text


def test_json_holds_everything(scene: Path, weights: Path, capsys: Capture) -> None:
    found = report(capsys, scene, "--checkpoint", weights, *TORCH, "--min-support", "3", "--min-height", "5")
    assert list(found.heads) == ["class", "box", "control", "timing", "joint"]
    assert found.rules.min_support == 3
    assert found.rules.min_height_px == 5
    assert found.rules.classes == ["car", "person"]
    assert found.run["weights"] == "small.safetensors"
    assert found.logs[0].frames == 20
    assert found.logs[0].replay["ledger"]["/camera/image"]["used"] == 20
    assert found.heads["control"]["control_errors"].values["MAE/curvature"].support == 20


def test_it_computes_as_replay_does_and_says_what_it_timed(
    scene: Path, weights: Path, capsys: Capture
) -> None:
    own = ["--checkpoint", str(weights), *TORCH, "--precision", "bf16"]
    for words in ([], own):  # by default, the weights that come along
        found = report(capsys, scene, *words, "--end", "0.5")
        assert run(["replay", str(scene), *words, "--end", "0.5", "--no-output", "--json"]) == 0
        replayed = json.loads(capsys.readouterr().out)["run"]
        same = ("backend", "precision", "device", "batch")
        assert {key: found.run[key] for key in same} == {key: replayed[key] for key in same}
        timed = found.heads["timing"]["latency"].details["timed"]
        assert f"fusion {found.run['backend']} {found.run['precision']} cpu, batch 1" in timed
        assert "infer" in timed
    assert "--backend torch --precision bf16" in found.moments[0].command
    assert run(["evaluate", str(scene), "--backend", "abacus"]) == 2
    assert "abacus" in capsys.readouterr().err


def test_a_failed_gate_is_the_status_and_what_cannot_be_met_is_refused_before_the_run(
    scene: Path, weights: Path, capsys: Capture
) -> None:
    words = ["evaluate", str(scene), "--checkpoint", str(weights), *TORCH, "--require", "box.mAP50 >= 1.1"]
    assert run(words) == 4
    assert "gate_failed in " in capsys.readouterr().out
    assert run([*words, "--json"]) == 4
    assert json.loads(capsys.readouterr().out)["status"] == "gate_failed"
    for wrong, meant in (
        (["--require", "box.mAP55 >= 1"], "did you mean box.mAP"),
        (["--require", "nonsense.IoU >= 1"], "did you mean box.IoU"),
        (["--slices", "status:sped"], "did you mean speed"),
    ):
        assert run(["evaluate", str(scene), "--checkpoint", "/nowhere.safetensors", *wrong]) == 2
        assert meant in capsys.readouterr().err


def test_a_gate_on_an_unknown_class_is_refused_before_the_first_frame(
    scene: Path, weights: Path, capsys: Capture
) -> None:
    words = ["evaluate", str(scene), "--checkpoint", str(weights), *TORCH, "-o", "outputs.mcap", "--require"]
    assert run([*words, "class.recall/persn >= 0.5"]) == 2
    error = capsys.readouterr().err
    assert "no class is called 'persn'; did you mean person? The plugin knows car, person" in error
    assert not Path("outputs.mcap").exists()
    for part in ("box.mAP/small", "box.AP/PERSON"):
        assert run([*words, f"{part} >= 0", "--end", "0.2", "--draws", "0"]) in (0, 4)


def test_the_command_of_stored_outputs_injects_their_faults(
    scene: Path, weights: Path, capsys: Capture
) -> None:
    words = ["--checkpoint", str(weights), "--fault", "camera.blackout=0.4,seed=2", "--end", "1"]
    assert run(["replay", str(scene), *words, *TORCH, "--output", "dark.mcap"]) == 0
    capsys.readouterr()
    found = report(capsys, scene, "--outputs", "dark.mcap", "--draws", "0")
    assert "--fault camera.blackout=0.4,seed=2" in found.moments[0].command


def test_stored_outputs_score_as_the_replay_did(scene: Path, weights: Path, capsys: Capture) -> None:
    first = report(capsys, scene, "--checkpoint", weights, *TORCH, "-o", "kept.mcap", "--min-support", "3")
    again = report(capsys, scene, "--outputs", "kept.mcap", "--min-support", "3")
    for head in ("class", "box", "control", "joint"):
        assert again.heads[head] == first.heads[head]
    assert again.logs[0].outputs == "kept.mcap"
    assert again.run["weights_sha256"] == first.run["weights_sha256"]


def test_a_part_counts_as_replay_counts_it(scene: Path, weights: Path, capsys: Capture) -> None:
    part = ["--start", "0.5", "--end", "1.75"]
    own = ["--checkpoint", str(weights), *TORCH]
    assert run(["replay", str(scene), *own, *part, "--output", "part.mcap", "--json"]) == 0
    frames = json.loads(capsys.readouterr().out)["frames"]
    assert run(["replay", str(scene), *own, "--output", "whole.mcap", "--json"]) == 0
    capsys.readouterr()
    counts = ["--min-support", "3", "--latency-ms", "50", "--draws", "0"]
    live = report(capsys, scene, *own, *part, *counts, "--reference", "whole.mcap")
    cut = report(capsys, scene, "--outputs", "whole.mcap", *part, *counts, "--reference", "part.mcap")
    stored = report(capsys, scene, "--outputs", "part.mcap", *counts, "--latency-ms", "50", *part)
    assert 0 < frames < 20
    for found in (live, cut, stored):
        assert found.logs[0].frames == frames
        assert found.streaming == live.streaming
        assert {row.frames for row in found.reference} <= {frames}
        for head in ("class", "box", "control", "joint"):
            assert found.heads[head] == live.heads[head]
    assert cut.run["start_ns"] == live.run["start_ns"]
    assert (
        run(["compare", str(weights), "whole.mcap", str(scene), *TORCH, *part, "--json", "--draws", "0"]) == 0
    )
    sides = json.loads(capsys.readouterr().out)
    assert [sides[side]["frames"] for side in "ab"] == [frames, frames]
    assert run(["evaluate", str(scene), *own, "--start", "soon"]) == 2
    assert "--start: expected seconds" in capsys.readouterr().err


def test_ablation_has_every_head_on_every_subset(scene: Path, weights: Path, capsys: Capture) -> None:
    arguments = [
        scene,
        "--checkpoint",
        weights,
        *TORCH,
        "--ablate",
        "sensors",
        "--min-support",
        "3",
        "--end",
        "1.2",
    ]
    found = report(capsys, *arguments)
    assert len(found.ablation) == 7
    for heads in found.ablation.values():
        assert list(heads) == ["class", "box", "control", "joint"]
    whole = found.ablation["camera+range+status"]["control"]["control_errors"]
    assert whole == found.heads["control"]["control_errors"]
    assert whole != found.ablation["range"]["control"]["control_errors"]
    assert run(["evaluate", *map(str, arguments[:-1]), "0.5"]) == 0
    assert "what each sensor is worth" in capsys.readouterr().out


def test_the_command_of_a_moment_replays_just_it(long: Path, weights: Path, capsys: Capture) -> None:
    found = report(capsys, long, "--checkpoint", weights, *TORCH)
    program, *arguments = shlex.split(found.moments[0].command)
    assert program == "perception"
    assert run([*arguments, "--no-output", "--json"]) == 0
    replayed: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert replayed["run"]["weights"] == "small.safetensors"
    assert 0 < replayed["frames"] <= 21
    assert replayed["log_seconds"] <= 2.0


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        ([], "LOG: missing"),
        (["{scene}", "--ablate", "heads"], "--ablate: expected sensors, each or faults, found 'heads'"),
        (["{scene}", "--outputs", "a.mcap", "--outputs", "b.mcap"], "expected one for each log, 1, found 2"),
        (["{scene}", "--outputs", "a.mcap", "--ablate", "sensors"], "--ablate: needs a replay"),
        (["{scene}", "--outputs", "a.mcap", "--plugin", "nonsense"], "--plugin: needs a replay"),
        (["{scene}", "--outputs", "a.mcap", "--backend", "onnx"], "--backend: needs a replay"),
        (["{scene}", "{scene}"], "LOG: named twice, and would count twice; name it once: "),
        (["{scene}", "{scene}", "-o", "kept.mcap"], "--output: holds the outputs of one log, found 2 logs"),
        (["{scene}", "--deadline-hz", "0"], "--deadline-hz: expected more than 0"),
    ],
)
def test_usage_faults_are_named(scene: Path, arguments: list[str], fault: str, capsys: Capture) -> None:
    assert run(["evaluate", *(argument.format(scene=scene) for argument in arguments)]) == 2
    assert fault in capsys.readouterr().err


def test_a_log_without_outputs_is_no_stored_output(scene: Path, capsys: Capture) -> None:
    assert run(["evaluate", str(scene), "--outputs", str(scene), "--json"]) == 1
    said = json.loads(capsys.readouterr().out)
    assert "expected a log of outputs" in said["error"]
    assert EvaluationReport.model_validate(said).status == "failed"


def test_the_schema_is_published(capsys: Capture) -> None:
    assert run(["evaluate", "--schema"]) == 0
    assert json.loads(capsys.readouterr().out)["properties"]["schema"]["const"] == "perception.evaluate/1"


def test_scoring_stored_outputs_imports_no_torch(
    scene: Path, weights: Path, capsys: Capture, forked_python: ForkedPython
) -> None:
    report(capsys, scene, "--checkpoint", weights, *TORCH, "-o", "kept.mcap", "--end", "0.5")
    program = (
        "import sys; from perception_tools.cli import run; "
        f"run(['evaluate', {str(scene)!r}, '--outputs', 'kept.mcap', '--end', '0.5']); "
        "print('torch' in sys.modules)"
    )
    done = forked_python.run(program=program)
    assert done.stdout.splitlines()[-1] == "False"


@pytest.mark.slow  # cuboids of small logs: tests/evaluation/test_truth_placing.py
@pytest.mark.shared
def test_the_cuboids_of_a_real_recording_are_truth_too(shared: Path, weights: Path, capsys: Capture) -> None:
    log = shared / "pandaset_002_front.mcap"
    config = Path("truth.yaml")
    assert run(["info", str(log), "--yaml"]) == 0
    yaml = capsys.readouterr().out
    assert "classes" not in yaml
    mapped = "classes: {Car: car, Pickup Truck: car, Pedestrian: person, Pedestrian with Object: person}"
    config.write_text(yaml.replace("truth: {", f"truth: {{{mapped}, "))
    found = report(capsys, log, "--config", config, "--checkpoint", weights, *TORCH, "--draws", "0")
    frames = found.heads["box"]["mean_average_precision"]
    assert frames.frames["scored"] >= 78
    assert frames.values["AP/car"].support > 500
    assert found.heads["control"]["control_errors"].values["MAE_persistence/acceleration"].value > 0
    assert not [warning for warning in found.warnings if warning["code"] == "class_words"]
