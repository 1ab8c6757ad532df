"""The charts of the page, each with a heading that describes it; None without data."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from markupsafe import Markup

from perception.evaluation.plotting import COLOURS
from perception.evaluation.report import highlights, stress_highlights
from perception.evaluation.report.chart_axes import (
    RULER,
    in_percent,
    legend,
    share_axes,
    share_ticks,
    text_rows,
)
from perception.evaluation.report.display_text import (
    TITLES,
    details,
    file_name,
    measured,
    percent,
    short,
    values,
)
from perception.evaluation.report.drawing_schema import ControlTraceReport
from perception.evaluation.report.inline_svg import SERIES, chart, series
from perception.evaluation.report.schema import EvaluationReport
from perception.evaluation.report.stress_schema import FaultCurveReport, FaultsReport, StreamingReport
from perception.evaluation.report.value_schema import SliceReport
from perception.text import visible_line

MOST_TRACES = 6
"""Logs whose command is drawn, for each channel: those with the greatest errors."""
MOST_SLICES = 14


class Card(NamedTuple):
    """A chart with its heading and the note below."""

    title: str
    svg: Markup
    note: str = ""


def precision_recall(report: EvaluationReport) -> Iterable[Card]:
    """Yield charts of precision over recall by class, as many classes each as there are styles."""
    curves: Any = details(report.heads, "class", "precision_recall").get("curves") or {}
    scores = values(report.heads, "class")
    ranked = sorted(curves, key=lambda name: scores[f"AP50/{name}"].value or 0.0)
    title = getattr(highlights.hardest_class(report), "text", "Precision over recall")
    for start in range(0, len(ranked), SERIES):
        names = ranked[start : start + SERIES]
        texts = [f"{name}, AP50 {measured(scores[f'AP50/{name}'].value)}" for name in names]
        label = f"Precision over recall at overlap 0.5. {'; '.join(texts)}."
        with chart(label, f"precision{start}") as drawn:
            axes = share_axes(drawn.figure.subplots(), "recall: share of truth that is found", "precision")
            for place, (name, text) in enumerate(zip(names, texts, strict=True)):
                curve = curves[name]
                axes.plot(
                    curve["recall"], curve["precision"], label=text, markevery=(10, 25), **series(place)
                )
            legend(axes)
        note = "Precision over recall, overlap 0.5."
        yield Card(title if not start else "Precision over recall", drawn.svg, note)


def reliability(report: EvaluationReport) -> Card | None:
    """Return a chart of the share of correct detections over their score."""
    bins: Any = details(report.heads, "class", "detection_calibration").get("bins")
    highlight = highlights.scores(report)
    if not bins or highlight is None:
        return None
    label = f"Share of detections that are right over their score. {highlight.text}"
    with chart(label, "reliability") as drawn:
        axes = share_axes(drawn.figure.subplots(), "score that was said", "share that is right")
        axes.plot([0, 1], [0, 1], **RULER)
        axes.fill_between(
            bins["confidence"], bins["accuracy"], bins["confidence"], color=COLOURS[0], alpha=0.16, lw=0
        )
        axes.plot(bins["confidence"], bins["accuracy"], **series(0))
    note = "On the dashed line a score is the share of detections that are right. Bins of equal size."
    return Card(highlight.text, drawn.svg, note)


def coverage(report: EvaluationReport) -> Card | None:
    """Return a chart of the share of truth inside the stated 80 % intervals."""
    known, highlight = highlights.coverages(report), highlights.coverage(report)
    if highlight is None:
        return None
    texts = [f"{name}: {percent(value.value)}" for name, value in known.items()]
    label = f"Coverage of 80 % intervals: {', '.join(texts)}"
    with chart(label, "coverage", 360, 30 + 34 * len(known)) as drawn:
        axes = text_rows(drawn.figure.subplots(), texts)
        in_percent(axes.xaxis)
        axes.set_xlim(0, 1)
        axes.axvline(0.8, **RULER)
        for row, value in enumerate(known.values()):
            if value.interval is not None:
                axes.plot([value.interval.low, value.interval.high], [row, row], color=COLOURS[0], lw=2)
            axes.plot([value.value or 0.0], [row], **series(0))
    note = "Share of truth inside the stated 80 % intervals; the dashed line is where it should be."
    return Card(highlight.text, drawn.svg, note)


def recall(report: EvaluationReport) -> Iterable[Card]:
    """Yield charts of recall over distance by class."""
    figures = report.figures
    bins = highlights.by_label(figures.recall) if figures is not None else {}
    labels, title = list(bins), highlights.recall_title(report)
    cut = short(figures.cut, 2) if figures is not None else ""
    note = f"Share of truth boxes that were found at score {cut} or more, by distance."
    for start in range(0, len(labels), SERIES):
        heading = title if not start else "Recall by distance"
        with chart(f"Recall by distance. {heading}", f"recall{start}") as drawn:
            axes = drawn.figure.subplots()
            for place, label in enumerate(labels[start : start + SERIES]):
                middles = [(part.from_m + part.to_m) / 2 for part in bins[label]]
                shares = [part.found / part.objects for part in bins[label]]
                axes.plot(middles, shares, label=visible_line(label), **series(place))
            share_ticks(axes.yaxis)
            in_percent(axes.yaxis)
            axes.set(xlabel="distance (m)", ylabel="recall", ylim=(-0.02, 1.02))
            axes.set_xlim(left=0)
            legend(axes)
        yield Card(heading, drawn.svg, note)


def distance(report: EvaluationReport) -> Card | None:
    """Return a chart of the distance error over distance."""
    bins = report.figures.distance if report.figures is not None else []
    highlight = highlights.distances(report)
    if highlight is None:
        return None
    columns = {
        "mean error": [part.mean_abs_m for part in bins],
        "nine of ten are below": [part.p90_abs_m for part in bins],
        "bias (said less true)": [part.bias_m for part in bins],
    }
    with chart(f"Error of distances. {highlight.text}", "distance") as drawn:
        axes = drawn.figure.subplots()
        for place, (name, column) in enumerate(columns.items()):
            axes.plot([(part.from_m + part.to_m) / 2 for part in bins], column, label=name, **series(place))
        axes.axhline(0, **RULER)
        axes.set(xlabel="distance (m)", ylabel="error (m)")
        axes.set_xlim(left=0)
        legend(axes)
    return Card(highlight.text, drawn.svg)


def traces(report: EvaluationReport, channel: str) -> list[Card]:
    """Return charts of the command and the truth over time, for the logs with the greatest error."""
    figures = report.figures
    of_channel = [trace for trace in (figures.control if figures else []) if trace.channel == channel]
    worst = sorted(of_channel, key=_mean_error, reverse=True)[:MOST_TRACES]
    shown = [trace for trace in of_channel if trace in worst]
    limits = [value for trace in shown for value in (*trace.said, *trace.true)]
    place = highlights.channels(report).index(channel)
    return [
        _trace(trace, (min(limits), max(limits)), f"trace{place}-{number}")
        for number, trace in enumerate(shown)
    ]


def _mean_error(trace: ControlTraceReport) -> float:
    pairs = zip(trace.said, trace.true, strict=True)
    return sum(abs(predicted - true) for predicted, true in pairs) / max(len(trace.said), 1)


def _trace(trace: ControlTraceReport, limits: tuple[float, float], name: str) -> Card:
    error = f"mean error {measured(_mean_error(trace))} {trace.unit}".rstrip()
    label = f"{trace.channel} over time in {file_name(trace.log)}: said and true, {error}"
    with chart(label, name, 360, 150) as drawn:
        axes = drawn.figure.subplots()
        axes.fill_between(trace.at_s, trace.said, trace.true, color=COLOURS[1], alpha=0.16, lw=0)
        axes.plot(trace.at_s, trace.true, color=COLOURS[5], lw=1.2, ls=(0, (4, 2.5)), label="true")
        axes.plot(trace.at_s, trace.said, color=COLOURS[1], label="said")
        margin = 0.05 * (limits[1] - limits[0]) or 0.5
        axes.set(
            xlabel="s",
            ylabel=visible_line(trace.unit or trace.channel)[:40],
            ylim=(limits[0] - margin, limits[1] + margin),
        )
        legend(axes)
    return Card(f"{file_name(trace.log)}: {error}", drawn.svg)


def latency(scores: Sequence[StreamingReport]) -> Card | None:
    """Return a chart of the scores over latency."""
    if len(scores) < 2:
        return None
    title = getattr(stress_highlights.latency(scores), "text", "Scores over latency")
    own = [score.latency_ms for score in scores if score.measured]
    with chart(f"Scores over latency. {title}", "latency") as drawn:
        axes = drawn.figure.subplots()
        for place, (name, text) in enumerate(TITLES.items()):
            known = [(s.latency_ms, v) for s in scores if (v := s.scores.get(name)) is not None]
            if known:
                axes.plot(*zip(*known, strict=True), label=text, **series(place))
        if own:
            axes.axvline(own[0], **RULER)
        share_ticks(axes.yaxis)
        axes.set(xlabel="latency (ms)", ylabel="score", ylim=(-0.02, 1.02))
        legend(axes)
    note = "Every truth is matched with the newest answer that existed by then (Li, Wang and Ramanan 2020)."
    if own:
        note += f" Dashed: the measured latency, {short(own[0])} ms."
    return Card(title, drawn.svg, note)


def faults(ablation: FaultsReport) -> list[Card]:
    """Return a small chart for each fault, worst first."""
    names = [name for name in TITLES if ablation.clean.get(name)]

    def mean_kept(curve: FaultCurveReport) -> float:
        kept = [k for point in curve.points for name in names if (k := point.kept.get(name)) is not None]
        return sum(kept) / len(kept) if kept else 1.0

    ordered = sorted((curve for curve in ablation.curves if curve.points), key=mean_kept)
    return [_fault(curve, names, f"fault{place}") for place, curve in enumerate(ordered)]


def _fault(curve: FaultCurveReport, names: Sequence[str], name: str) -> Card:
    last = curve.points[-1]
    ends = ", ".join(f"{name} {percent(last.kept.get(name))}" for name in names)
    with chart(f"{curve.fault}: left at severity {short(last.severity)}: {ends}", name, 190, 130) as drawn:
        axes = drawn.figure.subplots()
        for place, head in enumerate(names):
            kept = [(p.severity, k) for p in curve.points if (k := p.kept.get(head)) is not None]
            axes.plot(*zip((0.0, 1.0), *kept, strict=True), **series(place))
        top = max([1.0, *(k for p in curve.points for k in p.kept.values() if k is not None and k < 2)])
        axes.set(xlim=(-0.02, 1.02), ylim=(-0.03, top + 0.03), xticks=(0, 0.5, 1), yticks=(0, 0.5, 1))
        in_percent(axes.yaxis)
    return Card(curve.fault, drawn.svg, curve.meaning)


def fault_legend(ablation: FaultsReport) -> Markup:
    """Return the legend of the charts of all faults."""
    names = [name for name in TITLES if ablation.clean.get(name)]
    with chart(f"Legend: {', '.join(names)}", "faults-legend", 360, 22) as drawn:
        axes = drawn.figure.subplots()
        for place, name in enumerate(names):
            axes.plot([], [], label=TITLES[name], **series(place))
        axes.set_axis_off()
        axes.legend(loc="center left", ncols=len(names) or 1, borderpad=0)
    return drawn.svg


def slices(report: EvaluationReport) -> Card | None:
    """Return a chart of the differences of slices from the rest, with intervals, as shares of the rest."""
    known = [
        part
        for part in report.slices
        if part.difference.low is not None and part.difference.high is not None and part.rest
    ][:MOST_SLICES]
    if not known:
        return None
    texts = [
        f"{part.by}: {part.part}, {part.metric} {measured(part.value)} ({measured(part.rest)})"
        for part in known
    ]
    verdicts = "; ".join(f"{part.part} {part.metric} {part.difference.verdict}" for part in known)
    label = f"Differences of parts from the rest: {verdicts}"
    with chart(label, "slices", 360, 48 + 36 * len(known)) as drawn:
        axes = text_rows(drawn.figure.subplots(), texts)
        spans = [_relative(part) for part in known]
        reach = min(max(max(abs(low), abs(high)) for low, _, high in spans), 1.5) * 1.05
        axes.set(xlim=(-reach, reach), xlabel="\u2190 worse than the rest \u00b7 better \u2192")
        in_percent(axes.xaxis)
        axes.axvline(0, **RULER)
        for row, (part, (low, middle, high)) in enumerate(zip(known, spans, strict=True)):
            look = {"worse": 1, "better": 0, "cannot tell": 5}[part.difference.verdict]
            axes.plot([low, high], [row, row], color=COLOURS[look], lw=2)
            axes.plot([middle], [row], **series(look))
    worst = highlights.slices(report.slices)
    return Card(worst.text if worst else "Parts against the rest", drawn.svg)


def _relative(part: SliceReport) -> tuple[float, float, float]:
    """Return the low end, value and high end of a difference as shares of the rest; positive is better."""
    low, high, value = part.difference.low or 0.0, part.difference.high or 0.0, part.difference.value or 0.0
    size, sign = abs(part.rest or 1.0), -1.0 if part.better == "lower" else 1.0
    ends = sorted((sign * low / size, sign * high / size))
    return ends[0], sign * value / size, ends[1]
