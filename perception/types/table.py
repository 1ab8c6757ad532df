"""A table of rows with named columns, as programs and notebooks take it."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from typing import Any, overload

from perception.errors import MissingExtraError

SHOWN_ROWS = 20
"""Rows that a notebook shows."""


class Table(Sequence[Mapping[str, Any]]):
    """Rows with named columns: a sequence of mappings that shows itself in a notebook.

    Args:
        rows: One mapping for each row, all with the same keys.
        columns: The names of the columns, also of a table without rows; None: those of the first row.
    """

    def __init__(self, rows: Sequence[Mapping[str, Any]], columns: Sequence[str] | None = None) -> None:
        self._rows = tuple(rows)
        self.columns = tuple(columns if columns is not None else self._rows[0] if self._rows else ())
        """The names of the columns, in order."""

    @overload
    def __getitem__(self, index: int) -> Mapping[str, Any]: ...
    @overload
    def __getitem__(self, index: slice) -> Table: ...
    def __getitem__(self, index: int | slice) -> Mapping[str, Any] | Table:
        rows = self._rows[index]
        return Table(rows, self.columns) if isinstance(rows, tuple) else rows

    def __len__(self) -> int:
        return len(self._rows)

    def to_pandas(self) -> Any:
        """Return the rows as a `pandas.DataFrame`.

        Raises:
            MissingExtraError: pandas is not installed.
        """
        try:
            import pandas
        except ImportError:
            raise MissingExtraError("to_pandas", "tables") from None
        return pandas.DataFrame(list(self._rows), columns=list(self.columns))

    def __repr__(self) -> str:
        return f"Table({len(self)} rows: {', '.join(self.columns)})"

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{html.escape(name)}</th>" for name in self.columns)
        shown = self._rows[:SHOWN_ROWS]
        rows = "".join(
            "<tr>" + "".join(f"<td>{html.escape(_cell(value))}</td>" for value in row.values()) + "</tr>"
            for row in shown
        )
        more = f"<p>{len(self) - len(shown)} more rows</p>" if len(self) > len(shown) else ""
        return f"<table><tr>{head}</tr>{rows}</table>{more}"


def _cell(value: object) -> str:
    """Return the text of a cell; that of an unknown value, None, is empty."""
    return "" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)
