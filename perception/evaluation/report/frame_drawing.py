"""Drawings of the boxes of a moment on its picture, as outlines and labels, and their text descriptions.

Right boxes are blue, missed ones orange, false ones yellow: colour-blind people tell these apart, and each
also has its own line and its own word.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from perception.evaluation.report.display_text import measured, short, signed
from perception.evaluation.report.drawing_schema import SceneBoxReport, SceneControlReport, SceneReport
from perception.evaluation.report.frame_pictures import Picture
from perception.text import listed

ORDER = ("ignored", "found", "hit", "false", "missed")
"""The drawing order; later kinds are on top."""
DASHES = {"found": (4, 3), "missed": (5, 2.5), "ignored": (1, 2.5)}
WIDTHS = {"missed": 1.8, "false": 1.5, "hit": 1.4}
TALL = 0.15
"""Right boxes are labelled in the picture from this share of its height on."""
MOST_WORDS = 60
"""The maximum number of boxes of one frame in its text."""

Rect = tuple[float, float, float, float]


class Outline(NamedTuple):
    """A box to draw, in pixels of the source."""

    kind: str
    x: float
    y: float
    width: float
    height: float
    line: float
    dash: str


class Label(NamedTuple):
    """A label to draw, in pixels of the source."""

    kind: str
    x: float
    y: float
    width: float
    height: float
    text: str


class Drawing(NamedTuple):
    """A picture with its boxes; `unit` is the size of a pixel when it is drawn 480 wide.

    `note` says of what other time the picture is; empty: of the moment.
    """

    picture: Picture
    unit: float
    counts: str
    outlines: list[Outline]
    labels: list[Label]
    note: str = ""


def drawing(scene: SceneReport | None, picture: Picture | None) -> Drawing | None:
    """Return the picture with its boxes; None without either."""
    if scene is None or picture is None:
        return None
    unit = picture.width / 480
    ordered = sorted(scene.boxes, key=lambda box: ORDER.index(box.kind))
    counts = ", ".join(
        f"{sum(b.kind == kind for b in scene.boxes)} {kind}" for kind in ("missed", "false", "hit")
    )
    outlines = [_outline(box, unit) for box in ordered]
    labels = _labels(ordered, unit, picture)
    return Drawing(picture, unit, counts, outlines, labels, _age(picture.older_ns))


def _age(older_ns: int) -> str:
    """Return by how much a picture is of another time than its moment; empty below a millisecond."""
    off_ms = abs(older_ns) // 1_000_000
    than = "older" if older_ns > 0 else "newer"
    return f"The picture is {off_ms} ms {than} than this moment." if off_ms else ""


def _outline(box: SceneBoxReport, unit: float) -> Outline:
    x1, y1, x2, y2 = box.xyxy
    dash = " ".join(f"{length * unit:.1f}" for length in DASHES.get(box.kind, ()))
    line = WIDTHS.get(box.kind, 0.9) * unit
    return Outline(box.kind, x1, y1, max(x2 - x1, 0.0), max(y2 - y1, 0.0), line, dash)


def _labels(boxes: Sequence[SceneBoxReport], unit: float, picture: Picture) -> list[Label]:
    """Return labels above, below or inside their boxes, topmost boxes first; omitted without room."""
    taken: list[Rect] = []
    labels = []
    for box in reversed(boxes):
        tall = box.xyxy[3] - box.xyxy[1] > TALL * picture.height
        if box.kind not in ("missed", "false") and not (box.kind == "hit" and tall):
            continue
        text = _words(box, brief=True)
        wide, high = (5.1 * len(text) + 5) * unit, 11.5 * unit
        x = min(max(box.xyxy[0], 0.0), max(picture.width - wide, 0.0))
        for top in (box.xyxy[1] - high, box.xyxy[3], box.xyxy[1]):
            rect = (x, top, x + wide, top + high)
            if top >= 0 and top + high <= picture.height and not any(_meet(rect, other) for other in taken):
                taken.append(rect)
                labels.append(Label(box.kind, x, top, wide, high, text))
                break
    return labels


def _meet(rect: Rect, other: Rect) -> bool:
    return rect[0] < other[2] and other[0] < rect[2] and rect[1] < other[3] and other[1] < rect[3]


def _words(box: SceneBoxReport, brief: bool = False) -> str:
    """Return `person 0.41, 30 m`."""
    name = box.label if not brief or len(box.label) <= 16 else f"{box.label[:15]}\u2026"
    parts = [name if box.score is None else f"{name} {box.score:.2f}"]
    if box.distance_m is not None and not (brief and box.kind == "hit"):
        parts.append(f"{box.distance_m:.0f} m" if box.distance_m >= 10 else f"{short(box.distance_m, 2)} m")
    return ", ".join(parts)


def frame_words(scene: SceneReport | None) -> list[tuple[str, str, str]]:
    """Return kind, title and text of each line: the missed, false and correct boxes, and the command."""
    lines = []
    for kind, title in (("missed", "missed"), ("false", "false"), ("hit", "right")):
        boxes = [box for box in (scene.boxes if scene is not None else []) if box.kind == kind]
        if boxes:
            lines.append((kind, f"{title} ({len(boxes)})", listed(map(_words, boxes), MOST_WORDS, "; ")))
    channels = scene.control if scene is not None else []
    return lines + [("", channel.name, control_words(channel)) for channel in channels]


def control_words(channel: SceneControlReport) -> str:
    """Return `said 0.12 ±0.02, true 0.16 1/m (off by -0.04)`."""
    std = "" if channel.std is None else f" \u00b1{measured(channel.std, 2)}"
    known = channel.said is not None and channel.true is not None
    off = f" (off by {signed((channel.said or 0.0) - (channel.true or 0.0))})" if known else ""
    return f"said {measured(channel.said)}{std}, true {measured(channel.true)} {channel.unit}".rstrip() + off
