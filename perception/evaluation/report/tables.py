"""The tables of the page, as cells that the template lays out; None without data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from perception.evaluation.head_scores import scores_of
from perception.evaluation.report import highlights
from perception.evaluation.report.display_text import (
    TITLES,
    details,
    file_name,
    interval,
    measured,
    parts_of,
    percent,
    short,
    signed,
    values,
)
from perception.evaluation.report.schema import (
    EvaluationReport,
    FaultsReport,
    MetricReport,
    SliceReport,
    ValueReport,
)
from perception.evaluation.score_warnings import grouped_rows

MOST_SLICES = 40
MOST_SIGNIFICANT = 14
NONE = "\u2013"
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


class Cell(NamedTuple):
    """One cell.

    Attributes:
        text: Its text.
        note: A smaller line below.
        kind: Its class in the style sheet: `word`, `shade`, `heat`, or those of `SIGNS`.
        share: The length of its bar, or the depth of its colour, from 0 to 1; None: neither.
        hint: The tooltip.
        sign: A sign before the text, and its class.
    """

    text: str
    note: str = ""
    kind: str = ""
    share: float | None = None
    hint: str = ""
    sign: tuple[str, str] | None = None


class TableData(NamedTuple):
    """A table. The first cell of a row names it; the caption is only read aloud."""

    caption: str
    head: Sequence[str | Cell]
    rows: Sequence[Sequence[str | Cell]]
    kind: str = ""


def _table(caption: str, head: Sequence[str | Cell], rows: Sequence[Any], kind: str = "") -> TableData | None:
    return TableData(caption, head, rows, kind) if rows else None


def _word(text: str, note: str = "") -> Cell:
    return Cell(text, note, "word")


def _shaded(text: str, share: float | None, note: str = "", kind: str = "shade") -> Cell:
    return Cell(text, note) if share is None else Cell(text, note, kind, min(max(share, 0.0), 1.0))


def _undefined(value: ValueReport | None) -> Cell:
    return Cell(NONE, hint=value.undefined if value is not None else "")


def with_unit(value: ValueReport | None) -> str:
    """Return `0.51 m`."""
    if value is None or value.value is None:
        return NONE
    return f"{measured(value.value)} {value.unit}".rstrip()


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
    return _table("Scores by class", ["class", *heads], rows)


def _by_class(value: ValueReport | None, metric: str) -> Cell:
    if value is None or value.value is None:
        return _undefined(value)
    share = None if metric in ("distance_abs", "D-ECE") else value.value
    return _shaded(measured(value.value), share, interval(value))


def confusion(report: EvaluationReport) -> TableData | None:
    """Return the confusion matrix: truth in rows, output in columns, cells shaded by share of the row."""
    matrix: Any = details(report.heads, "class", "confusion")
    labels, counts = matrix.get("labels"), matrix.get("matrix")
    if not labels or not counts or len(labels) < 2:
        return None
    rows = []
    for label, row in zip([*labels[:-1], "not there"], counts, strict=True):
        total = sum(row) or 1
        rows.append([label, *(_shaded(str(n or "\u00b7"), n / total, kind="heat") for n in row)])
    caption = "Which class is taken for which: truth down, said across"
    return _table(caption, ["truth \\ said", *labels[:-1], "nothing"], rows, "matrix")


def control(report: EvaluationReport) -> TableData | None:
    """Return a table with a row for each channel: its errors and those of the baselines."""
    of_control = values(report.heads, "control")
    rows = []
    for channel in highlights.channels(report):

        def value(metric: str, channel: str = channel) -> ValueReport | None:
            return of_control.get(f"{metric}/{channel}")

        def number(metric: str) -> float | None:
            defined = value(metric)
            return None if defined is None else defined.value

        row: list[str | Cell] = [channel, Cell(with_unit(value("MAE")), interval(value("MAE")))]
        row += [with_unit(value(metric)) for metric in ("MAE_persistence", "MAE_mean", "RMSE")]
        row += [signed(number("bias")), measured(number("R2")), percent(number("coverage80"))]
        rows.append(row)
    head = ["channel", "mean error", "of the last measured", "of the mean", "RMSE", "bias", "R\u00b2"]
    return _table("Errors of the command by channel", [*head, "in 80 % interval"], rows)


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
                _word(f"{part.head}.{part.metric}"),
                Cell(measured(part.value), f"of {part.support}"),
                Cell(measured(part.rest), f"of {part.rest_support}"),
                Cell(signed(difference.value), ends),
                NONE if p is None else short(p, 2) if p >= 0.001 else "< 0.001",
            ]
        )
    head: list[str | Cell] = [
        "part",
        _word("verdict"),
        _word("metric"),
        "here",
        "rest",
        "difference",
        "p, corrected",
    ]
    return _table("Parts of the data against the rest", head, rows)


def significant_slices(parts: Sequence[SliceReport]) -> TableData | None:
    """Return a table of the slices with a significant difference."""
    rows = [
        [
            Cell(f"{part.by} {part.part}", part.difference.verdict, sign=SIGNS[part.difference.verdict]),
            _word(part.metric, part.head),
            measured(part.value),
            measured(part.rest),
            signed(part.difference.value),
        ]
        for part in parts
        if part.difference.verdict != "cannot tell"
    ]
    head = ["surely", "", "here", "rest", "difference"]
    return _table("Parts that are surely worse or better", head, rows[:MOST_SIGNIFICANT])


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
    return _table("Scores with each subset of the sensors", head, rows, "subsets")


def _of_subset(value: ValueReport | None, greatest: float) -> Cell:
    if value is None or value.value is None:
        return _undefined(value)
    if value.better == "":
        return Cell(measured(value.value))
    share = value.value / greatest if greatest > 0 else 0.0
    return _shaded(measured(value.value), share, kind=f"shade {value.better}")


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
            row.append(_shaded(" \u00b7 ".join(percent(share) for share in kept), mean))
        rows.append(row)
    levels = ", ".join(short(severity) for severity in ablation.severities)
    caption = f"What is left of each score, at severity {levels}"
    return _table(caption, ["fault", *(TITLES[name] for name in names)], rows)


def worst_faults(ablation: FaultsReport) -> TableData | None:
    """Return a table of the worst fault for each head."""
    rows = [
        [TITLES.get(name, name), fault.fault, percent(fault.kept)] for name, fault in ablation.worst.items()
    ]
    return _table("The worst fault for each head", ["score of", "worst fault", "left, on average"], rows)


def streaming(report: EvaluationReport) -> TableData | None:
    """Return a table with a row for each latency, below the ordinary scores."""
    scores = report.streaming
    names = [name for name in TITLES if any(score.scores.get(name) is not None for score in scores)]

    def row(name: Cell, of: Mapping[str, float | None], *others: str) -> list[str | Cell]:
        return [name, *(_shaded(measured(of.get(head)), of.get(head)) for head in names), *others]

    rows = []
    with suppress(KeyError):  # a metric that they are computed from is missing
        rows.append(row(Cell("ordinary", "time not counted"), scores_of(report.heads), NONE, NONE))
    for score in scores:
        skipped = score.skipped / max(score.skipped + score.processed, 1)
        age = f"{short(score.age_ms['p50'])} ms" if score.age_ms else NONE
        name = Cell(f"{short(score.latency_ms)} ms", "measured" if score.measured else "")
        rows.append(row(name, score.scores, age, percent(skipped)))
    head = ["latency", *(TITLES[name] for name in names), "age of answers", "frames skipped"]
    return _table("Scores that count the latency", head, rows)


def logs(report: EvaluationReport) -> TableData | None:
    """Return a table with a row for each log and the status of its replay."""
    rows = []
    for log in report.logs:
        replay: Any = log.replay or {}
        present = ", ".join(
            f"{name} {percent(_present(counts))}" for name, counts in replay.get("inputs", {}).items()
        )
        damage, seconds = len(replay.get("damage", [])), replay.get("log_seconds")
        status = f"stored: {file_name(log.outputs)}" if log.outputs else str(replay.get("status", NONE))
        rows.append(
            [
                file_name(log.log),
                str(log.frames),
                NONE if seconds is None else f"{short(seconds)} s",
                _word(f"{status}, {damage} damaged" if damage else status),
                present or NONE,
            ]
        )
    return _table("The logs", ["log", "frames", "length", _word("replay"), "inputs present"], rows)


def _present(counts: Mapping[str, int]) -> float | None:
    total = counts.get("present", 0) + counts.get("absent", 0)
    return counts.get("present", 0) / total if total else None


def ledger(report: EvaluationReport) -> TableData | None:
    """Return a table of the message counts of all logs by topic and ledger row."""
    total: dict[str, dict[str, int]] = {}
    for log in report.logs:
        of_log: Any = (log.replay or {}).get("ledger", {})
        for topic, counts in of_log.items():
            of_topic = total.setdefault(topic, {})
            for name, count in counts.items():
                of_topic[name] = of_topic.get(name, 0) + count
    columns = list(dict.fromkeys(name for counts in total.values() for name, n in counts.items() if n))
    rows = [
        [topic, *(str(counts.get(name) or "\u00b7") for name in columns), str(sum(counts.values()))]
        for topic, counts in total.items()
    ]
    head = ["topic", *(name.replace("_", " ") for name in columns), "sum"]
    return _table("The account of every message, over all logs", head, rows if columns else [])


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
    return _table(f"All numbers of {head}", [head, "value", "95 % interval", "support"], rows, "all")


def warnings(report: EvaluationReport) -> list[str]:
    """Return one line for each damaged part of a log, each warning, and each failed metric."""
    lines = []
    for entry in report.logs:
        damage: Any = (entry.replay or {}).get("damage", [])
        for part in damage:
            t0, t1 = part.get("t0_ns"), part.get("t1_ns")
            span = "" if t0 is None or t1 is None else f" over {short((t1 - t0) / 1e9)} s"
            lines.append(
                f"{file_name(entry.log)}: {part.get('bytes')} bytes lost{span}: {part.get('reason')}"
            )
    for warned in grouped_rows(report.warnings):
        log, count = str(warned["log"] or ""), int(warned["count"])
        of_log = f"{file_name(log)}: " if log and len(report.logs) > 1 else ""
        lines.append(f"{of_log}{warned['text']}{f' ({count} times)' if count > 1 else ''}")
    return lines + [f"metric {name} failed: {error}" for name, error in report.faults.items()]
