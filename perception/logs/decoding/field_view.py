"""Named access to the fields of one message, whatever it was encoded with.

A field that the file's schema lacks reads as zero or empty, as protobuf has it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

_NO_BLOBS: Mapping[str, memoryview] = MappingProxyType({})


class FieldView(Protocol):
    """The fields of a message by name."""

    def number(self, name: str) -> float: ...
    def integer(self, name: str) -> int: ...
    def text(self, name: str) -> str: ...
    def blob(self, name: str) -> bytes | memoryview: ...
    def numbers(self, name: str) -> NDArray[Any]: ...
    def child(self, name: str) -> FieldView | None: ...
    def children(self, name: str) -> Sequence[FieldView]: ...

    @property
    def tree(self) -> Any:
        """The message as it was parsed."""

    def value(self, name: str) -> Any:
        """Return a field as it was parsed; None where there is none."""


class AttributeView:
    """`FieldView` of an object that has its fields as attributes: a protobuf or a ROS message.

    Args:
        message: The object.
        is_set: Whether it has a message of its own in a field; protobuf knows fields that are not set.
        blobs: Byte fields that were taken out of the message, by name.
    """

    __slots__ = ("_blobs", "_is_set", "_message")

    def __init__(
        self,
        message: Any,
        is_set: Callable[[Any, str], bool] = hasattr,
        blobs: Mapping[str, memoryview] = _NO_BLOBS,
    ) -> None:
        self._message = message
        self._is_set = is_set
        self._blobs = blobs

    def number(self, name: str) -> float:
        return float(getattr(self._message, name, 0.0))

    def integer(self, name: str) -> int:
        return int(getattr(self._message, name, 0))

    def text(self, name: str) -> str:
        return str(getattr(self._message, name, ""))

    def blob(self, name: str) -> memoryview:
        taken = self._blobs.get(name)
        return memoryview(getattr(self._message, name, b"")) if taken is None else taken

    def numbers(self, name: str) -> NDArray[Any]:
        values = getattr(self._message, name, None)
        if values is None:  # ROS writes field names in small letters
            values = getattr(self._message, name.lower(), ())
        return np.array(values, dtype=np.float64)

    def child(self, name: str) -> AttributeView | None:
        if not self._is_set(self._message, name):
            return None
        return AttributeView(getattr(self._message, name), self._is_set)

    def children(self, name: str) -> Sequence[AttributeView]:
        return [AttributeView(item, self._is_set) for item in getattr(self._message, name, ())]

    @property
    def tree(self) -> Any:
        return self._message

    def value(self, name: str) -> Any:
        return getattr(self._message, name, None)
