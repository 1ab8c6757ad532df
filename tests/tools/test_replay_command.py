"""`perception replay` as a user runs it: options, files, exit codes, and one clear line for each fault."""

from __future__ import annotations

import csv
import json
import os
import pty
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import pytest
from mcap.reader import make_reader

from perception.logs import Query, open_log
from perception.sinks import read_receipt
from perception_tools.cli import run
from tests.forked_python import ForkedProgram, ForkedPython
from tests.plugins.test_fusion import write_checkpoint
from tests.scripted_scene import START_NS, write_scene

COMMAND = [sys.executable, "-m", "perception_tools.cli", "replay"]
StartQuick = Callable[..., ForkedProgram]


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_scene(tmp_path_factory.mktemp("scene") / "drive.mcap", duration_s=2.0, image_size=(128, 64))


@pytest.fixture
def start_quick(
    third_party: Path, monkeypatch: pytest.MonkeyPatch, forked_python: ForkedPython
) -> StartQuick:
    """Start a replay in a process of its own, with a plugin that starts at once."""
    monkeypatch.setenv("PYTHONPATH", str(third_party))
    return partial(forked_python.start, "replay", "--plugin", "blob_detector")


@pytest.fixture
def quick(third_party: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Arguments for a run in this process with a plugin that computes little."""
    monkeypatch.syspath_prepend(str(third_party))
    return ["--plugin", "blob_detector"]


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Arguments for small weights, which are not converted."""
    path = write_checkpoint(tmp_path_factory.mktemp("weights") / "small.safetensors")
    return ["--checkpoint", str(path), "--backend", "torch"]


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")


def summary(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> dict[str, Any]:
    """The JSON of a run, which must end with that exit code."""
    found = run(["replay", *map(str, arguments), "--json"])
    captured = capsys.readouterr()
    assert found == code, captured.out + captured.err
    report: dict[str, Any] = json.loads(captured.out)
    assert report["exit_code"] == code
    return report


def test_the_plain_command_writes_an_output_log_and_says_what_happened(
    scene: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["replay", str(scene)]) == 0
    text = capsys.readouterr().out
    assert max(map(len, text.splitlines())) <= 80
    assert "clean: 20 frames" in text
    assert Path("drive.outputs.mcap").stat().st_size > 1000
    for word in ("class", "box", "control", "camera", "/camera/image", "20 used", "p99", "prepare"):
        assert word in text


def test_json_is_one_object_under_its_schema(scene: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = summary(capsys, scene)
    assert report["schema"] == "perception.replay/1"
    assert report["status"] == "clean"
    assert report["frames"] == 20
    assert set(report["outputs"]) == {"class", "box", "control"}
    assert report["outputs"]["control"] == {"valid": 20, "invalid": 0}
    assert set(report["latency_ms"]["step"]) == {"p50", "p99", "max"}
    assert {"plugin", "weights_sha256", "backend", "precision", "device", "batch"} <= set(report["run"])


def test_the_output_log_opens_with_inputs_copied_byte_for_byte(
    scene: Path, quick: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    summary(capsys, scene, *quick, "--output", "out.mcap", "--with-inputs")
    with open_log(scene) as source, open_log("out.mcap") as copied:
        wanted = [(m.topic, m.log_time_ns, m.data) for m in source.messages()]
        topics = frozenset(source.survey.topics)
        found = [(m.topic, m.log_time_ns, m.data) for m in copied.messages(Query(topics=topics))]
        assert sorted(found) == sorted(wanted)
        outputs = copied.survey.topics["/perception/detections"]
        assert outputs.count == 20
        times = [m.log_time_ns for m in copied.messages()]
    assert times == sorted(times)


def test_the_ledger_file_has_a_line_for_each_message(
    scene: Path, quick: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    report = summary(capsys, scene, *quick, "--ledger", "ledger.csv", "--start", "1.0")
    with Path("ledger.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    with scene.open("rb") as file:
        messages = [(c.topic, str(m.log_time)) for _, c, m in make_reader(file).iter_messages()]
    assert sorted((line["topic"], line["log_time_ns"]) for line in lines) == sorted(messages)
    counted: dict[str, Counter[str]] = {}
    for line in lines:
        counted.setdefault(line["topic"], Counter())[line["row"]] += int(line["count"])
    assert {topic: dict(rows) for topic, rows in counted.items()} == report["ledger"]


def test_the_video_has_a_frame_for_each_output(
    scene: Path, quick: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    report = summary(capsys, scene, *quick, "--render", "out.mp4", "--no-output", "--end", "0.5")
    assert report["written"] == ["out.mp4"]
    assert not Path("drive.outputs.mcap").exists()
    video = cv2.VideoCapture("out.mp4")
    count = 0
    while video.read()[0]:
        count += 1
    assert count == report["frames"]


def test_outputs_are_bit_equal_whatever_rate_loop_or_start(
    scene: Path, small: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    def outputs(*arguments: str) -> list[tuple[str, int, bytes]]:
        summary(capsys, scene, *small, "--output", "out.mcap", "--end", "0.6", *arguments)
        topics = frozenset({"/perception/detections", "/perception/control", "/perception/inputs"})
        with open_log("out.mcap") as log:
            return [(m.topic, m.log_time_ns, m.data) for m in log.messages(Query(topics=topics))]

    whole = outputs()
    assert len(whole) == 18
    assert outputs("--rate", "20") == whole
    assert outputs("--loop", "2") == whole
    start_ns = START_NS + 350_000_000
    assert outputs("--start", str(start_ns)) == [row for row in whole if row[1] >= start_ns]


def test_start_and_end_are_seconds_from_the_beginning(
    scene: Path, quick: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert summary(capsys, scene, *quick, "--start", "0.5", "--end", "1.5")["frames"] == 10


def test_camera_silent_from_the_middle_leaves_control_at_10_hz(
    tmp_path: Path, small: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_scene(
        tmp_path / "s.mcap", duration_s=2.0, image_size=(64, 32), silent={"camera": (1.0, 2.0)}
    )
    report = summary(capsys, path, *small)
    assert report["substitutes"] in (9, 10)
    assert report["outputs"]["control"]["invalid"] == 0
    assert report["inputs"]["camera"]["absent"] == report["substitutes"]


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--rate", "fast"], 2, ["--rate", "asap", "fast"]),
        (["--rate", "-1"], 2, ["--rate", "above 0"]),
        (["--live-drop"], 2, ["--live-drop", "--rate"]),
        (["--start", "soon"], 2, ["--start", "seconds", "soon"]),
        (["--start", "2", "--end", "1"], 2, ["--start 2", "--end 1"]),
        (["--no-output", "--with-inputs"], 2, ["--with-inputs"]),
        (["--plugin", "fusoin"], 2, ["fusoin", "did you mean fusion"]),
        (["--checkpoint", "missing.safetensors"], 1, ["missing.safetensors"]),
        (["--config", "missing.yaml"], 2, ["missing.yaml"]),
        (["--output", "no/such/folder/out.mcap"], 1, ["no/such/folder"]),
        (["--output", "out.csv"], 1, ["no sink writes .csv files", ".mcap"]),
        (["--render", "out.avi"], 1, [".mp4"]),
        (["--step"], 2, ["--step", "terminal"]),
        (["--speed", "3"], 2, ["--speed"]),
    ],
)
def test_a_wrong_option_is_one_clear_line(
    scene: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, words: list[str]
) -> None:
    assert run(["replay", str(scene), *arguments]) == code
    captured = capsys.readouterr()
    assert captured.out == ""
    lines = captured.err.strip().splitlines()
    assert len(lines) - lines[-1].startswith("(see `perception replay --help`)") <= 2
    for word in words:
        assert word in captured.err


def test_cuda_without_a_device_is_refused(scene: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from perception.pipeline.opened_plugin import cuda_devices

    if cuda_devices():
        pytest.skip("this machine has a CUDA device")
    assert run(["replay", str(scene), "--device", "cuda"]) == 2
    assert "use cpu or auto" in capsys.readouterr().err


def test_errors_are_json_too_when_asked(capsys: pytest.CaptureFixture[str]) -> None:
    report = summary(capsys, "nowhere.mcap", code=1)
    assert report["status"] == "failed"
    assert "nowhere.mcap" in report["error"]


def test_the_log_is_never_overwritten(scene: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = scene.read_bytes()
    for option in ("--output", "--render", "--ledger", "--jsonl"):
        name = scene if option != "--render" else scene.with_suffix(".mp4")
        if option == "--render":
            name.symlink_to(scene)
        assert (
            run(
                ["replay", str(scene), "--no-output" if option != "--output" else "--json", option, str(name)]
            )
            == 1
        )
        assert "replace" in "".join(capsys.readouterr())
    assert scene.read_bytes() == before


@pytest.mark.parametrize("second", ["--jsonl", "--ledger"])
def test_two_options_that_name_one_file_are_refused(
    scene: Path, capsys: pytest.CaptureFixture[str], second: str
) -> None:
    Path("here").symlink_to(".")
    assert run(["replay", str(scene), "--output", "out", second, "here/out"]) == 2
    assert f"--output and {second} name the same file" in capsys.readouterr().err
    assert not Path("out").exists()
    null = ["--jsonl", "/dev/null", "--ledger", "/dev/null", "--end", "0.2"]
    assert run(["replay", str(scene), "--no-output", *null]) == 0


@pytest.mark.parametrize("options", [["--json"], []])
def test_a_full_disk_under_stdout_is_one_line(
    scene: Path, start_quick: StartQuick, options: list[str]
) -> None:
    with open("/dev/full", "w") as full:
        process = start_quick(scene, "--end", "0.3", *options, stdout=full.fileno())
    _, err = process.communicate()
    assert (process.returncode, err) == (1, "error: No space left on device\n")


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_closed_stream_changes_nothing_else(
    scene: Path, third_party: Path, monkeypatch: pytest.MonkeyPatch, closed: str
) -> None:
    """Python itself starts differently: this is no fork."""
    monkeypatch.setenv("PYTHONPATH", str(third_party), prepend=os.pathsep)
    command = " ".join(
        [*COMMAND, "--plugin", "blob_detector", str(scene), "--end", "0.3", "--output", "out.mcap"]
    )
    done = subprocess.run(["sh", "-c", f"{command} {closed}"], stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert Path("out.mcap").stat().st_size > 1000


def test_step_waits_for_a_key_and_q_ends(scene: Path, start_quick: StartQuick) -> None:
    leader, follower = pty.openpty()
    process = start_quick(scene, "--step", stdin=follower)
    os.close(follower)
    assert process.stderr is not None
    prompts = 0
    for line in process.stderr:
        if "any key" in line:
            prompts += 1
            os.write(leader, b"x" if prompts < 4 else b"q")
    out, _ = process.communicate(timeout=60)
    os.close(leader)
    assert process.returncode == 130
    assert prompts == 4
    assert "interrupted: 3 frames" in out


def test_ctrl_c_closes_the_output_readable_also_when_it_is_pressed_twice(
    scene: Path, start_quick: StartQuick
) -> None:
    process = start_quick(scene, "--rate", "0.05", "--output", "cut.mcap", "--with-inputs")
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not (
        Path("cut.mcap").exists() and Path("cut.mcap").stat().st_size > 10_000  # a chunk, inputs and all
    ):
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "Traceback" not in err
    assert "interrupted" in out
    with open_log("cut.mcap") as log:
        assert log.survey.indexed
        assert log.survey.topics["/perception/control"].count >= 1


def test_kill_9_leaves_what_was_flushed(scene: Path, start_quick: StartQuick) -> None:
    process = start_quick(scene, "--rate", "0.5", "--output", "cut.mcap")
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not (
        Path("cut.mcap").exists() and Path("cut.mcap").stat().st_size > 2000
    ):
        time.sleep(0.05)
    process.kill()
    assert process.returncode == -signal.SIGKILL
    with open_log("cut.mcap") as log:
        assert not log.survey.indexed
        assert log.survey.topics["/perception/control"].count >= 1


@pytest.mark.parametrize(
    "command", ["--help", "replay --help", "plugin list", "info LOG --audit", "replay LOG"]
)
def test_commands_that_need_no_torch_import_none(
    scene: Path, forked_python: ForkedPython, command: str
) -> None:
    """Nor do they with the default weights. What a process has imported before is in `sys.modules`, too."""
    program = (
        "import sys; from perception_tools.cli import run; code = run(sys.argv[1:]);"
        "bad = {'torch', 'torchvision', 'scipy', 'matplotlib', 'mujoco'} & set(sys.modules);"
        "sys.exit(f'{code} {bad}' if code or bad else 0)"
    )
    words = [str(scene) if word == "LOG" else word for word in command.split()]
    end = ["--end", "0.3"] if words == ["replay", str(scene)] else []
    done = forked_python.run(*words, *end, program=program)
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
@pytest.mark.parametrize(
    ("option", "alone"),
    [
        ("--output", False),
        ("--ledger", False),
        ("--jsonl", False),
        pytest.param("--output", True, marks=pytest.mark.slow),
    ],
)
def test_a_full_disk_ends_with_one_line_that_names_the_output_and_the_disk(
    scene: Path,
    quick: list[str],
    start_quick: StartQuick,
    option: str,
    alone: bool,
    capfd: pytest.CaptureFixture[str],
) -> None:
    others = ["--with-inputs"] if option == "--output" else ["--no-output"]
    if alone:  # in a process of its own: nothing more is said when that ends
        process = start_quick(scene, option, "/dev/full", *others)
        out, err = process.communicate()
        code = process.wait()
    else:
        code = run(["replay", str(scene), *quick, option, "/dev/full", *others])
        out, err = capfd.readouterr()
    assert code == 1
    assert out == ""
    (line,) = err.splitlines()
    assert "the disk at /dev is full" in line
    assert line.endswith(": /dev/full")


@pytest.mark.parametrize(
    ("many", "number"),
    [
        (False, signal.SIGTERM),
        (True, signal.SIGHUP),
        pytest.param(False, signal.SIGHUP, marks=pytest.mark.slow),
        pytest.param(True, signal.SIGTERM, marks=pytest.mark.slow),
    ],
)
def test_signals_that_end_a_program_close_the_output_readable(
    scene: Path, start_quick: StartQuick, number: signal.Signals, many: bool
) -> None:
    target = Path("cut.mcap")
    where = ["--output", "cut.mcap"]
    if many:
        target, where = Path("out") / f"{scene.stem}.outputs.mcap", ["--output-dir", "out"]
    begun = Path("out", ".partial").glob if many else Path().glob  # a batch moves it to its place at the end
    process = start_quick(scene, "--rate", "1", *where, "--json", start_new_session=True)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not any(
        path.stat().st_size > 2500 for path in begun(f"**/{target.name}")
    ):
        time.sleep(0.05)
    if many:
        os.killpg(process.pid, number)  # as a service manager does: the workers get it, too
    else:
        process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 128 + number, err
    document = json.loads(out)
    assert (document["status"], document["exit_code"]) == ("interrupted", 128 + number)
    with open_log(target) as log:
        assert log.survey.indexed
        assert read_receipt(log)["ended"] == "interrupted"
        assert log.survey.topics["/perception/control"].count >= 1


@pytest.mark.parametrize("option", ["--jsonl", "--ledger"])
@pytest.mark.parametrize("alone", [True, False])
def test_a_reader_that_leaves_early_is_no_failure(
    scene: Path, start_quick: StartQuick, tmp_path: Path, option: str, alone: bool
) -> None:
    """As with `--jsonl /dev/stdout | head`. What else is written is written whole."""
    reader, writer = os.pipe()
    os.close(reader)
    place = tmp_path / "out.mcap"
    kept = ["--no-output"] if alone else ["--output", str(place)]
    process = start_quick(str(scene), option, "/dev/stdout", *kept, stdout=writer)
    os.close(writer)
    _, err = process.communicate()
    assert (process.returncode, err) == (0, "")
    assert place.exists() is not alone
    if not alone:
        with open_log(place) as log:
            assert read_receipt(log)["ended"] == "whole"


def test_the_json_object_is_printed_also_where_a_reader_of_lines_left_early(
    scene: Path, start_quick: StartQuick, tmp_path: Path
) -> None:
    """As with `--json --jsonl >(head -c 1)`."""
    os.mkfifo(lines := tmp_path / "lines")
    process = start_quick(str(scene), "--no-output", "--json", "--jsonl", str(lines))
    reader = os.open(lines, os.O_RDONLY)
    os.read(reader, 1)
    os.close(reader)
    out, err = process.communicate()
    assert (process.returncode, err) == (0, "")
    assert json.loads(out)["status"] == "clean"
