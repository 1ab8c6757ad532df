"""Remarks about a run, for sinks that show texts."""

from __future__ import annotations

from pathlib import Path

import pytest

from perception.autoconfig import complete_config
from perception.logs import open_log
from perception.pipeline import ReplayOptions, Summary, replay
from perception.pipeline.remarks import APART, MOST, RunRemarks
from perception.sinks import OutputSink
from tests.pipeline.memory_plugin import MemoryPlugin
from tests.small_logs import START_NS, SmallLog


class Told(OutputSink):
    """Keeps the remarks of a run."""

    def __init__(self) -> None:
        self.rows: list[tuple[str, str, str, int]] = []

    def write(self, *_: object) -> None:  # type: ignore[override]
        return None

    def add_remark(self, level: str, subject: str, text: str, log_time_ns: int, stamp_ns: int) -> None:
        self.rows.append((level, subject, text, log_time_ns))


def told(path: Path, options: ReplayOptions | None = None) -> tuple[Told, Summary]:
    sink = Told()
    with open_log(path) as log:
        config = complete_config(log).config
        summary = replay(log, config, MemoryPlugin(fail_at=(3,)), [sink], options)
    return sink, summary


def damaged(path: Path) -> Path:
    """A log with pictures that do not decode, and with readings that came twice."""
    log = SmallLog().image().scan().status(hz=50.0)
    readings = [row for row in log.rows if row[1] == "/vehicle/state"]
    log.rows += readings[10:12]
    log.rows += [(START_NS + 500_000_000 + k, "/scan", b"\xff", *log.rows[25][3:]) for k in range(2)]
    return log.write(path)


def test_messages_that_are_lost_are_told_when_they_came_and_the_rest_at_the_end(tmp_path: Path) -> None:
    sink, summary = told(damaged(tmp_path / "a.mcap"))
    by_message = [row for row in sink.rows if row[2] in ("duplicate", "undecodable") or ": " in row[2]]
    duplicates = [row for row in by_message if row[1:3] == ("/vehicle/state", "duplicate")]
    assert len(duplicates) == summary.ledger["/vehicle/state"]["duplicate"] == 2
    assert {row[3] for row in duplicates} == {START_NS + 200_000_000, START_NS + 220_000_000}
    undecodable = [row for row in sink.rows if row[1] == "/scan" and row[2].startswith("undecodable")]
    assert len(undecodable) == summary.ledger["/scan"]["undecodable"] == 2
    last = sink.rows[-1]
    assert last[1:3] == ("run", f"loss: {summary.frames} frames")
    texts = [text for _, _, text, _ in sink.rows]
    assert any(text.startswith("1 errors of the plugin, the first: ValueError") for text in texts)
    assert any("2 undecodable" in text and text.startswith("of ") for text in texts)
    for warning in summary.warnings:
        assert any(text.startswith(f"{warning.code}: ") for text in texts)


def test_an_own_listener_gets_every_message_beside(tmp_path: Path) -> None:
    path, rows = damaged(tmp_path / "a.mcap"), []
    options = ReplayOptions(ledger_listener=lambda *row: rows.append(row))
    sink, summary = told(path, options)
    assert len(rows) == sum(sum(counts.values()) for counts in summary.ledger.values())
    assert sink.rows[:-1] == told(path)[0].rows[:-1]


@pytest.mark.parametrize("used_between", [0, 1])
def test_messages_that_are_lost_close_together_are_few_lines_with_their_count(used_between: int) -> None:
    """Also where every second message is late, as of a scanner that is twice as fast as the camera."""
    sink = Told()
    listener = RunRemarks([sink]).listening(None)
    assert listener is not None
    for k in range(250):
        listener("/scan", k, k, "late", "")
        for _ in range(used_between):
            listener("/scan", k, k, "used", "")
        listener("/camera", k, k, "used", "")
    assert [(text, at) for _, _, text, at in sink.rows] == [
        *[("late", k) for k in range(3)],
        ("late (10 times)", 9),
        ("late (100 times)", 99),
    ]
    for _ in range(APART):
        listener("/scan", 250, 250, "used", "")
    listener("/scan", 251, 251, "late", "why")
    assert sink.rows[-1] == ("warning", "/scan", "late: why", 251)


def test_remarks_about_one_topic_are_bounded() -> None:
    sink = Told()
    listener = RunRemarks([sink]).listening(None)
    assert listener is not None
    for k in range(2 * (APART + 1) * MOST):
        listener("/scan", k, k, "used" if k % (APART + 1) else "late", "")
    assert len(sink.rows) == MOST
    assert "and more" in sink.rows[-1][2]
    assert RunRemarks([]).listening(None) is None
