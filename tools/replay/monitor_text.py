"""The findings of the monitor in one run or in several, as text of 80 columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from perception.text import listed, plural
from perception.types import head_specs

MOST_EPISODES = 12
MOST_REASONS = 3
"""Of each log among several."""


def show_monitor(console: Console, monitor: Mapping[str, Any]) -> None:
    """Print the monitor's result: one line if no head was in doubt, else the episodes with their reasons."""
    if not monitor.get("heads"):
        return
    rows = _episode_rows(monitor)
    compared = monitor["compared_with"]
    if not _doubts(monitor):
        console.print(Text(f"monitor: no head in doubt, compared with {compared}"))
    else:
        text = f"monitor: in doubt {_listing(_doubts(monitor))}, compared with {compared}"
        console.print(Text(text, style="yellow"))
    for when, subjects, reasons in rows[:MOST_EPISODES]:
        console.print(Padding(Text(f"{when}  {', '.join(subjects)}: {'; '.join(reasons)}"), (0, 0, 0, 2)))
    if len(rows) > MOST_EPISODES:
        console.print(f"  and {len(rows) - MOST_EPISODES} more (--json)")


def show_batch_monitor(
    console: Console,
    rows: Sequence[Mapping[str, Any]],
    labels: Sequence[str],
    in_doubt_s: Mapping[str, float],
) -> None:
    """Print how long heads were in doubt in all logs together, and in which, with the first reasons."""
    reports = {label: row.get("monitor", {}) for label, row in zip(labels, rows, strict=True)}
    watched = {label: monitor for label, monitor in reports.items() if monitor.get("heads")}
    doubtful = {label: monitor for label, monitor in watched.items() if _doubts(monitor)}
    if not watched:
        return
    if not doubtful:
        console.print(Text(f"monitor: no head in doubt in {plural(len(watched), 'log')}"))
        return
    text = f"monitor: in doubt {_listing(in_doubt_s)}, in {len(doubtful)} of {plural(len(watched), 'log')}"
    console.print(Text(text, style="yellow"))
    for label, monitor in doubtful.items():
        line = f"{label}: {_listing(_doubts(monitor))}: "
        line += listed(_reasons(monitor), MOST_REASONS, "; ")
        console.print(Padding(Text(line), (0, 0, 0, 2)))


def doubt_in(monitor: Mapping[str, Any]) -> str:
    """Return how long the head that was longest in doubt was so; empty without a monitor."""
    if not monitor.get("heads"):
        return ""
    longest = max(_doubts(monitor).values(), default=0.0)
    return f"{longest:.1f} s" if longest else "no"


def _doubts(monitor: Mapping[str, Any]) -> dict[str, float]:
    """Return head -> the seconds in which it was in doubt, for those that were."""
    seconds = {name: monitor["heads"].get(name, {}).get("in_doubt_s", 0.0) for name in head_specs()}
    return {name: value for name, value in seconds.items() if value}


def _listing(seconds: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {value:.1f} s" for name, value in seconds.items())


def _reasons(monitor: Mapping[str, Any]) -> list[str]:
    """Return the reasons of all episodes of heads, each once."""
    episodes = (episode for episode in monitor["episodes"] if episode["subject"] in head_specs())
    return list(dict.fromkeys(reason for episode in episodes for reason in episode["reasons"]))


def _episode_rows(monitor: Mapping[str, Any]) -> list[tuple[str, list[str], list[str]]]:
    """Return one row (time, subjects, reasons) for all episodes with the same time and reasons."""
    rows: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for episode in monitor["episodes"]:
        ends_ns = episode["until_ns"]
        when = (
            f"{_s(monitor, episode['from_ns'])} to {'the end' if ends_ns is None else _s(monitor, ends_ns)}"
        )
        rows.setdefault((when, tuple(episode["reasons"])), []).append(episode["subject"])
    return [(when, subjects, list(reasons)) for (when, reasons), subjects in rows.items()]


def _s(monitor: Mapping[str, Any], time_ns: int) -> str:
    return f"{(time_ns - (monitor.get('start_ns') or 0)) / 1e9:.1f} s"
