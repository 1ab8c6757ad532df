"""A plugin that exits, prints or does not return: no command succeeds by it, and stdout stays the host's."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from perception.logs import Query, open_log
from perception.sinks import read_receipt
from perception_tools.cli import run
from tests.forked_python import ForkedPython
from tests.scripted_scene import write_scene
from tests.third_party.install import install_manifests

MANIFEST = "api: 1\nfactory: leaving_plugin:Leaving\ninputs: [camera, status]\nheads: [class, box, control]\n"

CODE = """
import os, sys, threading, time
from broken_plugins_code import Sound

class Odd(BaseException):
    def __str__(self): raise ValueError("no text either")

def leave(at):
    if os.environ.get("LEAVE_AT") != at:
        return
    how = os.environ["LEAVE_HOW"]
    if how == "exit": sys.exit(0)
    if how == "_exit": os._exit(0)
    if how == "interrupt": raise KeyboardInterrupt
    if how == "generator": raise GeneratorExit
    if how == "odd": raise Odd
    if how == "print":
        print("printed at", at)
        os.write(1, b"written to the descriptor\\n")
        os.system("echo printed by a child")
    if how == "hang":
        while True: time.sleep(0.05)

leave("import")

class Leaving(Sound):
    def __init__(self, manifest):
        super().__init__(manifest)
        leave("make")
    def open(self, context): leave("open")
    def prepare(self, sample):
        leave("prepare")
        return super().prepare(sample)
    def step(self, prepared):
        leave("step")
        return super().step(prepared)
    def reset(self, reason): leave("reset")
    def close(self): leave("close")
    def describe(self):
        leave("describe")
        return {}
