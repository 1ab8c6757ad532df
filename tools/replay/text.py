"""The summary of a run as a person reads it: 80 columns, plain when piped."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from perception.align.ledger import ROWS
from perception.pipeline import Summary
from perception.pipeline.times import STAGES
from perception_tools.replay.monitor_text import show_monitor

LOUD = {"untrained"}
COLOURS = {"clean": "green", "loss": "yellow", "failed": "red", "interrupted": "yellow"}


def show(summary: Summary, written: list[Path]) -> None:
    """Print a summary to stdout."""
    console = Console(highlight=False, markup=False, emoji=False)
    console.print(_headline(summary))
    console.print(_heads(summary))
    console.print(_latency(summary))
    if summary.deadline:
        period, misses = summary.deadline["period_ms"], summary.deadline["misses"]
        told = f"{misses:.0f} of {summary.frames} answers came more than a period of {period:.0f} ms late"
        console.print(told)
    console.print(_ledger(summary.ledger))
    _print_loss(console, summary)
    show_monitor(console, summary.monitor)
    _print_warnings(console, summary)
    for path in written:
        console.print(f"written: {path}", soft_wrap=True)


def _headline(summary: Summary) -> Text:
    speed = summary.frames / summary.seconds if summary.seconds else 0.0
    text = Text(summary.status, style=f"bold {COLOURS[summary.status]}")
    text.append(
        f": {summary.frames} frames of {summary.log_seconds:.1f} s in {summary.seconds:.1f} s", style="none"
    )
    text.append(f" ({speed:.1f} frames/s)", style="none")
    told = summary.run
    weights = told.get("weights", "")
    parts = [
        told.get("plugin", ""),
        weights,
        told.get("backend", ""),
        told.get("precision", ""),
        told.get("device_name", told.get("device", "")),
    ]
    text.append("\n" + ", ".join(part for part in parts if part), style="dim")
    return text


def _heads(summary: Summary) -> Table:
    table = _table("head", "valid", "invalid", "", "input", "present", "absent")
    heads = [(h, c["valid"], c["invalid"]) for h, c in summary.outputs.items()]
    inputs = [(n, c["present"], c["absent"]) for n, c in summary.inputs.items()]
    for k in range(max(len(heads), len(inputs))):
        left = heads[k] if k < len(heads) else ("", "", "")
        right = inputs[k] if k < len(inputs) else ("", "", "")
        table.add_row(*map(str, left), "", *map(str, right))
    return table


def _latency(summary: Summary) -> Table:
    table = _table("latency, ms", *STAGES, "total")
    if summary.lateness_ms:
        table.add_column("late", justify="right")
    for quantile in ("p50", "p99"):
        cells = [_ms(summary.latency_ms.get(stage, {}).get(quantile)) for stage in (*STAGES, "total")]
        if summary.lateness_ms:
            cells.append(_ms(summary.lateness_ms.get(quantile)))
        table.add_row(quantile, *cells)
    return table


def _ledger(ledger: Mapping[str, Mapping[str, int]]) -> Table:
    """One row a topic; only columns that have a number."""
    rows = [row for row in ROWS if any(counts.get(row) for counts in ledger.values())]
    table = _table("topic", "messages", "what became of them")
    table.columns[2].justify = "left"
    for topic, counts in ledger.items():
        told = ", ".join(f"{counts[row]} {row.replace('_', ' ')}" for row in rows if counts.get(row))
        table.add_row(topic, str(sum(counts.values())), told)
    return table


def _print_loss(console: Console, summary: Summary) -> None:
    for damage in summary.damage:
        when = ""
        if damage.t0_ns is not None and damage.t1_ns is not None:
            when = f" from {damage.t0_ns / 1e9:.3f} to {damage.t1_ns / 1e9:.3f} s"
        count = (
            f"{damage.messages} messages" if damage.messages is not None else "an unknown number of messages"
        )
        console.print(
            Text(f"lost: {count}{when}, {damage.bytes} bytes: {damage.reason}", style="yellow"),
            soft_wrap=True,
        )
    if summary.dropped:
        console.print(f"dropped: {summary.dropped} samples were overtaken (--live-drop)", soft_wrap=True)
    if summary.errors:
        text = f"plugin errors: {summary.errors}; the first: {summary.first_error}"
        console.print(Text(text, style="red"), soft_wrap=True)


def _print_warnings(console: Console, summary: Summary) -> None:
    for warned in summary.warnings:
        times = f" ({warned.count} frames)" if warned.count > 1 else ""
        if warned.code in LOUD:
            console.print(Text(f"WARNING: {warned.text}{times}", style="bold yellow"))
        else:
            console.print(Text(f"warning: {warned.text}{times}", style="yellow"))


def _table(*columns: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for number, column in enumerate(columns):
        table.add_column(
            column, justify="left" if number == 0 or column == "input" else "right", overflow="fold"
        )
    return table


def _ms(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:.2f}" if value < 10 else f"{value:.1f}"
