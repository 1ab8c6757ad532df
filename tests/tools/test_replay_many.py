"""`perception replay` of several logs: each in a process, none harmed by another, nothing done twice."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from perception.errors import ConfigError
from perception.logs import Query, open_log
from perception.pipeline.batch import BatchResult, LogResult, output_paths
from perception.types import Status
from perception_tools.cli import run
from perception_tools.replay.text import batch_document
from tests.scripted_scene import write_scene
from tests.third_party.install import install_manifests

MANIFEST = """
api: 1
factory: broken_plugins_code:DiesOfSquares
inputs: [camera, range, status]
heads: [class, box, control]
"""


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two sound logs, one whose square images kill the plugin's process, and one that is none."""
    folder = tmp_path_factory.mktemp("logs")
    write_scene(folder / "one.mcap", duration_s=1.0, image_size=(64, 32))
    write_scene(folder / "two.mcap", duration_s=2.0, image_size=(64, 32))
    write_scene(folder / "square.mcap", duration_s=1.0, image_size=(64, 64))
    (folder / "text.mcap").write_text("not a log")
    return folder


@pytest.fixture(autouse=True)
def _plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site = tmp_path / "site"
    site.mkdir()
    install_manifests({"dies": MANIFEST}, site)
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")


def many(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> dict[str, Any]:
    code = run(["replay", *map(str, arguments), "--plugin", "dies", "--output-dir", "out", "--json"])
    report: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert report["exit_code"] == code
    return report


def test_logs_that_fail_do_not_stop_the_others_and_what_is_done_is_not_done_again(
    logs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = ("text", "square", "one", "two")
    mine = [Path(shutil.copy(logs / f"{name}.mcap", tmp_path)) for name in names]
    first = many(capsys, *mine, "--jobs", "2")
    rows = {Path(row["log"]).stem: row for row in first["logs"]}
    assert list(rows) == list(names)
    assert [row["status"] for row in rows.values()] == ["failed", "failed", "clean", "clean"]
    assert "expected an MCAP log" in rows["text"]["error"]
    assert rows["square"]["error"] == "its process ended with 7"
    assert (first["status"], first["exit_code"]) == ("failed", 1)
    totals = first["totals"]
    assert (totals["logs"], totals["failed"], totals["skipped"], totals["frames"]) == (4, 2, 0, 30)
    assert totals["outputs"]["control"] == {"valid": 30, "invalid": 0}
    with open_log(tmp_path / "out" / "two.outputs.mcap") as log:
        assert sum(1 for _ in log.messages(Query(topics=frozenset({"/perception/control"})))) == 20

    os.utime(mine[2])  # touched, but the same
    two = tmp_path / "two.mcap"
    write_scene(two, duration_s=1.5, image_size=(64, 32))  # another log by the same name
    again = many(capsys, *mine[2:])
    assert [row["skipped"] for row in again["logs"]] == [True, False]
    assert [row["frames"] for row in again["logs"]] == [10, 15]
    assert (again["status"], again["exit_code"]) == ("clean", 0)

    (tmp_path / "out" / "two.outputs.mcap").unlink()
    assert [row["skipped"] for row in many(capsys, *mine[2:])["logs"]] == [True, False]
    assert many(capsys, mine[2], "--end", "0.5")["totals"]["skipped"] == 0
    assert many(capsys, mine[2], "--end", "0.5", "--workers", "2")["totals"]["skipped"] == 1

    assert run(["replay", *map(str, mine[2:]), "--plugin", "dies", "--output-dir", "out"]) == 0
    text = capsys.readouterr().out
    assert max(map(len, text.splitlines())) <= 80
    assert "one.mcap" in text
    assert "clean: 2 logs, 25 frames" in text


def test_what_belongs_to_one_log_is_refused_for_several(
    logs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for option in (["--jsonl", "x.jsonl"], ["--step"], ["--no-output"]):
        assert run(["replay", str(logs / "one.mcap"), str(logs / "two.mcap"), *option]) == 2
        assert f"{option[0]}: for one log alone" in capsys.readouterr().err


def test_outputs_are_named_by_their_log_and_told_apart_by_its_folder(tmp_path: Path) -> None:
    found = output_paths([Path("a/day.mcap"), Path("b/night.mcap")], tmp_path)
    assert [path.name for path in found] == ["day.outputs.mcap", "night.outputs.mcap"]
    found = output_paths([Path("a/x/day.mcap"), Path("a/y/day.mcap")], tmp_path)
    assert [path.name for path in found] == ["x_day.outputs.mcap", "y_day.outputs.mcap"]
    with pytest.raises(ConfigError, match="named twice"):
        output_paths([Path("a/day.mcap"), Path("a/../a/day.mcap")], tmp_path)


@pytest.mark.parametrize(
    ("statuses", "worst", "code", "status"),
    [
        (("clean", "clean"), "clean", 0, "clean"),
        (("clean", "loss"), "loss", 3, "loss"),
        (("loss", "failed"), "failed", 1, "failed"),
        (("usage", "loss"), "usage", 2, "failed"),
        (("failed", "interrupted"), "interrupted", 130, "interrupted"),
    ],
)
def test_the_worst_status_counts(statuses: tuple[Status, ...], worst: str, code: int, status: str) -> None:
    result = BatchResult(tuple(LogResult(Path("x"), status, error="e") for status in statuses), 1.0)
    document = batch_document(result)
    assert result.status == worst
    assert (document["exit_code"], document["status"]) == (code, status)
