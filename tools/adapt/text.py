"""The report of an adaptation as text."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from perception_tools.printing import say

if TYPE_CHECKING:
    from perception.training.adaptation.report import AdaptReport, RoundReport, SelfCheck


def show(report: AdaptReport) -> None:
    """Print what an adaptation changed, and the verdict."""
    say(*_lines(report))


def _lines(report: AdaptReport) -> Iterator[str]:
    yield f"started from {report.started_from}"
    yield f"{report.samples} samples learned from, {report.held_out} held out, {report.seconds:.0f} s of CPU"
    yield from _stats(report)
    for number, done in enumerate(report.rounds, 1):
        yield from _round(number, done)
    if report.before is not None and report.after is not None:
        yield from _self_check(report.before, report.after)
    if report.calibration:
        yield f"calibration, with {', '.join(report.calibrated_with)}:"
        for change in report.calibration:
            yield f"  {change.name:28} {change.old:.3g} -> {change.new:.3g}  ({change.rests_on} boxes)"
    yield from _truth(report)
    yield from (f"note: {note}" for note in report.notes)
    if report.status == "interrupted":
        yield "interrupted; nothing was written but the rounds"
    elif report.refused:
        yield f"refused, the weights stay {report.checkpoint}:"
        yield from (f"  {reason}" for reason in report.refused)
    else:
        yield f"weights: {report.checkpoint}"


def _stats(report: AdaptReport) -> Iterator[str]:
    if report.stats_kept:
        yield f"statistics of inputs stay: {report.stats_kept}"
        return
    changed = [change for change in report.stats if change.old != change.new]
    if changed:
        yield "statistics of inputs, mean and deviation:"
    for change in changed:
        yield (
            f"  {change.group + '.' + change.channel:20} {change.old[0]:8.3g} {change.old[1]:8.3g} -> "
            f"{change.new[0]:8.3g} {change.new[1]:8.3g}"
        )


def _round(number: int, done: RoundReport) -> Iterator[str]:
    why = {"max_cpu": ", the time was up", "interrupted": ", interrupted", "no_labels": ", no labels"}
    yield f"round {number}: {done.steps} steps, {done.cpu_s:.0f} s of CPU{why.get(done.reason, '')}"
    columns = ("from score", "confirmed", "labels", "distances", "doubts")
    yield f"  {'class':10} " + " ".join(f"{column:>10}" for column in columns)
    for row in done.classes:
        score = "none" if row.score is None else f"{row.score:.2f}"
        confirmed = "-" if row.confirmed is None else f"{row.confirmed:.0%}"
        counts = f"{row.labels:10} {row.distances:10} {row.doubts:10}"
        yield f"  {row.label:10.10} {score:>10} {confirmed:>10} {counts}"


def _self_check(before: SelfCheck, after: SelfCheck) -> Iterator[str]:
    yield "held-out part, without truth:"
    for name, a, b in (
        ("mirrored views agree on", before.agreement, after.agreement),
        ("distance against returns", before.distance_error, after.distance_error),
    ):
        yield f"  {name:28} {_share(a)} -> {_share(b)}"
    yield f"  {'boxes in a picture':28} {before.boxes:.3g} -> {after.boxes:.3g}"


def _truth(report: AdaptReport) -> Iterator[str]:
    truth = report.truth
    if truth is None:
        if report.status != "interrupted":
            yield "no truth: nothing says whether it got better; --validate names a log with labels"
        return
    yield f"{truth.source}:"
    for score in truth.scores:
        a, b = ("-" if value is None else f"{value:.4g}" for value in (score.before, score.after))
        yield f"  {score.name:28} {a} -> {b}  {score.verdict}"
    if truth.no_verdict:
        yield f"  no verdict: {truth.no_verdict}"
    yield from (f"  warning: {text}" for text in truth.warnings)


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.1%}"
