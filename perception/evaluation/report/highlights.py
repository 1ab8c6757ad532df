"""The highlights of a report: one sentence per section; None where the data are insufficient."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from perception.evaluation.report import stress_highlights
from perception.evaluation.report.display_text import (
    details,
    measured,
    number,
    parts_of,
    percent,
    short,
    values,
)
from perception.evaluation.report.drawing_schema import DistanceBinReport
from perception.evaluation.report.highlight import Highlight
from perception.evaluation.report.schema import EvaluationReport
from perception.evaluation.report.value_schema import SliceReport, ValueReport

ENOUGH = 20
"""The minimum number of objects for a sentence about one class or one distance."""


def all_highlights(report: EvaluationReport) -> list[Highlight]:
    """Return all highlights, those marked `bad` first."""
    highlights = [item for item in _all(report) if item is not None]
    return [item for item in highlights if item.bad] + [item for item in highlights if not item.bad]


def _all(report: EvaluationReport) -> Iterator[Highlight | None]:
    yield from missed(report)
    yield hardest_class(report)
    yield scores(report)
    yield confused(report)
    yield distances(report)
    yield coverage(report)
    for channel in channels(report):
        yield control(report, channel)
    yield slices(report.slices)
    yield stress_highlights.sensors(report)
    yield stress_highlights.faults(report)
    yield stress_highlights.latency(report.streaming)


def missed(report: EvaluationReport) -> list[Highlight]:
    """Return the distance from which each class is mostly missed."""
    if report.figures is None:
        return []
    highlights = []
    for label, bins in by_label(report.figures.recall).items():
        for place in range(1, len(bins)):
            near, far = _share(bins[:place]), _share(bins[place:])
            farther = [_share([part]) for part in bins[place:]]
            objects = sum(part.objects for part in bins[place:])
            if far < 0.5 and near - far >= 0.25 and objects >= ENOUGH and max(farther) < 0.6:
                text = (
                    f"{label} is mostly missed beyond {short(bins[place].from_m)} m: "
                    f"{percent(far)} of {objects} found, {percent(near)} nearer."
                )
                highlights.append(Highlight(text, "distance", True))
                break
    return highlights


def recall_title(report: EvaluationReport) -> str:
    """Return the heading over recall by distance."""
    highlights = missed(report)
    if highlights:
        return highlights[0].text
    bins = report.figures.recall if report.figures is not None else []
    known = [part for part in bins if part.objects >= ENOUGH]
    if not known:
        return "Recall by distance"
    worst = min(known, key=lambda part: part.found / part.objects)
    share = worst.found / worst.objects
    at = f"{worst.label} at {short(worst.from_m)} to {short(worst.to_m)} m"
    if share >= 0.9:
        return f"Found at every distance: {percent(share)} and more"
    return f"Fewest are found of {at}: {percent(share)}"


def hardest_class(report: EvaluationReport) -> Highlight | None:
    """Return the class of the lowest average precision, where one stands out."""
    known = _defined(parts_of(values(report.heads, "class"), "AP50"))
    if len(known) < 2:
        return None
    worst, best = min(known, key=lambda name: known[name]), max(known, key=lambda name: known[name])
    gap = known[best] - known[worst]
    if gap < 0.05:
        text = f"All classes do about as well: AP50 from {measured(known[worst])} to {measured(known[best])}."
        return Highlight(text, "classes", False)
    text = f"{worst} is the hardest class: AP50 {measured(known[worst])}, {best} {measured(known[best])}."
    return Highlight(text, "classes", known[worst] < 0.5)


def scores(report: EvaluationReport) -> Highlight | None:
    """Return a sentence on the calibration of the scores."""
    error = number(report.heads, "class", "D-ECE")
    bins = details(report.heads, "class", "detection_calibration").get("bins")
    if error is None or not isinstance(bins, dict):
        return None
    total = sum(bins["size"]) or 1
    rows = zip(bins["confidence"], bins["accuracy"], bins["size"], strict=True)
    gap = sum((confidence - accuracy) * size for confidence, accuracy, size in rows) / total
    if error < 0.05:
        text = f"Scores can be taken at their word: {short(error, 2)} off on average."
        return Highlight(text, "calibration", False)
    which = "claim too much" if gap > 0 else "claim too little"
    said = f"{which}: {short(error, 2)} off" if abs(gap) > error / 2 else f"are off by {short(error, 2)}"
    return Highlight(f"Scores {said} on average.", "calibration", error >= 0.1)


def confused(report: EvaluationReport) -> Highlight | None:
    """Return the two classes that are taken for each other most."""
    matrix = details(report.heads, "class", "confusion")
    labels: Any = matrix.get("labels")
    counts: Any = matrix.get("matrix")
    if not labels or not counts:
        return None
    real = range(len(labels) - 1)
    pairs = [
        (counts[true][predicted], true, predicted) for true in real for predicted in real if true != predicted
    ]
    most, true, predicted = max(pairs, default=(0, 0, 0))
    total = sum(counts[true])
    if not most:
        return Highlight("No class is taken for another.", "classes", False) if len(labels) > 2 else None
    text = f"{labels[true]} is taken for {labels[predicted]} most: {most} of {total}."
    return Highlight(text, "classes", total >= ENOUGH and most / total >= 0.1)


def distances(report: EvaluationReport) -> Highlight | None:
    """Return a sentence on how the distance error grows with distance."""
    bins = [part for part in (report.figures.distance if report.figures else []) if part.matches >= ENOUGH]
    if not bins:
        return None
    near, far = bins[0], bins[-1]
    off = sum(part.bias_m * part.matches for part in bins) / sum(part.matches for part in bins)
    size = sum(part.mean_abs_m * part.matches for part in bins) / sum(part.matches for part in bins)
    bias = values(report.heads, "box").get("distance_bias")
    said = off if bias is None or bias.value is None else bias.value  # of all matches, as the tables say it
    if abs(off) >= 0.6 * size and size >= 0.2 and off * said > 0 and not (bias and _can_be(bias, 0.0)):
        which = "far" if off > 0 else "near"
        text = f"Distances come out too {which}, by {short(abs(said), 2)} m on average."
        return Highlight(text, "distance", True)
    if len(bins) == 1:
        return Highlight(f"Distances are {short(near.mean_abs_m, 2)} m off on average.", "distance", False)
    text = (
        f"Distances are {short(near.mean_abs_m, 2)} m off up to {short(near.to_m)} m, "
        f"{short(far.mean_abs_m, 2)} m off from {short(far.from_m)} m on."
    )
    return Highlight(text, "distance", False)


def coverages(report: EvaluationReport) -> dict[str, ValueReport]:
    """Return the share of truth inside the 80 % intervals of each quantity."""
    box = values(report.heads, "box")
    shares = {"box sides": box.get("box_coverage80"), "distance": box.get("distance_coverage80")}
    shares |= parts_of(values(report.heads, "control"), "coverage80")
    return {name: value for name, value in shares.items() if value is not None and value.value is not None}


def coverage(report: EvaluationReport) -> Highlight | None:
    """Return a sentence on the coverage of the stated uncertainties."""
    known = _defined(coverages(report))
    if not known:
        return None
    if all(abs(share - 0.8) < 0.05 for share in known.values()):
        text = "Stated uncertainties hold: their 80 % intervals cover 75 to 85 %."
        return Highlight(text, "calibration", False)
    sure = [name for name in known if not _can_be(coverages(report)[name], 0.8)]
    off = [name for name in sure if abs(known[name] - 0.8) >= 0.05]
    name = max(off or known, key=lambda quantity: abs(known[quantity] - 0.8))
    if not off:
        text = (
            f"Stated uncertainties may hold: 80 % intervals cover {percent(known[name])} of {name}, "
            "which these logs cannot tell from 80 %."
        )
        return Highlight(text, "calibration", False)
    which = "small" if known[name] < 0.8 else "large"
    text = f"The uncertainty of {name} is stated too {which}: 80 % intervals cover {percent(known[name])}."
    return Highlight(text, "calibration", abs(known[name] - 0.8) >= 0.1)


def channels(report: EvaluationReport) -> list[str]:
    """Return the names of the control channels."""
    return list(parts_of(values(report.heads, "control"), "MAE"))


def control(report: EvaluationReport, channel: str) -> Highlight | None:
    """Compare the error of one channel with those of the last measured value and of the mean."""
    error = number(report.heads, "control", f"MAE/{channel}")
    simple = {
        "saying the last measured value": number(report.heads, "control", f"MAE_persistence/{channel}"),
        "always saying the mean": number(report.heads, "control", f"MAE_mean/{channel}"),
    }
    known = {name: value for name, value in simple.items() if value}
    if error is None or not known:
        return None
    name = min(known, key=lambda answer: known[answer])
    share = error / known[name]
    if share <= 0.95:
        text = f"{channel}: {percent(1 - share)} less error than {name}."
        return Highlight(text, "control", False)
    word = "no better than" if share < 1.05 else f"{percent(share - 1)} more error than"
    return Highlight(f"{channel}: {word} {name}.", "control", True)


def slices(found: Sequence[SliceReport]) -> Highlight | None:
    """Return a sentence on the significantly worse slice with the greatest relative difference."""
    worse = [part for part in found if part.difference.verdict == "worse"]
    if found and not compared(found):
        return Highlight("Too little data to tell whether a part is worse than the rest.", "slices", False)
    if not worse:
        return Highlight("No part is surely worse than the rest.", "slices", False) if found else None
    worst = max(worse, key=_relative)
    text = (
        f"Surely worse: {worst.by} {worst.part}, {worst.metric} {measured(worst.value)} "
        f"against {measured(worst.rest)} elsewhere."
    )
    return Highlight(text, "slices", True)


def compared(found: Sequence[SliceReport]) -> int:
    """Return how many slices there was enough data to compare: the others have no p."""
    return sum(part.difference.p_corrected is not None for part in found)


def _relative(part: SliceReport) -> float:
    """Return the difference over the greater of both values."""
    size = max(abs(part.value or 0.0), abs(part.rest or 0.0))
    return abs(part.difference.value or 0.0) / size if size else 0.0


def by_label(bins: Sequence[DistanceBinReport]) -> dict[str, list[DistanceBinReport]]:
    """Return the bins by class, without classes that have few objects."""
    by_class: dict[str, list[DistanceBinReport]] = {}
    for part in bins:
        by_class.setdefault(part.label, []).append(part)
    return {label: own for label, own in by_class.items() if sum(part.objects for part in own) >= ENOUGH}


def _share(bins: Sequence[DistanceBinReport]) -> float:
    return sum(part.found for part in bins) / max(sum(part.objects for part in bins), 1)


def _can_be(value: ValueReport, nominal: float) -> bool:
    """Return whether the interval of a value contains a nominal one; without an interval nothing is known."""
    return value.interval is not None and value.interval.low <= nominal <= value.interval.high


def _defined(reports: Mapping[str, ValueReport]) -> dict[str, float]:
    return {name: value.value for name, value in reports.items() if value.value is not None}
