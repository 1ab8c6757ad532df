"""`perception replay` of several logs: each in a process, none harmed by another, nothing done twice."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perception.errors import ConfigError
from perception.logs import Query, open_log
from perception.pipeline.batch import BatchResult, LogResult
from perception.pipeline.batch.recording_names import recording_names
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
    first = many(capsys, *mine, "--jobs", "1")
    rows = {Path(row["log"]).stem: row for row in first["logs"]}
    assert list(rows) == list(names)
    assert [row["status"] for row in rows.values()] == ["failed", "failed", "clean", "clean"]
    assert "expected a log (" in rows["text"]["error"]
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

    assert run(["replay", *map(str, mine[2:]), "--plugin", "dies", "--output-dir", "out"]) == 0
    text = capsys.readouterr().out
    assert max(map(len, text.splitlines())) <= 80
    assert "one.mcap" in text
    assert "clean: 2 logs, 25 frames" in text


@pytest.mark.slow  # in this process: tests/pipeline/batch/test_exactly_once.py
def test_what_is_gone_or_made_with_other_settings_is_done_again(
    logs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mine = [Path(shutil.copy(logs / f"{name}.mcap", tmp_path)) for name in ("one", "two")]
    many(capsys, *mine)
    (tmp_path / "out" / "two.outputs.mcap").unlink()
    assert [row["skipped"] for row in many(capsys, *mine)["logs"]] == [True, False]
    assert many(capsys, mine[0], "--end", "0.5")["totals"]["skipped"] == 0
    assert many(capsys, mine[0], "--end", "0.5", "--workers", "2")["totals"]["skipped"] == 1


def test_what_belongs_to_one_log_is_refused_for_several(
    logs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for option in (["--jsonl", "x.jsonl"], ["--step"], ["--no-output"]):
        assert run(["replay", str(logs / "one.mcap"), str(logs / "two.mcap"), *option]) == 2
        assert f"{option[0]}: for one log alone" in capsys.readouterr().err


def test_outputs_are_named_by_their_log_and_told_apart_by_its_folder() -> None:
    assert recording_names([Path("a/day.mcap"), Path("b/night.mcap")]) == ["day", "night"]
    assert recording_names([Path("a/x/day.mcap"), Path("a/y/day.mcap")]) == ["x_day", "y_day"]
    with pytest.raises(ConfigError, match="named twice"):
        recording_names([Path("a/day.mcap"), Path("a/../a/day.mcap")])


@given(
    names=st.lists(
        st.lists(st.sampled_from(["x", "X", "y", "same", "x_same"]), min_size=1, max_size=3).map("/".join),
        min_size=1,
        max_size=8,
    ),
    suffixes=st.lists(st.sampled_from([".mcap", ".bak", "", ".mcap.mcap"]), min_size=8, max_size=8),
    data=st.data(),
)
def test_no_two_logs_share_an_output_whatever_they_are_called(
    names: list[str], suffixes: list[str], data: st.DataObject
) -> None:
    logs = list(dict.fromkeys(Path("in") / (name + suffixes[k]) for k, name in enumerate(names)))
    found = recording_names(logs)
    assert len({name.casefold() for name in found}) == len(logs)
    assert not any("/" in name for name in found)
    order = data.draw(st.permutations(range(len(logs))))
    assert recording_names([logs[k] for k in order]) == [found[k] for k in order]


@pytest.mark.slow  # the names alone: above
def test_logs_whose_names_collide_keep_outputs_of_their_own_and_it_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    logs = [tmp_path / "run.mcap", tmp_path / "run.bak", tmp_path / "x" / "same.mcap"]
    logs += [tmp_path / "y" / "same.mcap", tmp_path / "x_same.mcap"]
    for number, log in enumerate(logs):
        log.parent.mkdir(exist_ok=True)
        write_scene(log, duration_s=0.5 + 0.1 * number, image_size=(64, 32))
    first = many(capsys, *logs, "--jobs", "2")
    written = [row["written"][0] for row in first["logs"]]
    assert [Path(name).name.removesuffix(".outputs.mcap") for name in written] == [
        *("run.mcap", "run.bak", "x_same.mcap", "y_same", "x_same")
    ]
    for name, frames in zip(written, range(5, 10), strict=True):
        with open_log(name) as log:
            assert sum(1 for _ in log.messages(Query(frozenset({"/perception/control"})))) == frames
    again = many(capsys, *reversed(logs))
    assert all(row["skipped"] for row in again["logs"])
    assert [row["written"][0] for row in again["logs"]] == written[::-1]
    assert run(["replay", *map(str, logs), "--plugin", "dies", "--output-dir", "out"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert f"{logs[2]}: written to out/x_same.mcap.outputs.mcap" in text


@pytest.mark.slow
def test_a_log_by_the_same_name_that_comes_later_does_not_replace_the_output_of_the_first(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    logs = [tmp_path / "x" / "same.mcap", tmp_path / "y" / "same.mcap"]
    for number, log in enumerate(logs):
        log.parent.mkdir(exist_ok=True)
        write_scene(log, duration_s=0.5 + 0.1 * number, image_size=(64, 32))
    (first,), (second,) = (many(capsys, log)["logs"][0]["written"] for log in logs)
    assert first == "out/same.outputs.mcap"
    assert second != first
    assert (
        many(capsys, logs[1])["logs"][0] | {"skipped": True, "written": [second]}
        == (many(capsys, logs[1])["logs"][0])
    )
    assert many(capsys, logs[0])["totals"]["skipped"] == 1
    logs[0].unlink()  # its name is free again
    assert many(capsys, logs[1])["logs"][0]["written"] == [first]


@pytest.mark.slow  # in this process: tests/pipeline/batch/test_exactly_once.py
def test_an_output_that_was_changed_is_made_again(
    logs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mine = Path(shutil.copy(logs / "one.mcap", tmp_path))
    many(capsys, mine)
    output = tmp_path / "out" / "one.outputs.mcap"
    data = bytearray(output.read_bytes())
    data[len(data) // 2] ^= 1
    output.write_bytes(data)
    assert many(capsys, mine)["totals"]["skipped"] == 0
    assert many(capsys, mine)["totals"]["skipped"] == 1


def test_a_batch_replaces_neither_its_logs_nor_the_files_of_the_user(
    logs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mine = Path(shutil.copy(logs / "one.mcap", tmp_path))
    other = Path(shutil.copy(logs / "two.mcap", tmp_path / "one.outputs.mcap"))
    command = ["replay", str(mine), str(other), "--plugin", "dies", "--output-dir"]
    before = other.read_bytes()
    assert run([*command, str(tmp_path)]) == 1
    assert "would replace the log" in capsys.readouterr().err
    assert other.read_bytes() == before
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "one.outputs.json").write_text("mine")
    assert run([*command, "out"]) == 1
    assert "no earlier output" in capsys.readouterr().err
    assert (tmp_path / "out" / "one.outputs.json").read_text() == "mine"


def test_receipts_follow_no_planted_link(
    logs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mine, victim = Path(shutil.copy(logs / "one.mcap", tmp_path)), tmp_path / "victim"
    victim.write_text("precious")
    (tmp_path / "out").mkdir()
    for name in ("one.outputs.part", "one.outputs.json.part"):
        (tmp_path / "out" / name).symlink_to(victim)
    assert many(capsys, mine)["status"] == "clean"
    assert victim.read_text() == "precious"


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
