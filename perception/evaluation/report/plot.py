"""A small plot in SVG: colours, dashes and fonts are the page's style sheet's, so that it follows its theme.

A plot is 360 units wide and is never drawn much larger or smaller: text in it stays legible on a phone.
Series differ in colour, in dash and in the shape of their marks.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from perception.evaluation.report.markup import Markup, Part, join, tag
from perception.evaluation.report.number_text import MINUS

STYLES = 6
Point = tuple[float, float]

_MARKS = (
    "M-3,0a3,3 0 1,0 6,0a3,3 0 1,0 -6,0z",  # disc
    "M-2.8,-2.8h5.6v5.6h-5.6z",  # square
    "M0,-3.6L3.4,2.6H-3.4z",  # triangle
    "M0,-3.8L3.8,0L0,3.8L-3.8,0z",  # diamond
    "M0,3.6L3.4,-2.6H-3.4z",  # triangle, turned
    "M-3,-1h2v-2h2v2h2v2h-2v2h-2v-2h-2z",  # cross
)


@dataclass(frozen=True, slots=True)
class Axis:
    """From where to where, what is written beside it, and at which values."""

    low: float
    high: float
    title: str = ""
    ticks: tuple[float, ...] = ()
    as_percent: bool = False

    def place(self, value: float) -> float:
        """From 0 to 1."""
        span = self.high - self.low
        return min(max((value - self.low) / span, 0.0), 1.0) if span else 0.5

    def text(self, value: float) -> str:
        found = f"{100 * value:.0f} %" if self.as_percent else f"{round(value, 12):g}"
        return found.replace("-", MINUS)


def nice_axis(values: Iterable[float], title: str = "", zero: bool = False, count: int = 5) -> Axis:
    """An axis over values, with round ticks; `zero`: it begins or ends at zero."""
    known = [value for value in values if math.isfinite(value)] + ([0.0] if zero else [])
    low, high = (min(known), max(known)) if known else (0.0, 1.0)
    if low == high:
        low, high = (low - 0.5, high + 0.5) if not zero else (min(low, 0.0), max(high, 1.0))
    raw = (high - low) / count
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= raw * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    ticks = tuple(place * step for place in range(first, last + 1))
    return Axis(ticks[0], ticks[-1], title, ticks)


SHARE = Axis(0.0, 1.0, "", (0.0, 0.25, 0.5, 0.75, 1.0))


class Plot:
    """Places values on a drawing.

    Args:
        x, y: The axes.
        width, height: Of the whole, in units of the drawing.
        small: Without titles of the axes and with few ticks, for many plots beside each other.
    """

    def __init__(self, x: Axis, y: Axis, width: int = 360, height: int = 230, small: bool = False) -> None:
        self.x, self.y = x, y
        self.width, self.height = width, height
        longest = max((len(y.text(tick)) for tick in y.ticks), default=1)
        self.left = 8 + 6.2 * longest + (14 if y.title else 0)
        self.right, self.top = width - 10.0, 8.0
        self.bottom = height - (20.0 if not x.title else 36.0)
        self.small = small

    def at(self, point: Point) -> Point:
        """Where a point lies on the drawing."""
        across = self.left + self.x.place(point[0]) * (self.right - self.left)
        return across, self.bottom - self.y.place(point[1]) * (self.bottom - self.top)

    def frame(self) -> Markup:
        """Grid, ticks and titles."""
        parts: list[Part] = []
        for value in self.y.ticks:
            _, y = self.at((self.x.low, value))
            parts.append(tag("path", d=f"M{self.left:.1f},{y:.1f}H{self.right:.1f}", class_="grid"))
            parts.append(
                tag("text", self.y.text(value), x=f"{self.left - 5:.1f}", y=f"{y + 3.5:.1f}", class_="ty")
            )
        for value in self.x.ticks:
            x, _ = self.at((value, self.y.low))
            parts.append(tag("path", d=f"M{x:.1f},{self.bottom:.1f}v4", class_="axis"))
            parts.append(
                tag("text", self.x.text(value), x=f"{x:.1f}", y=f"{self.bottom + 15:.1f}", class_="tx")
            )
        parts.append(tag("path", d=f"M{self.left:.1f},{self.bottom:.1f}H{self.right:.1f}", class_="axis"))
        middle = (self.left + self.right) / 2
        if self.x.title:
            parts.append(tag("text", self.x.title, x=f"{middle:.1f}", y=self.height - 5, class_="tx name"))
        if self.y.title:
            at = (self.top + self.bottom) / 2
            turned = f"rotate(-90 10 {at:.1f})"
            parts.append(tag("text", self.y.title, x=10, y=f"{at:.1f}", transform=turned, class_="tx name"))
        return join(parts)

    def path(self, points: Sequence[Point]) -> str:
        """Through points; not finite ones break it."""
        found, pen = [], "M"
        for point in points:
            if not (math.isfinite(point[0]) and math.isfinite(point[1])):
                pen = "M"
                continue
            x, y = self.at(point)
            found.append(f"{pen}{x:.1f},{y:.1f}")
            pen = "L"
        return "".join(found)

    def line(
        self, points: Sequence[Point], style: int, marks: bool = True, tips: Sequence[str] = ()
    ) -> Markup:
        """A series; each mark may say something when it is pointed at."""
        parts: list[Part] = [tag("path", d=self.path(points), class_=f"line s{style % STYLES + 1}")]
        for index, point in enumerate(points):
            if marks and math.isfinite(point[0]) and math.isfinite(point[1]):
                parts.append(self.mark(point, style, tips[index] if index < len(tips) else ""))
        return join(parts)

    def mark(self, point: Point, style: int, tip: str = "") -> Markup:
        """A mark in the shape of its series."""
        x, y = self.at(point)
        title = tag("title", tip) if tip else None
        place = f"translate({x:.1f} {y:.1f})"
        shape = _MARKS[style % STYLES]
        return tag("path", title, d=shape, transform=place, class_=f"mark f{style % STYLES + 1}")

    def area(self, upper: Sequence[Point], lower: Sequence[Point], style: int) -> Markup:
        """What lies between two lines."""
        outline = self.path(upper) + self.path(list(reversed(lower))).replace("M", "L", 1) + "Z"
        return tag("path", d=outline, class_=f"area f{style % STYLES + 1}")

    def bar(self, low: float, high: float, value: float, style: int, tip: str = "") -> Markup:
        """A bar from the foot of the plot."""
        x0, y = self.at((low, value))
        x1, foot = self.at((high, max(self.y.low, 0.0)))
        title = tag("title", tip) if tip else None
        width, height = max(x1 - x0 - 1.5, 1.0), max(abs(foot - y), 0.5)
        rect = {"x": f"{x0 + 0.75:.1f}", "y": f"{min(y, foot):.1f}"}
        return tag(
            "rect", title, **rect, width=f"{width:.1f}", height=f"{height:.1f}", class_=f"bar f{style + 1}"
        )

    def ruler(self, points: Sequence[Point]) -> Markup:
        """A thin line to compare with."""
        return tag("path", d=self.path(points), class_="ruler")

    def svg(self, label: str, *parts: Part) -> Markup:
        """The drawing; `label` says in words what it shows."""
        return svg(self.width, self.height, label, self.frame(), *parts)


def svg(width: int, height: int, label: str, *parts: Part, class_: str = "plot") -> Markup:
    """A drawing of this many units that scales with its place."""
    return tag("svg", *parts, viewbox=f"0 0 {width} {height}", role="img", aria_label=label, class_=class_)


def legend(names: Sequence[str], marks: bool = True) -> Markup:
    """What each style means, in order; none for a single series."""
    items = []
    for style, name in enumerate(names):
        place = style % STYLES + 1
        line = tag("path", d="M1,6H25", class_=f"line s{place}")
        shape = tag("path", d=_MARKS[style % STYLES], transform="translate(13 6)", class_=f"mark f{place}")
        drawn = tag(
            "svg", line, shape if marks else None, viewbox="0 0 26 12", class_="key", aria_hidden="true"
        )
        items.append(tag("li", drawn, name))
    return tag("ul", items, class_="legend")
