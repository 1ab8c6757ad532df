"""Faults, latency and verification from the command line, with a plugin that needs no weights."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from perception_tools.cli import run
from tests.scripted_scene import write_scene


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_scene(tmp_path_factory.mktemp("scene") / "scene.mcap", duration_s=2.0, image_size=(128, 64))


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small model of the real plugin, untrained but saved as if it were."""
    from perception.models import FusionModel, ModelConfig
    from perception.models.checkpoint import Checkpoint, save_checkpoint

    shape = ModelConfig(
        classes=("person", "vehicle", "cone"),
        input_height=64,
        input_width=128,
        returns=64,
        steps=6,
        detections=20,
        widths=(8, 16, 16),
        blocks=(1, 1, 1),
        fused_width=16,
        range_width=16,
        splat_widths=(4, 8, 8),
        status_width=8,
    )
    path = tmp_path_factory.mktemp("weights") / "small.safetensors"
    save_checkpoint(path, FusionModel(shape, seed=1), Checkpoint(config=shape, trained_on=({"log": "a"},)))
    return path


def told(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> tuple[int, dict]:
    capsys.readouterr()
    code = run([*arguments, "--json"])
    return code, json.loads(capsys.readouterr().out)


def test_a_replay_with_faults_is_verified_bit_for_bit_and_other_weights_are_named(
    scene: Path, weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "out.mcap"
    given = ["--checkpoint", str(weights), "--fault", "range.loss=0.5,seed=2", "--output", str(target)]
    given += ["--backend", "torch"]
    code, made = told(capsys, ["replay", str(scene), *given])
    assert code == 0
    assert made["ledger"]["/scan"]["faulted"] > 10
    assert made["run"]["faults"] == "range.loss=0.5,seed=2"
    assert made["monitor"]["heads"]["control"]["valid_share"] == 1.0
    code, found = told(capsys, ["verify", str(target), "--input", str(scene)])
    assert (code, found["status"]) == (0, "equal")
    assert found["heads"]["box"]["equal"] == made["frames"]
    assert run(["verify", str(target), "--input", str(scene)]) == 0
    assert capsys.readouterr().out.startswith("equal bit for bit: ")
    code, found = told(capsys, ["verify", str(target)])
    assert (code, found["status"]) == (0, "equal"), "the log lies where the run found it"
    scene_elsewhere = scene.rename(scene.with_suffix(".moved"))
    try:
        code, found = told(capsys, ["verify", str(target)])
    finally:
        scene_elsewhere.rename(scene)
    assert code == 1
    assert "--input" in found["error"]


def test_a_fault_that_is_none_is_named_before_anything_runs(
    scene: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, found = told(capsys, ["replay", str(scene), "--fault", "camera.blackuot=0.3", "--no-output"])
    assert code == 2
    assert "did you mean camera.blackout?" in found["error"]


@pytest.mark.slow
def test_evaluate_draws_curves_over_faults_and_latency_within_80_columns(
    scene: Path, weights: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    given = ["evaluate", str(scene), "--checkpoint", str(weights), "--draws", "0"]
    given += ["--ablate", "faults", "--faults", "camera.loss,status.silence", "--severities", "0.3,1"]
    given += ["--latency-ms", "measured,0,200"]
    monkeypatch.setenv("COLUMNS", "80")
    assert run(given) == 0
    lines = capsys.readouterr().out.splitlines()
    begin = next(i for i, line in enumerate(lines) if line.startswith("when answers take their time"))
    end = next(i for i, line in enumerate(lines) if line.startswith("cost: 4 replays"))
    shown = [line for line in lines[begin:end] if not line.startswith("worst for")]
    assert any("camera.loss" in line for line in shown)
    assert any("measured" in line for line in shown)
    assert max(map(len, shown)) <= 80


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (["--ablate", "fautls"], "expected sensors, each or faults"),
        (["--faults", "camera"], "add that"),
        (["--ablate", "faults", "--severities", "0,2"], "--severities: expected"),
        (["--latency-ms", "soon"], "'measured' or 'curve', found 'soon'"),
        (["--latency-ms", "-5"], "found '-5'"),
    ],
)
def test_wrong_options_end_with_code_2_and_say_what_is_expected(
    scene: Path, given: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, found = told(capsys, ["evaluate", str(scene), *given])
    assert code == 2
    assert words in found["error"]
