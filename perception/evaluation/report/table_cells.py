"""The cells and tables of the page, which the template lays out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from perception.evaluation.report.display_text import measured
from perception.evaluation.report.value_schema import ValueReport

NONE = "\u2013"


class Cell(NamedTuple):
    """One cell.

    Attributes:
        text: Its text.
        note: A smaller line below.
        kind: Its class in the style sheet: `word`, `shade`, `heat`, or those of `SIGNS`.
        share: The length of its bar, or the depth of its colour, from 0 to 1; None: neither.
        hint: The tooltip.
        sign: A sign before the text, and its class.
    """

    text: str
    note: str = ""
    kind: str = ""
    share: float | None = None
    hint: str = ""
    sign: tuple[str, str] | None = None


class TableData(NamedTuple):
    """A table. The first cell of a row names it; the caption is only read aloud."""

    caption: str
    head: Sequence[str | Cell]
    rows: Sequence[Sequence[str | Cell]]
    kind: str = ""


def table_of(
    caption: str, head: Sequence[str | Cell], rows: Sequence[Any], kind: str = ""
) -> TableData | None:
    """Return a table; None without rows."""
    return TableData(caption, head, rows, kind) if rows else None


def word_cell(text: str, note: str = "") -> Cell:
    """Return a cell that is aligned as a word."""
    return Cell(text, note, "word")


def shaded_cell(text: str, share: float | None, note: str = "", kind: str = "shade") -> Cell:
    """Return a cell that is shaded by a share; plain without one."""
    return Cell(text, note) if share is None else Cell(text, note, kind, min(max(share, 0.0), 1.0))


def undefined_cell(value: ValueReport | None) -> Cell:
    """Return a dash whose tooltip says why there is no value."""
    return Cell(NONE, hint=value.undefined if value is not None else "")


def with_unit(value: ValueReport | None) -> str:
    """Return `0.51 m`."""
    if value is None or value.value is None:
        return NONE
    return f"{measured(value.value)} {value.unit}".rstrip()
