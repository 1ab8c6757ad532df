"""The printed summary of one or several logs: 80 columns, without styles when piped."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from itertools import zip_longest
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from perception.align.ledger import ROWS
from perception.pipeline import Summary
from perception.pipeline.batch import BatchResult, replay_totals
from perception.pipeline.sensor_warnings import grouped
from perception.pipeline.stage_times import STAGES
from perception.text import listed, plural
from perception_tools.exit_codes import json_status, with_exit_code
from perception_tools.printed_tables import NameCell, plain_table, show_table
from perception_tools.printing import make_console, print_lines
from perception_tools.replay.monitor_text import doubt_in, show_batch_monitor, show_monitor

LOUD = {"untrained"}
MOST_UNUSED = 6
"""Topics of one reason that are named; `info` has all reasons."""
COLOURS = {"clean": "green", "loss": "yellow", "failed": "red", "interrupted": "yellow"}


def show(summary: Summary, written: list[Path]) -> None:
    """Print a summary to stdout."""
    console = make_console()
    print_lines(console, _headline(summary))
    for line in summary.run.get("note", "").splitlines():
        console.print(Text(line), soft_wrap=True)
    _print_heads(console, summary)
    _print_latency(console, summary)
    if summary.deadline:
        period, misses = summary.deadline["period_ms"], summary.deadline["misses"]
        lateness = f"{misses:.0f} of {summary.frames} answers came more than a period of {period:.0f} ms late"
        console.print(lateness)
    console.print(_ledger(summary.ledger))
    _print_loss(console, summary)
    show_monitor(console, summary.monitor)
    _print_warnings(console, summary)
    _print_unused(console, summary)
    for path in written:
        console.print(f"written: {path}", soft_wrap=True)


def _headline(summary: Summary) -> Text:
    speed = summary.frames / summary.seconds if summary.seconds else 0.0
    text = Text(summary.status, style=f"bold {COLOURS[summary.status]}")
    text.append(
        f": {summary.frames} frames of {summary.log_seconds:.1f} s in {summary.seconds:.1f} s", style="none"
    )
    text.append(f" ({speed:.1f} frames/s)", style="none")
    listing = summary.run
    weights = listing.get("weights", "")
    parts = [
        listing.get("plugin", ""),
        weights,
        listing.get("backend", ""),
        listing.get("precision", ""),
        listing.get("device_name", listing.get("device", "")),
    ]
    text.append("\n" + ", ".join(part for part in parts if part), style="dim")
    return text


def _print_heads(console: Console, summary: Summary) -> None:
    """Print heads and inputs beside each other, or below each other where there is no room."""
    heads = [(h, str(c["valid"]), str(c["invalid"])) for h, c in summary.outputs.items()]
    inputs = [(n, str(c["present"]), str(c["absent"])) for n, c in summary.inputs.items()]
    of_heads, of_inputs = ("head", "valid", "invalid"), ("input", "present", "absent")
    none = ("", "", "")
    beside = [(*left, "", *right) for left, right in zip_longest(heads, inputs, fillvalue=none)]
    table = plain_table((*of_heads, "", *of_inputs), beside, left=(0, 4))
    if console.measure(table, options=console.options.update(max_width=1000)).maximum <= console.width:
        console.print(table)
        return
    console.print(plain_table(of_heads, heads))
    console.print(plain_table(of_inputs, inputs))


def _print_latency(console: Console, summary: Summary) -> None:
    late = {"late": summary.lateness_ms} if summary.lateness_ms else {}
    stages = {stage: summary.latency_ms.get(stage, {}) for stage in (*STAGES, "total")} | late
    rows = [[quantile, *(_ms(of.get(quantile)) for of in stages.values())] for quantile in ("p50", "p99")]
    show_table(console, ["latency, ms", *stages], rows)


def _ledger(ledger: Mapping[str, Mapping[str, int]]) -> Table:
    """Return a table with a row for each topic, with the counts that are not 0."""
    rows = [row for row in ROWS if any(counts.get(row) for counts in ledger.values())]
    table = plain_table(("topic", "messages", "outcome"), left=(0, 2))
    for topic, counts in ledger.items():
        listing = ", ".join(f"{counts[row]} {row.replace('_', ' ')}" for row in rows if counts.get(row))
        table.add_row(NameCell(topic), str(sum(counts.values())), listing)
    return table


def _print_loss(console: Console, summary: Summary) -> None:
    begin_ns = summary.monitor.get("start_ns") or 0  # seconds count from the start of the log, as in `info`
    for damage in summary.damage:
        when = ""
        if damage.t0_ns is not None and damage.t1_ns is not None:
            when = f" from {(damage.t0_ns - begin_ns) / 1e9:.2f} s to {(damage.t1_ns - begin_ns) / 1e9:.2f} s"
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
    for reason in dict.fromkeys(summary.first_invalid.values()):
        if reason and reason != summary.first_error:
            heads = [head for head, why in summary.first_invalid.items() if why == reason]
            counts = ", ".join(f"{head} {summary.outputs[head]['invalid']}" for head in heads)
            console.print(Text(f"invalid: {counts}; the first: {reason}", style="yellow"), soft_wrap=True)


def _print_warnings(console: Console, summary: Summary) -> None:
    for warned in grouped(summary.warnings):
        times = f" ({warned.count} times)" if warned.count > 1 else ""
        if warned.of_samples and summary.frames > 1:
            times = f" ({warned.count} of {summary.frames} frames)"
        if warned.code in LOUD:
            console.print(Text(f"WARNING: {warned.text}{times}", style="bold yellow"))
        else:
            console.print(Text(f"warning: {warned.text}{times}", style="yellow"))


def _print_unused(console: Console, summary: Summary) -> None:
    """Print the topics that were not used, those of one reason in one line."""
    by_code: dict[str, list[str]] = {}
    for unused in summary.unused:
        by_code.setdefault(unused.code, []).append(unused.topic)
    if by_code:
        parts = [
            f"{listed(topics, MOST_UNUSED)} ({code.replace('_', ' ')})" for code, topics in by_code.items()
        ]
        console.print(Text(f"not used: {'; '.join(parts)}: see `perception info`"), soft_wrap=True)


def _ms(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:.2f}" if value < 10 else f"{value:.1f}"


# --- several logs ------


def batch_document(result: BatchResult) -> dict[str, Any]:
    """Return the JSON document of a batch; `logs` holds the document of each log."""
    rows = []
    for job in result.logs:
        if job.summary is not None:
            document = with_exit_code(job.summary, job.status)
            written = [str(path) for path in job.written]
            names = {"log": str(job.log), "recording": job.recording}
            rows.append({**document, **names, "skipped": job.skipped, "written": written})
        else:
            row = {"log": str(job.log), "recording": job.recording, "skipped": False}
            row["status"] = json_status(job.status)
            rows.append(with_exit_code(row, job.status) | {"error": job.error, "written": []})
    document = {
        "schema": "perception.replay_many/1",
        "status": json_status(result.status),
        "totals": {**result.counts(), **replay_totals(result.summaries)},
        "seconds": result.seconds,
        "logs": rows,
    }
    return with_exit_code(document, result.status)


def show_batch(report: dict[str, Any]) -> None:
    """Print the document of a batch to stdout."""
    console = make_console()
    totals, seconds = report["totals"], report["seconds"]
    text = Text(report["status"], style=f"bold {COLOURS[report['status']]}")
    speed = totals["frames"] / seconds if seconds and not totals["skipped"] else None
    totals_text = f": {plural(totals['logs'], 'log')}, {totals['frames']} frames"
    totals_text += f" of {totals['log_seconds']:.1f} s"
    totals_text += f" in {seconds:.1f} s" + (f" ({speed:.1f} frames/s)" if speed is not None else "")
    if totals["skipped"]:
        totals_text += f"; {totals['skipped']} were done before"
    text.append(totals_text, style="none")
    console.print(text)
    labels = _labels(report["logs"])
    console.print(_batch_table(report["logs"], labels))
    for row, label in zip(report["logs"], labels, strict=True):
        if row.get("error"):
            console.print(Text(f"{label}: {row['error']}", style="red"), soft_wrap=True)
        elif row["errors"]:
            text = Text(f"{label}: plugin errors: {row['errors']}; the first: ", style="red")
            console.print(text.append(row["first_error"]), soft_wrap=True)
        for name in row["written"]:
            if not Path(name).name.startswith(f"{Path(row['log']).stem}."):
                console.print(f"{row['log']}: written to {name}", soft_wrap=True)
    show_batch_monitor(console, report["logs"], labels, {h: s for h, s in totals["in_doubt_s"].items() if s})
    folders = sorted({str(Path(name).parent) for row in report["logs"] for name in row["written"]})
    for folder in folders:
        console.print(f"written to: {folder}", soft_wrap=True)


def _labels(rows: list[dict[str, Any]]) -> list[str]:
    """Return the name of each log; its path where several have that name; of its spans their names."""
    names, logs = (Counter(key(row) for row in rows) for key in (_log_name, _log))
    return [
        _log_name(row)
        if names[_log_name(row)] == 1
        else row["recording"]
        if logs[_log(row)] > 1
        else _log(row)
        for row in rows
    ]


def _log(row: Mapping[str, Any]) -> str:
    return str(row["log"])


def _log_name(row: Mapping[str, Any]) -> str:
    return Path(_log(row)).name


def _batch_table(rows: list[dict[str, Any]], labels: list[str]) -> Table:
    columns = ("log", "status", "frames", "frames/s", "invalid", "in doubt", "warnings")
    table = plain_table(columns, left=(0, 1))
    for row, label in zip(rows, labels, strict=True):
        status = Text(row["status"] + (", done before" if row["skipped"] else ""), COLOURS[row["status"]])
        if "error" in row:
            table.add_row(label, status)
            continue
        speed = f"{row['frames'] / row['seconds']:.1f}" if row["seconds"] else ""
        invalid = sum(counts["invalid"] for counts in row["outputs"].values())
        doubt = doubt_in(row.get("monitor", {}))
        cells = (str(row["frames"]), speed, str(invalid), doubt, str(len(row["warnings"])))
        table.add_row(label, status, *cells)
    return table