"""
AT = ("import", "open", "prepare", "step", "close")
OTHER = (("step", "_exit"), ("step", "odd"), ("describe", "generator"))
NAMES = {
    "exit": "SystemExit",
    "_exit": "SystemExit: os._exit(0)",
    "interrupt": "KeyboardInterrupt",
    "generator": "GeneratorExit",
    "odd": "Odd",
}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("leaving")
    site = folder / "site"
    site.mkdir()
    install_manifests({"leaving": MANIFEST}, site)
    (site / "leaving_plugin.py").write_text(CODE)
    write_scene(folder / "scene.mcap", duration_s=0.5, image_size=(32, 16))
    write_scene(folder / "other.mcap", duration_s=0.5, image_size=(32, 16))
    return folder


Perception = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def perception(
    place: Path,
    forked_python: ForkedPython,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> Iterator[Perception]:
    """The command line in this process, which a plugin must not end, with the plugin imported anew."""
    monkeypatch.syspath_prepend(str(place / "site"))
    monkeypatch.chdir(place)

    def command(*arguments: str, at: str, how: str) -> subprocess.CompletedProcess[str]:
        if how in ("_exit", "interrupt"):  # which stop the process of the tests, too
            return forked_python.run(*arguments, cwd=place, env=environment(place, at, how))
        monkeypatch.setenv("LEAVE_AT", at)
        monkeypatch.setenv("LEAVE_HOW", how)
        capfd.readouterr()
        code = run(list(arguments))
        return subprocess.CompletedProcess(arguments, code, *capfd.readouterr())

    yield command
    for name in [name for name in sys.modules if name.startswith(("leaving_plugin", "broken_plugins"))]:
        del sys.modules[name]


def environment(place: Path, at: str, how: str) -> dict[str, str]:
    """Of a process of its own, where the plugin is installed."""
    return {"PYTHONPATH": str(place / "site"), "LEAVE_AT": at, "LEAVE_HOW": how}


REPLAY = ("replay", "scene.mcap", "--plugin", "leaving", "--output", "out.mcap", "--json")


@pytest.mark.parametrize(
    ("at", "how"),
    [*((at, "exit") for at in AT), *OTHER],
)
def test_a_plugin_that_leaves_never_makes_a_replay_succeed(
    place: Path, perception: Perception, at: str, how: str
) -> None:
    done = perception(*REPLAY, at=at, how=how)
    document = json.loads(done.stdout)
    assert document["exit_code"] == done.returncode
    assert "Traceback" not in done.stderr
    if at in ("prepare", "step"):  # the outputs are invalid with the error, and counted
        assert (done.returncode, document["status"]) == (3, "loss")
        assert document["errors"] == document["frames"] == 5
        assert document["outputs"]["control"] == {"valid": 0, "invalid": 5}
        assert document["first_error"].startswith(NAMES[how])
        with open_log(place / "out.mcap") as log:
            assert sum(1 for _ in log.messages(Query(frozenset({"/perception/control"})))) == 5
    else:
        assert (done.returncode, document["status"]) == (1, "failed")
        assert "leaving" in document["error"]
        assert NAMES[how] in document["error"]


def test_a_plugin_that_leaves_fails_the_gates_of_an_evaluation(perception: Perception) -> None:
    arguments = ("evaluate", "scene.mcap", "--plugin", "leaving", "--draws", "0", "--require")
    done = perception(*arguments, "box.mAP50>=0", at="import", how="exit")
    assert done.returncode == 1, done.stdout + done.stderr
    assert done.stderr.startswith("error: plugin 'leaving' does not load")


@pytest.mark.parametrize(
    ("at", "how"), [("import", "exit"), pytest.param("close", "interrupt", marks=pytest.mark.slow)]
)
def test_a_plugin_that_leaves_fails_its_check(perception: Perception, at: str, how: str) -> None:
    done = perception("plugin", "check", "leaving", "--json", at=at, how=how)
    document = json.loads(done.stdout)
    assert (done.returncode, document["exit_code"], document["status"]) == (1, 1, "failed")
    violations = " ".join(check["fault"] for check in document["checks"])
    assert NAMES[how] in violations


@pytest.mark.parametrize(
    ("at", "how"), [("step", "exit"), pytest.param("open", "_exit", marks=pytest.mark.slow)]
)
def test_a_plugin_that_leaves_fails_its_logs_in_a_batch(perception: Perception, at: str, how: str) -> None:
    logs = ("replay", "scene.mcap", "other.mcap", "--plugin", "leaving", "--output-dir", f"out-{at}-{how}")
    done = perception(*logs, "--json", at=at, how=how)
    document = json.loads(done.stdout)
    assert done.returncode == document["exit_code"] == (3 if at == "step" else 1)
    assert [row["status"] for row in document["logs"]] == ["loss" if at == "step" else "failed"] * 2


def test_an_interrupt_that_the_plugin_raises_is_no_interrupt_by_the_user(perception: Perception) -> None:
    done = perception(*REPLAY, at="open", how="interrupt")
    assert done.returncode == 1
    assert "did not open: KeyboardInterrupt" in json.loads(done.stdout)["error"]


@pytest.mark.parametrize(
    ("at", "many"),
    [
        pytest.param("import", False, marks=pytest.mark.slow),
        pytest.param("close", False, marks=pytest.mark.slow),
        ("step", True),
    ],
)
def test_what_a_plugin_prints_goes_to_stderr(
    place: Path, forked_python: ForkedPython, at: str, many: bool
) -> None:
    arguments = REPLAY
    if many:
        arguments = ("replay", "scene.mcap", "other.mcap", "--plugin", "leaving", "--json", "--jobs", "1")
        arguments += ("--output-dir", f"printed-{at}")
    done = forked_python.run(*arguments, cwd=place, env=environment(place, at, "print"))
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["status"] == "clean"
    assert done.stdout.startswith("{")
    for text in (f"printed at {at}", "written to the descriptor", "printed by a child"):
        assert text in done.stderr


def test_a_check_sees_what_is_printed_past_python(place: Path, forked_python: ForkedPython) -> None:
    words = ("plugin", "check", "leaving", "--json")
    done = forked_python.run(*words, cwd=place, env=environment(place, "import", "print"))
    (check,) = [c for c in json.loads(done.stdout)["checks"] if c["name"] == "prints nothing"]
    assert not check["passed"]
    assert done.returncode == 1


@pytest.mark.parametrize("number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)])
def test_a_plugin_that_does_not_return_is_interrupted(
    place: Path, forked_python: ForkedPython, number: signal.Signals
) -> None:
    (place / "out.mcap").unlink(missing_ok=True)
    process = forked_python.start(*REPLAY, cwd=place, env=environment(place, "step", "hang"))
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not (place / "out.mcap").exists():
        time.sleep(0.05)
    time.sleep(0.3)
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 128 + number, err
    assert json.loads(out)["exit_code"] == 128 + number
    with open_log(place / "out.mcap") as log:
        assert read_receipt(log)["ended"] == "interrupted"
