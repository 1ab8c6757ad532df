"""The text of intervals, slices, gates and the reference in `perception evaluate`."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from perception.evaluation.report.schema import DivergenceReport, GateReport
from perception.evaluation.report.value_schema import (
    DifferenceReport,
    ResamplingReport,
    SliceReport,
    ValueReport,
)
from perception_tools.printed_tables import Cells, show_table

MOST_SLICES = 12
_STYLES = {"worse": "red", "better": "green", "cannot tell": "dim"}


def range_text(value: ValueReport) -> str:
    """Return `0.32 to 0.41`; empty without an interval."""
    if value.interval is None:
        return ""
    return f"{value.interval.low:.3g} to {value.interval.high:.3g}"


def half_width(value: ValueReport) -> str:
    """Return half of the interval as ` ±0.05`, for narrow cells; empty without one."""
    if value.interval is None:
        return ""
    return f" ±{(value.interval.high - value.interval.low) / 2:.2g}"


def show_resampling(console: Console, resampling: ResamplingReport) -> None:
    """Print how the intervals were computed, or why there are none."""
    missing: dict[str, list[str]] = {}
    for head, blocks in resampling.heads.items():
        if blocks.no_interval:
            missing.setdefault(blocks.no_interval, []).append(head)
    for why, heads in missing.items():
        console.print(Text(f"no intervals for {', '.join(heads)}: {why}"), soft_wrap=True)
    known = [blocks for blocks in resampling.heads.values() if not blocks.no_interval]
    if known:
        lengths = sorted({f"{blocks.block_s:.3g}" for blocks in known}, key=float)
        drawn = f"{resampling.logs} logs and then blocks" if "logs" in resampling.stages else "blocks"
        console.print(
            Text(
                f"intervals: {resampling.level:.0%}, {resampling.draws} draws of {drawn} of "
                f"{' and '.join(lengths)} s; in narrow columns ± is half of one"
            ),
            soft_wrap=True,
        )


def difference_text(difference: DifferenceReport) -> str:
    """Return a difference with half of its interval: `-0.12 ±0.08`."""
    if difference.value is None:
        return "undefined"
    if difference.low is None or difference.high is None:
        return f"{difference.value:+.3g}"
    return f"{difference.value:+.3g} ±{(difference.high - difference.low) / 2:.2g}"


def show_slices(console: Console, slices: list[SliceReport]) -> None:
    """Print the significantly worse slices, then others up to a limit."""
    sure = [part for part in slices if part.difference.verdict == "worse"]
    shown = slices[: max(len(sure), MOST_SLICES)]
    rows: list[Cells | None] = [
        [
            f"{part.by}: {part.part}, {part.metric}",
            "" if part.value is None else f"{part.value:.3g}",
            "" if part.rest is None else f"{part.rest:.3g}",
            difference_text(part.difference),
            Text(part.difference.verdict, style=_STYLES[part.difference.verdict]),
        ]
        for part in shown
    ]
    head = ["part", "here", "rest", "difference", ""]
    show_table(console, head, rows, title="parts of the data against the rest", words=(0, 4))
    show_correction(console, [part.difference for part in slices])
    if len(slices) > len(shown):
        console.print(Text(f"  and {len(slices) - len(shown)} more, see --json"))


def show_correction(console: Console, differences: Sequence[DifferenceReport]) -> None:
    """Print for how many comparisons the verdicts are corrected."""
    count = sum(difference.p_corrected is not None for difference in differences)
    if count:
        text = f"worse or better: p below 0.05 after Holm's correction for {count} comparisons"
        console.print(Text(text))


def show_gates(console: Console, gates: list[GateReport]) -> None:
    """Print each gate and whether it holds."""
    for gate in gates:
        style, word = ("green", "passed") if gate.passed else ("red", "failed")
        console.print(Text(f"{word}: {gate.require}: {gate.why}", style=style), soft_wrap=True)


def show_reference(console: Console, rows: list[DivergenceReport]) -> None:
    """Print for each head whether its decisions agree with the reference."""
    for row in rows:
        if not row.diverged and row.frames:
            text = f"{row.head}: decides as the reference in {row.frames} frames of {row.log}"
            console.print(Text(text, style="green"), soft_wrap=True)
            continue
        at = "" if row.at_s is None else f", first at {row.at_s:.2f} s: {row.what}"
        text = f"{row.head}: diverges in {row.diverged} of {row.frames} frames of {row.log}{at}"
        console.print(Text(text, style="red"), soft_wrap=True)
        if row.command:
            console.print(Text(f"        {row.command}", style="dim"), soft_wrap=True)
