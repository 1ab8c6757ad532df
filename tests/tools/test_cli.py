"""The command line around the commands: wrong usage, encodings, and the last resort."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any, get_args

import pytest
from typer.main import get_command

import perception
from perception.types.backends import BackendName, PrecisionName
from perception_tools.cli import app, run
from perception_tools.command_table import NAMES
from perception_tools.shared_options import BACKENDS, PRECISIONS
from perception_tools.usage import EXAMPLES
from tests.forked_python import ForkedPython
from tests.small_logs import SmallLog


@pytest.fixture(scope="module")
def foreign(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A log with names in several scripts, and a name of its own."""
    path = tmp_path_factory.mktemp("names") / "fahrt_für_速度.mcap"
    SmallLog().image("/räder/カメラ", seconds=0.5).scan("/лидар", seconds=0.5).write(path)
    return path


# --- help ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_the_text_of_a_command_fills_the_lines_of_its_help(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    run([name, "--help"])
    shown = capsys.readouterr().out
    assert "…" not in shown  # nothing is cut off
    text = shown.partition("╭")[0]
    lines = [line.strip() for line in text.splitlines()]
    assert max(map(len, lines)) <= 80
    for line, following in pairwise(lines):
        if line and following:
            assert len(f" {line} {following.split()[0]} ") > 80, line


# --- wrong usage ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "texts"),
    [
        ("replya x.mcap", ["'replay'", "`perception --help`"]),
        ("plugin chek", ["'check'", "`perception plugin --help`"]),
        ("replay --jobz 2 x.mcap", ["--jobs", "`perception replay --help`"]),
        ("replay -jobs 2 x.mcap", ["--jobs", "`perception replay --help`"]),
        ("evaluate --Require x y.mcap", ["--require", "`perception evaluate --help`"]),
        ("replay", ["LOG", "`perception replay --help`"]),
        ("plugin check", ["`perception plugin check --help`"]),
        ("replay x.mcap --rate fast", ["--rate", "'fast'", "`perception replay --help`"]),
        ("replay x.mcap --backend tourch", ["openvino", "`perception replay --help`"]),
        ("bench x.mcap --precision int3", ["bf16", "`perception bench --help`"]),
        ("evaluate", ["LOG: missing", "in the arguments", "`perception evaluate --help`"]),
        ("evaluate x.mcap --draws 3", ["--draws", "in the arguments", "`perception evaluate --help`"]),
        ("compare a", ["A, B: missing", "`perception compare --help`"]),
        ("train", ["CONFIG", "--resume", "`perception train --help`"]),
    ],
)
def test_wrong_usage_names_the_nearest_and_the_help_of_its_command(
    capsys: pytest.CaptureFixture[str], words: str, texts: list[str]
) -> None:
    assert run(words.split()) == 2
    error = capsys.readouterr().err
    for text in texts:
        assert text in error


def test_a_file_in_place_of_a_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("drive.mcap").touch()
    assert run(["drive.mcap"]) == 2
    assert "perception info" in capsys.readouterr().err


