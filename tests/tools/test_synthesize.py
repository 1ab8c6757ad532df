"""`perception synthesize`: logs where they were asked for, and one clear line where that cannot be."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import pytest

from perception.logs import open_log
from perception.simulation import Order
from perception_tools.cli import run

needs_drawing = pytest.mark.sim


@pytest.fixture
def _sim() -> None:
    pytest.importorskip("mujoco", reason="the extra `sim` is not installed")


@needs_drawing
@pytest.mark.usefixtures("_sim")
def test_a_log_and_what_is_said_about_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("perception.simulation.Order", partial(Order, ground_px=256))  # painted sooner
    scene = tmp_path / "scene.yaml"
    scene.write_text("place: yard\ntiming:\n  camera: {rate_hz: 4}\n")
    out = tmp_path / "new" / "one.mcap"
    code = run(["synthesize", str(out), "--seed", "3", "--duration", "0.6", "--scene", str(scene), "--json"])
    report = json.loads(capsys.readouterr().out)
    assert code == 0
    assert report["schema"] == "perception.synthesize/1"
    assert report["logs"] == [{"path": str(out), "seed": 3, "bytes": out.stat().st_size}]
    with open_log(out) as log:
        assert log.survey.topics["/camera/image"].count == 2
    assert [p.name for p in out.parent.iterdir()] == ["one.mcap"]


@pytest.mark.usefixtures("_sim")
def test_several_logs_need_a_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["synthesize", str(tmp_path / "one.mcap"), "--count", "2"]) == 1
    assert "folder" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_faults_of_the_scenario_are_named_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scene = tmp_path / "scene.yaml"
    scene.write_text("place: moon\nhaze: 7\n")
    assert run(["synthesize", str(tmp_path / "one.mcap"), "--scene", str(scene)]) == 2
    said = capsys.readouterr().err
    assert "place" in said
    assert "haze" in said
    assert not (tmp_path / "one.mcap").exists()


@pytest.mark.slow  # a context that cannot be made: tests/simulation/test_gl.py
def test_a_machine_that_cannot_draw_is_told_which_packages_it_needs(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("mujoco", reason="the extra `sim` is not installed")
    monkeypatch.setenv("MUJOCO_GL", "egl")
    monkeypatch.setenv("__EGL_VENDOR_LIBRARY_DIRS", str(tmp_path))
    monkeypatch.setenv("__EGL_VENDOR_LIBRARY_FILENAMES", str(tmp_path / "none.json"))
    out = tmp_path / "out"
    assert run(["synthesize", str(out), "--duration", "0.5"]) == 1
    assert "apt-get install libegl1" in capfd.readouterr().err
    assert list(out.iterdir()) == []
