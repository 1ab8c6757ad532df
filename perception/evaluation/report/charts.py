"""The plots of a report. Each is a figure with a heading that says what it shows, or None without data."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from perception.evaluation.report import highlights
from perception.evaluation.report.markup import Markup, Part, tag
from perception.evaluation.report.number_text import (
    TITLES,
    details,
    file_name,
    measured,
    percent,
    short,
    values,
)
from perception.evaluation.report.plot import SHARE, STYLES, Axis, Plot, legend, nice_axis, svg
from perception.evaluation.report.schema import (
    ControlTraceReport,
    EvaluationReport,
    FaultCurveReport,
    FaultsReport,
    StreamingReport,
)

SHARES = Axis(0.0, 1.0, "", SHARE.ticks, as_percent=True)
MOST_TRACES = 6
"""Logs of which the command is drawn, for each channel: those with the greatest errors."""


def figure(title: str, *parts: Part, note: str = "", class_: str = "card") -> Markup:
    """A plot with its heading."""
    below = tag("figcaption", note) if note else None
    return tag("figure", tag("h3", title), *parts, below, class_=class_)


def chunks(names: Sequence[str]) -> Iterable[Sequence[str]]:
    """So many series as styles tell apart."""
    return [names[start : start + STYLES] for start in range(0, len(names), STYLES)]


def precision_recall(report: EvaluationReport) -> list[Markup]:
    """Precision over recall by class."""
    curves: Any = details(report.heads, "class", "precision_recall").get("curves") or {}
    found = values(report.heads, "class")
    ranked = sorted(curves, key=lambda name: found[f"AP50/{name}"].value or 0.0)
    drawn: list[Markup] = []
    for names in chunks(ranked):
        plot = Plot(
            Axis(0, 1, "recall: share of truth that is found", SHARE.ticks),
            Axis(0, 1, "precision", SHARE.ticks),
        )
        lines = []
        for style, name in enumerate(names):
            points = list(zip(curves[name]["recall"], curves[name]["precision"], strict=True))
            lines += [
                plot.line(points, style, marks=False),
                *(plot.mark(points[i], style) for i in (10, 35, 60, 85) if i < len(points)),
            ]
        texts = [f"{name}, AP50 {measured(found[f'AP50/{name}'].value)}" for name in names]
        told = highlights.hardest_class(report)
        title = told.text if told is not None and not drawn else "Precision over recall"
        label = f"Precision over recall at overlap 0.5. {'; '.join(texts)}."
        drawn.append(
            figure(title, legend(texts), plot.svg(label, lines), note="Precision over recall, overlap 0.5.")
        )
    return drawn


def reliability(report: EvaluationReport) -> Markup | None:
    """Share correct over score."""
    bins: Any = details(report.heads, "class", "detection_calibration").get("bins")
    told = highlights.scores(report)
    if not bins or told is None:
        return None
    plot = Plot(
        Axis(0, 1, "score that was said", SHARE.ticks), Axis(0, 1, "share that is right", SHARE.ticks)
    )
    points = list(zip(bins["confidence"], bins["accuracy"], strict=True))
    tips = [
        f"score {short(c)}: {percent(a)} of {n} right" for (c, a), n in zip(points, bins["size"], strict=True)
    ]
    gap = plot.area(points, [(score, score) for score, _ in points], 0)
    note = "On the dashed line a score is the share of detections that are right. Bins of equal size."
    drawn = plot.svg(
        f"Share of detections that are right over their score. {told.text}",
        *(plot.ruler([(0, 0), (1, 1)]), gap, plot.line(points, 0, tips=tips)),
    )
    return figure(told.text, drawn, note=note)


def coverage(report: EvaluationReport) -> Markup | None:
    """How much of truth the stated 80 % intervals hold."""
    known, told = highlights.coverages(report), highlights.coverage(report)
    if told is None:
        return None
    row = 34
    plot = Plot(Axis(0, 1, "", SHARE.ticks, as_percent=True), Axis(0, len(known)), 360, 26 + row * len(known))
    plot.left = 14.0
    parts: list[Part] = [plot.ruler([(0.8, 0), (0.8, len(known))])]
    for place, (name, value) in enumerate(known.items()):
        middle = len(known) - place - 0.68
        x, y = plot.at((0, middle))
        parts.append(
            tag("text", f"{name}: {percent(value.value)}", x=f"{x:.1f}", y=f"{y - 8:.1f}", class_="tl")
        )
        if value.interval is not None:
            ends = [(value.interval.low, middle), (value.interval.high, middle)]
            parts.append(tag("path", d=plot.path(ends), class_="line s1 whisker"))
        parts.append(plot.mark((value.value or 0.0, middle), 0))
    texts = ", ".join(f"{name} {percent(value.value)}" for name, value in known.items())
    note = "Share of truth inside the stated 80 % intervals; the dashed line is where it should be."
    return figure(told.text, plot.svg(f"Coverage of 80 % intervals: {texts}", *parts), note=note)


def recall(report: EvaluationReport) -> list[Markup]:
    """Recall over distance by class."""
    figures = report.figures
    bins = highlights.by_label(figures.recall) if figures is not None else {}
    drawn: list[Markup] = []
    for names in chunks(list(bins)):
        own = [one for name in names for one in bins[name]]
        axis = nice_axis([one.to_m for one in own], "distance (m)", zero=True)
        plot = Plot(axis, Axis(0, 1, "recall", SHARE.ticks, as_percent=True))
        lines = []
        for style, name in enumerate(names):
            points = [((one.from_m + one.to_m) / 2, one.found / one.objects) for one in bins[name]]
            tips = [
                f"{name}, {short(one.from_m)} to {short(one.to_m)} m: {one.found} of {one.objects} found"
                for one in bins[name]
            ]
            lines.append(plot.line(points, style, tips=tips))
        title = highlights.recall_title(report) if not drawn else "Recall by distance"
        cut = short(figures.cut, 2) if figures is not None else ""
        note = f"Share of truth boxes that were found at score {cut} or more, by distance."
        drawn.append(figure(title, legend(names), plot.svg(f"Recall by distance. {title}", lines), note=note))
    return drawn


def distance(report: EvaluationReport) -> Markup | None:
    """The error of distances over distance."""
    bins = report.figures.distance if report.figures is not None else []
    told = highlights.distances(report)
    if told is None:
        return None
    x = nice_axis([one.to_m for one in bins], "distance (m)", zero=True)
    plot = Plot(x, nice_axis([one.p90_abs_m for one in bins], "error (m)", zero=True))
    middle = [(one.from_m + one.to_m) / 2 for one in bins]
    tips = [f"{short(one.from_m)} to {short(one.to_m)} m, {one.matches} matches" for one in bins]
    names = ["mean error", "nine of ten are below", "bias (said less true)"]
    low = min([0.0, *(one.bias_m for one in bins)])
    if low < 0:
        plot = Plot(x, nice_axis([low, *(one.p90_abs_m for one in bins)], "error (m)", zero=True))
    lines = [
        plot.line([(at, value) for at, value in zip(middle, column, strict=True)], style, tips=tips)
        for style, column in enumerate(
            ([o.mean_abs_m for o in bins], [o.p90_abs_m for o in bins], [o.bias_m for o in bins])
        )
    ]
    rule = plot.ruler([(x.low, 0), (x.high, 0)]) if low < 0 else None
    return figure(told.text, legend(names), plot.svg(f"Error of distances. {told.text}", rule, lines))


def traces(report: EvaluationReport, channel: str) -> list[Markup]:
    """The command over time beside what was right, in the logs where it is worst."""
    figures = report.figures
    own = [one for one in (figures.control if figures is not None else []) if one.channel == channel]
    worst = sorted(own, key=_error, reverse=True)[:MOST_TRACES]
    shown = [one for one in own if one in worst]
    if not shown:
        return []
    y = nice_axis([value for one in shown for value in (*one.said, *one.true)], own[0].unit or channel)
    return [_trace(one, y) for one in shown]


def trace_key() -> Markup:
    """What the lines of a trace are."""
    items = []
    for style, name in ((1, "said"), (5, "true")):
        line = tag("path", d="M1,6H25", class_=f"line s{style + 1}")
        items.append(tag("li", tag("svg", line, viewbox="0 0 26 12", class_="key", aria_hidden="true"), name))
    return tag("ul", items, class_="legend trace")


def _error(one: ControlTraceReport) -> float:
    return sum(abs(said - true) for said, true in zip(one.said, one.true, strict=True)) / max(
        len(one.said), 1
    )


def _trace(one: ControlTraceReport, y: Axis) -> Markup:
    plot = Plot(nice_axis(one.at_s, "s"), y, 360, 150)
    said = list(zip(one.at_s, one.said, strict=True))
    true = list(zip(one.at_s, one.true, strict=True))
    error = f"mean error {measured(_error(one))} {one.unit}".rstrip()
    label = f"{one.channel} over time in {file_name(one.log)}: said and true, {error}"
    lines = (plot.area(said, true, 1), plot.line(true, 5, marks=False), plot.line(said, 1, marks=False))
    return figure(f"{file_name(one.log)}: {error}", plot.svg(label, *lines), class_="card trace")


def latency(found: Sequence[StreamingReport]) -> Markup | None:
    """The scores over latency."""
    told = highlights.latency(found)
    if len(found) < 2:
        return None
    x = nice_axis([one.latency_ms for one in found], "latency (ms)", zero=True)
    names = [name for name in TITLES if any(one.scores.get(name) is not None for one in found)]
    plot = Plot(x, Axis(0, 1, "score", SHARE.ticks))
    lines = []
    for style, name in enumerate(names):
        points = [(one.latency_ms, score) for one in found if (score := one.scores.get(name)) is not None]
        tips = [f"{TITLES[name]} at {short(ms)} ms: {short(score)}" for ms, score in points]
        lines.append(plot.line(points, style, tips=tips))
    measured = [one.latency_ms for one in found if one.measured]
    rule = plot.ruler([(measured[0], 0), (measured[0], 1)]) if measured else None
    title = told.text if told is not None else "Scores over latency"
    note = "Every truth is matched with the newest answer that existed by then (Li, Wang and Ramanan 2020)."
    if measured:
        note += f" Dashed: the measured latency, {short(measured[0])} ms."
    drawn = plot.svg(f"Scores over latency. {title}", rule, lines)
    return figure(title, legend([TITLES[name] for name in names]), drawn, note=note)


def faults(found: FaultsReport) -> Markup:
    """A small plot for each fault, the worst first."""
    names = [name for name in TITLES if found.clean.get(name)]
    ordered = sorted((curve for curve in found.curves if curve.points), key=lambda curve: _kept(curve, names))
    drawn = [_fault(curve, names) for curve in ordered]
    return tag("div", legend([TITLES[name] for name in names]), tag("div", drawn, class_="small-plots"))


def _kept(curve: FaultCurveReport, names: Sequence[str]) -> float:
    left = [kept for point in curve.points for name in names if (kept := point.kept.get(name)) is not None]
    return sum(left) / len(left) if left else 1.0


def _fault(curve: FaultCurveReport, names: Sequence[str]) -> Markup:
    top = max([1.0, *(k for p in curve.points for k in p.kept.values() if k is not None and k < 2)])
    y = Axis(0.0, top, "", (0.0, 0.5, 1.0), as_percent=True)
    plot = Plot(Axis(0.0, 1.0, "", (0.0, 0.5, 1.0)), y, 170, 124, small=True)
    lines = []
    for style, name in enumerate(names):
        points = [(0.0, 1.0)]
        points += [(p.severity, kept) for p in curve.points if (kept := p.kept.get(name)) is not None]
        tips = [f"{TITLES[name]}: {percent(kept)} left at severity {short(at)}" for at, kept in points]
        lines.append(plot.line(points, style, tips=tips))
    ends = ", ".join(f"{name} {percent(curve.points[-1].kept.get(name))}" for name in names)
    label = f"{curve.fault}: left at severity {short(curve.points[-1].severity)}: {ends}"
    return tag("figure", tag("h4", curve.fault), plot.svg(label, lines), tag("figcaption", curve.meaning))


def slices(report: EvaluationReport, most: int = 14) -> Markup | None:
    """Differences of parts from the rest, with their intervals, as shares of the rest."""
    known = [
        one
        for one in report.slices
        if one.difference.low is not None and one.difference.high is not None and one.rest
    ][:most]
    if not known:
        return None
    row, width = 40, 360
    spans = [_ends(one) for one in known]
    reach = min(max(max(abs(low), abs(high)) for low, _, high in spans), 1.5)
    x = nice_axis([-reach, reach], "", zero=True, count=4)
    x = Axis(x.low, x.high, "\u2190 worse than the rest \u00b7 better \u2192", x.ticks, as_percent=True)
    plot = Plot(x, Axis(0, len(known)), width, 44 + row * len(known))
    plot.left, plot.right = 18.0, width - 18.0
    parts: list[Part] = [plot.ruler([(0, 0), (0, len(known))])]
    for place, (one, (low, value, high)) in enumerate(zip(known, spans, strict=True)):
        middle = len(known) - place - 0.72
        style = {"worse": 1, "better": 0, "cannot tell": 5}[one.difference.verdict]
        text = f"{one.by}: {one.part}, {one.metric} {measured(one.value)} ({measured(one.rest)})"
        _, y = plot.at((0, middle))
        parts.append(tag("text", text, x="18", y=f"{y - 9:.1f}", class_="tl"))
        parts.append(
            tag("path", d=plot.path([(low, middle), (high, middle)]), class_=f"line s{style + 1} whisker")
        )
        parts.append(plot.mark((value, middle), style, f"{one.difference.verdict}: {text}"))
    label = "Differences of parts from the rest: " + "; ".join(
        f"{one.part} {one.metric} {one.difference.verdict}" for one in known
    )
    return svg(plot.width, plot.height, label, plot.frame(), *parts)


def _ends(one: Any) -> tuple[float, float, float]:
    """Low, value and high of a difference over the rest; positive is better."""
    size, sign = abs(one.rest), -1.0 if one.better == "lower" else 1.0
    ends = sorted(sign * value / size for value in (one.difference.low, one.difference.high))
    return ends[0], sign * (one.difference.value or 0.0) / size, ends[1]