def test_a_current_folder_that_was_removed_is_named(
    foreign: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    assert run(["convert", str(foreign), "out.mcap"]) == 1
    error = capsys.readouterr().err
    assert error == "error: No such file or directory: the current folder, which was removed\n"


def leaves(command: Any, words: tuple[str, ...] = ()) -> dict[str, Any]:
    if not hasattr(command, "commands"):
        return {" ".join(words): command}
    return {
        name: leaf
        for word, below in command.commands.items()
        for name, leaf in leaves(below, (*words, word)).items()
    }


def test_every_command_has_an_example_that_it_takes() -> None:
    commands = leaves(get_command(app))
    assert set(EXAMPLES) == set(commands)
    for name, example in EXAMPLES.items():
        program, *words = shlex.split(example)
        assert [program, *words[: len(name.split())]] == ["perception", *name.split()]
        commands[name].make_context(name, words[len(name.split()) :], resilient_parsing=False)
        assert example in commands[name].epilog


@pytest.mark.parametrize("words", [[], ["replay"], ["bench"], ["plugin"], ["plugin", "list"]])
def test_the_help_names_no_value_for_a_flag(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    run([*words, "--help"])
    shown = capsys.readouterr().out
    assert "--help" in shown
    assert "<bool>" not in shown


def test_the_help_lists_the_values_of_options() -> None:
    assert set(re.findall(r"\w+", BACKENDS)) - {"or"} == set(get_args(BackendName))
    assert set(re.findall(r"\w+", PRECISIONS)) - {"or"} == set(get_args(PrecisionName))


def test_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--version"]) == 0
    assert capsys.readouterr().out == f"perception {perception.__version__}\n"


def test_a_signal_after_the_end_of_a_command_leaves_its_exit_code() -> None:
    """As a second Ctrl-C while Python finalizes: handlers are gone before modules are cleared."""
    program = (
        "import os, signal, sys\n"
        "class Last:\n"
        "    def __del__(self, kill=os.kill, process=os.getpid(), number=signal.SIGINT):\n"
        "        kill(process, number)\n"
        "sys.last = Last()\n"
        "from perception_tools.cli import main\n"
        "main(['--version'])"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert (ended.returncode, ended.stderr) == (0, "")


def test_shells_complete_commands_and_options(forked_python: ForkedPython) -> None:
    def completed(line: str) -> list[str]:
        environment = {
            "_PERCEPTION_COMPLETE": "complete_bash",
            "COMP_WORDS": line,
            "COMP_CWORD": str(len(line.split()) - 1),
        }
        return forked_python.run(env=environment).stdout.split()

    assert completed("perception rep") == ["replay"]
    assert "--jsonl" in completed("perception replay --js")


# --- encodings -----------------------------------------------------------------------------------

ENCODINGS = {
    "cp1252": {"PYTHONIOENCODING": "cp1252"},
    "latin-1": {"PYTHONIOENCODING": "latin-1"},
    "ascii": {"PYTHONIOENCODING": "ascii"},
    "C": {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
}
WORDS = {
    "info": ["info", "LOG", "--audit"],
    "info --json": ["info", "LOG", "--json"],
    "replay": ["replay", "LOG", "--ledger", "l.csv", "--jsonl", "o.jsonl", "--plugin", "blob_detector"],
    "replay --json": ["replay", "LOG", "--no-output", "--json", "--plugin", "blob_detector"],
    "an error": ["replay", "nowhere_速度.mcap"],
    "help": ["replay", "--help"],
}


@pytest.mark.parametrize(
    "encoding",
    [pytest.param(name, marks=pytest.mark.slow if name != "C" else ()) for name in ENCODINGS],
)
def test_text_degrades_and_json_stays_ascii_whatever_the_terminal_can_show(
    foreign: Path, third_party: Path, tmp_path: Path, encoding: str
) -> None:
    shown = WORDS if encoding == "C" else {name: WORDS[name] for name in ("info", "info --json")}
    lines = [[str(foreign) if word == "LOG" else word for word in words] for words in shown.values()]
    environment = {**ENCODINGS[encoding], "PYTHONPATH": str(third_party)}
    python = ForkedPython(**environment)  # the encodings are chosen at the start of Python
    for name, words in zip(shown, lines, strict=True):
        done = python.run(*words, cwd=tmp_path, env=environment, encoding="latin-1")  # of any bytes
        assert done.returncode == (1 if name == "an error" else 0), (name, done)
        assert "Traceback" not in done.stderr
        if "--json" in name:
            document = json.loads(done.stdout.encode("latin-1").decode("ascii"))
            assert "/räder/カメラ" in json.dumps(document, ensure_ascii=False)
        done.stdout.encode("latin-1").decode("ascii" if encoding == "C" else encoding)
    python.close()


def test_a_file_name_that_is_not_text(
    foreign: Path, third_party: Path, tmp_path: Path, forked_python: ForkedPython
) -> None:
    name = os.fsencode(tmp_path) + b"/drive_\xff.mcap"
    os.link(foreign, name)
    words = ["evaluate", "--plugin", "blob_detector", "--draws", "0", "--report", "r.md", "--output", "o"]
    lines = [["info"], ["info", "--json"], words]
    for line in lines:
        environment = {"PYTHONPATH": str(third_party)}
        done = forked_python.run(*line, os.fsdecode(name), cwd=tmp_path, env=environment)
        assert done.returncode == 0, done.stderr
        assert "Traceback" not in done.stderr


# --- the last resort -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "error",
    [ZeroDivisionError("division by zero"), OverflowError("too large"), RecursionError(), KeyError("x")],
)
def test_an_error_that_nothing_handles_is_one_line_and_a_report(
    foreign: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: Exception,
) -> None:
    def fail(path: object) -> None:
        raise error

    monkeypatch.setattr("perception.logs.open_log", fail)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert run(["info", str(foreign)]) == 1
    said = capsys.readouterr().err
    assert len(said.splitlines()) == 1
    assert said.startswith(f"error: a bug in perception {perception.__version__}: {type(error).__name__}")
    (report,) = tmp_path.glob("perception-bug-*.txt")
    assert str(report) in said
    text = report.read_text(encoding="utf-8")
    assert "Traceback" in text
    assert f"perception info {shlex.quote(str(foreign))}" in text
    assert run(["info", str(foreign), "--json"]) == 1
    assert type(error).__name__ in json.loads(capsys.readouterr().out)["error"]


def test_debug_shows_the_traceback_and_may_stand_anywhere(capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["--debug", "info", "nowhere"], ["info", "nowhere", "--debug"]):
        assert run(words) == 1
        said = capsys.readouterr().err
        assert "Traceback" in said
        assert "error: " in said.splitlines()[-1]


def test_what_was_flushed_before_a_bug_is_readable(
    foreign: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    count = 0

    def fail(*arguments: object) -> None:
        nonlocal count
        count += 1
        if count == 3:
            raise ZeroDivisionError

    monkeypatch.setattr("perception.diagnosis.monitor.MonitorSink.write", fail)
    out = tmp_path / "out.mcap"
    assert run(["replay", str(foreign), "--output", str(out)]) == 1
    assert "ZeroDivisionError" in capsys.readouterr().err
    with perception.open_log(out) as log:
        assert log.survey.topics["/perception/inputs"].count >= 2
