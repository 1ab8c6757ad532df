"""The rows of one stored table in the order of ticks, read part by part."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from perception.sinks.tables.schema import COVARIANCE, SIDES, load_pyarrow
from perception.types import Detection, TruthBox

TICKS = 1024
"""Ticks that are read at a time."""


class TableCursor:
    """The rows of one table, which lie in the order of ticks, group by group.

    Args:
        file: The `pyarrow.parquet.ParquetFile`.
        build: Makes what stands for each row of a batch; None: its columns by name.
    """

    def __init__(
        self, file: Any, build: Callable[[Any], list[Any]] = lambda batch: batch.to_pylist()
    ) -> None:
        self._batches = _batches(file)
        self._build = build if build is not None else lambda batch: batch.to_pylist()
        self._ticks: list[int] = []
        self._rows: list[Any] = []

    def groups(self) -> Iterator[list[Any]]:
        """Yield the rows, `TICKS` at a time."""
        for batch in self._batches:
            rows = self._build(batch)
            yield from (rows[at : at + TICKS] for at in range(0, len(rows), TICKS))

    def until(self, last: int) -> dict[int, list[Any]]:
        """Return the rows up to a tick that were not returned yet, by tick."""
        while not self._ticks or self._ticks[-1] <= last:
            batch = next(self._batches, None)
            if batch is None:
                break
            self._ticks += batch.column("tick").to_pylist()
            self._rows += self._build(batch)
        end = bisect_right(self._ticks, last)
        by_tick: dict[int, list[Any]] = {}
        for tick, row in zip(self._ticks[:end], self._rows[:end], strict=True):
            by_tick.setdefault(tick, []).append(row)
        del self._ticks[:end], self._rows[:end]
        return by_tick


class ColumnCursor:
    """The columns of one table, which lies in the order of ticks, group by group.

    Args:
        file: The `pyarrow.parquet.ParquetFile`.
        columns: The columns that are read, `tick` among them.
    """

    def __init__(self, file: Any, columns: Sequence[str]) -> None:
        self._pa = load_pyarrow("reading tables")
        self._batches = _batches(file, columns=list(columns))
        schema = self._pa.schema([file.schema_arrow.field(name) for name in columns])
        self._rows = schema.empty_table()
        self._last: int | None = None

    def next_rows(self, count: int) -> Any:
        """Return up to so many of the next rows, as a `pyarrow.Table`."""
        while len(self._rows) < count and self._read():
            pass
        return self._take(count)

    def until(self, last: int) -> Any:
        """Return the rows up to a tick that were not returned yet, as a `pyarrow.Table`."""
        while (self._last is None or self._last <= last) and self._read():
            pass
        ticks = self._rows.column("tick").to_numpy()
        return self._take(int(np.searchsorted(ticks, last, side="right")))

    def _read(self) -> bool:
        batch = next(self._batches, None)
        if batch is None:
            return False
        new = self._pa.Table.from_batches([batch]).select(self._rows.column_names)
        self._rows = self._pa.concat_tables([self._rows, new])
        if len(new):
            self._last = new.column("tick")[-1].as_py()
        return True

    def _take(self, count: int) -> Any:
        rows, self._rows = self._rows.slice(0, count), self._rows.slice(count)
        return rows


def _lists(batch: Any, *names: str) -> list[list[Any]]:
    return [batch.column(name).to_pylist() for name in names]


def _groups(batch: Any, *names: str) -> list[tuple[Any, ...] | None]:
    """Return the values of several columns of each row together; None where the first is null."""
    return [None if row[0] is None else row for row in zip(*_lists(batch, *names), strict=True)]


def detection_items(batch: Any) -> list[tuple[str, Detection]]:
    """Return camera and detection of each row: columns are read whole, which takes a third of the time."""
    scalars = ("camera", "label", "score", "distance_m", "distance_std_m", "visible", "track_id")
    columns = zip(
        *_lists(batch, *scalars, "position_unknown"),
        zip(*_lists(batch, *SIDES), strict=True),
        _groups(batch, *(f"{side}_std" for side in SIDES)),
        _groups(batch, "x_m", "y_m", "z_m"),
        _groups(batch, *COVARIANCE),
        strict=True,
    )
    return [
        (
            camera,
            Detection(
                label,
                score,
                box,
                std,
                far,
                far_std,
                visible,
                track,
                position,
                None if cov is None else (cov[:3], cov[3:6], cov[6:]),
                unknown,
            ),
        )
        for camera, label, score, far, far_std, visible, track, unknown, box, std, position, cov in columns
    ]


def box_items(batch: Any) -> list[tuple[str, TruthBox]]:
    """Return camera and true box of each row."""
    columns = zip(
        *_lists(batch, "camera", "label", "distance_m", "visible", "track_id", "ignore"),
        zip(*_lists(batch, *SIDES), strict=True),
        _groups(batch, "picture_x_m", "picture_y_m", "picture_z_m"),
        strict=True,
    )
    nan = float("nan")
    return [
        (camera, TruthBox(label, box, nan if distance is None else distance, visible, track, centre, ignore))
        for camera, label, distance, visible, track, ignore, box, centre in columns
    ]


def _batches(file: Any, **chosen: Any) -> Iterator[Any]:
    """Return the batches of a stored table. Older pyarrow (18) fails on one without rows."""
    batches: Iterator[Any] = (
        file.iter_batches(batch_size=1 << 14, **chosen) if file.num_row_groups else iter(())
    )
    return batches
