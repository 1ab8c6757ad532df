"""Ranges of one file in memory, the least recently used given up first."""

from __future__ import annotations

import threading
from bisect import bisect_right, insort
from collections import OrderedDict

KEPT_BYTES = 64 << 20
_LOOK_BACK = 8  # ranges may overlap; so many before a place are looked at


class SpanCache:
    """Ranges of a file by their offset. For any number of threads."""

    def __init__(self, most_bytes: int = KEPT_BYTES) -> None:
        self._most = most_bytes
        self._spans: OrderedDict[int, bytes] = OrderedDict()
        self._starts: list[int] = []
        self._held = 0
        self._lock = threading.Lock()

    def get(self, offset: int, length: int) -> bytes | None:
        """Return a range that lies in one that is kept, else None."""
        with self._lock:
            place = bisect_right(self._starts, offset)
            for start in reversed(self._starts[max(0, place - _LOOK_BACK) : place]):
                data = self._spans[start]
                if offset + length <= start + len(data):
                    self._spans.move_to_end(start)
                    return data[offset - start : offset - start + length]
        return None

    def put(self, offset: int, data: bytes) -> None:
        """Keep a range."""
        with self._lock:
            old = self._spans.get(offset)
            if old is not None and len(old) >= len(data):
                return
            if old is None:
                insort(self._starts, offset)
            self._held += len(data) - len(old or b"")
            self._spans[offset] = data
            self._spans.move_to_end(offset)
            while self._held > self._most and len(self._spans) > 1:
                start, dropped = self._spans.popitem(last=False)
                self._starts.remove(start)
                self._held -= len(dropped)
