"""The axes of the charts: scales of shares, rows of texts, and legends."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from perception.evaluation.report.display_text import MINUS
from perception.evaluation.report.inline_svg import INK
from perception.text import visible_line

if TYPE_CHECKING:
    from matplotlib.axes import Axes


SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)


RULER: Any = {"color": INK, "linewidth": 0.8, "linestyle": (0, (3, 3)), "zorder": 1}


def share_axes(axes: Axes, x: str, y: str) -> Axes:
    """Label axes on which both values are shares."""
    axes.set(xlabel=x, ylabel=y, xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    share_ticks(axes.xaxis)
    share_ticks(axes.yaxis)
    return axes


def share_ticks(axis: Any) -> None:
    """Put the ticks of shares on an axis."""
    axis.set_ticks(SHARES, [f"{share:g}" for share in SHARES])


def in_percent(axis: Any) -> None:
    """Show the ticks of an axis in percent."""
    axis.set_major_formatter(lambda share, place: f"{100 * share:.0f} %".replace("-", MINUS))


def text_rows(axes: Axes, texts: Sequence[str]) -> Axes:
    """Turn axes into rows from the top, each with a text above its middle."""
    axes.set_ylim(len(texts) - 0.5, -0.85)
    axes.set_yticks([])
    for row, text in enumerate(texts):
        place = axes.get_yaxis_transform()
        axes.text(0.0, row - 0.25, visible_line(text), transform=place, va="bottom", clip_on=False)
    return axes


def legend(axes: Axes) -> None:
    """Put the names of the series above the axes, in one column where they are long."""
    lines = [line for line in axes.get_lines() if not str(line.get_label()).startswith("_child")]
    # A name that begins with _ is shown too.
    names = [visible_line(f" {line.get_label()}")[:60] for line in lines]
    if names:
        columns = 1 if max(map(len, names)) > 24 else 2 if max(map(len, names)) > 10 else 3
        axes.figure.legend(lines, names, loc="outside upper left", ncols=columns, fontsize=11)
