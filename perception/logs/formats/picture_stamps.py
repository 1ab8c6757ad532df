"""Stamps of pictures: those in their names, those of a table that numbers them, or made ones."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from perception.logs.formats.column_rules import date_ns
from perception.logs.formats.streams import LATEST_NS, Findings, Times, made_stamps
from perception.logs.formats.text_tables import TextTable

MADE_HZ = 10.0
_NUMBER_COLUMNS = re.compile(r"(frame|image|picture)(_?(id|idx|index|number|no))?|index|idx|id|no|number|seq")

_DATE = re.compile(
    r"(\d{4})[-_]?(\d\d)[-_]?(\d\d)[-_T ]?(\d\d)[-_:.]?(\d\d)[-_:.]?(\d\d)(?:[-_.](\d{1,9}))?(?!\d)"
)
_SECONDS = re.compile(r"(?<!\d)(\d{9,10})[._](\d{1,9})(?!\d)")
_WHOLE = re.compile(r"(?<!\d)(\d{10}|\d{13}|\d{16}|\d{18,19})(?!\d)")
_UNIT_NS = {10: 10**9, 13: 10**6, 16: 10**3, 18: 1, 19: 1}  # by digits; Argoverse's nanoseconds are of 1980


class TimedTable(NamedTuple):
    """A table without pictures, in the order of its time."""

    name: str
    table: TextTable
    stamps_ns: Times


def picture_stamps(
    names: Sequence[str], topic: str, findings: Findings, tables: Sequence[TimedTable] = ()
) -> Times:
    """Return the stamps of pictures by their names (without suffixes), else by tables, else made ones.

    Args:
        tables: Tables beside the pictures, which may number them (`frame`), or have a line for each.
    """
    for what, read in (("seconds", _seconds), ("numbers since 1970", _whole), ("dates in UTC", _date)):
        stamps = [read(name) for name in names]
        known = [stamp for stamp in stamps if stamp is not None]
        if len(known) == len(names) and len(set(known)) == len(known):
            findings.notes.append(f"{topic}: stamps are the {what} in the names of the pictures")
            return np.array(known, np.int64)
    for timed in tables:
        by_table = _of_numbers(names, timed, topic, findings)
        if by_table is not None:
            return by_table
    first_ns = min((int(timed.stamps_ns[0]) for timed in tables if len(timed.stamps_ns)), default=0)
    since = ", from the first time of the tables on" if first_ns else ""
    findings.notes.append(
        f"{topic}: stamps are made at {MADE_HZ:g} Hz, in the order of names{since}: pictures have none"
    )
    made = made_stamps(len(names), MADE_HZ)
    return made + (first_ns - made[0]) if first_ns else made


def _of_numbers(names: Sequence[str], timed: TimedTable, topic: str, findings: Findings) -> Times | None:
    """Return the times of the lines that number the pictures, or of as many lines as there are pictures."""
    for i, column in enumerate(timed.table.names):
        if not _NUMBER_COLUMNS.fullmatch(column.lower().replace(" ", "_")):
            continue
        times = {int(number): i for i, number in enumerate(timed.table.numbers(i)) if number.is_integer()}
        numbers = [int(digits[-1]) if (digits := re.findall(r"\d{1,12}", name)) else -1 for name in names]
        if len(set(numbers)) == len(numbers) and times.keys() >= set(numbers):
            findings.notes.append(f"{topic}: stamps are those of the lines of {timed.name} with its {column}")
            return timed.stamps_ns[[times[number] for number in numbers]]
    if len(timed.stamps_ns) != len(names):
        return None
    findings.notes.append(
        f"{topic}: stamps are those of {timed.name}, which has as many lines as there are pictures: a guess"
    )
    return timed.stamps_ns


def _seconds(name: str) -> int | None:
    match = _SECONDS.search(name)
    return int(match[1]) * 10**9 + int(match[2].ljust(9, "0")) if match else None


def _whole(name: str) -> int | None:
    match = _WHOLE.search(name)
    stamp = int(match[1]) * _UNIT_NS[len(match[1])] if match else 0
    return stamp if 10**17 <= stamp <= LATEST_NS else None  # from 1973 on: others are counters


def _date(name: str) -> int | None:
    match = _DATE.search(name)
    if match is None:
        return None
    year, month, day, hour, minute, second, fraction = match.groups()
    return date_ns(f"{year}-{month}-{day} {hour}:{minute}:{second}.{fraction or 0}Z")
