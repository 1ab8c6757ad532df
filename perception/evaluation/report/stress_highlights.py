"""Highlights of runs under stress: without a sensor, under injected faults, with late answers."""

from __future__ import annotations

from collections.abc import Sequence

from perception.evaluation.report.display_text import number, percent, short
from perception.evaluation.report.highlight import Highlight
from perception.evaluation.report.schema import EvaluationReport
from perception.evaluation.report.stress_schema import StreamingReport


def sensors(report: EvaluationReport) -> Highlight | None:
    """Return a sentence on the sensor whose absence lowers the box score most."""
    subsets = report.ablation or {}
    full = max(subsets, key=lambda name: name.count("+"), default="")
    full_score = number(subsets[full], "box", "mAP50") if full else None
    if not full_score:
        return None
    left = {}
    for sensor in full.split("+"):
        rest = "+".join(part for part in full.split("+") if part != sensor)
        value = number(subsets[rest], "box", "mAP50") if rest in subsets else None
        left[sensor] = (value or 0.0) / full_score
    if len(left) < 2:
        return None
    needed = min(left, key=lambda name: left[name])
    others = ", ".join(f"{percent(share)} without {name}" for name, share in left.items() if name != needed)
    text = f"Boxes rest on {needed} most: without it {percent(left[needed])} of mAP50 is left, {others}."
    return Highlight(text, "sensors", False)


def faults(report: EvaluationReport) -> Highlight | None:
    """Return the worst fault, for the head that loses most."""
    ablation = report.fault_ablation
    if ablation is None or not ablation.worst:
        return None
    head = min(ablation.worst, key=lambda name: ablation.worst[name].kept)
    worst = ablation.worst[head]
    text = f"{worst.fault} is the worst fault: it leaves {percent(worst.kept)} of the {head} score."
    return Highlight(text, "faults", worst.kept < 0.5)


def latency(found: Sequence[StreamingReport]) -> Highlight | None:
    """Return a sentence on the box score at 100 ms, or at the greatest latency below."""
    if len(found) < 2:
        return None
    first = found[0]
    late = next(
        (score for score in reversed(found) if score is not first and score.latency_ms <= 100), found[1]
    )
    before, after = first.scores.get("box"), late.scores.get("box")
    if not before or after is None:
        return None
    text = (
        f"Answers that come {short(late.latency_ms)} ms late keep {percent(after / before)} of the box score "
        f"at {short(first.latency_ms)} ms."
    )
    return Highlight(text, "latency", after / before < 0.7)
