"""Rows of a stored table in the order of ticks."""

from __future__ import annotations

from collections.abc import Iterator

from perception.sinks.tables.cursor import TableCursor


class Empty:
    """A table without rows, as pyarrow 18 reads it."""

    num_row_groups = 0

    def iter_batches(self, **chosen: object) -> Iterator[object]:
        raise OSError("The file only has 0 row groups, requested metadata for row group: -1")
        yield


def test_a_table_without_rows_has_none_with_any_pyarrow() -> None:
    assert TableCursor(Empty()).until(5) == {}
    assert list(TableCursor(Empty()).groups()) == []
