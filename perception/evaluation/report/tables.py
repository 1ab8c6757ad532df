"""The tables of a report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from perception.evaluation.head_scores import scores_of
from perception.evaluation.report import highlights
from perception.evaluation.report.markup import Markup, Part, tag
from perception.evaluation.report.number_text import (
    TITLES,
    details,
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

MOST_SLICES = 40
MOST_SURE = 14

VERDICTS = {"worse": ("\u25bc", "bad"), "better": ("\u25b2", "good"), "cannot tell": ("\u00b7", "dim")}


def table(head: Sequence[Part], rows: Sequence[Sequence[Part]], caption: str, class_: str = "") -> Markup:
    """The first column names the row; wide ones scroll by themselves. The caption is read aloud only."""
    top = tag("tr", [cell if _is(cell, "th") else tag("th", cell, scope="col") for cell in head])
    body = [
        tag(
            "tr",
            tag("th", row[0], scope="row"),
            [cell if _is(cell, "td") else tag("td", cell) for cell in row[1:]],
        )
        for row in rows
    ]
    drawn = tag(
        "table", tag("caption", caption), tag("thead", top), tag("tbody", body), class_=class_ or None
    )
    return tag("div", drawn, class_="scroll", tabindex=0, role="region", aria_label=caption)


def _is(cell: Part, name: str) -> bool:
    return isinstance(cell, Markup) and cell.startswith(f"<{name}")


def word(name: str) -> Markup:
    """The head of a column of words."""
    return tag("th", name, scope="col", class_="word")


def breakable(name: str) -> Part:
    """A name that may be broken after its underscores."""
    parts = name.split("_")
    return [[f"{part}_", tag("wbr")] for part in parts[:-1]] + [parts[-1]]


def shaded(text: Part, share: float | None, class_: str = "shade") -> Markup:
    """A cell with a bar behind it, as long as the share."""
    if share is None:
        return tag("td", text)
    return tag("td", text, class_=class_, style=f"--v:{min(max(share, 0.0), 1.0):.3f}")


def with_unit(value: ValueReport | None) -> str:
    """`0.51 m`."""
    if value is None or value.value is None:
        return "\u2013"
    return f"{measured(value.value)} {value.unit}".rstrip()


def classes(report: EvaluationReport) -> Markup | None:
    """A row for each class."""
    found, box = values(report.heads, "class"), values(report.heads, "box")
    names = list(parts_of(found, "AP50"))
    if not names:
        return None
    columns = [("AP50", found), ("AP", box), ("precision", found), ("recall", found), ("F1", found)]
    columns += [("IoU", box), ("distance_abs", box), ("D-ECE", found)]
    columns = [(name, own) for name, own in columns if any(f"{name}/{one}" in own for one in names)]
    rows = [[one, *(_by_class(own.get(f"{name}/{one}"), name) for name, own in columns)] for one in names]
    heads = ["class", *(f"{name}, m" if name == "distance_abs" else name for name, _ in columns)]
    return table(heads, rows, "Scores by class")


def _by_class(value: ValueReport | None, name: str) -> Markup:
    if value is None or value.value is None:
        return tag("td", "\u2013", title=value.undefined if value is not None else None)
    share = None if name in ("distance_abs", "D-ECE") else value.value
    ends = interval(value)
    return shaded([measured(value.value), tag("small", ends) if ends else None], share)


def confusion(report: EvaluationReport) -> Markup | None:
    """Truth down, said across; each row shaded by its shares."""
    matrix: Any = details(report.heads, "class", "confusion")
    labels, counts = matrix.get("labels"), matrix.get("matrix")
    if not labels or not counts or len(labels) < 2:
        return None
    rows = []
    for label, row in zip(labels, counts, strict=True):
        total = sum(row) or 1
        name = "not there" if label == labels[-1] else label
        rows.append([name, *(shaded(count if count else "\u00b7", count / total, "heat") for count in row)])
    heads = ["truth \\ said", *labels[:-1], "nothing"]
    drawn = table(heads, rows, "Which class is taken for which: truth down, said across", "matrix")
    cut = short(matrix.get("score"), 2)
    told = highlights.confused(report)
    note = f"At score {cut} and more. The last column was missed, the last row is said of nothing."
    return tag(
        "figure", tag("h3", told.text if told else "Confusion"), drawn, tag("figcaption", note), class_="card"
    )


def control(report: EvaluationReport) -> Markup | None:
    """A row for each channel, beside what simple answers would reach."""
    found = values(report.heads, "control")
    rows = []
    for channel in highlights.channels(report):
        own = {name: found.get(f"{name}/{channel}") for name in ("MAE", "MAE_persistence", "MAE_mean")}
        own |= {name: found.get(f"{name}/{channel}") for name in ("RMSE", "bias", "R2", "coverage80")}
        ends = interval(own["MAE"])
        error = [with_unit(own["MAE"]), tag("small", ends) if ends else None]
        simple = [with_unit(own[name]) for name in ("MAE_persistence", "MAE_mean", "RMSE")]
        bias, fit, covered = (
            None if (v := own[name]) is None else v.value for name in ("bias", "R2", "coverage80")
        )
        rows.append([channel, error, *simple, signed(bias), measured(fit), percent(covered)])
    heads = ["channel", "mean error", "of the last measured", "of the mean", "RMSE", "bias", "R\u00b2"]
    return table([*heads, "in 80 % interval"], rows, "Errors of the command by channel") if rows else None


def slices(found: Sequence[SliceReport]) -> Markup | None:
    """Surely worse ones first, as the report has them."""
    if not found:
        return None
    rows = []
    for one in found[:MOST_SLICES]:
        sign, kind = VERDICTS[one.difference.verdict]
        ends = ""
        if one.difference.low is not None and one.difference.high is not None:
            ends = f"{signed(one.difference.low)} to {signed(one.difference.high)}"
        p = one.difference.p_corrected
        rows.append(
            [
                [one.part, tag("small", one.by)],
                tag("td", tag("span", sign, class_=f"sign {kind}"), one.difference.verdict, class_="word"),
                tag("td", f"{one.head}.{one.metric}", class_="word"),
                [measured(one.value), tag("small", f"of {one.support}")],
                [measured(one.rest), tag("small", f"of {one.rest_support}")],
                [signed(one.difference.value), tag("small", ends) if ends else None],
                "\u2013" if p is None else short(p, 2) if p >= 0.001 else "< 0.001",
            ]
        )
    heads = ["part", word("verdict"), word("metric"), "here", "rest", "difference", "p, corrected"]
    return table(heads, rows, "Parts of the data against the rest")


def sure(found: Sequence[SliceReport]) -> Markup | None:
    """The parts of which a verdict can be told."""
    rows = []
    for one in found[:MOST_SURE]:
        sign, kind = VERDICTS[one.difference.verdict]
        part = [
            tag("span", sign, class_=f"sign {kind}"),
            f"{one.by} {one.part}",
            tag("small", one.difference.verdict),
        ]
        metric = tag("td", one.metric, tag("small", one.head), class_="word")
        rows.append([part, metric, measured(one.value), measured(one.rest), signed(one.difference.value)])
    heads = ["surely", "", "here", "rest", "difference"]
    return table(heads, rows, "Parts that are surely worse or better") if rows else None


def sensors(ablation: Mapping[str, Mapping[str, Mapping[str, MetricReport]]]) -> Markup | None:
    """A row for each subset; bars are shares of the best of each column."""
    wanted = [
        ("class", "F1"),
        ("box", "mAP50"),
        ("box", "mAP"),
        ("box", "distance_abs"),
        ("box", "distance_coverage80"),
    ]
    first = next(iter(ablation.values()), {})
    wanted += [
        ("control", name) for name in values(first, "control") if name.startswith(("MAE/", "coverage80/"))
    ]
    wanted += [("class", "D-ECE"), ("joint", "joint")]
    wanted = [one for one in wanted if any(one[1] in values(heads, one[0]) for heads in ablation.values())]
    if not wanted:
        return None
    rows: list[Sequence[Part]] = []
    columns = {one: [values(heads, one[0]).get(one[1]) for heads in ablation.values()] for one in wanted}
    sizes = {
        one: max((v.value for v in column if v is not None and v.value is not None), default=0.0)
        for one, column in columns.items()
    }
    for place, name in enumerate(ablation):
        cells = [_subset_cell(columns[one][place], sizes[one]) for one in wanted]
        rows.append([name.replace("+", " + "), *cells])
    units = {one: next((v.unit for v in columns[one] if v is not None and v.unit), "") for one in wanted}
    heads = ["sensors", *(_column(head, name, units[(head, name)]) for head, name in wanted)]
    return table(heads, rows, "Scores with each subset of the sensors", "subsets")


def _column(head: str, name: str, unit: str) -> Part:
    """`MAE` over `curvature, 1/m`."""
    metric, _, part = name.partition("/")
    below = ", ".join(word for word in (part or head, unit) if word)
    return [breakable(metric), tag("small", below)]


def _subset_cell(value: ValueReport | None, size: float) -> Markup:
    if value is None or value.value is None:
        return tag("td", "\u2013", title=value.undefined or None if value is not None else None)
    if value.better == "":
        return tag("td", measured(value.value))
    return shaded(measured(value.value), value.value / size if size > 0 else 0.0, f"shade {value.better}")


def faults(found: FaultsReport) -> Markup:
    """What is left of each score under each fault."""
    names = [name for name in TITLES if found.clean.get(name) is not None]
    rows: list[Sequence[Part]] = [["none: the score", *(measured(found.clean[name]) for name in names)]]
    for curve in found.curves:
        cells: list[Part] = []
        for name in names:
            left = [point.kept.get(name) for point in curve.points]
            known = [share for share in left if share is not None]
            mean = sum(known) / len(known) if known else None
            cells.append(shaded(" \u00b7 ".join(percent(share) for share in left), mean))
        rows.append([curve.fault, *cells])
    levels = ", ".join(short(severity) for severity in found.severities)
    caption = f"What is left of each score, at severity {levels}"
    return table(["fault", *(TITLES[name] for name in names)], rows, caption)


def worst_faults(found: FaultsReport) -> Markup | None:
    """The worst for each head."""
    rows = [[TITLES.get(name, name), one.fault, percent(one.kept)] for name, one in found.worst.items()]
    return (
        table(["score of", "worst fault", "left, on average"], rows, "The worst fault for each head")
        if rows
        else None
    )


def streaming(report: EvaluationReport) -> Markup:
    """A row for each latency, below the ordinary scores."""
    found = report.streaming
    names = [name for name in TITLES if any(one.scores.get(name) is not None for one in found)]
    rows: list[list[Part]] = []
    ordinary = _ordinary(report)
    if ordinary is not None:
        cells = [shaded(measured(ordinary.get(name)), ordinary.get(name)) for name in names]
        rows.append([["ordinary", tag("small", "time not counted")], *cells, "\u2013", "\u2013"])
    for one in found:
        skipped = one.skipped / max(one.skipped + one.processed, 1)
        latency: Part = [f"{short(one.latency_ms)} ms", tag("small", "measured") if one.measured else None]
        age = f"{short(one.age_ms['p50'])} ms" if one.age_ms else "\u2013"
        rows.append(
            [latency, *(shaded(measured(one.scores.get(name)), one.scores.get(name)) for name in names)]
        )
        rows[-1] += [age, percent(skipped)]
    heads = ["latency", *(TITLES[name] for name in names), "age of answers", "frames skipped"]
    return table(heads, rows, "Scores that count the latency")


def _ordinary(report: EvaluationReport) -> Mapping[str, float | None] | None:
    """The same scores without regard to time; None where a metric that they need is missing."""
    try:
        return scores_of(report.heads)
    except KeyError:
        return None
