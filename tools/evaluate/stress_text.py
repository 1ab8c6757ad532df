"""The tables of faults and latency of `perception evaluate`, within 80 columns."""

from __future__ import annotations

from rich.console import Console

from perception.evaluation.head_scores import SCORES
from perception.evaluation.report.stress_schema import FaultsReport, StreamingReport
from perception_tools.printed_tables import Cells, show_table


def show_faults(console: Console, found: FaultsReport) -> None:
    """Print the relative scores under each fault, and the worst fault for each score."""
    levels = " ".join(f"{severity:g}" for severity in found.severities)
    rows: list[Cells | None] = [["none (the score)", *(_number(found.clean.get(name)) for name in SCORES)]]
    sensor = ""
    for curve in found.curves:
        rows += [None] if curve.sensor != sensor else []
        sensor = curve.sensor
        cells = [" ".join(_percent(point.kept.get(name)) for point in curve.points) for name in SCORES]
        rows.append([curve.fault, *cells])
    title = f"what is left of each score under a fault, in % (severities {levels})"
    show_table(console, ["fault", *SCORES], rows, title=title)
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
    rows: list[Cells | None] = []
    for score in found:
        latency = f"{score.latency_ms:g}{' measured' if score.measured else ''}"
        age = f"{score.age_ms['p50']:.0f}" if score.age_ms else "-"
        skipped = score.skipped / max(score.skipped + score.processed, 1)
        cells = [_number(score.scores.get(name)) for name in SCORES]
        rows.append([latency, *cells, age, f"{100 * skipped:.0f} %"])
    title = "when answers take their time (one worker, newest tick first)"
    show_table(console, ["latency, ms", *SCORES, "age p50, ms", "skipped"], rows, title=title)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _percent(kept: float | None) -> str:
    return "  -" if kept is None else f"{min(100 * kept, 999):3.0f}"
