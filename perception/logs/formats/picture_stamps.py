"""Stamps of pictures: those in their names, or made ones."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from perception.logs.formats.column_rules import date_ns
from perception.logs.formats.streams import LATEST_NS, Findings, Times, made_stamps

MADE_HZ = 10.0

_DATE = re.compile(
    r"(\d{4})[-_]?(\d\d)[-_]?(\d\d)[-_T ]?(\d\d)[-_:.]?(\d\d)[-_:.]?(\d\d)(?:[-_.](\d{1,9}))?(?!\d)"
)
_SECONDS = re.compile(r"(?<!\d)(\d{9,10})[._](\d{1,9})(?!\d)")
_WHOLE = re.compile(r"(?<!\d)(\d{10}|\d{13}|\d{16}|\d{19})(?!\d)")
_UNIT_NS = {10: 10**9, 13: 10**6, 16: 10**3, 19: 1}


def picture_stamps(names: Sequence[str], topic: str, findings: Findings) -> Times:
    """Return the stamps of pictures by their names (without suffixes), made ones where names have none."""
    for what, read in (("seconds", _seconds), ("numbers since 1970", _whole), ("dates in UTC", _date)):
        stamps = [read(name) for name in names]
        known = [stamp for stamp in stamps if stamp is not None]
        if len(known) == len(names) and len(set(known)) == len(known):
            findings.notes.append(f"{topic}: stamps are the {what} in the names of the pictures")
            return np.array(known, np.int64)
    findings.notes.append(
        f"{topic}: stamps are made at {MADE_HZ:g} Hz, in the order of names: pictures have none"
    )
    return made_stamps(len(names), MADE_HZ)


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
