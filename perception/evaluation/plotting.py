"""Drawings as SVG files, by matplotlib (extra `eval`). Nothing of matplotlib's global state is used.

Colours are those of Okabe and Ito, which colour-blind people tell apart; series also differ in their markers.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from perception.errors import MissingExtraError, OutputError
from perception.files import write_problem, write_whole

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")

_STYLE: Any = {
    "axes.grid": True,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "figure.facecolor": "white",
    "font.size": 9,
    "grid.alpha": 0.3,
    "legend.fontsize": 8,
    "legend.frameon": False,
    "lines.linewidth": 1.5,
    "lines.markersize": 5,
    "svg.fonttype": "none",
    "svg.hashsalt": "perception",
}


def need_matplotlib(what: str) -> None:
    """Raise if matplotlib is not installed, before any other work.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    try:
        import matplotlib.figure  # noqa: F401
    except ImportError:
        raise MissingExtraError(what, "eval") from None


@contextmanager
def drawing(path: Path, width: float, height: float) -> Iterator[Figure]:
    """Open a figure with its size in inches, written when the context ends. Equal drawings give equal bytes.

    Raises:
        MissingExtraError: matplotlib is not installed.
        OutputError: The file cannot be written.
    """
    need_matplotlib("drawing plots")
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context(_STYLE):
        figure = Figure(figsize=(width, height), layout="constrained")
        yield figure
        drawn = io.BytesIO()
        figure.savefig(drawn, format="svg", metadata={"Date": None})
    try:
        write_whole(path, drawn.getvalue())
    except OSError as error:
        raise OutputError(f"cannot write {path}: {write_problem(path, error)}") from None


def style(index: int) -> dict[str, Any]:
    """Return the style of the series at a place in its plot."""
    return {"color": COLOURS[index % len(COLOURS)], "marker": MARKERS[index % len(MARKERS)]}
