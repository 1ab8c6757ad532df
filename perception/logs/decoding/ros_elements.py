"""A bound on what a ROS payload unfolds to, checked before it is parsed.

The parsers of `rosbags` are loops of Python over lists of texts and of messages, and a few bytes of payload
become an object of a hundred. Arrays of numbers cost nothing. So the payload is walked through first, along
its counts.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from perception.logs.decoding.checks import DecodeError

MAX_FIELDS = 1 << 20
"""Fields of the messages, and texts, in all lists of a payload."""
_SMALL = 1 << 20  # bytes; a smaller payload has no more fields than that
_BASE, _NAMED, _ARRAY, _SEQUENCE = 1, 2, 3, 4  # rosbags.interfaces.Nodetype
_SIZES = {"16": 2, "32": 4, "64": 8, "128": 16}


class _Element(NamedTuple):
    """A number of `size` bytes, a text (`size` 0) or a message (-1) with its `fields`; what it counts as."""

    size: int
    fields: tuple[_Field, ...]
    weight: int


class _Field(NamedTuple):
    """A field: one element, `number` of them, or (-1) as many as the payload says."""

    element: _Element
    number: int


def checker(types: Mapping[str, Any], name: str, encoding: str) -> Callable[[memoryview, bool], None]:
    """Return the function that raises DecodeError where a payload (without its CDR head) holds too much.

    Args:
        types: The definitions by full name, as `rosbags` parses them; none contains itself.
        name: The message.
        encoding: `cdr` or `ros1`.
    """
    root = _message(types, name, {})
    if not _has_lists(root, set()):
        return lambda payload, big_endian: None

    def check(payload: memoryview, big_endian: bool) -> None:
        if len(payload) > _SMALL:
            try:
                _Walk(payload, encoding == "cdr", big_endian).message(root, 0)
            except struct.error:  # the payload ends early, and the parser says so
                return

    return check


def _message(types: Mapping[str, Any], name: str, known: dict[str, _Element]) -> _Element:
    if name not in known:
        fields = tuple(_field(types, kind, known) for _, kind in types[name][1])
        known[name] = _Element(
            -1, fields, 1 + sum(field.element.weight * max(field.number, 1) for field in fields)
        )
    return known[name]


def _field(types: Mapping[str, Any], kind: Any, known: dict[str, _Element]) -> _Field:
    element, count = (kind[1][0], kind[1][1]) if kind[0] in (_ARRAY, _SEQUENCE) else (kind, 1)
    if element[0] == _NAMED:
        return _Field(_message(types, element[1], known), -1 if kind[0] == _SEQUENCE else count)
    base = element[1][0]
    size = 0 if "string" in base else next((n for end, n in _SIZES.items() if base.endswith(end)), 1)
    # An array of numbers is one object, however long it is.
    weight = 1 if size == 0 or kind[0] == _BASE else 0
    return _Field(_Element(size, (), weight), -1 if kind[0] == _SEQUENCE else count)


def _has_lists(message: _Element, seen: set[int]) -> bool:
    """Return whether texts or messages are repeated anywhere in a message."""
    if id(message) in seen:
        return False
    seen.add(id(message))
    return any(
        (field.number < 0 and field.element.size <= 0) or _has_lists(field.element, seen)
        for field in message.fields
    )


class _Walk:
    """One pass over a payload; alignment as in plain CDR: each number to its own size, counts to four."""

    def __init__(self, payload: memoryview, aligned: bool, big_endian: bool) -> None:
        self._payload = payload
        self._aligned = aligned
        self._count = struct.Struct(">I" if big_endian else "<I")
        self._left = MAX_FIELDS

    def message(self, message: _Element, at: int) -> int:
        """Return where a message that begins at a place ends."""
        for element, count in message.fields:
            if count < 0:
                count, at = self._number(at)
                if count and element.size <= 0:
                    self._left -= count * element.weight
                    if self._left < 0:
                        raise DecodeError(f"a payload of more than {MAX_FIELDS} fields in lists is not taken")
            at = self._elements(element, count, at)
        return at

    def _elements(self, element: _Element, count: int, at: int) -> int:
        if element.size > 0:
            return self._to(element.size, at) + element.size * count if count else at
        for _ in range(count):
            if element.size == 0:
                length, at = self._number(at)
                at += length
            else:
                at = self.message(element, at)
        return at

    def _number(self, at: int) -> tuple[int, int]:
        at = self._to(4, at)
        return self._count.unpack_from(self._payload, at)[0], at + 4

    def _to(self, size: int, at: int) -> int:
        return (at + size - 1) & -size if self._aligned else at
