"""The streams of a table of text: its numbers, and its ranges as points around the base."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from perception.errors import LogError
from perception.logs.formats.column_rules import (
    PICTURES,
    in_si,
    range_columns,
    range_unit,
    stamps_of,
    time_column,
)
from perception.logs.formats.streams import Findings, Stream, Times, number_stream, points_stream
from perception.logs.formats.text_tables import TextTable
from perception.text import listed
from perception.types import Float64

_LEAST_REPEATS = 3
_NO_ECHO = (32767.0, 65535.0, 2147483647.0, 4294967295.0)
"""The largest numbers of integers: no echo, in no unit."""
_GUESSED_UNITS = ((30.0, 1.0, "m"), (600.0, 0.01, "cm"), (math.inf, 0.001, "mm"))
"""Up to the largest value, metres, and the name: of ranges whose name says no unit."""


def ordered_by_time(
    table: TextTable, name: str, topic: str, findings: Findings
) -> tuple[TextTable, Times] | None:
    """Return a table with a column of time in its order, without that column; None where it has none.

    Rows whose time is none are counted as lost.
    """
    column = time_column(table.names)
    if column is None:
        return None
    index, unit = column
    times = stamps_of(table.column(index), unit, f"{name}: {table.names[index]}", findings)
    kept = [row for row, time in enumerate(times) if time is not None]
    findings.lose(topic, len(times) - len(kept), "lines whose time is none")
    stamps = np.array([times[row] for row in kept], np.int64)
    back = np.diff(stamps) < 0
    if back.any():
        findings.notes.append(
            f"{name}: the time goes back {int(back.sum())} times; lines are put in its order"
        )
    order = np.argsort(stamps, kind="stable")
    names = [*table.names[:index], *table.names[index + 1 :]]
    rows = [table.rows[kept[i]] for i in order]
    return TextTable(names, [[*row[:index], *row[index + 1 :]] for row in rows]), stamps[order]


def table_streams(
    table: TextTable, stamps: Times, prefix: str, schema: str, findings: Findings
) -> Iterator[Stream]:
    """Yield the stream of all numbers of a table, and that of its ranges, where it has any.

    Args:
        prefix: Of the topics: `PREFIX/values` and `PREFIX/ranges`.
    """
    numbers = {name: table.numbers(i) for i, name in enumerate(table.names)}
    numbers = {name: values for name, values in numbers.items() if np.isfinite(values).any()}
    texts = [name for i, name in enumerate(table.names) if name not in numbers and not is_pictures(table, i)]
    if texts:
        findings.notes.append(f"{prefix}: columns without a number are not read: {listed(texts)}")
    numbers |= _in_si(numbers, prefix, findings)
    if numbers:
        keys = {name: name.replace(" ", "_") for name in numbers}
        values = {keys[name]: column for name, column in numbers.items()}
        yield number_stream(f"{prefix}/values", schema, stamps, values)
    ranges = range_columns(list(numbers))
    undirected = [name for name, direction in ranges.items() if direction is None]
    if len(ranges) > 1 and undirected:
        findings.notes.append(
            f"{prefix}: ranges whose names say no direction are values: {listed(undirected)}"
        )
        ranges = {name: direction for name, direction in ranges.items() if direction is not None}
    if ranges:
        yield _range_stream(
            {name: numbers[name] for name in ranges}, list(ranges.values()), stamps, prefix, findings
        )


def _in_si(numbers: Mapping[str, Float64], prefix: str, findings: Findings) -> dict[str, Float64]:
    """Return columns in m/s and rad/s for those whose names say another unit of speed."""
    added: dict[str, Float64] = {}
    for name, values in numbers.items():
        converted = in_si(name)
        if converted is None or converted[0] in numbers or converted[0] in added:
            continue
        added[converted[0]] = values * converted[1]
        findings.notes.append(f"{prefix}/values: {converted[0]} is {name} in m/s or rad/s")
    return added


def _range_stream(
    columns: dict[str, Float64],
    directions: Sequence[float | None],
    stamps: Times,
    prefix: str,
    findings: Findings,
) -> Stream:
    angles = np.radians([0.0 if direction is None else direction for direction in directions])
    rays = np.stack([np.cos(angles), np.sin(angles), np.zeros(len(angles))], axis=1)
    ranges_m = _metres(columns, prefix, findings)
    placed = ", ".join(
        f"{name} {0 if d is None else d:g}" for name, d in zip(columns, directions, strict=True)
    )
    findings.notes.append(
        f"{prefix}/ranges: directions (degrees, left positive, from base_link) are guessed by name: {placed}"
    )

    with np.errstate(over="ignore", invalid="ignore"):  # a range of inf is no return
        points_m = (ranges_m[:, :, None] * rays).astype(np.float32)

    return points_stream(f"{prefix}/ranges", stamps, "base_link", ("x", "y", "z"), lambda i: points_m[i])


def _metres(columns: dict[str, Float64], prefix: str, findings: Findings) -> Float64:
    """Return ranges [N, R] in metres, NaN where there is no return."""
    values = np.stack(list(columns.values()), axis=1)
    values = np.where((values > 0) & (values < np.inf) & ~np.isin(values, _NO_ECHO), values, np.nan)
    largest = float(np.nanmax(values, initial=0.0))
    repeats = int((values == largest).sum())
    if largest and repeats >= _LEAST_REPEATS and repeats * 200 > len(values):
        findings.notes.append(
            f"{prefix}/ranges: readings of {largest:g}, the largest, are taken as no echo: a guess"
        )
        values = np.where(values == largest, np.nan, values)
    scales = [range_unit(name) for name in columns]
    if None in scales:
        scale, unit = next((scale, unit) for limit, scale, unit in _GUESSED_UNITS if largest <= limit)
        findings.notes.append(
            f"{prefix}/ranges: the unit is guessed to be {unit}, as readings go up to {largest:g}"
        )
        scales = [scale if known is None else known for known in scales]
    return values * np.array(scales, np.float64)


def is_pictures(table: TextTable, index: int) -> bool:
    """Return whether a column names pictures."""
    cells = [row[index] for row in table.rows[:20]]
    return bool(cells) and all(cell.lower().endswith(PICTURES) for cell in cells)


def unread_time(table: TextTable, path: Path) -> LogError:
    """Return the error for a table whose column of time holds none that is read."""
    index, _ = time_column(table.names) or (0, "")
    first = next((cell for cell in table.column(index) if cell), "nothing")
    return LogError(
        f"expected numbers, or dates as 2023-11-14 22:13:20.5, in the column {table.names[index]}; found "
        f"{first[:40]!r}: {path}"
    )


def require_time(table: TextTable, path: Path) -> LogError:
    """Return the error for a table without a time."""
    names = listed(table.names)
    return LogError(
        f"expected a column with the time (time, timestamp, stamp, ...), found {names}; name one so: {path}"
    )
