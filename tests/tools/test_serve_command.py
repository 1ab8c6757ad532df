"""`perception replay --serve`: what is refused, and what is said."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("foxglove", reason="needs the extra 'foxglove'")

from perception.pipeline.replay_job import ReplayJob
from perception.pipeline.viewers import ServedRun, Serving
from perception_plugins.viewers import live_replay
from perception_tools.cli import run


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[ReplayJob, Serving]]:
    """Record what would be served, and answer with an account."""
    calls: list[tuple[ReplayJob, Serving]] = []

    def serve_replay(job: ReplayJob, serving: Serving) -> ServedRun:
        calls.append((job, serving))
        serving.ended(7)
        return ServedRun(outputs=7, errors=len(calls) - 1, first_error="ValueError: x", warnings=["spare"])

    monkeypatch.setattr(live_replay, "serve_replay", serve_replay)
    return calls


def test_it_serves_this_machine_at_the_recorded_speed_and_writes_nothing(
    calls: list[tuple[ReplayJob, Serving]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["replay", "a.mcap", "--serve"]) == 0
    job, serving = calls[0]
    assert (serving.host, serving.port, serving.waits, serving.stays) == ("127.0.0.1", 8765, True, True)
    assert (job.rate, job.written) == (1.0, [])
    told = capsys.readouterr()
    assert "warning: whoever" not in told.err
    assert "7 outputs" in told.out
    assert "warning: spare" in told.out
    assert run(["replay", "a.mcap", "--serve", "--rate", "asap", "--json"]) == 3
    job, serving = calls[1]
    assert (job.rate, serving.waits) == (None, False)
    document: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert (document["schema"], document["status"], document["errors"]) == ("perception.serve/1", "loss", 1)


def test_more_than_this_machine_is_warned_of(
    calls: list[tuple[ReplayJob, Serving]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["replay", "a.mcap", "--serve", "--serve-host", "0.0.0.0", "--serve-port", "9000"]) == 0
    assert calls[0][1].host == "0.0.0.0"
    assert "warning: whoever reaches 0.0.0.0 port 9000 sees this log" in capsys.readouterr().err


@pytest.mark.parametrize(
    "option", [["--output", "x.mcap"], ["--step"], ["--loop", "2"], ["--rerun", "x.rrd"]]
)
def test_what_writes_files_or_steps_is_refused(
    calls: list[tuple[ReplayJob, Serving]], option: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["replay", "a.mcap", "--serve", *option]) == 2
    assert option[0] in capsys.readouterr().err
    assert not calls


def test_several_logs_are_refused(calls: list[tuple[ReplayJob, Serving]], tmp_path: Path) -> None:
    for name in ("a.mcap", "b.mcap"):
        (tmp_path / name).touch()
    assert run(["replay", str(tmp_path / "a.mcap"), str(tmp_path / "b.mcap"), "--serve"]) == 2
