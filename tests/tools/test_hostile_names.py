"""Names in a log that hold line ends and control characters begin no line and reach no terminal."""

from __future__ import annotations

import csv
import unicodedata
from pathlib import Path

import pytest

from perception_tools.cli import run
from tests.small_logs import SmallLog

BAD = "\nFAKE \x1b[31mred\u202e\r\ttab"
Capture = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A log whose file name, topics, frames, fields and schema names are hostile."""
    small = SmallLog().image(f"/camera{BAD}", frame=f"camera{BAD}", seconds=0.6).calibration().transforms()
    small.scan(f"/scan{BAD}", frame=f"laser{BAD}", seconds=0.6).status(seconds=0.6).control(seconds=0.6)
    small.json(f"/own{BAD}", lambda i: {f"field{BAD}": i}, f"Own{BAD}", seconds=0.6)
    return small.write(tmp_path_factory.mktemp("hostile") / f"drive{BAD}.mcap")


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, third_party: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(third_party))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")


def assert_harmless(text: str) -> None:
    assert "FAKE" in text
    assert not [line for line in text.splitlines() if line.strip().startswith("FAKE ")]
    assert not [c for c in text if unicodedata.category(c) in ("Cc", "Cf") and c != "\n"]


@pytest.mark.parametrize(
    "words",
    [
        ["info"],
        ["info", "--audit"],
        ["replay", "--plugin", "blob_detector"],
        ["evaluate", "--plugin", "blob_detector", "--draws", "0"],
    ],
)
def test_what_is_printed_is_harmless(log: Path, capsys: Capture, words: list[str]) -> None:
    assert run([words[0], str(log), *words[1:]]) in (0, 3)
    captured = capsys.readouterr()
    assert_harmless(captured.out + captured.err)


def test_errors_are_harmless(log: Path, tmp_path: Path, capsys: Capture) -> None:
    config = tmp_path / "config.yaml"
    config.write_text("sensors: {camera: {topic: /none}}\n")
    for words in (["info", f"{log}.none"], ["replay", str(log), "--config", str(config)]):
        assert run(words) != 0
        assert_harmless(capsys.readouterr().err)
    assert run(["replay", str(log), "--output", str(tmp_path / f"none{BAD}" / "out.mcap")]) == 1
    assert_harmless(capsys.readouterr().err)


def test_a_table_for_spreadsheets_has_a_line_for_each_message(log: Path, tmp_path: Path) -> None:
    assert run(["replay", str(log), "--plugin", "blob_detector", "--ledger", "ledger.csv"]) == 0
    text = (tmp_path / "ledger.csv").read_text(encoding="utf-8")
    assert_harmless(text.replace("\r\n", "\n"))
    assert len(text.splitlines()) == len(list(csv.reader(text.splitlines()))) > 20


def test_reports_are_harmless(log: Path, tmp_path: Path) -> None:
    words = ["--plugin", "blob_detector", "--draws", "0", "--report", "page.md"]
    assert run(["evaluate", str(log), *words, "--junit", "gates.xml", "--require", "control.MAE/x >= 0"]) == 4
    for name in ("page.md", "gates.xml"):
        text = (tmp_path / name).read_text(encoding="utf-8")
        assert not [line for line in text.splitlines() if line.strip().startswith("FAKE ")]
        assert not [c for c in text if unicodedata.category(c) in ("Cc", "Cf") and c != "\n"]
