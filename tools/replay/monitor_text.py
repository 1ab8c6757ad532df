"""What the monitor of a replay found, in a few lines."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from perception.types import head_specs

MOST = 12


def show_monitor(console: Console, found: Mapping[str, Any]) -> None:
    """One line where every head could be believed; else when which could not, and why."""
    if not found.get("heads"):
        return
    rows = _rows(found)
    in_doubt = [name for name in head_specs() if found["heads"].get(name, {}).get("in_doubt_s")]
    compared = found["compared_with"]
    if not in_doubt:
        console.print(Text(f"monitor: no head in doubt, compared with {compared}"))
    else:
        told = ", ".join(f"{name} {found['heads'][name]['in_doubt_s']:.1f} s" for name in in_doubt)
        text = f"monitor: in doubt {told}, compared with {compared}"
        console.print(Text(text, style="yellow"))
    for when, subjects, reasons in rows[:MOST]:
        console.print(Padding(Text(f"{when}  {', '.join(subjects)}: {'; '.join(reasons)}"), (0, 0, 0, 2)))
    if len(rows) > MOST:
        console.print(f"  and {len(rows) - MOST} more (--json)")


def _rows(found: Mapping[str, Any]) -> list[tuple[str, list[str], list[str]]]:
    """Episodes at the same time for the same reasons, as one: when, whose, why."""
    rows: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for episode in found["episodes"]:
        ends_ns = episode["until_ns"]
        when = f"{_s(found, episode['from_ns'])} to {'the end' if ends_ns is None else _s(found, ends_ns)}"
        rows.setdefault((when, tuple(episode["reasons"])), []).append(episode["subject"])
    return [(when, subjects, list(reasons)) for (when, reasons), subjects in rows.items()]


def _s(found: Mapping[str, Any], time_ns: int) -> str:
    return f"{(time_ns - (found.get('start_ns') or 0)) / 1e9:.1f} s"
