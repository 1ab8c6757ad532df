"""The tables of faults and latency of `perception evaluate`, within 80 columns."""

from __future__ import annotations

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from perception.evaluation.report.schema import FaultsReport, StreamingReport

SCORES = ("class", "box", "distance", "control")


def show_faults(console: Console, found: FaultsReport) -> None:
    """Print the relative scores under each fault, and the worst fault for each score."""
    levels = " ".join(f"{severity:g}" for severity in found.severities)
    console.print(
        Text(f"what is left of each score under a fault, in % (severities {levels})", style="bold"),
        soft_wrap=True,
    )
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("fault", no_wrap=True)
    for name in SCORES:
        table.add_column(name, justify="right", no_wrap=True)
    table.add_row("none (the score)", *(_number(found.clean.get(name)) for name in SCORES), style="dim")
    sensor = ""
    for curve in found.curves:
        if curve.sensor != sensor:
            table.add_section()
            sensor = curve.sensor
        cells = [" ".join(_percent(point.kept.get(name)) for point in curve.points) for name in SCORES]
        table.add_row(curve.fault, *cells)
    console.print(table)
    for name, worst in found.worst.items():
        left = f"{100 * worst.kept:.0f} % left, on average over the severities"
        console.print(f"worst for {name}: {worst.fault} ({left})", soft_wrap=True)
    console.print(
        f"cost: {found.replays} replays in {found.seconds:.0f} s; {found.asked} samples computed, "
        f"{found.recalled} recalled, which no fault had touched",
        soft_wrap=True,
    )


def show_streaming(console: Console, found: list[StreamingReport]) -> None:
    """Print the scores of a single worker by latency."""
    console.print(Text("when answers take their time (one worker, newest tick first)", style="bold"))
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("latency, ms", no_wrap=True)
    for name in (*SCORES, "age p50, ms", "skipped"):
        table.add_column(name, justify="right", no_wrap=True)
    for score in found:
        latency = f"{score.latency_ms:g}{' measured' if score.measured else ''}"
        age = f"{score.age_ms['p50']:.0f}" if score.age_ms else "-"
        skipped = score.skipped / max(score.skipped + score.processed, 1)
        table.add_row(
            latency, *(_number(score.scores.get(name)) for name in SCORES), age, f"{100 * skipped:.0f} %"
        )
    console.print(table)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _percent(kept: float | None) -> str:
    return "  -" if kept is None else f"{min(100 * kept, 999):3.0f}"
