"""The tables of scores without sensors, under injected faults and with latency; None without data."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress

from perception.evaluation.head_scores import scores_of
from perception.evaluation.report.display_text import TITLES, measured, percent, short, values
from perception.evaluation.report.schema import EvaluationReport
from perception.evaluation.report.stress_schema import FaultsReport
from perception.evaluation.report.table_cells import (
    NONE,
    Cell,
    TableData,
    shaded_cell,
    table_of,
    undefined_cell,
)
from perception.evaluation.report.value_schema import ValueReport


def sensors(report: EvaluationReport) -> TableData | None:
    """Return a table with a row for each sensor subset; bars are shares of the column's greatest value."""
    subsets = report.ablation or {}
    wanted = [("class", "F1"), ("box", "mAP50"), ("box", "mAP"), ("box", "distance_abs")]
    wanted += [("box", "distance_coverage80")]
    first = values(next(iter(subsets.values()), {}), "control")
    wanted += [("control", name) for name in first if name.startswith(("MAE/", "coverage80/"))]
    wanted += [("class", "D-ECE"), ("joint", "joint")]
    columns = {
        key: [values(heads, key[0]).get(key[1]) for heads in subsets.values()]
        for key in wanted
        if any(key[1] in values(heads, key[0]) for heads in subsets.values())
    }
    rows: list[list[str | Cell]] = [[name.replace("+", " + ")] for name in subsets] if columns else []
    head = [Cell("sensors")]
    for (of, name), column in columns.items():
        known = [value for value in column if value is not None]
        metric, _, part = name.partition("/")
        unit = next((value.unit for value in known if value.unit), "")
        head.append(Cell(metric, ", ".join(word for word in (part or of, unit) if word)))
        greatest = max((value.value for value in known if value.value is not None), default=0.0)
        for row, value in zip(rows, column, strict=True):
            row.append(_of_subset(value, greatest))
    return table_of("Scores with each subset of the sensors", head, rows, "subsets")


def _of_subset(value: ValueReport | None, greatest: float) -> Cell:
    if value is None or value.value is None:
        return undefined_cell(value)
    if value.better == "":
        return Cell(measured(value.value))
    share = value.value / greatest if greatest > 0 else 0.0
    return shaded_cell(measured(value.value), share, kind=f"shade {value.better}")


def faults(ablation: FaultsReport) -> TableData | None:
    """Return a table of the relative scores under each fault."""
    names = [name for name in TITLES if ablation.clean.get(name) is not None]
    rows: list[list[str | Cell]] = [["none: the score", *(measured(ablation.clean[name]) for name in names)]]
    for curve in ablation.curves:
        row: list[str | Cell] = [curve.fault]
        for name in names:
            kept = [point.kept.get(name) for point in curve.points]
            known = [share for share in kept if share is not None]
            mean = sum(known) / len(known) if known else None
            row.append(shaded_cell(" \u00b7 ".join(percent(share) for share in kept), mean))
        rows.append(row)
    levels = ", ".join(short(severity) for severity in ablation.severities)
    caption = f"What is left of each score, at severity {levels}"
    return table_of(caption, ["fault", *(TITLES[name] for name in names)], rows)


def worst_faults(ablation: FaultsReport) -> TableData | None:
    """Return a table of the worst fault for each head."""
    rows = [
        [TITLES.get(name, name), fault.fault, percent(fault.kept)] for name, fault in ablation.worst.items()
    ]
    return table_of("The worst fault for each head", ["score of", "worst fault", "left, on average"], rows)


def streaming(report: EvaluationReport) -> TableData | None:
    """Return a table with a row for each latency, below the ordinary scores."""
    scores = report.streaming
    names = [name for name in TITLES if any(score.scores.get(name) is not None for score in scores)]

    def row(name: Cell, of: Mapping[str, float | None], *others: str) -> list[str | Cell]:
        return [name, *(shaded_cell(measured(of.get(head)), of.get(head)) for head in names), *others]

    rows = []
    with suppress(KeyError):  # a metric that they are computed from is missing
        rows.append(row(Cell("ordinary", "time not counted"), scores_of(report.heads), NONE, NONE))
    for score in scores:
        skipped = score.skipped / max(score.skipped + score.processed, 1)
        age = f"{short(score.age_ms['p50'])} ms" if score.age_ms else NONE
        name = Cell(f"{short(score.latency_ms)} ms", "measured" if score.measured else "")
        rows.append(row(name, score.scores, age, percent(skipped)))
    head = ["latency", *(TITLES[name] for name in names), "age of answers", "frames skipped"]
    return table_of("Scores that count the latency", head, rows)
