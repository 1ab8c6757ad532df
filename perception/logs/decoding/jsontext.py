"""JSON messages: Foxglove's schemas in JSON, and any object as a status."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perception.logs.decoding.checks import DecodeError

_MOST_BYTES = 32 << 20
_MOST_VALUES = 1 << 21  # two bytes of text become an object of fifty


class JsonView:
    """`FieldView` of a JSON object.

    A field may be written as protobuf's JSON does by default (`frameId`), or small as ROS 2 has it (`k`).
    Bytes are base64 of either alphabet, with line ends and padding or without, as protobuf's JSON allows.
    """

    __slots__ = ("_fields",)

    def __init__(self, fields: Mapping[str, Any]) -> None:
        self._fields = fields

    def number(self, name: str) -> float:
        value = self.value(name)
        if value is None:
            return 0.0
        if isinstance(value, (int, float, str)):  # protobuf's JSON writes NaN as a text
            return float(value)
        raise DecodeError(f"expected a number as {name!r}, found {_kind(value)}")

    def integer(self, name: str) -> int:
        return int(self.number(name))

    def text(self, name: str) -> str:
        value = self.value(name)
        if value is None or isinstance(value, str):
            return value or ""
        raise DecodeError(f"expected a text as {name!r}, found {_kind(value)}")

    def blob(self, name: str) -> bytes:
        text = self.text(name)
        try:
            return base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError):
            text = "".join(text.split()).rstrip("=").replace("-", "+").replace("_", "/")
        try:
            return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
        except (binascii.Error, ValueError):
            raise DecodeError(f"{name!r} is not base64") from None

    def numbers(self, name: str) -> NDArray[Any]:
        value = self.value(name)
        if value is None:
            return np.empty(0)
        if not isinstance(value, list):
            raise DecodeError(f"expected a list of numbers as {name!r}, found {_kind(value)}")
        values = np.array(value, dtype=np.float64)  # null is NaN
        if values.ndim != 1:
            raise DecodeError(f"expected a flat list of numbers as {name!r}")
        return values

    def child(self, name: str) -> JsonView | None:
        value = self.value(name)
        if value is None:
            return None
        if not isinstance(value, dict):
            raise DecodeError(f"expected an object as {name!r}, found {_kind(value)}")
        return JsonView(value)

    def children(self, name: str) -> Sequence[JsonView]:
        value = self.value(name)
        if value is None:
            return ()
        if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
            raise DecodeError(f"expected a list of objects as {name!r}, found {_kind(value)}")
        return [JsonView(item) for item in value]

    @property
    def tree(self) -> Any:
        return self._fields

    def value(self, name: str) -> Any:
        value = self._fields.get(name)
        return self._fields.get(_other_spelling(name)) if value is None else value


@lru_cache(maxsize=1024)
def _other_spelling(name: str) -> str:
    """Return `startAngle` for `start_angle`, and `k` for `K`."""
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest) if rest else name.lower()


def parse(data: bytes) -> dict[str, Any]:
    """Return the object that the text holds. Raises DecodeError for anything else."""
    if len(data) > _MOST_BYTES:
        raise DecodeError(f"{len(data)} bytes of JSON: more than {_MOST_BYTES} are not taken")
    if sum(data.count(sign) for sign in b"[{,") > _MOST_VALUES:
        raise DecodeError(f"JSON of more than {_MOST_VALUES} values is not taken")
    try:
        value = json.loads(data)
    except ValueError as error:
        raise DecodeError(f"not JSON: {str(error)[:200]}") from None
    if not isinstance(value, dict):
        raise DecodeError(f"expected a JSON object, found {_kind(value)}")
    return value


def _kind(value: Any) -> str:
    names = {dict: "an object", list: "a list", str: "a text", bool: "a truth value", type(None): "null"}
    return names.get(type(value), "a number")
