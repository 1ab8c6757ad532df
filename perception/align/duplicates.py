"""Which messages came before, with the same topic, stamp and content."""

from __future__ import annotations

from collections import deque

from perception.types import Decoded

REMEMBERED = 16_384  # messages a topic, at most, among which duplicates are found


class Duplicates:
    """Recognises messages that come again.

    Args:
        memory_ns: How long a message is remembered, from its arrival.
    """

    def __init__(self, memory_ns: int) -> None:
        self._memory_ns = memory_ns
        self._topics: dict[str, _Recent] = {}

    def seen_before(self, message: Decoded) -> bool:
        """Remember a message, and return whether an equal one was remembered already.

        A message without its bytes (`source`) is not remembered.
        """
        if not message.source:
            return False
        recent = self._topics.setdefault(message.topic, _Recent())
        recent.forget(message.log_time_ns - self._memory_ns)
        return recent.had((message.stamp_ns, len(message.source), hash(message.source)), message.log_time_ns)

    def forget(self) -> None:
        """Forget all messages."""
        self._topics.clear()


class _Recent:
    """The recent messages of one topic, to recognise a duplicate."""

    def __init__(self) -> None:
        self._keys: set[tuple[int, int, int]] = set()
        self._order: deque[tuple[int, tuple[int, int, int]]] = deque()

    def forget(self, arrived_before_ns: int) -> None:
        while self._order and (self._order[0][0] < arrived_before_ns or len(self._order) > REMEMBERED):
            self._keys.discard(self._order.popleft()[1])

    def had(self, key: tuple[int, int, int], arrival_ns: int) -> bool:
        if key in self._keys:
            return True
        self._keys.add(key)
        self._order.append((arrival_ns, key))
        return False
