"""Foxglove's schemas as ROS messages (`foxglove_msgs`): the same fields, read by the same builders."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from perception.logs.decoding import foxglove
from perception.types import Decoded, Message

if TYPE_CHECKING:
    from perception.config import Role


class RosView:
    """`foxglove.View` of a ROS message. ROS writes field names in small letters."""

    __slots__ = ("_message",)

    def __init__(self, message: Any) -> None:
        self._message = message

    def number(self, name: str) -> float:
        return float(getattr(self._message, name, 0.0))

    def integer(self, name: str) -> int:
        return int(getattr(self._message, name, 0))

    def text(self, name: str) -> str:
        return str(getattr(self._message, name, ""))

    def blob(self, name: str) -> memoryview:
        return memoryview(getattr(self._message, name, b""))

    def numbers(self, name: str) -> NDArray[Any]:
        found = getattr(self._message, name, getattr(self._message, name.lower(), ()))
        return np.array(found, dtype=np.float64)

    def child(self, name: str) -> RosView | None:
        return RosView(getattr(self._message, name)) if hasattr(self._message, name) else None

    def children(self, name: str) -> Sequence[RosView]:
        return [RosView(item) for item in getattr(self._message, name, ())]

    def time_ns(self, name: str) -> int:
        time = getattr(self._message, name, None)
        return int(getattr(time, "sec", 0)) * 1_000_000_000 + int(getattr(time, "nanosec", 0))


def _read(build: foxglove.Builder) -> Callable[[Any, Message], Decoded]:
    return lambda ros, message: build(RosView(ros), message)


BUILDERS: dict[str, tuple[Role, Callable[[Any, Message], Decoded]]] = {
    name.replace("foxglove.", "foxglove_msgs/"): (role, _read(build))
    for name, (role, build) in foxglove.BUILDERS.items()
}
"""As `ros.BUILDERS`, for foxglove_msgs."""
