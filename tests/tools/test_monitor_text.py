"""What the monitor found is shown for each of several logs, and for all of them together."""

from __future__ import annotations

from typing import Any

from rich.console import Console

from perception_tools.replay.monitor_text import doubt_in, show_batch_monitor


def monitor(**seconds: float) -> dict[str, Any]:
    reasons = [f"reason {k}" for k in range(5)]
    episode = {"subject": "class", "from_ns": 0, "until_ns": None, "reasons": reasons}
    return {
        "compared_with": "the checkpoint's statistics",
        "heads": {head: {"in_doubt_s": value} for head, value in seconds.items()},
        "episodes": [episode] if any(seconds.values()) else [],
    }


def shown(*monitors: dict[str, Any]) -> str:
    console = Console(width=80, record=True, highlight=False)
    rows = [{"log": f"run{k}/log.mcap", "monitor": found} for k, found in enumerate(monitors)]
    totals: dict[str, float] = {}
    for found in monitors:
        for head, report in found.get("heads", {}).items():
            totals[head] = totals.get(head, 0.0) + report["in_doubt_s"]
    show_batch_monitor(console, rows, [row["log"] for row in rows], {h: s for h, s in totals.items() if s})
    return console.export_text()


def test_the_longest_doubt_of_a_log_stands_in_its_row() -> None:
    assert doubt_in(monitor(**{"class": 1.25, "box": 3.0, "control": 0.0})) == "3.0 s"
    assert doubt_in(monitor(**{"class": 0.0})) == "no"
    assert doubt_in({}) == ""


def test_doubts_are_summed_and_named_with_their_reasons_for_each_log() -> None:
    text = shown(
        monitor(**{"class": 1.0, "box": 0.0}), monitor(**{"class": 2.5}), monitor(**{"class": 0.0}), {}
    )
    assert "monitor: in doubt class 3.5 s, in 2 of 3 logs" in text
    assert "run0/log.mcap: class 1.0 s: reason 0; reason 1; reason 2; and 2 more" in text
    assert "run1/log.mcap: class 2.5 s" in text
    assert "run2" not in text
    assert max(map(len, text.splitlines())) <= 80


def test_no_doubt_is_one_line_and_no_monitor_none() -> None:
    assert shown(monitor(**{"class": 0.0})).strip() == "monitor: no head in doubt in 1 log"
    assert shown({}) == ""
