"""The tables of the page, as cells that the template lays out; None without data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from perception.evaluation.report import highlights
from perception.evaluation.report.display_text import (
    details,
    interval,
    measured,
    number,
    parts_of,
    percent,
    short,
    signed,
    values,
)
from perception.evaluation.report.schema import EvaluationReport
from perception.evaluation.report.table_cells import (
    NONE,
    Cell,
    TableData,
    shaded_cell,
    table_of,
    undefined_cell,
    with_unit,
    word_cell,
)
from perception.evaluation.report.value_schema import MetricReport, SliceReport, ValueReport

MOST_SLICES = 40
MOST_SIGNIFICANT = 14
SIGNS = {"worse": ("\u25bc", "bad"), "better": ("\u25b2", "good"), "cannot tell": ("\u00b7", "dim")}
OVERALL = (
    ("box", "mAP50", "Boxes: mAP50"),
    ("class", "F1", "Classes: F1"),
    ("box", "distance_abs", "Distance: mean error"),
    ("control", "MAE/", "{}: mean error"),
    ("class", "D-ECE", "Scores: error of calibration"),
    ("joint", "joint", "All heads: joint score"),
    ("timing", "p50/total", "Time for a frame, median"),
)
"""Head, value and title of the headline numbers; `{}`: one for each channel."""


def overall(report: EvaluationReport) -> list[tuple[str, str, str, str]]:
    """Return the headline numbers of a report: title, number, unit, and the interval or support."""
    rows = []
    for head, name, title in OVERALL:
        for key, value in values(report.heads, head).items():
            if value.value is None or not (key == name or (name.endswith("/") and key.startswith(name))):
                continue
            ends = interval(value)
            note = f"95 %: {ends}" if ends else f"of {value.support}" if value.support else ""
            rows.append((title.format(key.partition("/")[2]), measured(value.value), value.unit, note))
    return [*rows, *_frames_without(report)]


def _frames_without(report: EvaluationReport) -> Iterator[tuple[str, str, str, str]]:
    """Yield the number of frames that were not scored: without truth, or with an invalid answer."""
    for title, head, metric in (
        ("Boxes", "box", "mean_average_precision"),
        ("Control", "control", "control_errors"),
    ):
        frames = report.heads.get(head, {}).get(metric)
        if frames is not None:
            total = sum(frames.frames.get(state, 0) for state in ("scored", "invalid", "no_truth"))
            for state, words in (("no_truth", "frames without truth"), ("invalid", "invalid frames")):
                if count := frames.frames.get(state, 0):
                    yield f"{title}: {words}", str(count), "", f"of {total}"


def classes(report: EvaluationReport) -> TableData | None:
    """Return a table with a row for each class."""
    of_class, of_box = values(report.heads, "class"), values(report.heads, "box")
    names = list(parts_of(of_class, "AP50"))
    columns = [("AP50", of_class), ("AP", of_box), ("precision", of_class), ("recall", of_class)]
    columns += [("F1", of_class), ("IoU", of_box), ("distance_abs", of_box), ("D-ECE", of_class)]
    columns = [
        (metric, of_head)
        for metric, of_head in columns
        if any(f"{metric}/{name}" in of_head for name in names)
    ]
    rows = [
        [name, *(_by_class(of_head.get(f"{metric}/{name}"), metric) for metric, of_head in columns)]
        for name in names
    ]
    heads = [f"{metric}, m" if metric == "distance_abs" else metric for metric, _ in columns]
    return table_of("Scores by class", ["class", *heads], rows)


def _by_class(value: ValueReport | None, metric: str) -> Cell:
    if value is None or value.value is None:
        return undefined_cell(value)
    share = None if metric in ("distance_abs", "D-ECE") else value.value
    return shaded_cell(measured(value.value), share, interval(value))


def confusion(report: EvaluationReport) -> TableData | None:
    """Return the confusion matrix: truth in rows, output in columns, cells shaded by share of the row."""
    matrix: Any = details(report.heads, "class", "confusion")
    labels, counts = matrix.get("labels"), matrix.get("matrix")
    if not labels or not counts or len(labels) < 2:
        return None
    rows = []
    for label, row in zip([*labels[:-1], "not there"], counts, strict=True):
        total = sum(row) or 1
        rows.append([label, *(shaded_cell(str(n or "\u00b7"), n / total, kind="heat") for n in row)])
    caption = "Which class is taken for which: truth down, said across"
    return table_of(caption, ["truth \\ said", *labels[:-1], "nothing"], rows, "matrix")


def control(report: EvaluationReport) -> TableData | None:
    """Return a table with a row for each channel: its errors and those of the baselines."""
    of_control = values(report.heads, "control")
    rows = []
    for channel in highlights.channels(report):

        def value(metric: str, channel: str = channel) -> ValueReport | None:
            return of_control.get(f"{metric}/{channel}")

        row: list[str | Cell] = [channel, Cell(with_unit(value("MAE")), interval(value("MAE")))]
        row += [with_unit(value(metric)) for metric in ("MAE_persistence", "MAE_mean", "RMSE")]
        bias, r2, covered = (
            number(report.heads, "control", f"{name}/{channel}") for name in ("bias", "R2", "coverage80")
        )
        row += [signed(bias), measured(r2), percent(covered)]
        rows.append(row)
    head = ["channel", "mean error", "of the last measured", "of the mean", "RMSE", "bias", "R\u00b2"]
    return table_of("Errors of the command by channel", [*head, "in 80 % interval"], rows)


def slices(parts: Sequence[SliceReport]) -> TableData | None:
    """Return a table of comparisons of slices with the rest, in their order."""
    rows = []
    for part in parts[:MOST_SLICES]:
        difference, ends = part.difference, ""
        if difference.low is not None and difference.high is not None:
            ends = f"{signed(difference.low)} to {signed(difference.high)}"
        p = difference.p_corrected
        rows.append(
            [
                Cell(part.part, part.by),
                Cell(difference.verdict, kind="word", sign=SIGNS[difference.verdict]),
                word_cell(f"{part.head}.{part.metric}"),
                Cell(measured(part.value), f"of {part.support}"),
                Cell(measured(part.rest), f"of {part.rest_support}"),
                Cell(signed(difference.value), ends),
                NONE if p is None else short(p, 2) if p >= 0.001 else "< 0.001",
            ]
        )
    head: list[str | Cell] = [
        "part",
        word_cell("verdict"),
        word_cell("metric"),
        "here",
        "rest",
        "difference",
        "p, corrected",
    ]
    return table_of("Parts of the data against the rest", head, rows)


def significant_slices(parts: Sequence[SliceReport]) -> TableData | None:
    """Return a table of the slices with a significant difference."""
    rows = [
        [
            Cell(f"{part.by} {part.part}", part.difference.verdict, sign=SIGNS[part.difference.verdict]),
            word_cell(part.metric, part.head),
            measured(part.value),
            measured(part.rest),
            signed(part.difference.value),
        ]
        for part in parts
        if part.difference.verdict != "cannot tell"
    ]
    head = ["surely", "", "here", "rest", "difference"]
    return table_of("Parts that are surely worse or better", head, rows[:MOST_SIGNIFICANT])


def head_values(head: str, metrics: Mapping[str, MetricReport]) -> TableData | None:
    """Return a table of all numbers of one head."""
    rows = [
        [
            name,
            with_unit(value) if value.value is not None else f"undefined: {value.undefined}",
            interval(value) or NONE,
            str(value.support),
        ]
        for metric in metrics.values()
        for name, value in metric.values.items()
    ]
    return table_of(f"All numbers of {head}", [head, "value", "95 % interval", "support"], rows, "all")
