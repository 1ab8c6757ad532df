"""The sections of the page, each None where the report has nothing for it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from perception.evaluation.report import accounts, charts, frame_drawing, highlights, tables
from perception.evaluation.report.frame_pictures import Picture, Pictures
from perception.evaluation.report.markup import Markup, Part, tag
from perception.evaluation.report.number_text import file_name, percent, short
from perception.evaluation.report.schema import EvaluationReport, MomentReport
from perception.evaluation.report.summary import command, section

FIRST = 4
"""Moments that are seen at once; the others are folded."""
SCORES = (
    "Class: the best F1. Box: mAP@50:95. Distance: one half at an error of 10 %. Control: one half where "
    "always saying the mean would do as well."
)


class Section(NamedTuple):
    """`place` is its anchor; `how` says what to add to the command where there is none."""

    place: str
    name: str
    make: Callable[[EvaluationReport, Pictures], Markup | None]
    how: str = ""


def _grid(*cards: Part) -> Markup | None:
    flat = [card for card in _flat(cards) if card is not None]
    return tag("div", flat, class_="grid") if flat else None


def _flat(cards: Sequence[Part]) -> list[Part]:
    found: list[Part] = []
    for card in cards:
        found += [card] if card is None or isinstance(card, str | int | float) else _flat(list(card))
    return found


def moments(report: EvaluationReport, pictures: Pictures) -> Markup | None:
    """The worst moments: what was seen, said and true, and how to replay it."""
    if not report.moments:
        return None
    drawn = [_moment(one, pictures.get(place)) for place, one in enumerate(report.moments)]
    lead = "The frames that went worst over the second around them, at least 2 s apart, worst first."
    if any("--fault" in one.command for one in report.moments) and pictures:
        lead += " Pictures are as recorded, without the faults that were put in."
    key = frame_drawing.key() if pictures else None
    first, more = (tag("div", some, class_="moments") for some in (drawn[:FIRST], drawn[FIRST:]))
    others = tag("details", tag("summary", f"{len(drawn) - FIRST} more"), more) if drawn[FIRST:] else None
    return section("moments", "The worst moments", key, first, others, lead=lead)


def _moment(one: MomentReport, picture: Picture | None) -> Markup:
    drawn = (
        frame_drawing.drawing(one.scene, picture) if picture is not None and one.scene is not None else None
    )
    return tag(
        "article",
        tag("h3", f"{file_name(one.log)} at {one.at_s:.2f} s"),
        tag("p", f"{one.what or 'no answer'}; error {one.error:.2f}", class_="lead"),
        drawn,
        frame_drawing.in_words(one),
        command(one.command),
        class_="card moment",
    )


def classes(report: EvaluationReport, pictures: Pictures) -> Markup | None:
    """What is found of each class, and what it is taken for."""
    table = tables.classes(report)
    cards = _grid(charts.precision_recall(report), tables.confusion(report))
    if table is None and cards is None:
        return None
    return section(
        "classes", "Classes", table, cards, lead="Found at overlap 0.5; AP is the mean from 0.5 to 0.95."
    )


def distance(report: EvaluationReport, pictures: Pictures) -> Markup | None:
    """What distance does to recall, and how far off distances are."""
    cards = _grid(charts.recall(report), charts.distance(report))
    return None if cards is None else section("distance", "Distance", cards)


def calibration(report: EvaluationReport, pictures: Pictures) -> Markup | None:
    """Whether scores and uncertainties can be believed."""
    cards = _grid(charts.reliability(report), charts.coverage(report))
    return (
        None if cards is None else section("calibration", "Can scores and uncertainties be believed?", cards)
    )


def control(report: EvaluationReport, pictures: Pictures) -> Markup | None:
    """The command, by channel and over time."""
    table = tables.control(report)
    if table is None:
        return None
    parts: list[Part] = [table]
    for channel in highlights.channels(report):
        drawn = charts.traces(report, channel)
        if drawn:
            told = highlights.control(report, channel)
            key = charts.trace_key()
            parts.append(
                tag("div", tag("h3", told.text if told is not None else channel), key, class_="channel")
            )
            parts.append(tag("div", drawn, class_="traces"))
    lead = "Beside the error: what saying the last measured value, or always the mean, would reach."
    return section("control", "Control", parts, lead=lead)


def slices(report: EvaluationReport, pictures: Pictures) -> Markup | None:
    """Parts of the data against the rest."""
    table = tables.slices(report.slices)
    if table is None:
        return None
    told = highlights.slices(report.slices)
    plot = charts.slices(report)
    card = charts.figure(told.text if told else "Parts against the rest", plot) if plot is not None else None
    sure = [one for one in report.slices if one.difference.verdict != "cannot tell"]
    cards = _grid(card, tables.sure(sure)) if card is not None else None
    verdicts = [one.difference.verdict for one in report.slices]
    lead = (
        f"Each part is held against all the rest, corrected for {len(report.slices)} comparisons: "
        f"{verdicts.count('worse')} surely worse, {verdicts.count('better')} surely better; "
        "the others may be chance."
    )
    more = len(report.slices) - tables.MOST_SLICES
    note = tag("p", f"And {more} more, which --json holds.", class_="lead") if more > 0 else None
    whole = tag("details", tag("summary", "All comparisons"), table, note)
    return section("slices", "Parts of the data", cards, whole if card is not None else table, lead=lead)


def sensors(report: EvaluationReport, pictures: Pictures) -> Markup | None:
    """What each sensor is worth."""
    table = tables.sensors(report.ablation) if report.ablation else None
    if table is None:
        return None
    told = highlights.sensors(report)
    lead = (
        "The same frames, answered with only some of the sensors. Bars: shares of the column's greatest; "
        "orange where less is better."
    )
    if told is not None:
        lead = f"{told.text} {lead}"
    return section("sensors", "What each sensor is worth", table, lead=lead)


def faults(report: EvaluationReport, pictures: Pictures) -> Markup | None:
    """What faults leave of each score."""
    found = report.fault_ablation
    if found is None or not found.curves:
        return None
    told = highlights.faults(report)
    lead = f"What is left of each score as a fault grows from 0 (none) to 1. {SCORES}"
    lead = f"{told.text} {lead}" if told is not None else lead
    whole = tag("details", tag("summary", "All numbers"), tables.faults(found))
    return section(
        "faults", "When sensors fail", tables.worst_faults(found), charts.faults(found), whole, lead=lead
    )


def latency(report: EvaluationReport, pictures: Pictures) -> Markup | None:
    """Scores that count the latency."""
    if not report.streaming:
        return None
    cards = _grid(charts.latency(report.streaming))
    lead = (
        "A single worker: while it is busy only the newest frame waits, and truth is matched with what "
        f"exists by then; at 0 ms the sensors' own delay remains. {SCORES}"
    )
    return section("latency", "When answers take their time", cards, tables.streaming(report), lead=lead)


def data(report: EvaluationReport, pictures: Pictures) -> Markup | None:
    """What went in, and the account of every message."""
    table = accounts.logs(report)
    if table is None:
        return None
    account = accounts.ledger(report)
    details = tag("details", tag("summary", "The account of every message"), account) if account else None
    told = accounts.warnings(report)
    warned = tag("ul", [tag("li", text) for text in told], class_="plain") if told else None
    heading = tag("h3", "Warnings") if told else None
    return section("logs", "What went in", table, details, heading, warned)


def numbers(report: EvaluationReport, pictures: Pictures) -> Markup | None:
    """Everything that was measured."""
    parts = [
        tag("details", tag("summary", name), accounts.head_values(name, metrics))
        for name, metrics in report.heads.items()
        if any(metric.values for metric in metrics.values())
    ]
    return section("numbers", "All numbers", parts, lead=sure(report)) if parts else None


def sure(report: EvaluationReport) -> str:
    """How the intervals came about, and by what rules was counted."""
    told = []
    found = report.resampling
    if found is not None:
        known = [one for one in found.heads.values() if not one.no_interval]
        if known:
            lengths = " and ".join(sorted({short(one.block_s) for one in known}))
            what = f"{found.logs} logs and then blocks" if "logs" in found.stages else "blocks"
            told.append(f"Intervals: {percent(found.level)}, {found.draws} draws of {what} of {lengths} s.")
        for why in dict.fromkeys(one.no_interval for one in found.heads.values() if one.no_interval):
            heads = [head for head, one in found.heads.items() if one.no_interval == why]
            told.append(f"No intervals for {', '.join(heads)}: {why}.")
    rules = report.rules
    if rules is not None:
        told.append(
            f"Truth below {short(rules.min_height_px)} px or less than {percent(rules.min_visible)} visible "
            f"does not count; values that rest on less than {rules.min_support} are undefined."
        )
    return " ".join(told)


def made(report: EvaluationReport, pictures: Pictures) -> Markup | None:
    """What made the outputs."""
    table = accounts.run(report)
    return (
        None
        if table is None
        else section("made", "What made these outputs", tag("div", table, class_="card"))
    )


SECTIONS = (
    Section("moments", "Worst moments", moments),
    Section("classes", "Classes", classes),
    Section("distance", "Distance", distance),
    Section("calibration", "Calibration", calibration),
    Section("control", "Control", control),
    Section("slices", "Parts", slices, "Parts of the data held against the rest: --slices all"),
    Section("sensors", "Sensors", sensors, "What each sensor is worth: --ablate sensors"),
    Section("faults", "Faults", faults, "What is left when sensors fail: --ablate faults"),
    Section("latency", "Latency", latency, "Scores that count the latency: --latency-ms curve"),
    Section("logs", "Logs", data),
    Section("numbers", "All numbers", numbers),
    Section("made", "Run", made),
)
"""In the order of the page."""
