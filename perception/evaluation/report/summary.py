"""The head of the page: the verdict, the numbers to begin with, and what stands out."""

from __future__ import annotations

from collections.abc import Sequence

from perception.evaluation.report import highlights
from perception.evaluation.report.markup import Markup, Part, tag
from perception.evaluation.report.number_text import file_name, interval, measured, values
from perception.evaluation.report.schema import EvaluationReport, GateReport


def section(place: str, title: str, *parts: Part, lead: str = "") -> Markup:
    """A heading, a line that says how to read it, and what it shows."""
    below = tag("p", lead, class_="lead") if lead else None
    return tag("section", tag("h2", title), below, *parts, id=place)


def verdict(report: EvaluationReport) -> Markup:
    """Pass or fail, and each requirement."""
    told = highlights.headline(report)
    judged = bool(report.gates or report.reference) or told.bad
    kind = "" if not judged else "bad" if told.bad else "good"
    sign = "\u2022" if not judged else "\u2718" if told.bad else "\u2714"
    error = tag("p", report.error) if report.error else None
    how = None
    if not judged:
        how = tag("p", "Add ", tag("code", "--require 'box.mAP50 >= 0.8'"), " to have it judged.")
    gates = sorted(report.gates, key=lambda gate: gate.passed)
    items = [_gate(gate) for gate in gates]
    for row in report.reference:
        same = not row.diverged and row.frames
        where = f" in {row.frames} frames of {file_name(row.log)}"
        text = (
            f"decides as the reference{where}"
            if same
            else f"diverges in {row.diverged} of {row.frames} frames"
        )
        at = (
            ""
            if same or row.at_s is None
            else f" of {file_name(row.log)}, first at {row.at_s:.2f} s: {row.what}"
        )
        again = None if same else command(row.command)
        items.append(_judged(bool(same), row.head, text + at, again))
    listed = tag("ul", items, class_="gates") if items else None
    return tag(
        "div",
        tag("h2", tag("span", sign, aria_hidden="true"), tag("span", told.text)),
        *(error, how, listed),
        class_=f"verdict {kind}".rstrip(),
        id="summary",
    )


def command(text: str) -> Markup | None:
    """A command that is selected as a whole; lines break between its words only."""
    if not text:
        return None
    words: list[Part] = []
    for word in text.split(" "):
        words += [" ", tag("span", word)] if words else [tag("span", word)]
    return tag("code", words, class_="cmd")


def _gate(gate: GateReport) -> Markup:
    return _judged(gate.passed, gate.require, gate.why)


def _judged(good: bool, name: str, why: str, more: Part = None) -> Markup:
    word = tag("b", "\u2714 passed" if good else "\u2718 failed", class_="good" if good else "bad")
    return tag("li", word, tag("span", tag("code", name), f": {why}", more))


KEY = (
    ("box", "mAP50", "Boxes: mAP50"),
    ("class", "F1", "Classes: F1"),
    ("box", "distance_abs", "Distance: mean error"),
    ("control", "MAE/", "{}: mean error"),
    ("class", "D-ECE", "Scores: error of calibration"),
    ("joint", "joint", "All heads: joint score"),
    ("timing", "p50/total", "Time for a frame, median"),
)


def key_numbers(report: EvaluationReport) -> list[tuple[str, str, str]]:
    """Title, value with unit, and the interval or what it rests on, of the numbers to begin with."""
    rows = []
    for head, name, title in KEY:
        found = values(report.heads, head)
        for key, value in found.items():
            if value.value is None or not (key == name or (name.endswith("/") and key.startswith(name))):
                continue
            ends = interval(value)
            note = f"95 %: {ends}" if ends else f"of {value.support}" if value.support else ""
            unit = f" {value.unit}" if value.unit else ""
            rows.append((title.format(key.partition("/")[2]), f"{measured(value.value)}{unit}", note))
    return rows


def tiles(report: EvaluationReport) -> Markup | None:
    """The numbers to begin with."""
    drawn = []
    for title, told, note in key_numbers(report):
        number, _, unit = told.partition(" ")
        shown = tag("dd", number, tag("small", f" {unit}") if unit else None)
        drawn.append(
            tag(
                "dl", tag("dt", title), shown, tag("dd", note, class_="note") if note else None, class_="tile"
            )
        )
    return tag("div", drawn, class_="tiles") if drawn else None


def stands_out(report: EvaluationReport, places: Sequence[str]) -> Markup | None:
    """What to look at first, each with a link to where it is shown."""
    items = []
    for one in highlights.all_highlights(report):
        words = tag("a", one.text, href=f"#{one.place}") if one.place in places else one.text
        sign = tag("span", "!" if one.bad else "\u00b7", class_=f"sign {'bad' if one.bad else 'dim'}")
        items.append(tag("li", sign, tag("span", words)))
    return section("findings", "What stands out", tag("ul", items, class_="findings")) if items else None
