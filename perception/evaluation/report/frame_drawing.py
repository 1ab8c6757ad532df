"""A moment as a drawing: the picture, truth dashed and predictions solid on top of it, and the same in words.

What is right is blue, what was missed is orange, what is not there is yellow: colour-blind people tell these
apart, and each also has its own line and its own word.
"""

from __future__ import annotations

from collections.abc import Sequence

from perception.evaluation.report.frame_pictures import Picture
from perception.evaluation.report.markup import Markup, Part, join, tag
from perception.evaluation.report.number_text import measured, short, signed
from perception.evaluation.report.schema import MomentReport, SceneBoxReport, SceneControlReport, SceneReport

ORDER = ("ignored", "found", "hit", "false", "missed")
"""Drawn later is drawn on top."""
WORDS = {
    "missed": "missed: truth that nothing was said of",
    "false": "false: said, not in truth",
    "hit": "right: said, and in truth",
    "found": "truth that was found",
    "ignored": "truth that does not count: too small or too hidden",
}
TALL = 0.15
"""Boxes that are right are named in the picture from this share of its height on."""
SHOWN = 60
"""Boxes of one frame that are named in words."""

Rect = tuple[float, float, float, float]


def drawing(scene: SceneReport, picture: Picture) -> Markup:
    """The boxes on the picture."""
    width, height = float(picture.width), float(picture.height)
    unit = width / 480
    parts: list[Part] = [
        tag("image", href=picture.uri, width=f"{width:g}", height=f"{height:g}", preserveaspectratio="none")
    ]
    ordered = sorted(scene.boxes, key=lambda box: ORDER.index(box.kind))
    parts += [_outline(box, unit) for box in ordered]
    taken: list[Rect] = []
    for box in reversed(ordered):
        if box.kind in ("missed", "false") or (box.kind == "hit" and _high(box) > TALL * height):
            parts.append(_label(box, unit, (width, height), taken))
    counts = ", ".join(f"{_count(scene.boxes, kind)} {kind}" for kind in ("missed", "false", "hit"))
    return tag(
        "svg",
        *parts,
        viewbox=f"0 0 {width:g} {height:g}",
        role="img",
        class_="scene",
        aria_label=f"Boxes: {counts}",
    )


def _high(box: SceneBoxReport) -> float:
    return box.xyxy[3] - box.xyxy[1]


def _count(boxes: Sequence[SceneBoxReport], kind: str) -> int:
    return sum(box.kind == kind for box in boxes)


def _outline(box: SceneBoxReport, unit: float) -> Markup:
    """Twice: a dark line below, so that it is seen on every ground."""
    x1, y1, x2, y2 = box.xyxy
    place = {
        "x": f"{x1:.1f}",
        "y": f"{y1:.1f}",
        "width": f"{max(x2 - x1, 0.0):.1f}",
        "height": f"{max(y2 - y1, 0.0):.1f}",
    }
    below = tag("rect", **place, class_="under", stroke_width=f"{2.6 * unit:.2f}")
    dash = {"found": f"{4 * unit:.1f} {3 * unit:.1f}", "missed": f"{5 * unit:.1f} {2.5 * unit:.1f}"}.get(
        box.kind
    )
    dash = f"{unit:.1f} {2.5 * unit:.1f}" if box.kind == "ignored" else dash
    wide = {"missed": 1.8, "false": 1.5, "hit": 1.4}.get(box.kind, 0.9)
    above = tag(
        "rect", **place, class_=f"box {box.kind}", stroke_width=f"{wide * unit:.2f}", stroke_dasharray=dash
    )
    return join([below if box.kind != "ignored" else None, above])


def _label(box: SceneBoxReport, unit: float, size: tuple[float, float], taken: list[Rect]) -> Markup | None:
    """Above or below its box, where there is room; otherwise it is only named below the picture."""
    said = _words(box, brief=True)
    wide, high = (5.1 * len(said) + 5) * unit, 11.5 * unit
    x = min(max(box.xyxy[0], 0.0), max(size[0] - wide, 0.0))
    for top in (box.xyxy[1] - high, box.xyxy[3], box.xyxy[1]):
        rect = (x, top, x + wide, top + high)
        if top < 0 or top + high > size[1] or any(_meet(rect, other) for other in taken):
            continue
        taken.append(rect)
        ground = tag(
            "rect",
            x=f"{x:.1f}",
            y=f"{top:.1f}",
            width=f"{wide:.1f}",
            height=f"{high:.1f}",
            class_=f"tag {box.kind}",
        )
        place = {"x": f"{x + 2.5 * unit:.1f}", "y": f"{top + 8.8 * unit:.1f}"}
        text = tag("text", said, **place, font_size=f"{9 * unit:.1f}", class_="said")
        return join([ground, text])
    return None


def _meet(one: Rect, other: Rect) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _words(box: SceneBoxReport, brief: bool = False) -> str:
    """`person 0.41, 30 m`."""
    name = box.label if not brief or len(box.label) <= 16 else f"{box.label[:15]}\u2026"
    parts = [name if box.score is None else f"{name} {box.score:.2f}"]
    if box.distance_m is not None and not (brief and box.kind == "hit"):
        parts.append(f"{box.distance_m:.0f} m" if box.distance_m >= 10 else f"{short(box.distance_m, 2)} m")
    return ", ".join(parts)


def in_words(moment: MomentReport) -> Markup | None:
    """What was missed, what is false, and the command: said beside true."""
    scene = moment.scene
    if scene is None:
        return None
    rows: list[Part] = []
    for kind in ("missed", "false", "hit"):
        boxes = [box for box in scene.boxes if box.kind == kind]
        if not boxes:
            continue
        named = "; ".join(_words(box) for box in boxes[:SHOWN])
        more = f" and {len(boxes) - SHOWN} more" if len(boxes) > SHOWN else ""
        title = {"missed": "missed", "false": "false", "hit": "right"}[kind]
        rows.append(
            tag("div", tag("dt", f"{title} ({len(boxes)})", class_=f"k {kind}"), tag("dd", named + more))
        )
    rows += [tag("div", tag("dt", one.name), tag("dd", control_words(one))) for one in scene.control]
    return tag("dl", rows, class_="words") if rows else None


def control_words(one: SceneControlReport) -> str:
    """`said 0.12 ±0.02, true 0.16 1/m (off by -0.04)`."""
    std = "" if one.std is None else f" \u00b1{measured(one.std, 2)}"
    off = "" if one.said is None or one.true is None else f" (off by {signed(one.said - one.true)})"
    return f"said {measured(one.said)}{std}, true {measured(one.true)} {one.unit}".rstrip() + off


def key() -> Markup:
    """What the lines mean."""
    items = []
    for kind, words in WORDS.items():
        line = tag("path", d="M1,6H27", class_=f"box {kind}")
        drawn = tag("svg", line, viewbox="0 0 28 12", class_="key wide", aria_hidden="true")
        items.append(tag("li", drawn, words))
    return tag("ul", items, class_="legend scene-key")
