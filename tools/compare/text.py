"""The text of `perception compare`."""

from __future__ import annotations

from collections.abc import Iterator

from rich.text import Text

from perception.evaluation.comparison.comparison_report import ComparedReport, CompareReport
from perception.evaluation.report.display_text import of_log
from perception.evaluation.report.value_schema import DifferenceReport
from perception.evaluation.score_warnings import grouped_rows
from perception_tools.evaluate.confidence_text import difference_text, show_correction, show_resampling
from perception_tools.printed_tables import Cells, show_table, table_console

SAME = "the same"
_STYLES = {"worse": "red", "better": "green", "cannot tell": "dim", SAME: "dim"}


def show(report: CompareReport) -> None:
    """Print the tables of a comparison."""
    console = table_console()
    for letter, side in (("A", report.a), ("B", report.b)):
        if side is not None:
            console.print(Text(f"{letter}: {side.name} ({side.kind}), {side.frames} frames"), soft_wrap=True)
    if report.metrics:
        show_table(console, ["", "A", "B", "B - A", "p", ""], [*_rows(report.metrics)], words=(0, 5))
    console.print(Text(summary(report.metrics), style="bold"), soft_wrap=True)
    show_correction(console, [metric.difference for metric in report.metrics])
    if report.resampling is not None:
        show_resampling(console, report.resampling)
    if report.apart:
        console.print("where they differ most")
    for moment in report.apart:
        console.print(Text(f"  {moment.difference:+.2f}  {moment.what}"), soft_wrap=True)
        for letter, command in zip("AB", moment.commands, strict=True):
            console.print(Text(f"     {letter}  {command}", style="dim"), soft_wrap=True)
    for warning in grouped_rows(report.warnings):
        text = f"warning: {of_log(warning['log'], len(report.logs))}{warning['text']}"
        console.print(Text(text, style="yellow"), soft_wrap=True)
    style = {"clean": "green", "loss": "yellow"}.get(report.status, "red")
    console.print(Text(f"{report.status} in {report.seconds:.1f} s", style=style))


def summary(metrics: list[ComparedReport]) -> str:
    """Return one line with the numbers of values for which B is better and worse."""
    verdicts = [_verdict(metric.difference) for metric in metrics]
    better, worse, same = (verdicts.count(word) for word in ("better", "worse", SAME))
    if verdicts and same == len(verdicts):
        return f"B is the same in all {same} values"
    open_ = len(verdicts) - better - worse - same
    equal = f", the same in {same}" if same else ""
    return f"B is better in {better} values, worse in {worse}{equal}; of {open_} these logs cannot tell"


def _verdict(difference: DifferenceReport) -> str:
    """Return the verdict as text; values equal in every draw are `SAME`, not `cannot tell`."""
    ends = difference.value, difference.low, difference.high
    return SAME if ends == (0, 0, 0) else difference.verdict


def _rows(metrics: list[ComparedReport]) -> Iterator[Cells]:
    head = ""
    for metric in metrics:
        if metric.head != head:
            head = metric.head
            yield [Text(head, style="bold"), *[""] * 5]
        verdict = _verdict(metric.difference)
        p = metric.difference.p_corrected
        yield [
            f" {metric.metric}",
            _number(metric.a),
            _number(metric.b),
            difference_text(metric.difference),
            "" if p is None else f"{p:.2g}" if p >= 0.001 else "<0.001",
            Text(verdict, style=_STYLES[verdict]),
        ]


def _number(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.3g}"
