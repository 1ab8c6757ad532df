"""`perception study` as a user runs it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from perception.training import to_yaml
from perception_tools import cli
from tests.scripted_scene import write_scene
from tests.training.conftest import small_config


def test_a_study_from_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("matplotlib")
    log = write_scene(tmp_path / "street.mcap", seed=3, duration_s=1.0)
    config = tmp_path / "run.yaml"
    config.write_text(to_yaml(small_config(log, tmp_path / "cache", tmp_path / "unused")))
    arguments = ["study", str(config), "--steps", "2", "--seeds", "1", "--only", "gradients", "--out"]
    assert cli.run([*arguments, str(tmp_path / "s"), "--set", "optimiser.lr=0.001", "--json"]) == 0
    told, progress = capsys.readouterr()
    found = json.loads(told)
    assert (found["schema"], found["status"], found["exit_code"]) == ("perception.study/1", "clean", 0)
    assert found["folder"] == str(tmp_path / "s")
    assert "run 1 of 1: joint, seed 0" in progress
    assert "lr: 0.001" in (tmp_path / "s/runs/joint-s0/train.yaml").read_text()

    assert cli.run([*arguments, str(tmp_path / "s"), "--set", "optimiser.lr=0.001"]) == 0  # nothing to do
    told, progress = capsys.readouterr()
    assert "cosine of the heads' gradients" in told
    assert str(tmp_path / "s" / "study.md") in told
    assert "run 1" not in progress
    assert max(map(len, told.split("report:")[0].splitlines())) <= 80


def test_wrong_sections_and_a_missing_recipe_are_faults_of_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["study", "newcomer", "--only", "heads,wat"]) == 2
    assert "expected some of heads, gradients, balancing, pareto; found 'wat'" in capsys.readouterr().err
    assert cli.run(["study", "nowhere"]) == 2
    assert "newcomer" in capsys.readouterr().err
