"""Units that a log states beside a field: in a text of the message, or in the definition of its schema."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from perception.logs.decoding import jsontext
from perception.logs.decoding.checks import DecodeError
from perception.logs.decoding.definition_text import plain_text
from perception.logs.decoding.numbers import NumberFields, find
from perception.types import Schema, StatusReading

_TURNS = r"rpm|rev(?:olution)?s? ?(?:/|per) ?min(?:ute)?"
_SPEEDS = re.compile(
    rf"\b(km ?/ ?h(?:r|our)?|kmh|kph|kmph|mi ?/ ?h|mph|knots?|[cm]m ?/ ?s(?:ec)?|ft ?/ ?s(?:ec)?|{_TURNS}"
    r"|(?:(?:kilo|centi|milli)met(?:er|re)|mile|foot|feet|km)s? per (?:h(?:ou)?r|h|s(?:ec(?:ond)?)?))\b",
    re.IGNORECASE,
)
_ANGLES = re.compile(
    rf"\b(deg(?:ree)?s?(?: ?/ ?s(?:ec(?:ond)?)?| per sec(?:ond)?)?|dps|{_TURNS})\b|\u00b0", re.IGNORECASE
)
_OTHER = {"speed": _SPEEDS, "yaw_rate": _ANGLES, "steering": _ANGLES}
"""Channel -> the units of its kind that a status does not have."""
_SI = re.compile(
    r"(?<![\w/])(m ?/ ?s(?:ec)?|mps|met(?:er|re)s? per sec(?:ond)?|rad(?:ians?)?(?: ?/ ?s(?:ec)?)?)\b",
    re.IGNORECASE,
)
_JSON_TEXTS = ("unit", "units", "title", "description")


def stated_units(
    schema: Schema | None, fields: Mapping[str, str], readings: Sequence[StatusReading]
) -> dict[str, str]:
    """Return for each channel in another unit than a status has why it must not be taken.

    Args:
        schema: Of the messages; None: they have none.
        fields: Channel -> dotted path.
        readings: Some messages.
    """
    wrong = {}
    for channel, path in fields.items():
        if unit := _other_unit(channel, _unit_beside(path, readings)):
            wrong[channel] = f"{path} is in {unit}, as the message says; a status is in m, s and rad"
        elif schema is not None and (unit := _other_unit(channel, _definition_of(path, schema))):
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


def _definition_of(path: str, schema: Schema) -> str:
    """Return what the definition of a schema says of a field; of fields of one name in it, of all."""
    if schema.encoding == "jsonschema":
        return _json_texts(path, schema.data)
    name, text = path.rpartition(".")[2], plain_text(schema.data)
    if schema.encoding in ("ros1msg", "ros2msg"):
        return _comments(name, text.split("\n"))
    return _annotations(name, text) if schema.encoding == "ros2idl" else ""


def _comments(name: str, lines: Sequence[str]) -> str:
    """Return the comments behind a field of a .msg definition, and those right above it."""
    field = re.compile(rf"\s*[\w/]+\s+{re.escape(name)}\s*(?:#(.*))?")
    found: list[str] = []
    above: list[str] = []
    for line in lines:
        if line.lstrip().startswith("#"):
            above.append(line.strip())
            continue
        if match := field.fullmatch(line):
            found += [*above, match[1] or ""]
        above = []
    return " ".join(found)


def _annotations(name: str, text: str) -> str:
    """Return what stands before a member of an .idl definition (`@unit`, `@verbatim`), and behind it."""
    found = []
    for member in re.finditer(rf"\b{re.escape(name)}\s*;([^\n]*)", text):
        begin = max(text.rfind(end, 0, member.start()) for end in ";{")
        before = re.sub(r"^[ \t]*//[^\n]*", "", text[begin + 1 : member.start()])  # behind the member before
        found += [before, member[1]]
    return " ".join(found)


def _json_texts(path: str, data: bytes) -> str:
    """Return the texts of a property of a JSON schema (`unit`, `description`, ...); empty without any."""
    try:
        texts = find(jsontext.parse(data), ".properties.".join(["", *path.split(".")])[1:])
    except (DecodeError, RecursionError):
        return ""
    if not isinstance(texts, dict):
        return ""
    return " ".join(text for key in _JSON_TEXTS if isinstance(text := texts.get(key), str))
