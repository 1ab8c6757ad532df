"""A recording in spans: their outputs, one after the other, are those of the whole."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from perception.errors import ConfigError
from perception.logs import open_log
from perception.pipeline.batch.spans import joined_account, parse_length
from perception.sinks import read_outputs
from perception_tools.cli import run
from tests.pipeline.batch.test_exactly_once import here
from tests.scripted_scene import write_scene
from tests.third_party.install import install_manifests

MANIFEST = """
api: 1
factory: tests.pipeline.memory_plugin:MemoryPlugin
inputs: [camera, range, status]
heads: [class, box, control]
preroll_s: 1.0
"""


@pytest.mark.parametrize(("text", "seconds"), [("30s", 30), ("10min", 600), ("1.5 h", 5400)])
def test_a_length_has_a_unit(text: str, seconds: float) -> None:
    assert parse_length(text) == seconds


@pytest.mark.parametrize("text", ["10", "0s", "-1min", "ten minutes", "1e3s"])
def test_what_is_no_length_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="expected a length of time"):
        parse_length(text)


def test_outputs_and_scores_of_spans_are_those_of_the_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    site = tmp_path / "site"
    site.mkdir()
    install_manifests({"memory": MANIFEST}, site)
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.chdir(tmp_path)
    # A process for each recording takes seconds to start; `test_exactly_once` has them.
    monkeypatch.setattr("perception.pipeline.batch.run_in_processes", lambda tasks, count: here(tasks))
    log = tmp_path / "run.mcap"
    write_scene(log, duration_s=2.5, image_size=(64, 32))

    def command(name: str, *arguments: str) -> dict[str, Any]:
        assert run([name, str(log), "--plugin", "memory", *arguments, "--json"]) == 0
        document: dict[str, Any] = json.loads(capsys.readouterr().out)
        return document

    command("replay", "--output", "whole.outputs.mcap")
    report = command("replay", "--output-dir", "out", "--split", "1s")
    assert [row["recording"] for row in report["logs"]] == [f"run.{k:04d}" for k in range(3)]
    parts = [tmp_path / name for row in report["logs"] for name in row["written"]]
    found = [row for part in parts for row in stored(part)]
    assert found == stored(tmp_path / "whole.outputs.mcap")
    assert report["totals"]["frames"] == len(found)

    whole = command("evaluate", "--draws", "100")
    split = command("evaluate", "--output-dir", "out", "--split", "1s", "--draws", "100")
    whole["heads"].pop("timing")
    split["heads"].pop("timing")
    for key in ("heads", "figures", "moments", "warnings", "status"):
        assert split[key] == whole[key], key
    again = command("replay", "--output-dir", "out", "--split", "1s")
    assert again["totals"]["skipped"] == 3  # `evaluate` took them up as well

    command("replay", "--output-dir", "with_tables", "--split", "1s", "--tables", "tables")
    assert run(["evaluate", "--tables", "tables", "--draws", "100", "--json"]) == 0
    of_tables = json.loads(capsys.readouterr().out)
    of_tables["heads"].pop("timing")
    for key in ("heads", "resampling", "figures", "warnings", "status"):
        assert of_tables[key] == whole[key], key
    assert [(log["log"], log["frames"]) for log in of_tables["logs"]] == [(str(log), len(found))]


def stored(path: Path) -> list[Any]:
    """Return the outputs in a log without their numbers, which count from 0 in each."""
    with open_log(path) as log:
        items = list(read_outputs(log))
    return [(i.output.tick.stamp_ns, i.output.detections, i.output.control, i.inputs) for i in items]


def test_the_account_of_spans_adds_up() -> None:
    def account(frames: int, status: str, *codes: str) -> dict[str, Any]:
        warnings = [{"code": code, "text": code, "count": 2} for code in codes]
        return {"status": status, "frames": frames, "errors": 1, "warnings": warnings, "run": {}}

    joined = joined_account(
        [account(3, "clean", "a"), account(0, "clean", "no_frames"), account(4, "loss", "a")]
    )
    assert (joined["status"], joined["frames"], joined["errors"]) == ("loss", 7, 3)
    assert joined["warnings"] == [{"code": "a", "text": "a", "count": 4}]
