"""The time at which a message was measured, from whatever form the message writes it in.

A time that says its unit is taken as it is: ROS times, protobuf timestamps, `{"sec": s, "usec": us}` and
text as ISO 8601 has it. A bare number says none. Its field may (`timestamp_ms`, `utime`); else the number is
compared with the arrival, and the unit that brings it within a day of it holds. Where none does, or several
do, the message is not stamped: nothing is guessed, and the decoded message carries the problem. A number from
10**17 (nanoseconds), or from 10**9 with a fraction (seconds, from 2001 on), is a date since 1970 in any case.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from perception.logs.decoding.numbers import MISSING, find
from perception.types import Message
from perception.types.stamp_rule import StampRule, TimeUnit

UNIT_NS: Mapping[TimeUnit, int] = {"s": 1_000_000_000, "ms": 1_000_000, "us": 1_000, "ns": 1}

NEAR_NS = 86_400_000_000_000
"""A bare number is a time where a unit brings it this close to the arrival."""

_FIRST_DATE_NS = 10**17  # 1973: clocks that count from the start of a log or of a machine stay below
_NEAR_WITHOUT_ZONE_NS = 420_000_000_000  # zones differ by quarters of an hour
_LIMIT_NS = 1 << 63
_TYPED = (
    ("sec", "nanosec", 1),
    ("seconds", "nanos", 1),
    ("sec", "nsec", 1),
    ("secs", "nsecs", 1),
    ("seconds", "nanoseconds", 1),
    ("sec", "usec", 1_000),
    ("secs", "usecs", 1_000),
    ("seconds", "micros", 1_000),
    ("seconds", "microseconds", 1_000),
    ("tv_sec", "tv_nsec", 1),
    ("tv_sec", "tv_usec", 1_000),
)
"""The fields of a time: seconds, what is added to them, and the nanoseconds of its unit."""
_ISO = re.compile(
    r"(\d{4})-?(\d\d)-?(\d\d)[T ](\d\d):?(\d\d)(?::?(\d\d)(?:[.,](\d{1,18}))?)?"
    r" ?(Z|UTC|[+-]\d\d(?::?\d\d)?)?",
    re.IGNORECASE | re.ASCII,
)


class Stamp(NamedTuple):
    """The stamp of a message: `measured` where it is its own, else the problem (empty: it carries none)."""

    ns: int
    measured: bool = True
    problem: str = ""


def read_stamp(tree: Any, message: Message, rule: StampRule | None = None) -> Stamp:
    """Return the stamp of a decoded structure: its own, else publish time, else arrival.

    Looked for in `header.stamp`, `stamp`, `timestamp`, `time` and the like, or where the rule says.
    """
    problem = ""
    if rule is not None and rule.field:
        value = find(tree, rule.field)
        fields = [(rule.field, value, rule.unit)]
        if value is MISSING:
            problem, fields = f"the message has no field {rule.field}", []
    else:
        unit = rule.unit if rule is not None else None
        fields = [(name, value, unit or named) for name, value, named in time_fields(tree)]
    for name, value, unit in fields:
        forced = rule is not None and rule.unit is not None
        ns, why = _time_ns(value, unit, forced, message)
        if ns:
            return Stamp(ns)
        problem = problem or (f"{name}: {why}" if why else "")
    return unstamped(message, problem)


def unstamped(message: Message, problem: str = "") -> Stamp:
    """Return the stamp of a message without one that can be used: its publish time, else its arrival."""
    publish_ns = message.publish_time_ns
    arrival_ns = min(message.log_time_ns, _LIMIT_NS - 1)  # stamps are kept in 64 bits with a sign
    return Stamp(publish_ns if 0 < publish_ns < _LIMIT_NS else arrival_ns, False, problem)


def bare_number(value: Any) -> Decimal | None:
    """Return the number that a field without a unit holds, also as text; None for anything else."""
    if isinstance(value, (bool, np.bool_)):
        return None
    if isinstance(value, str) and len(value) <= 40:
        try:
            number = Decimal(value)
        except InvalidOperation:
            return None
        return number if number.is_finite() else None
    if isinstance(value, (int, np.integer)):
        return Decimal(int(value)) if abs(int(value)) < _LIMIT_NS else None
    if isinstance(value, (float, np.floating)):
        return Decimal(float(value)) if math.isfinite(value) else None
    return None


# --- where ---------------------------------------------------------------------------------------


def _names() -> dict[str, TimeUnit | None]:
    """Return the names of time fields, in the order in which they are looked for, with the unit they say."""
    suffixes: dict[TimeUnit, tuple[str, ...]] = {
        "ns": ("ns", "nsec", "nsecs", "nanos", "nanosec", "nanoseconds"),
        "us": ("us", "usec", "usecs", "micros", "microseconds"),
        "ms": ("ms", "msec", "msecs", "millis", "milliseconds"),
        "s": ("s", "sec", "secs", "seconds"),
    }
    names: dict[str, TimeUnit | None] = {"timestamp_ns": "ns", "stamp_ns": "ns"}
    names |= dict.fromkeys(("stamp", "timestamp"))
    bases = ("timestamp", "stamp", "time_stamp", "timeStamp", "time", "ts")
    for base in bases:
        for unit, words in suffixes.items():
            for word in words:
                names.setdefault(f"{base}_{word}", unit)
                names.setdefault(f"{base}{word.capitalize()}", unit)
    names["utime"] = "us"
    names |= dict.fromkeys(("time_stamp", "timeStamp", "time", "ts", "t"))
    capital = {f"{name[0].upper()}{name[1:]}": unit for name, unit in names.items() if len(name) > 2}
    return names | capital  # as C# writes them; `T` is a temperature


_NAMES = _names()


def time_fields(tree: Any) -> Iterator[tuple[str, Any, TimeUnit | None]]:
    """Yield the path, the value and the unit (as the name says it) of each field that may be the stamp."""
    header = tree.get("header") if isinstance(tree, dict) else getattr(tree, "header", None)
    if header is not None and not isinstance(header, (int, float, str)):
        for name, value, unit in _own_fields(header):
            yield f"header.{name}", value, unit
    yield from _own_fields(tree)


def _own_fields(tree: Any) -> Iterator[tuple[str, Any, TimeUnit | None]]:
    if isinstance(tree, dict):
        held = tree.keys() & _NAMES.keys()
        if held:
            yield from ((name, tree[name], unit) for name, unit in _NAMES.items() if name in held)
        return
    kind: Any = tree.DESCRIPTOR if hasattr(tree, "DESCRIPTOR") else type(tree)
    names = _names_of(kind)
    for name, unit in names:
        yield name, getattr(tree, name), unit


@lru_cache(maxsize=4096)
def _names_of(kind: Any) -> tuple[tuple[str, TimeUnit | None], ...]:
    fields = getattr(kind, "fields_by_name", None) or getattr(kind, "__dataclass_fields__", {})
    return tuple((name, unit) for name, unit in _NAMES.items() if name in fields)


# --- which time ----------------------------------------------------------------------------------


def _time_ns(value: Any, unit: TimeUnit | None, forced: bool, message: Message) -> tuple[int, str]:
    """Return the nanoseconds of a time, or 0 and why it is none (empty: it is not set)."""
    typed = typed_ns(value)
    if typed is not None:
        return _checked(typed)
    if isinstance(value, str) and (match := _ISO.fullmatch(value.strip())):
        return _iso_ns(match, forced, message)
    number = bare_number(value)
    if number is None:
        return 0, f"{value[:40]!r} is not a time" if isinstance(value, str) and value else ""
    if number == 0:
        return 0, ""
    if number < 0:
        return 0, f"{_text(number)} is before 1970"
    return _number_ns(number, unit, forced, message)


def typed_ns(value: Any) -> int | None:
    """Return the nanoseconds of a structure of seconds and nanoseconds (or microseconds); None for anything
    else."""
    if value is None or isinstance(value, (int, float, str)):
        return None
    if isinstance(value, dict):
        seconds = next((name for name, _, _ in _TYPED if name in value), None)
        if seconds is None:
            return None
        part, ns = next(((name, ns) for _, name, ns in _TYPED if name in value), ("", 1))
        unknown = not part and len(value) > 1  # what is added to the seconds is called otherwise
        return -1 if unknown else _sum_ns(value[seconds], value.get(part, 0), ns)
    descriptor = getattr(value, "DESCRIPTOR", None)
    typed = _TYPED if descriptor is None else _typed_of(descriptor)
    for seconds, part, ns in typed:
        if hasattr(value, seconds) and hasattr(value, part):
            return _sum_ns(getattr(value, seconds), getattr(value, part), ns)
    return None


@lru_cache(maxsize=4096)
def _typed_of(descriptor: Any) -> tuple[tuple[str, str, int], ...]:
    """Return those of `_TYPED` that a protobuf message has: asking an object for what it lacks is slow."""
    return tuple(typed for typed in _TYPED if all(name in descriptor.fields_by_name for name in typed[:2]))


def duration_ns(value: Any) -> int:
    """Return the nanoseconds of a duration (in protobuf's JSON: `1.5s`); 0 where there is none."""
    if isinstance(value, str):
        seconds = bare_number(value.removesuffix("s"))
        return round(seconds * 1_000_000_000) if seconds is not None else 0
    return typed_ns(value) or 0


def _sum_ns(seconds: Any, part: Any, part_ns: int) -> int:
    if isinstance(seconds, str) and seconds.lstrip("-").isdigit() and len(seconds) < 20:
        seconds = int(seconds)  # protobuf's JSON writes 64 bit integers as text
    if isinstance(seconds, bool) or isinstance(part, bool):
        return -1
    if isinstance(seconds, float) and math.isfinite(seconds) and not part:
        return round(Decimal(seconds) * 1_000_000_000)
    seconds, part = (int(v) if isinstance(v, float) and v.is_integer() else v for v in (seconds, part))
    if not isinstance(seconds, (int, np.integer)) or not isinstance(part, (int, np.integer)):
        return -1
    if not 0 <= int(part) * part_ns < 4_000_000_000:
        return -1
    return int(seconds) * 1_000_000_000 + int(part) * part_ns


def _checked(ns: int) -> tuple[int, str]:
    if 0 < ns < _LIMIT_NS:
        return ns, ""
    return 0, "" if ns == 0 else "seconds and nanoseconds that are no time since 1970"


def _iso_ns(match: re.Match[str], forced: bool, message: Message) -> tuple[int, str]:
    year, month, day, hour, minute, second, fraction, zone = match.groups()
    offset = UTC if zone is None or zone[0] not in "+-" else _offset(zone)
    try:
        when = datetime(
            int(year), int(month), int(day), int(hour), int(minute), int(second or 0), tzinfo=offset
        )
    except ValueError:
        return 0, f"{match[0]!r} is not a date"
    whole_s = int((when - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(seconds=1))
    ns = whole_s * 1_000_000_000 + int((fraction or "0")[:9].ljust(9, "0"))
    if zone is None and not forced and not _near(ns, message, _NEAR_WITHOUT_ZONE_NS):
        return 0, f"{match[0]!r} says no zone, and is far from the arrival as UTC"
    return _checked(ns)


def _offset(zone: str) -> timezone:
    minutes = int(zone[1:3]) * 60 + int(zone[3:].lstrip(":") or 0)
    return timezone(timedelta(minutes=-minutes if zone[0] == "-" else minutes))


def _number_ns(number: Decimal, unit: TimeUnit | None, forced: bool, message: Message) -> tuple[int, str]:
    ns_by_unit = {name: round(number * factor) for name, factor in UNIT_NS.items()}
    if unit is None and (date := _date_unit(number)):
        return _checked(ns_by_unit[date])
    near = [name for name, ns in ns_by_unit.items() if _near(ns, message, NEAR_NS)]
    if unit is not None:
        if forced or unit in near or not near:
            return _checked(ns_by_unit[unit])
        return 0, f"{_text(number)} is no time in {unit}, as its name says, but in {near[0]}"
    if len(near) == 1:
        return _checked(ns_by_unit[near[0]])
    return 0, f"{_text(number)} is no date near the arrival in any unit (s, ms, us, ns)"


def _date_unit(number: Decimal) -> TimeUnit | None:
    """Return the unit in which a number can be nothing but a date since 1970."""
    if number >= 10**17:
        return "ns"
    # Below are milliseconds since a machine started, which may have a fraction: 10**8 of them are 28 hours.
    return "s" if 10**9 <= number < 10**11 and number != number.to_integral_value() else None


def _near(ns: int, message: Message, within_ns: int) -> bool:
    """Return whether a time is near the arrival or the publication, where that is a date."""
    times = message.log_time_ns, message.publish_time_ns
    return any(time_ns >= _FIRST_DATE_NS and abs(ns - time_ns) <= within_ns for time_ns in times)


def _text(number: Decimal) -> str:
    return format(number, "f")[:24] if abs(number) < 10**20 else f"{number:.3e}"
