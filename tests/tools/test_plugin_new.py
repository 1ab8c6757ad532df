"""`perception plugin new` and `try`: a package that keeps the contract, and a class without a package."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path
from typing import Any

import pytest

from perception.diagnosis.conformance import check_plugin
from perception.errors import PluginError
from perception.plugin import Context, Manifest, Plugin, register_plugin
from perception.plugin.discovery import _registered
from perception.plugin.plugin_file import load_plugin_file
from perception_tools.cli import run
from tests.scripted_scene import write_scene

CLASS = """
import numpy as np
from perception.types import Control, ControlChannel, Output

class Nearest:
    {manifest}
    def __init__(self, manifest): self.manifest = manifest
    def open(self, context): self.factor = context.options.get("factor", 1.0)
    def prepare(self, sample):
        from perception.plugin import Prepared
        return Prepared(sample)
    def step(self, prepared): return [self.answer(item.sample) for item in prepared]
    def answer(self, sample):
        scan = sample.range.value
        if scan is None:
            return Output(sample.tick, None, Control(False, error="no range"))
        value = float(self.factor * np.nanmin((scan.points_m ** 2).sum(1)) ** 0.5)
        channel = ControlChannel("speed", "m/s", value)
        return Output(sample.tick, None, Control(True, ("range",), channels=(channel,)))
    def reset(self, reason): pass
    def close(self): pass
    def describe(self): return {{}}
"""


@pytest.fixture(autouse=True)
def _unregistered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("perception.plugin.discovery._registered", dict(_registered))
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr(sys, "path", [*sys.path])


def write_class(path: Path, manifest: str = "pass") -> Path:
    path.write_text(CLASS.format(manifest=manifest))
    return path


def test_a_new_plugin_keeps_the_contract_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["plugin", "new", "bright_thing", "--folder", str(tmp_path), "--json"]) == 0
    written = json.loads(capsys.readouterr().out)["written"]
    root = tmp_path / "bright_thing"
    assert sorted(written) == sorted(str(path) for path in root.rglob("*") if path.is_file())
    assert not [path for path in written if "PLUGIN_" in Path(path).read_text()]
    found = load_plugin_file(str(root / "bright_thing" / "core.py"))
    assert (found.manifest.name, found.manifest.heads) == ("bright_thing", ("class", "box"))
    register_plugin(found.manifest, found.factory)
    checks = check_plugin("bright_thing")
    assert len(checks) > 10
    assert [(check.name, check.violation) for check in checks if not check.passed] == []


def test_the_next_steps_are_commands_of_a_shell(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "my code"
    assert run(["plugin", "new", "dim_thing", "--folder", str(folder)]) == 0
    steps = [line.partition(": ")[2] for line in capsys.readouterr().out.splitlines() if " it: " in line]
    words = [word.rstrip(";") for step in steps for word in shlex.split(step)]
    root = folder / "dim_thing"
    assert {str(root), str(root / "dim_thing" / "core.py")} <= set(words)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("My-Plugin", "expected a name of a Python package"),
        ("json", "json is a module of Python"),
        ("fusion", "fusion is installed already"),
        ("numpy", "numpy is installed already"),
        ("class", "expected a name of a Python package"),
    ],
)
def test_names_that_cannot_be_are_refused(
    tmp_path: Path, name: str, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["plugin", "new", name, "--folder", str(tmp_path)]) == 2
    assert text in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_there_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "dark_thing").mkdir()
    assert run(["plugin", "new", "dark_thing", "--folder", str(tmp_path)]) == 1
    assert "expected a new folder" in capsys.readouterr().err
    assert not list((tmp_path / "dark_thing").iterdir())


def test_a_class_is_tried_with_options_and_outputs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = write_scene(tmp_path / "scene.mcap", duration_s=1.0)
    path, out = write_class(tmp_path / "mine.py"), tmp_path / "out.jsonl"
    words = ["plugin", "try", f"{path}:Nearest", str(log), "--option", "factor=2", "--output", str(out)]
    assert run([*words, "--json"]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert summary["outputs"] == {"control": {"valid": 10, "invalid": 0}}
    assert summary["run"]["plugin"] == "nearest"
    doubled = _first_speed(out)
    assert run(["plugin", "try", str(path), str(log), "--output", str(out)]) == 0
    assert "heads: control, as in its first output" in capsys.readouterr().out
    assert doubled == pytest.approx(2 * _first_speed(out))


def _first_speed(path: Path) -> float:
    first = json.loads(path.read_text().splitlines()[0])
    return float(first["control"]["channels"]["speed"]["value"])


def test_a_wrong_output_is_said_as_of_any_plugin(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = write_scene(tmp_path / "scene.mcap", duration_s=0.5)
    path = write_class(tmp_path / "mine.py", 'manifest = {"inputs": ["range"], "heads": ["class"]}')
    run(["plugin", "try", f"{path}:Nearest", str(log), "--json"])
    summary = json.loads(capsys.readouterr().out)
    assert summary["errors"] == 5
    assert "detections: missing, though the manifest promises it" in summary["first_error"]


@pytest.mark.parametrize(
    ("make", "text"),
    [
        ("none.py:X", "expected FILE.py:Class, found no such file"),
        ("mine.py:Farthest", "expected a class Farthest, found Nearest"),
        ("broken.py", "does not load: ZeroDivisionError"),
        ("empty.py", "expected one class with the methods open, prepare"),
        ("odd.py", "inputs: expected a list of camera, range, status, found ['lidar']"),
    ],
)
def test_files_that_are_no_plugin(tmp_path: Path, make: str, text: str) -> None:
    write_class(tmp_path / "mine.py")
    write_class(tmp_path / "odd.py", 'manifest = {"inputs": ["lidar"]}')
    (tmp_path / "broken.py").write_text("1 / 0")
    (tmp_path / "empty.py").write_text("class Nothing: pass")
    with pytest.raises(PluginError) as error:
        load_plugin_file(str(tmp_path / make))
    assert text in str(error.value)


class _Recorder(Plugin):
    """Remembers what it was opened with."""

    def __init__(self) -> None:
        self.manifest = Manifest(1, "recorder", "", ("camera",), ("class",))
        self.context: Any = None

    def open(self, context: Context) -> None:
        self.context = context


def test_compare_gives_options_to_the_plugin_that_the_configuration_names(tmp_path: Path) -> None:
    from perception.evaluation.comparison.paired_plugins import PairPlugin

    first, second = _Recorder(), _Recorder()
    pair = PairPlugin(first, second, (None, tmp_path / "b"), (False, True), ("fp32", None))
    pair.open(Context(checkpoint=tmp_path / "a", options={"model": "x.onnx"}, precision="bf16"))
    assert (first.context.precision, second.context.precision) == ("fp32", "bf16")
    assert (first.context.checkpoint, first.context.options) == (None, {})
    assert (second.context.checkpoint, second.context.options) == (tmp_path / "b", {"model": "x.onnx"})
