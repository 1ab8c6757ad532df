"""Units that a log states beside a field: in a text of the message, or in a comment of its ROS definition."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from perception.logs.decoding.definition_text import plain_text
from perception.logs.decoding.numbers import NumberFields, find
from perception.types import Schema, StatusReading

_SPEEDS = re.compile(
    r"\b(km ?/ ?h(?:r|our)?|kmh|kph|kmph|mi ?/ ?h|mph|knots?|[cm]m ?/ ?s(?:ec)?|rpm)\b", re.IGNORECASE
)
_ANGLES = re.compile(
    r"\b(deg(?:ree)?s?(?: ?/ ?s(?:ec(?:ond)?)?| per sec(?:ond)?)?|dps|rpm)\b|\u00b0", re.IGNORECASE
)
_OTHER = {"speed": _SPEEDS, "yaw_rate": _ANGLES, "steering": _ANGLES}
"""Channel -> the units of its kind that a status does not have."""
_SI = re.compile(r"(?<![\w/])(m ?/ ?s(?:ec)?|mps|rad(?:ians?)?(?: ?/ ?s(?:ec)?)?)\b", re.IGNORECASE)


def stated_units(
    schema: Schema | None, fields: Mapping[str, str], readings: Sequence[StatusReading]
) -> dict[str, str]:
    """Return for each channel in another unit than a status has why it must not be taken.

    Args:
        schema: Of the messages; None: they have none.
        fields: Channel -> dotted path.
        readings: Some messages.
    """
    lines = (
        plain_text(schema.data).split("\n") if schema and schema.encoding in ("ros1msg", "ros2msg") else ()
    )
    wrong = {}
    for channel, path in fields.items():
        if unit := _other_unit(channel, _unit_beside(path, readings)):
            wrong[channel] = f"{path} is in {unit}, as the message says; a status is in m, s and rad"
        elif unit := _other_unit(channel, _comment(path, lines)):
            wrong[channel] = f"{path} is in {unit}, as its definition says; a status is in m, s and rad"
    return wrong


def _other_unit(channel: str, text: str) -> str:
    """Return the unit in a text that a status does not have; empty without one, or beside one of SI."""
    found = _OTHER[channel].search(text) if channel in _OTHER else None
    return "" if found is None or _SI.search(text) else found[0]


def _unit_beside(path: str, readings: Sequence[StatusReading]) -> str:
    """Return the text of a field for the unit beside a field (`unit`, `speed_unit`); empty without one."""
    above, _, own = path.rpartition(".")
    names = ("unit", "units", f"{own}_unit", f"{own}_units", f"{own}Unit")
    trees = [reading.values.tree for reading in readings if isinstance(reading.values, NumberFields)]
    for name in names:
        for tree in trees[:1]:
            text = find(tree, f"{above}.{name}" if above else name)
            if isinstance(text, str):
                return text
    return ""


def _comment(path: str, lines: Sequence[str]) -> str:
    """Return the comment behind a field of a ROS definition; of fields of one name in it, those of all."""
    field = re.compile(rf"\s*[\w/]+\s+{re.escape(path.rpartition('.')[2])}\s*#(.*)")
    return " ".join(match[1] for line in lines if (match := field.fullmatch(line)))
