"""matplotlib figures as SVG for inlining in a page, with text as text and colours of the page's theme."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from perception.evaluation.plotting import COLOURS, MARKERS
from perception.text import visible_line

if TYPE_CHECKING:
    from matplotlib.figure import Figure

INK, GRID = "#000001", "#000002"
SERIES = 6
"""The number of series that differ in colour, dash and marker."""
DASHES: tuple[Any, ...] = (
    "-",
    *((0, dashes) for dashes in ((5, 2), (1.5, 2), (6, 2, 1.5, 2), (3, 1.5), (8, 2))),
)

_THEME = {colour: f"var(--s{place + 1})" for place, colour in enumerate(COLOURS[:SERIES])}
_THEME |= {INK: "var(--soft)", GRID: "var(--faint)"}
_STYLE: Any = {
    "axes.edgecolor": INK,
    "axes.grid": True,
    "axes.labelcolor": INK,
    "axes.spines.left": False,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "figure.constrained_layout.use": True,
    "font.size": 11,
    "grid.color": GRID,
    "legend.frameon": False,
    "legend.handlelength": 2.6,
    "lines.linewidth": 1.7,
    "lines.markersize": 5,
    "savefig.transparent": True,
    "svg.fonttype": "none",
    "svg.hashsalt": "perception",
    "text.color": INK,
    "text.parse_math": False,
    "xtick.color": INK,
    "ytick.color": INK,
    "ytick.major.size": 0,
}
_NO_METADATA = dict.fromkeys(("Creator", "Date", "Format", "Type"))


class Chart:
    """A figure being drawn; `svg` is set when the context of `chart` ends.

    Args:
        figure: The figure to draw in.
    """

    def __init__(self, figure: Figure) -> None:
        self.figure = figure
        self.svg = Markup("")


@contextmanager
def chart(label: str, name: str, width: float = 360, height: float = 230) -> Iterator[Chart]:
    """Open a figure with its size in CSS pixels, and draw it when the context ends.

    Args:
        label: What the figure shows, in words, for those who do not see it.
        name: Prefix of the ids inside; unique in the page.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context(_STYLE), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a glyph that the layout's font lacks: the browser has others
        drawn = Chart(Figure(figsize=(width / 72, height / 72)))
        yield drawn
        file = io.BytesIO()
        drawn.figure.savefig(file, format="svg", metadata=_NO_METADATA)
    drawn.svg = _inline(file.getvalue().decode("utf-8"), label, name, (width, height))


def _inline(svg: str, label: str, name: str, size: tuple[float, float]) -> Markup:
    """Return the drawing as an element of a page: without document parts, with theme colours and own ids."""
    body = svg[svg.index(">", svg.index("<svg")) + 1 :]
    body = re.sub(r"<defs>\s*<style.*?</style>\s*</defs>", "", body, count=1, flags=re.DOTALL)
    used = set(re.findall(r'<[^<>]*(?:xlink:href="#|url\(#)([\w-]+)', body))

    def tag(match: re.Match[str]) -> str:
        text = re.sub(r' id="([^"]*)"', lambda m: f' id="{name}-{m[1]}"' if m[1] in used else "", match[0])
        text = re.sub(r'(xlink:href="#|url\(#)', rf"\g<1>{name}-", text)
        text = re.sub(r"#[0-9a-f]{6}\b", lambda m: _THEME.get(m[0], m[0]), text)
        return re.sub(r"(font-size: [^;]*); font-family: [^;]*", r"\1", text)

    opening = Markup('<svg class="plot" role="img" aria-label="{}" viewBox="0 0 {:g} {:g}">').format(
        visible_line(label), *size
    )
    return opening + Markup(re.sub(r"\s*\n\s*", "\n", re.sub(r"<[^<>]+>", tag, body)).strip())


def series(place: int, marks: bool = True) -> dict[str, Any]:
    """Return the look of the series at a place: colour, dash and marker."""
    marker = MARKERS[place % SERIES] if marks else ""
    return {"color": COLOURS[place % SERIES], "linestyle": DASHES[place % SERIES], "marker": marker}
