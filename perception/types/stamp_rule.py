"""How the stamps of a topic are to be read, as its user says it."""

from __future__ import annotations

from typing import Literal, NamedTuple

TimeUnit = Literal["s", "ms", "us", "ns"]


class StampRule(NamedTuple):
    """How a user wants stamps to be read: the dotted path of the time, and the unit of a bare number.

    With `arrival` they are not read: the time of arrival stands in.
    """

    field: str | None = None
    unit: TimeUnit | None = None
    arrival: bool = False
