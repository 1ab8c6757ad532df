"""A growing table of rows, in compact arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

RowType = list[tuple[Any, ...]]
"""The columns of a row, as numpy's structured types are written: (name, type[, count])."""


class Rows:
    """A structured array that grows by doubling. `rows["score"]` is a column."""

    def __init__(self, dtype: RowType) -> None:
        self._data: NDArray[np.void] = np.empty(0, dtype=dtype)
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def __getitem__(self, column: str) -> NDArray[Any]:
        """Return a column of all rows, as a view that is valid until the next growth."""
        view: NDArray[Any] = self._data[column][: self._size]
        return view

    def grow(self, count: int) -> NDArray[np.void]:
        """Append `count` rows, and return them for the caller to fill in, column by column."""
        start, end = self._size, self._size + count
        if end > len(self._data):
            bigger = np.empty(max(end, 2 * len(self._data), 256), dtype=self._data.dtype)
            bigger[:start] = self._data[:start]
            self._data = bigger
        self._size = end
        return self._data[start:end]

    def extend(self, other: Rows) -> NDArray[np.void]:
        """Append a copy of the rows of another table, and return it for adjustment."""
        new = self.grow(len(other))
        new[:] = other._data[: len(other)]
        return new

    def same_as(self, other: Rows) -> bool:
        """Return whether another table has the same rows, bit for bit."""
        mine, theirs = (rows._data[: len(rows)] for rows in (self, other))
        return len(mine) == len(theirs) and mine.tobytes() == theirs.tobytes()

    @property
    def nbytes(self) -> int:
        return self._data.nbytes
