"""`perception train` as a user runs it."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import pytest

from perception.training import to_yaml
from perception.training.loop.state_file import load_state
from perception_tools.cli import run
from tests.forked_python import ForkedPython
from tests.scripted_scene import write_scene
from tests.training.conftest import small_config


@pytest.fixture(scope="module")
def street(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_scene(tmp_path_factory.mktemp("logs") / "street.mcap", seed=3, duration_s=2.0)


def config_file(folder: Path, log: Path, **sections: Any) -> Path:
    config = small_config(log, folder / "cache", folder / "run", **sections)
    path = folder / "run.yaml"
    path.write_text(to_yaml(config))
    return path


def test_a_run_says_what_it_does_and_its_json_says_where_the_weights_are(
    street: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = config_file(tmp_path, street, run={"evaluate": True})
    assert run(["train", str(path), "--json", "--steps", "6", "--set", "optimiser.lr=0.001"]) == 0
    out, said = capsys.readouterr()
    report = json.loads(out)
    assert report["schema"] == "perception.train/1"
    assert (report["status"], report["reason"], report["steps"]) == ("clean", "done", 6)
    assert Path(report["checkpoint"]).is_file()
    assert 0 <= report["scores"]["joint"] <= 1
    for text in (
        "decoding street.mcap",
        "step 6/6",
        "class ",
        "control ",
        "step 4 validated: joint",
        "evaluating",
    ):
        assert text in said
    assert "lr: 0.001" in (tmp_path / "run" / "train.yaml").read_text()


def test_an_interrupt_keeps_what_was_trained_and_resume_goes_on(
    street: Path, tmp_path: Path, forked_python: ForkedPython, capsys: pytest.CaptureFixture[str]
) -> None:
    path = config_file(
        tmp_path, street, schedule={"steps": 100000, "validate_every": 100000, "save_every": 100000}
    )
    process = forked_python.start("train", path)
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("step "):
            break
    process.send_signal(signal.SIGINT)
    out, errors = process.communicate()
    assert process.returncode == 130, errors
    assert "interrupted after" in out
    assert "--resume" in out
    steps = load_state(tmp_path / "run" / "state.safetensors")["step"]
    assert steps >= 1
    assert run(["train", str(path), "--resume", "--steps", str(steps + 2)]) == 2
    assert "schedule.steps: the run began with 100000" in capsys.readouterr().err


def test_a_run_is_continued_by_its_folder_alone_from_any_working_directory(
    street: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(street.parent)
    path = config_file(tmp_path, street, data={"train": [street.name], "validate": [f"./{street.name}"]})
    assert run(["train", str(path), "--out", str(tmp_path / "run")]) == 0
    moved = (tmp_path / "run").rename(tmp_path / "moved")
    monkeypatch.chdir(tmp_path)
    best = moved / "best.safetensors"
    best.unlink()
    capsys.readouterr()
    assert run(["train", "--out", "moved", "--resume"]) == 0
    assert "best.safetensors" in capsys.readouterr().out
    assert best.is_file()
    assert run(["train", "--out", "nothing", "--resume"]) == 2
    assert "nothing holds no run to continue" in capsys.readouterr().err
    assert run(["train", "--resume"]) == 2
    assert "--out RUN --resume" in capsys.readouterr().err


def test_faults_are_answered_at_once_with_exit_code_2(tmp_path: Path, forked_python: ForkedPython) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text("data: {trian: [a]}\noptimiser: {lr: -1}\n")
    done = forked_python.run("train", path)
    assert done.returncode == 2
    assert "data.trian: unknown key, did you mean train?" in done.stderr
    assert "optimiser.lr: " in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (
            ["nowhere.yaml"],
            "default, default/1_small, default/2_full_size, default/3_boxes, default/4_small_steps, "
            "default/5_more_scenes, default/6_long_drives, finetune, newcomer",
        ),
        (["newcomer", "--out", "{tmp}/x"], "data.train: missing"),
        (["newcomer", "--train", "nothing/here", "--out", "{tmp}/x"], "data.train: no log at nothing/here"),
        (["newcomer", "--set", "lr"], "--set: expected PATH=VALUE, found 'lr'"),
    ],
)
def test_usage_faults_name_the_fix(
    arguments: list[str], text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["train", *(argument.replace("{tmp}", str(tmp_path)) for argument in arguments)]) == 2
    assert text in capsys.readouterr().err


def test_a_log_that_is_none_is_answered_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = tmp_path / "bad.mcap"
    bad.write_bytes(b"not a log")
    assert run(["train", "newcomer", "--train", str(bad), "--out", str(tmp_path / "run")]) == 1
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert len(said.strip().splitlines()) == 1
