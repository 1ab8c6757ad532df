"""The tables of `perception evaluate`."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Console
from rich.text import Text

from perception.evaluation.report.display_text import of_log
from perception.evaluation.report.schema import EvaluationReport
from perception.evaluation.report.value_schema import MetricReport, ValueReport
from perception.evaluation.score_warnings import grouped_rows
from perception_tools.evaluate.confidence_text import (
    half_width,
    range_text,
    show_gates,
    show_reference,
    show_resampling,
    show_slices,
)
from perception_tools.evaluate.stress_text import show_faults, show_streaming
from perception_tools.printed_tables import Cells, show_table, table_console

Head = dict[str, MetricReport]

_SENSOR_LETTERS = {"camera": "C", "range": "R", "status": "S"}


def show(report: EvaluationReport) -> None:
    """Print the tables of a report."""
    console = table_console()
    for log in report.logs:
        source = f", stored in {log.outputs}" if log.outputs else ""
        console.print(Text(f"{log.log}: {log.frames} frames{source}"), soft_wrap=True)
    for name, head in report.heads.items():
        if any(metric.values for metric in head.values()):
            _show_head(console, name, head)
    if report.resampling is not None and any(metric.values for metric in report.heads["box"].values()):
        show_resampling(console, report.resampling)
    if report.slices:
        show_slices(console, report.slices)
    if report.ablation is not None:
        _show_ablation(console, report.ablation)
    if report.streaming:
        show_streaming(console, report.streaming)
    if report.fault_ablation is not None:
        show_faults(console, report.fault_ablation)
    _show_moments(console, report)
    for warning in grouped_rows(report.warnings):
        text = f"warning: {of_log(warning['log'], len(report.logs))}{warning['text']}"
        console.print(Text(text, style="yellow"), soft_wrap=True)
    for metric, error in report.faults.items():
        console.print(Text(f"metric {metric} failed: {error}", style="red"), soft_wrap=True)
    show_reference(console, report.reference)
    show_gates(console, report.gates)
    console.print(_status(report))


def _show_head(console: Console, name: str, head: Head) -> None:
    """Print the overall values, then those by class, size, channel or stage, in the narrower layout."""
    values = {key: value for metric in head.values() for key, value in metric.values.items()}
    overall = {key: value for key, value in values.items() if "/" not in key}
    parts = {tuple(key.split("/", 1)): value for key, value in values.items() if "/" in key}
    if overall:
        sure = ["95 %"] if any(value.interval is not None for value in overall.values()) else []
        rows: list[Cells | None] = [
            [key, _cell(value), *(range_text(value) for _ in sure), str(value.support), value.unit]
            for key, value in overall.items()
        ]
        head_row = ["", "", *sure, "support", ""]
        show_table(console, head_row, rows, title=name, words=(0, len(head_row) - 1))
    if parts:
        _show_parts(console, "" if overall else name, parts)
    _show_frames(console, head)
    for metric_report in head.values():
        if "timed" in metric_report.details:
            console.print(Text(f"timed: {metric_report.details['timed']}"))
    for metric_report in head.values():
        if "matrix" in metric_report.details:
            _show_confusion(console, metric_report)


def _show_parts(console: Console, title: str, parts: dict[tuple[str, ...], ValueReport]) -> None:
    """Print the values by class, size, channel or stage: the fewer of both across."""
    metrics, places = (list(dict.fromkeys(key[side] for key in parts)) for side in (0, 1))
    rows: list[Cells | None] = []
    if len(places) < len(metrics):
        for metric in metrics:
            cells = [parts.get((metric, place)) for place in places]
            rows.append([metric, *(_cell(cell, len(places) <= 4) for cell in cells), _unit(cells)])
        show_table(console, ["", *places, ""], rows, title=title, words=(0, len(places) + 1))
    else:
        rows += [[place, *(_cell(parts.get((metric, place))) for metric in metrics)] for place in places]
        show_table(console, ["", *metrics], rows, title=title)


def _unit(cells: list[ValueReport | None]) -> str:
    """Return the distinct units of the values, separated by commas; empty without a unit."""
    units = list(dict.fromkeys(cell.unit for cell in cells if cell is not None and cell.unit))
    return ", ".join(units)


def _show_frames(console: Console, head: Head) -> None:
    """Print the number of frames that counted, if some did not."""
    frames = next((metric.frames for metric in head.values() if metric.frames), {})
    counts = [f"{count} {row.replace('_', ' ')}" for row, count in frames.items() if count or row == "scored"]
    if len(counts) > 1:
        console.print(Text(f"  frames: {', '.join(counts)}"), soft_wrap=True)


def _show_confusion(console: Console, metric: MetricReport) -> None:
    """Print the matrix; columns have numbers for names where these would not fit."""
    labels, matrix = metric.details["labels"], metric.details["matrix"]
    columns = labels
    if sum(len(label) + 3 for label in labels) + max(map(len, labels)) > console.width:
        columns = [str(number) for number in range(1, len(labels) + 1)]
        labels = [f"{number} {label}" for number, label in zip(columns, labels, strict=True)]
    rows: list[Cells | None] = [
        [label, *(str(count) if count else "." for count in row)]
        for label, row in zip(labels, matrix, strict=True)
    ]
    title = f"confusion at score {metric.details['score']:.2f} (truth down, predicted across)"
    show_table(console, ["", *columns], rows, title=title)


def _show_ablation(console: Console, ablation: dict[str, dict[str, Head]]) -> None:
    """Print every head against every subset of the sensors."""
    names = ["".join(_SENSOR_LETTERS.get(part, part) for part in name.split("+")) for name in ablation]
    rows: list[Cells | None] = []
    for head, metrics in next(iter(ablation.values()), {}).items():
        for metric, metric_values in metrics.items():
            rows += _ablated(metric_values, [subset[head][metric] for subset in ablation.values()], head)
        rows.append(None)
    title = "what each sensor is worth (C camera, R range, S status; - undefined)"
    show_table(console, ["", *names], rows, title=title, dense=True)


def _ablated(metric: MetricReport, subsets: list[MetricReport], head: str) -> Iterator[Cells]:
    """Yield the rows of one metric; rows of control have the name of their channel."""
    channel = ""
    for key, value in metric.values.items():
        name, _, part = key.partition("/")
        if part and head != "control":
            continue
        if part != channel:
            channel = part
            yield [Text(part, style="italic"), *("" for _ in subsets)]
        name = f"{name}, {value.unit}" if value.unit else name
        yield [name, *(_narrow(subset.values.get(key)) for subset in subsets)]


def _show_moments(console: Console, report: EvaluationReport) -> None:
    if not report.moments:
        return
    console.print("the worst moments")
    for moment in report.moments:
        console.print(Text(f"  {moment.error:.2f}  {moment.what}"), soft_wrap=True)
        console.print(Text(f"        {moment.command}", style="dim"), soft_wrap=True)


def _cell(value: ValueReport | None, wide: bool = False) -> Text:
    """Return the value as text, with half of its interval where there is room."""
    if value is None:
        return Text("")
    if value.value is None:
        return Text("undefined", style="dim")
    if wide and value.interval is not None:
        return Text(f"{value.value:.3g}{half_width(value)}")
    return Text(f"{value.value:.4g}")


def _narrow(value: ValueReport | None) -> str:
    """Return three digits in at most six characters, so that seven subsets fit into 80 columns."""
    if value is None or value.value is None:
        return "" if value is None else "-"
    size = abs(value.value)
    if size == 0 or 0.001 <= size < 10:
        return f"{value.value:.3f}"
    return f"{value.value:.3g}" if 10 <= size < 1000 else f"{value.value:.0e}"


def _status(report: EvaluationReport) -> Text:
    style = {"clean": "green", "loss": "yellow"}.get(report.outcome, "red")
    return Text(f"{report.outcome} in {report.seconds:.1f} s", style=style)
