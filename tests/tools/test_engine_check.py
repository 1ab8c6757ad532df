"""`perception replay --check N`: the backend beside float32 in eager torch, on samples of the log."""

from __future__ import annotations

from pathlib import Path

import pytest

from perception.models.checkpoint import save_checkpoint
from perception_tools.cli import run
from tests.fusion_scenes import SMALL, lively_model
from tests.scripted_scene import write_scene

Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_scene(tmp_path_factory.mktemp("scene") / "drive.mcap", duration_s=1.0, image_size=(128, 64))


def test_a_sound_backend_passes_and_the_log_is_replayed(scene: Path, tmp_path: Path, capsys: Capture) -> None:
    weights = tmp_path / "weights.safetensors"
    save_checkpoint(weights, lively_model(SMALL))
    options = ["--backend", "torch", "--precision", "fp32", "--check", "2"]
    assert run(["replay", str(scene), "--checkpoint", str(weights), *options]) == 0
    said = capsys.readouterr()
    assert "check of torch fp32: same answers: 2 samples" in said.err
    assert "clean: 10 frames" in said.out


def test_other_answers_end_with_4(
    scene: Path, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = tmp_path / "weights.safetensors"
    save_checkpoint(weights, lively_model(SMALL))
    monkeypatch.setattr("perception.evaluation.agreement.backend_check.MOST_CONTROL", 1e-6)
    options = ["--backend", "torch", "--precision", "bf16", "--check", "2"]
    assert run(["replay", str(scene), "--checkpoint", str(weights), *options]) == 4
    assert "check of torch bf16: OTHER ANSWERS" in capsys.readouterr().err
    assert not list(Path().glob("drive.outputs.mcap"))


def test_a_plugin_without_a_check_is_a_wrong_use(
    scene: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr("perception_plugins.fusion.plugin.FusionPlugin.check")
    assert run(["replay", str(scene), "--check", "2"]) == 2
    assert "plugin 'fusion' cannot check its engine" in capsys.readouterr().err
