"""What several logs came to, as a person reads it: 80 columns."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from perception_tools.replay.text import COLOURS


def show_many(report: dict[str, Any]) -> None:
    """Print the report to stdout."""
    console = Console(highlight=False, markup=False, emoji=False)
    totals, seconds = report["totals"], report["seconds"]
    text = Text(report["status"], style=f"bold {COLOURS[report['status']]}")
    speed = totals["frames"] / seconds if seconds and not totals["skipped"] else None
    told = f": {totals['logs']} logs, {totals['frames']} frames of {totals['log_seconds']:.1f} s"
    told += f" in {seconds:.1f} s" + (f" ({speed:.1f} frames/s)" if speed is not None else "")
    if totals["skipped"]:
        told += f"; {totals['skipped']} were done before"
    text.append(told, style="none")
    console.print(text)
    console.print(_table(report["logs"]))
    for row in report["logs"]:
        if row.get("error"):
            console.print(Text(f"{Path(row['log']).name}: {row['error']}", style="red"), soft_wrap=True)
        elif row["errors"]:
            text = Text(f"{Path(row['log']).name}: plugin errors: {row['errors']}; the first: ", style="red")
            console.print(text.append(row["first_error"]), soft_wrap=True)
    folders = sorted({str(Path(name).parent) for row in report["logs"] for name in row["written"]})
    for folder in folders:
        console.print(f"written to: {folder}", soft_wrap=True)


def _table(rows: list[dict[str, Any]]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("log", "status", "frames", "frames/s", "invalid", "warnings"):
        table.add_column(name, justify="left" if name in ("log", "status") else "right", overflow="fold")
    for row in rows:
        status = Text(row["status"] + (", done before" if row["skipped"] else ""), COLOURS[row["status"]])
        if "error" in row:
            table.add_row(Path(row["log"]).name, status)
            continue
        speed = f"{row['frames'] / row['seconds']:.1f}" if row["seconds"] else ""
        invalid = sum(counts["invalid"] for counts in row["outputs"].values())
        cells = (str(row["frames"]), speed, str(invalid), str(len(row["warnings"])))
        table.add_row(Path(row["log"]).name, status, *cells)
    return table
