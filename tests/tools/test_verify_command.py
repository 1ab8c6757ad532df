"""`perception verify`, as the README writes it: after the README's first command, from wherever one is."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from perception_tools.cli import run
from tests.plugins.test_fusion import write_checkpoint
from tests.scripted_scene import write_scene
from tests.third_party.install import install_manifests

MANIFEST = """
api: 1
factory: broken_plugins_code:Sound
inputs: [camera, status]
heads: [class, box, control]
"""


@pytest.fixture
def outputs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    site = tmp_path / "site"
    site.mkdir()
    install_manifests({"sound": MANIFEST}, site)
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.chdir(tmp_path)
    for folder in ("sample_logs", "elsewhere"):
        (tmp_path / folder).mkdir()
    write_scene(tmp_path / "sample_logs" / "day.mcap", duration_s=2.0, image_size=(32, 16))
    assert run(["replay", "sample_logs/day.mcap", "--plugin", "sound", "--with-inputs"]) == 0
    return tmp_path / "day.outputs.mcap"


def test_the_outputs_are_verified_beside_them_and_from_another_folder(
    outputs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["verify", "day.outputs.mcap", "--exact"]) == 0
    text = capsys.readouterr().out
    assert "equal bit for bit: 20 outputs, made again from" in text
    assert "not proven: a receipt is not signed" in text
    monkeypatch.chdir(outputs.parent / "elsewhere")
    assert run(["verify", "../day.outputs.mcap", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["status"], document["contradictions"]) == ("equal", [])
    assert document["topics"]["/perception/annotations"] == {
        "stored": 20,
        "equal": 20,
        "within_tolerance": 0,
        "made_again": True,
        "first_difference": None,
    }
    shutil.move(outputs.parent / "sample_logs", outputs.parent / "moved")
    assert run(["verify", "../day.outputs.mcap"]) == 1
    assert "name it with --input" in capsys.readouterr().err
    assert run(["verify", "../day.outputs.mcap", "--input", "../moved/day.mcap"]) == 0


def test_half_a_file_ends_with_3_and_says_so(outputs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    half = outputs.with_name("half.mcap")
    half.write_bytes(outputs.read_bytes()[: outputs.stat().st_size * 2 // 3])
    capsys.readouterr()
    assert run(["verify", str(half), "--json"]) == 3
    document = json.loads(capsys.readouterr().out)
    assert (document["status"], document["complete"], document["exit_code"]) == ("incomplete", False, 3)
    assert run(["verify", str(half)]) == 3
    assert capsys.readouterr().out.startswith("incomplete; what is there: equal bit for bit")


def test_outputs_of_weights_in_a_folder_are_verified(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").mkdir()
    write_checkpoint(tmp_path / "mine" / "model.safetensors")
    write_scene(tmp_path / "day.mcap", duration_s=0.4, image_size=(32, 16))
    words = ["--checkpoint", "mine", "--backend", "torch", "--output", "out.mcap"]
    assert run(["replay", "day.mcap", *words]) == 0
    assert run(["verify", "out.mcap"]) == 0, capsys.readouterr().err


def test_a_log_in_place_of_its_outputs_is_told_so(outputs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert run(["verify", "sample_logs/day.mcap"]) == 1
    assert "found none; is it an output log?: sample_logs/day.mcap" in capsys.readouterr().err
