"""No command destroys a file: what is read is never written, and only earlier outputs are replaced."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from perception.logs import LogWriter
from perception.simulation import Scenario, is_simulated
from perception_tools.cli import run
from tests.plugins.test_fusion import write_checkpoint
from tests.scripted_scene import write_scene


@pytest.fixture(scope="module")
def drive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_scene(tmp_path_factory.mktemp("scene") / "drive.mcap", duration_s=0.4, image_size=(128, 64))


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Small weights, which the backend `torch` opens at once."""
    return write_checkpoint(tmp_path_factory.mktemp("weights") / "small.safetensors")


@pytest.fixture
def here(tmp_path: Path, drive: Path, weights: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with everything that commands read, and a file of the user."""
    monkeypatch.chdir(tmp_path)
    for name, source in (("drive.mcap", drive), ("w.safetensors", weights), ("stored.mcap", drive)):
        Path(name).write_bytes(source.read_bytes())
    Path("c.yaml").write_text("plugin: {name: fusion, checkpoint: w.safetensors}\nengine: {backend: torch}\n")
    Path("scene.yaml").write_text("place: yard\n")
    Path("run.yaml").write_text("data: {train: [drive.mcap]}\n")
    for name in (
        "notes.txt",
        "notes.md",
        "notes.html",
        "notes.mcap",
        "notes.onnx",
        "notes.webm",
        "notes.xml",
    ):
        Path(name).write_text("mine; perception evaluate --report")
    return tmp_path


REPLAY = ["replay", "drive.mcap", "--no-output", "--config", "c.yaml", "--checkpoint", "w.safetensors"]
PLAIN = ["replay", "drive.mcap", "--config", "c.yaml"]
EVALUATE = ["evaluate", "drive.mcap", "--config", "c.yaml", "--draws", "0"]
READ = {
    **{
        f"{option} {name}": [*REPLAY, option, name]
        for option in ("--jsonl", "--ledger")
        for name in ("drive.mcap", "c.yaml", "w.safetensors", "./c.yaml")
    },
    "replay --output": [word for word in REPLAY if word != "--no-output"] + ["--output", "w.mcap"],
    "replay --render": [*REPLAY, "--render", "c.yaml"],
    "evaluate --junit": [*EVALUATE, "--require", "box.mAP50 >= 0", "--junit", "drive.mcap"],
    "evaluate --junit c": [*EVALUATE, "--require", "box.mAP50 >= 0", "--junit", "c.yaml"],
    "evaluate --junit reference": [*EVALUATE, "--reference", "stored.mcap", "--junit", "stored.mcap"],
    "evaluate --output": [*EVALUATE, "-o", "drive.mcap"],
    "evaluate --output checkpoint": [*EVALUATE, "--checkpoint", "w.safetensors", "-o", "w.safetensors"],
    "bench --make-log": ["bench", "drive.mcap", "--make-log", "drive.mcap"],
    "bench --make-log c": ["bench", "drive.mcap", "--config", "c.yaml", "--make-log", "c.yaml"],
    "export": ["export", "w.onnx", "--checkpoint", "w.onnx"],
    "export log": ["export", "log.onnx", "--log", "log.onnx"],
    "train": ["train", "train.yaml", "--out", "."],
}
FOREIGN = {
    **{
        f"replay {option}": [*REPLAY, option, name]
        for option, name in (("--jsonl", "notes.txt"), ("--ledger", "notes.txt"), ("--render", "notes.webm"))
    },
    "replay --output": ["replay", "drive.mcap", "--output", "notes.mcap"],
    "replay --output of another command": ["replay", "drive.mcap", "--output", "stored.mcap"],
    "evaluate --junit": [*EVALUATE, "--require", "box.mAP50 >= 0", "--junit", "notes.xml"],
    "evaluate --report page": [*EVALUATE, "--report", "notes.html"],
    "evaluate --report": [*EVALUATE, "--report", "notes.md"],
    "evaluate --output": [*EVALUATE, "--output", "notes.mcap"],
    "bench --make-log": ["bench", "drive.mcap", "--make-log", "notes.mcap"],
    "export": ["export", "notes.onnx"],
    "train": ["train", "run.yaml", "--out", "runs"],
    "study": ["study", "run.yaml", "--out", "runs", "--validate", "drive.mcap"],
}


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.mark.parametrize("words", READ.values(), ids=READ)
def test_a_file_that_is_read_is_never_written(
    here: Path, capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    Path("w.onnx").write_bytes(Path("w.safetensors").read_bytes())
    Path("log.onnx").write_bytes(Path("drive.mcap").read_bytes())
    Path("w.mcap").symlink_to("w.safetensors")
    Path("train.yaml").write_bytes(Path("run.yaml").read_bytes())
    before = contents(here)
    for force in ([], ["--force"]):
        assert run([*words, *force]) == 1
        assert "would replace" in capsys.readouterr().err
    assert contents(here) == before


@pytest.mark.parametrize("words", FOREIGN.values(), ids=FOREIGN)
def test_a_file_of_the_user_is_never_replaced(
    here: Path, capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    Path("runs").mkdir()
    for name in ("best.safetensors", "study.md"):
        Path("runs", name).write_text("mine")
    before = contents(here)
    assert run(words) == 1
    assert "--force" in capsys.readouterr().err
    assert contents(here) == before


def test_simulated_logs_replace_only_simulated_logs(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("mujoco", reason="the extra `sim` is not installed")
    for name, seed in (("seed_0.mcap", "0"), ("seed_1.mcap", "1")):
        record = {"synthetic": {"seed": seed, "duration_s": "20", "scenario": "{}", "mujoco": "4"}}
        LogWriter(here / name, metadata=record).close()
    assert is_simulated(here / "seed_0.mcap", 0, Scenario(), 20.0)
    assert not is_simulated(here / "seed_0.mcap", 0, Scenario(), 10.0)
    assert not is_simulated(here / "notes.mcap", 0, Scenario(), 20.0)
    before = contents(here)
    for words in (
        ["seed_1.mcap"],
        ["seed_0.mcap", "--duration", "5"],
        ["notes.mcap"],
        ["drive.mcap"],
        ["notes.txt"],
        ["new.txt"],
    ):
        assert run(["synthesize", *words]) == 1
    assert run(["synthesize", "scene.mcap", "--scene", "scene.mcap"]) in (1, 2)
    assert contents(here) == before


AGAIN: dict[str, list[str]] = {
    "output log": [*PLAIN, "--output", "o.mcap"],
    "everything": [*REPLAY, "--jsonl", "o.jsonl", "--ledger", "o.csv", "--render", "o.webm"],
    "mp4": [*REPLAY, "--render", "o.mp4"],
    "evaluation": [
        *EVALUATE,
        *("--require", "box.mAP50 >= 0", "--junit", "o.xml", "--output", "o.mcap"),
        *("--report", "o.md", "--report", "o.html"),
    ],
}


@pytest.mark.parametrize(
    "words",
    [
        pytest.param(words, id=name, marks=pytest.mark.slow if name == "mp4" else ())  # webm: "everything"
        for name, words in AGAIN.items()
    ],
)
@pytest.mark.usefixtures("here")
def test_the_same_command_may_run_again(capsys: pytest.CaptureFixture[str], words: list[str]) -> None:
    if words[0] == "evaluate":
        pytest.importorskip("matplotlib", reason="the extra `eval` is not installed")
    for _ in range(2):
        assert run([*words, "--json"]) in (0, 4), capsys.readouterr().err
        assert not json.loads(capsys.readouterr().out).get("error")


def test_only_the_same_command_replaces_an_output_log(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    replay = [*PLAIN, "--end", "0.2", "--output"]
    evaluate = [*EVALUATE, "--end", "0.2", "--output"]
    for first, second in ((replay, evaluate), (evaluate, replay)):
        path = f"{first[0]}d.mcap"
        assert run([*first, path]) == 0
        before = Path(path).read_bytes()
        capsys.readouterr()
        assert run([*second, path]) == 1
        assert "is no earlier output of this command" in capsys.readouterr().err
        assert Path(path).read_bytes() == before
        assert run([*second, path, "--force"]) == 0


def test_an_output_cut_off_is_an_earlier_output(here: Path) -> None:
    words = [*PLAIN, "--output", "o.mcap"]
    assert run(words) == 0
    whole = (here / "o.mcap").read_bytes()
    (here / "o.mcap").write_bytes(whole[: len(whole) // 3])
    assert run(words) == 0


def test_force_replaces_a_file_of_the_user(here: Path) -> None:
    assert run([*PLAIN, "--output", "notes.mcap", "--force"]) == 0
    assert (here / "notes.mcap").read_bytes().startswith(b"\x89MCAP0")
