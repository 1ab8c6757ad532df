"""The text of one answer, which `replay --step` prints after each tick."""

from __future__ import annotations

from collections.abc import Iterator

from perception.types import Control, Detection, Detections, Output

MIN_SCORE = 0.3
"""Detections below it are only counted, as in the video."""
MOST = 8


def answer_lines(output: Output) -> Iterator[str]:
    """Yield a line for each head, each detection that is shown, and each warning."""
    if output.detections is not None:
        yield from _detections(output.detections)
    if output.control is not None:
        yield _control("control", output.control)
    for name, head in output.extra.items():
        yield _control(name, head)
    for text in output.warnings.values():
        yield f"warning: {text}"


def _detections(head: Detections) -> Iterator[str]:
    if not head.valid:
        yield f"class, box: invalid: {head.error}"
        return
    shown = [item for item in head.items if item.score >= MIN_SCORE]
    below = len(head.items) - len(shown)
    count = f"{len(shown)} of score {MIN_SCORE:g} and more" + (f", {below} below" if below else "")
    yield f"class, box: {count}, from {', '.join(head.based_on) or 'no input'}"
    yield from (f"  {_detection(item)}" for item in shown[:MOST])
    if len(shown) > MOST:
        yield f"  and {len(shown) - MOST} more"


def _detection(item: Detection) -> str:
    box = " ".join(f"{side:.0f}" for side in item.xyxy)
    distance = "" if item.distance_m is None else f", {item.distance_m:.1f}{_std(item.distance_std_m)} m"
    return f"{item.label} {item.score:.2f} at {box}{distance}"


def _control(name: str, head: Control) -> str:
    if not head.valid:
        return f"{name}: invalid: {head.error}"
    values = ", ".join(f"{c.name} {c.value:.3g}{_std(c.std)} {c.unit}".rstrip() for c in head.channels)
    return f"{name}: {values or 'no channel'}, from {', '.join(head.based_on) or 'no input'}"


def _std(std: float | None) -> str:
    return "" if std is None else f" ± {std:.2g}"
