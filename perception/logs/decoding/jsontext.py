"""JSON messages: Foxglove's schemas in JSON, and any object as a status.

Times are `{"sec": s, "nsec": ns}` (also `secs`, `seconds`, `nsecs`, `nanosec`, `nanos`, `nanoseconds`). In
a status, a bare number counts as a time only where it can be nothing else: an integer from 10**17
(nanoseconds since 1970) or a number from 10**8 to 10**11 (seconds since 1970), under `timestamp`,
`stamp`, `header.stamp`, or `timestamp_ns` and `stamp_ns` (always nanoseconds).
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perception.logs.decoding.checks import DecodeError

_MOST_BYTES = 32 << 20
_SECONDS = ("sec", "secs", "seconds")
_NANOS = ("nsec", "nsecs", "nanosec", "nanos", "nanoseconds")


class JsonView:
    """`FieldView` of a JSON object."""

    __slots__ = ("_fields",)

    def __init__(self, fields: Mapping[str, Any]) -> None:
        self._fields = fields

    def number(self, name: str) -> float:
        value = self._fields.get(name)
        if value is None:
            return 0.0
        if isinstance(value, (int, float, str)):  # protobuf's JSON writes NaN as a text
            return float(value)
        raise DecodeError(f"expected a number as {name!r}, found {_kind(value)}")

    def integer(self, name: str) -> int:
        return int(self.number(name))

    def text(self, name: str) -> str:
        value = self._fields.get(name)
        if value is None or isinstance(value, str):
            return value or ""
        raise DecodeError(f"expected a text as {name!r}, found {_kind(value)}")

    def blob(self, name: str) -> bytes:
        try:
            return base64.b64decode(self.text(name), validate=True)
        except (binascii.Error, ValueError):
            raise DecodeError(f"{name!r} is not base64") from None

    def numbers(self, name: str) -> NDArray[Any]:
        value = self._fields.get(name)
        if value is None:
            return np.empty(0)
        if not isinstance(value, list):
            raise DecodeError(f"expected a list of numbers as {name!r}, found {_kind(value)}")
        values = np.array(value, dtype=np.float64)  # null is NaN
        if values.ndim != 1:
            raise DecodeError(f"expected a flat list of numbers as {name!r}")
        return values

    def child(self, name: str) -> JsonView | None:
        value = self._fields.get(name)
        if value is None:
            return None
        if not isinstance(value, dict):
            raise DecodeError(f"expected an object as {name!r}, found {_kind(value)}")
        return JsonView(value)

    def children(self, name: str) -> Sequence[JsonView]:
        value = self._fields.get(name)
        if value is None:
            return ()
        if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
            raise DecodeError(f"expected a list of objects as {name!r}, found {_kind(value)}")
        return [JsonView(item) for item in value]

    def time_ns(self, name: str) -> int:
        return _time_ns(self._fields.get(name))


def parse(data: bytes) -> dict[str, Any]:
    """Return the object that the text holds. Raises DecodeError for anything else."""
    if len(data) > _MOST_BYTES:
        raise DecodeError(f"{len(data)} bytes of JSON: more than {_MOST_BYTES} are not taken")
    try:
        value = json.loads(data)
    except ValueError as error:
        raise DecodeError(f"not JSON: {str(error)[:200]}") from None
    if not isinstance(value, dict):
        raise DecodeError(f"expected a JSON object, found {_kind(value)}")
    return value


def status_time_ns(fields: Mapping[str, Any]) -> int:
    """Return the stamp in a status, or 0."""
    for key in ("timestamp_ns", "stamp_ns"):
        value = fields.get(key)
        if type(value) is int and 0 < value < 1 << 63:
            return value
    header = fields.get("header")
    stamps = (
        fields.get("timestamp"),
        fields.get("stamp"),
        header.get("stamp") if isinstance(header, dict) else None,
    )
    return next((stamp_ns for value in stamps if (stamp_ns := _time_ns(value))), 0)


def _time_ns(value: Any) -> int:
    """Return the nanoseconds since 1970 of a JSON time, or 0 where it is not one."""
    if isinstance(value, dict):
        seconds = next((value[key] for key in _SECONDS if key in value), 0)
        nanos = next((value[key] for key in _NANOS if key in value), 0)
        if (
            type(seconds) is int
            and type(nanos) is int
            and 0 <= seconds < 1 << 33
            and 0 <= nanos < 1_000_000_000
        ):
            return seconds * 1_000_000_000 + nanos
    elif isinstance(value, int) and 10**17 <= value < 1 << 63:
        return value
    elif isinstance(value, (int, float)) and 1e8 <= value < 1e11:
        whole = int(value)
        return whole * 1_000_000_000 + round((value - whole) * 1e9)
    return 0


def _kind(value: Any) -> str:
    names = {dict: "an object", list: "a list", str: "a text", bool: "a truth value", type(None): "null"}
    return names.get(type(value), "a number")
