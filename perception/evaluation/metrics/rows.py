"""Rows that grow: what metrics remember, a few bytes a detection."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

RowType = list[tuple[Any, ...]]
"""The columns of a row, as numpy's structured types are written: (name, type[, count])."""


class Rows:
    """A structured array that grows by doubling. Columns are read through `rows["score"]`."""

    def __init__(self, dtype: RowType) -> None:
        self._data: NDArray[np.void] = np.empty(0, dtype=dtype)
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def __getitem__(self, column: str) -> NDArray[Any]:
        """The column of all rows, as a view that is valid until the next growth."""
        view: NDArray[Any] = self._data[column][: self._size]
        return view

    def grow(self, count: int) -> NDArray[np.void]:
        """`count` new rows, to be filled in by the caller, column by column."""
        start, end = self._size, self._size + count
        if end > len(self._data):
            bigger = np.empty(max(end, 2 * len(self._data), 256), dtype=self._data.dtype)
            bigger[:start] = self._data[:start]
            self._data = bigger
        self._size = end
        return self._data[start:end]

    def extend(self, other: Rows) -> NDArray[np.void]:
        """Append a copy of another's rows, and return it for adjustment."""
        new = self.grow(len(other))
        new[:] = other._data[: len(other)]
        return new

    @property
    def nbytes(self) -> int:
        return self._data.nbytes
