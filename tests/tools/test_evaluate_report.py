"""`perception evaluate --report` as a user runs it."""

from __future__ import annotations

import errno
import json
import os
import sys
from pathlib import Path

import pytest

from perception.evaluation import EvaluationReport
from perception.evaluation.report import report_files
from perception.evaluation.report.report_files import is_report
from perception.files import write_whole
from perception.installation import install_command
from perception_tools.cli import run
from tests.evaluation.report.reader import Page
from tests.plugins.test_fusion import write_checkpoint
from tests.scripted_scene import write_scene

Capture = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def drive(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A log whose name is hostile, and weights."""
    folder = tmp_path_factory.mktemp("report")
    log = write_scene(folder / "a <b>drive<b>.mcap", duration_s=2.0, image_size=(128, 64))
    return log, write_checkpoint(folder / "small.safetensors")


def test_a_page_and_markdown_of_one_run(drive: tuple[Path, Path], tmp_path: Path, capsys: Capture) -> None:
    log, weights = drive
    html, text = tmp_path / "out.html", tmp_path / "out.md"
    words = [
        "--checkpoint",
        weights,
        "--backend",
        "torch",
        "--min-support",
        "3",
        "--min-height",
        "5",
        "--draws",
        "0",
        "--moments",
        "3",
    ]
    words += [
        "--require",
        "box.mAP50 >= 2",
        "--latency-ms",
        "0,100",
        "--report",
        html,
        "--report",
        text,
        "--json",
    ]
    assert run(["evaluate", str(log), *map(str, words)]) == 4
    said = EvaluationReport.model_validate(json.loads(capsys.readouterr().out))
    page = Page(html.read_text(encoding="utf-8"))
    assert not page.wrong
    assert "b" in page.names  # our own
    assert log.name in page.text
    assert "Fails: 1 of 1 requirement is not met" in page.text
    assert {"moments", "latency", "logs"} <= set(page.attributes("id"))
    pictures = [link for link in page.attributes("href") if link.startswith("data:image/jpeg")]
    assert len(pictures) == len(said.moments) > 0
    for moment in said.moments:
        assert moment.command in page.text
    assert html.stat().st_size < 1_000_000
    told = text.read_text(encoding="utf-8")
    assert told.startswith("## \u274c Fails")
    assert said.moments[0].command in told


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("out.pdf", "expected a name that ends in .html or .md, found 'out.pdf'"),
        ("nowhere/out.html", "the folder of 'nowhere/out.html' is not there"),
    ],
)
def test_what_cannot_be_written_is_told_before_the_run(
    drive: tuple[Path, Path], name: str, fault: str, capsys: Capture
) -> None:
    assert run(["evaluate", str(drive[0]), "--report", name]) == 2
    assert fault in capsys.readouterr().err


def test_a_disk_that_is_full_at_the_end_costs_the_report_and_neither_the_scores_nor_the_earlier_one(
    drive: tuple[Path, Path], tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    log, weights = drive
    words = [str(log), "--checkpoint", str(weights), "--backend", "torch", "--draws", "0", "--end", "0.5"]
    kept, lost = tmp_path / "kept.md", tmp_path / "lost.md"
    assert run(["evaluate", *words, "--report", str(lost)]) == 0
    before = lost.read_bytes()

    def full(path: Path, data: bytes) -> None:
        if path == lost:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        write_whole(path, data)

    monkeypatch.setattr(report_files, "write_whole", full)
    capsys.readouterr()
    assert run(["evaluate", *words, "--report", str(lost), "--report", str(kept)]) == 1
    said = capsys.readouterr()
    assert "mAP50" in said.out
    assert said.err.startswith(f"error: cannot write {lost}: the disk at ")
    assert said.err.endswith("is full (no space left on device), free some space there\n")
    assert lost.read_bytes() == before
    assert is_report(kept)


def test_a_page_without_matplotlib_names_the_extra_before_the_run(
    drive: tuple[Path, Path], tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    page, text = tmp_path / "out.html", tmp_path / "out.md"
    assert run(["evaluate", str(drive[0]), "--report", str(page), "--report", str(text)]) == 1
    said = f"error: --report of a page needs the extra 'eval': {install_command('eval')}\n"
    assert capsys.readouterr().err == said
    assert not page.exists()
    assert not text.exists()
