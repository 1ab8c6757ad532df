"""The rules for what a column of a table is, by its name and its cells.

docs/logs.md states the rules for users:

- the time is the first column called time, timestamp, stamp, t, ts or date, also with a unit (`time_ms`,
  `timestamp [ns]`) or as `%time` of rostopic; without a unit its numbers tell it (`time_unit`);
- a picture is a column whose cells end in .jpg, .jpeg, .png or .webp;
- a range is a column whose name has a word for it (range, distance, sonar, ...), or is a direction alone
  (`Fr`, `FrLH`, `rear_right`) where three columns or more are, straight ahead among them: four wheels are no
  ranges. Its direction is told by words in the name, its unit by its name or by the largest value;
- every other column of numbers is a value.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from datetime import UTC, datetime

import numpy as np

from perception.logs.formats.streams import LATEST_NS, Findings, time_of_text

PICTURES = (".jpg", ".jpeg", ".png", ".webp")
_TIME = re.compile(
    r"(?:[a-z]+_|gps|unix)?(time_?stamp|t_?stamp|stamp|time|utime|date_?time|date|ts|t)s?(?:_(n?u?m?s|sec|seconds|nsec))?"
)
_CLOCK = re.compile(r"(\d\d?:\d\d:\d\d)(?:[.,](\d{1,9})\d*)?")
_DATE = re.compile(
    r"(?:(\d{4})[-/.](\d\d?)[-/.](\d\d?)|(\d\d?)\.(\d\d?)\.(\d{4}))[T ]+"
    + _CLOCK.pattern
    + r" ?(Z|[+-]\d\d:?\d\d)?"
)
_FIRST_DATE_NS = 10**17  # 1973
_HOUR_NS = 3_600_000_000_000
_UNIT_NS = {"s": 10**9, "sec": 10**9, "seconds": 10**9, "ms": 10**6, "us": 10**3, "ns": 1, "nsec": 1}
_RANGE_WORDS = frozenset(
    ("range", "ranges", "distance", "dist", "ultrasonic", "sonar", "us", "lidar", "tof", "echo", "proximity")
)
_TURNS = {"front": 0, "fr": 0, "fwd": 0, "forward": 0, "rear": 180, "rr": 180, "back": 180, "behind": 180}
_SIDES = {
    "left": 90,
    "lh": 90,
    "l": 90,
    "right": -90,
    "rh": -90,
    "r": -90,
    "center": 0,
    "centre": 0,
    "mid": 0,
    "c": 0,
}
_SPEEDS_SI = {
    ("kmh",): 1 / 3.6,
    ("km", "h"): 1 / 3.6,
    ("kph",): 1 / 3.6,
    ("mph",): 0.44704,
    ("dps",): math.radians(1),
    ("deg", "s"): math.radians(1),
    ("deg", "per", "s"): math.radians(1),
}
_LENGTHS_M = {"m": 1.0, "cm": 0.01, "mm": 0.001}


def time_column(names: Sequence[str]) -> tuple[int, str] | None:
    """Return the index of the column that holds the time, and the unit that its name says, if any."""
    for i, name in enumerate(names):
        match = _TIME.fullmatch(re.sub(r"[\s\[\]()#%.:-]+", "_", name.lower()).strip("_"))
        if match:
            unit = match[2] or ("us" if match[1] == "utime" else "")
            if not unit or unit in _UNIT_NS:
                return i, unit
    return None


def stamps_of(cells: Sequence[str], unit: str, name: str, findings: Findings) -> list[int | None]:
    """Return the nanoseconds of times in text, exactly; None for what is no time."""
    dates = [date for cell in cells[:5] if (date := _DATE.match(cell.strip()))]
    if dates:
        if not all(date[9] for date in dates):
            findings.notes.append(f"{name}: dates without a zone are taken as UTC")
        return [date_ns(cell) for cell in cells]
    if any(_CLOCK.fullmatch(cell.strip()) for cell in cells[:5]):
        findings.notes.append(f"{name}: times of a day without a date count from 1970-01-01")
        return [date_ns(f"1970-01-01 {cell.strip()}") for cell in cells]
    factor, guess = _UNIT_NS.get(unit, 0), ""
    if not factor:
        factor, guess = time_unit([float(cell) for cell in cells if is_number(cell)])
        findings.notes.append(f"{name}: its unit is guessed to be {guess}")
    return [time_of_text(cell, factor) for cell in cells]


def time_unit(values: Sequence[float]) -> tuple[int, str]:
    """Return the nanoseconds of the unit of times, and its name.

    The unit in which the largest is a date since 1973 and lines are less than an hour apart; else, of whole
    numbers, the one in which lines are 2 ms to 2 s apart; else seconds.
    """
    known = [value for value in values if np.isfinite(value)]
    largest, steps = max(known, default=0.0), np.diff(known)
    step = float(np.median(steps)) if len(steps) else 0.0
    for factor, name in ((1, "ns"), (10**3, "us"), (10**6, "ms"), (10**9, "s")):
        if _FIRST_DATE_NS <= largest * factor <= LATEST_NS and step * factor < _HOUR_NS:
            return factor, name
    if all(float(value).is_integer() for value in known[:1000]):
        for least, factor, name in ((2_000_001, 1, "ns"), (2_001, 10**3, "us"), (5, 10**6, "ms")):
            if step >= least:
                return factor, name
    return 10**9, "s"


def date_ns(cell: str) -> int | None:
    """Return the nanoseconds of a date and time, exactly, UTC without a zone; None where it is none.

    The year is first (`2023-11-14`, `2023/11/14`), or the day, before dots (`14.11.2023`).
    """
    match = _DATE.fullmatch(cell.strip())
    if match is None:
        return None
    year, month, day, *german, clock, fraction, zone = match.groups()
    if german[0]:
        day, month, year = german
    text = f"{year}-{int(month):02d}-{int(day):02d}T{clock.zfill(8)}"
    try:
        when = datetime.fromisoformat(text + (zone or "Z"))
    except ValueError:
        return None
    ns = int(when.astimezone(UTC).timestamp()) * 10**9 + int((fraction or "0").ljust(9, "0"))
    return ns if 0 <= ns <= LATEST_NS else None


def range_unit(name: str) -> float | None:
    """Return the metres of the unit that the name of a range says; None where it says none."""
    return _LENGTHS_M.get(_words(name)[-1]) if _words(name) else None


def in_si(name: str) -> tuple[str, float] | None:
    """Return the name without its unit of speed, and the factor to m/s or rad/s; None where it has none."""
    words = _words(name)
    for unit, factor in _SPEEDS_SI.items():
        base, end = words[: -len(unit)], tuple(words[-len(unit) :])
        if base and end == unit:
            return "_".join(base), factor
    return None


def direction_of(name: str) -> float | None:
    """Return the direction of a range in degrees, left positive, as its name tells it; None: it does not."""
    words = [word for word in _words(name) if word not in _LENGTHS_M and not word.isdigit()]
    places = [word for word in words if word in _TURNS or word in _SIDES]
    if not places or any(word not in _RANGE_WORDS for word in words if word not in places):
        return None
    turn = next((_TURNS[word] for word in places if word in _TURNS), None)
    side = next((_SIDES[word] for word in places if word in _SIDES), None)
    if turn is None and not set(words) & _RANGE_WORDS and len(places[0]) < 2:
        return None  # a letter alone is no direction
    if side in (None, 0):
        return float(turn or 0)
    return float(side if turn is None else side / 2 if turn == 0 else side * 1.5)


def range_columns(names: Sequence[str]) -> dict[str, float | None]:
    """Return the columns that are ranges, with their directions; see `direction_of`."""
    ranges = {name: direction_of(name) for name in names if says_range(name)}
    alone = {name: direction for name in names if (direction := direction_of(name)) is not None} | ranges
    return alone if len(alone) >= 3 and 0.0 in alone.values() else ranges


def says_range(name: str) -> bool:
    """Return whether the name of a column has a word for ranges."""
    return bool(set(_words(name)) & _RANGE_WORDS)


def _words(name: str) -> list[str]:
    apart = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Za-z])(?=\d)", "_", name)
    return [word for word in re.split(r"[^a-z0-9]+", apart.lower()) if word]


def is_number(cell: str) -> bool:
    return not np.isnan(number_of(cell)) or cell.strip().lower() == "nan"


def number_of(cell: str) -> float:
    """Return the number of a cell; NaN where it is none."""
    try:
        return float(cell) if len(cell) < 64 and "_" not in cell else float("nan")
    except ValueError:
        return float("nan")
