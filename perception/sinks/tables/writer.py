"""The files of one recording while they are written: one Parquet file for each table, beside the tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perception.errors import OutputError
from perception.files import write_problem
from perception.sinks.tables.schema import TableSpec, arrow_schema, load_pyarrow

ROWS = 1 << 16
"""Rows of a row group: so many are kept before they are written."""


def _as_objects(values: Sequence[Any]) -> NDArray[Any]:
    """Return values as an array: of a list, pyarrow would first import pandas."""
    if isinstance(values, np.ndarray):
        return values
    array = np.empty(len(values), object)
    if values and isinstance(values[0], list):
        for place, value in enumerate(values):
            array[place] = value
    else:
        array[:] = values
    return array


class TableWriter:
    """Writes the rows of one table to a file, group by group.

    Args:
        spec: The table.
        path: The file to write.
        receipt: The value of the column `receipt`.
    """

    def __init__(self, spec: TableSpec, path: Path, receipt: str) -> None:
        self.spec, self.path = spec, path
        self.rows = 0
        self._receipt = receipt
        self._pa = load_pyarrow("--tables")
        self._schema = arrow_schema(spec)
        self._pending: list[Any] = []
        self._pending_rows = 0
        self._file: Any = None

    def add(self, columns: Mapping[str, Sequence[Any]]) -> None:
        """Add rows, given as columns of equal length: all of the table's but `receipt`.

        Raises:
            OutputError: The file cannot be written.
        """
        pa = self._pa
        count = len(next(iter(columns.values())))
        if not count:
            return
        arrays = [
            pa.repeat(pa.scalar(self._receipt, field.type), count)
            if field.name == "receipt"
            else pa.array(_as_objects(columns[field.name]), field.type, from_pandas=False)
            for field in self._schema
        ]
        self._pending.append(pa.RecordBatch.from_arrays(arrays, schema=self._schema))
        self._pending_rows += count
        self.rows += count
        if self._pending_rows >= ROWS:
            self._flush()

    def close(self) -> None:
        """Finish the file; one without rows has its columns.

        Raises:
            OutputError: It cannot be written.
        """
        self._flush()
        if self._file is not None:
            file, self._file = self._file, None
            self._guarded(file.close)

    def _flush(self) -> None:
        if self._file is None:
            self._guarded(self._open)
        table = self._pa.Table.from_batches(self._pending, self._schema)
        if self._pending:
            self._guarded(lambda: self._file.write_table(table, row_group_size=ROWS))
        self._pending, self._pending_rows = [], 0

    def _open(self) -> None:
        texts = [name for name, kind in self.spec.columns if kind != "double" and not kind.startswith("list")]
        lists = [f"{name}.list.element" for name, kind in self.spec.columns if kind.startswith("list")]
        self._file = self._pa.parquet.ParquetWriter(
            self.path, self._schema, compression="zstd", use_dictionary=[*texts, *lists]
        )

    def _guarded(self, act: Any) -> None:
        try:
            act()
        except OSError as error:
            problem = write_problem(self.path, error)
            raise OutputError(
                f"the table '{self.spec.name}' cannot be written: {problem}: {self.path}"
            ) from error
