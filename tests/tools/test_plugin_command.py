"""`perception plugin list` and `check`, with a third-party plugin that is installed for real."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from perception.diagnosis import conformance
from perception.types import Sample
from perception_tools.cli import run
from tests.forked_python import ForkedPython
from tests.scripted_scene import write_scene
from tests.third_party.install import install_manifests

MANIFEST = "api: 1\nfactory: broken_plugins_code:{code}\ninputs: [status]\nheads: [class, box, control]\n"


@pytest.fixture(autouse=True)
def _eighty_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")


def test_a_third_party_plugin_is_listed_checked_and_replayed(
    third_party: Path,
    tmp_path: Path,
    forked_python: ForkedPython,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    listed = forked_python.run("plugin", "list", "--json", env={"PYTHONPATH": str(third_party)})
    assert listed.returncode == 0, listed.stderr
    plugins = {item["name"]: item for item in json.loads(listed.stdout)["plugins"]}
    assert plugins["blob_detector"]["distribution"] == "blob-detector"
    assert plugins["blob_detector"]["heads"] == ["class", "box", "control"]

    monkeypatch.syspath_prepend(str(third_party))
    log, out = write_scene(tmp_path / "scene.mcap", duration_s=1.0), tmp_path / "out.mcap"
    assert run(["plugin", "check", "blob_detector", "--log", str(log)]) == 0
    assert "it keeps the contract" in capsys.readouterr().out

    assert run(["replay", str(log), "--plugin", "blob_detector", "--output", str(out), "--json"]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert summary["status"] == "clean"
    assert summary["frames"] == 10
    assert summary["outputs"]["box"]["valid"] == 10
    assert out.stat().st_size > 0


def test_the_list_reads_at_80_columns(
    third_party: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(str(third_party))
    assert run(["plugin", "list"]) == 0
    text = capsys.readouterr().out
    table = [line for line in text.splitlines() if "  " in line]
    assert max(map(len, table)) <= 80
    assert "blob_detector: Bright blobs" in text
    assert "fusion" in text


def test_a_log_is_tried_with_the_samples_that_a_replay_makes_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Sample] = []
    monkeypatch.setattr(
        conformance, "check_plugin", lambda name, samples, context: seen.extend(samples) or []
    )
    log = write_scene(tmp_path / "scene.mcap", duration_s=1.0)
    (tmp_path / "lossy.yaml").write_text("faults: [range.loss=1]\n")
    assert (
        run(["plugin", "check", "fusion", "--log", str(log), "--config", str(tmp_path / "lossy.yaml")]) == 0
    )
    assert len(seen) == 10
    assert all(sample.camera.present and not sample.range.present for sample in seen)


@pytest.mark.parametrize("width", [30, 50, 60, 70, 80, 120])
def test_no_word_of_the_list_is_broken(
    width: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    assert run(["plugin", "list"]) == 0
    text = capsys.readouterr().out.split("\ndetector: Any")[0]
    words = text.translate(str.maketrans(",;:", "   ")).split()
    for word in ("perception-fusion", "detector", "camera", "range", "control", "memory", "batch"):
        assert word in words
    assert max(map(len, text.splitlines())) <= width


def test_a_faulty_plugin_is_listed_with_its_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    install_manifests({"faulty": "api: 9\n"}, tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    assert run(["plugin", "list"]) == 0
    text = capsys.readouterr().out
    assert "unusable" in text
    assert "api: 9 is not supported; this host speaks 1" in text
    assert run(["plugin", "list", "--json"]) == 0
    found = {item["name"]: item for item in json.loads(capsys.readouterr().out)["plugins"]}
    assert "factory: missing" in found["faulty"]["fault"]
    assert found["fusion"]["fault"] == ""


def test_a_plugin_that_breaks_the_contract_ends_with_1_and_advice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    install_manifests({"nan": MANIFEST.format(code="NanBox")}, tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    assert run(["plugin", "check", "nan"]) == 1
    text = capsys.readouterr().out
    assert "FAIL gives one valid output for each sample" in text
    assert "found: tick 0: " in text
    assert "to do: return finite values" in text
    assert run(["plugin", "check", "nan", "--json"]) == 1
    report = json.loads(capsys.readouterr().out)
    assert report["schema"] == "perception.plugin_check/1"
    assert (report["status"], report["exit_code"]) == ("failed", 1)
    assert [check["name"] for check in report["checks"] if check["passed"]][:2] == [
        "loads",
        "opens and closes",
    ]


def test_an_unknown_plugin_ends_with_1(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["plugin", "check", "blob_detektor"]) == 1
    assert "no plugin 'blob_detektor' is installed" in capsys.readouterr().out


def test_a_log_from_which_no_sample_can_be_made_is_an_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.mcap").write_bytes(b"nothing")
    assert run(["plugin", "check", "fusion", "--log", str(tmp_path / "a.mcap")]) == 1
    assert capsys.readouterr().err.startswith("error: ")


@pytest.mark.parametrize("options", [["--json"], pytest.param([], marks=pytest.mark.slow)])
def test_an_interrupted_check_says_so(forked_python: ForkedPython, options: list[str]) -> None:
    program = (
        "import sys, perception.diagnosis.conformance as check; from perception_tools.cli import run\n"
        "def interrupted(*arguments, **options): raise KeyboardInterrupt\n"
        "check.check_plugin = interrupted\n"
        "sys.exit(run(sys.argv[1:]))"
    )
    done = forked_python.run("plugin", "check", "fusion", *options, program=program)
    assert done.returncode == 130, done.stderr
    if options:
        told = json.loads(done.stdout)
        assert (told["status"], told["exit_code"]) == ("interrupted", 130)
    else:
        assert done.stderr == "interrupted\n"
