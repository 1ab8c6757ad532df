"""Inputs that show the same content under new stamps: a camera or a scanner that is frozen."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np

from perception.types import CameraFrame, Input, RangeScan


@dataclass(slots=True)
class Repeats:
    """Follows one input from tick to tick.

    Attributes:
        count: How many messages in a row have shown the content of the one before.
        since_ns: The stamp of the message that showed it first.
    """

    count: int = 0
    since_ns: int = 0
    _stamp_ns: int | None = None
    _content: int | None = None

    def update(self, given: Input[Any]) -> bool:
        """Add the input of the next tick; return whether it brings a new message, by its stamp."""
        if given.value is None:
            self.count, self._content = 0, None
            return False
        if given.stamp_ns is None or given.stamp_ns == self._stamp_ns:
            return False
        self._stamp_ns = given.stamp_ns
        content = content_of(given.value)
        if content is None or content != self._content:
            self.count, self.since_ns, self._content = 0, given.stamp_ns, content
        else:
            self.count += 1
        return True

    def frozen_s(self) -> float:
        """Return for how long the content has stood still; 0 unless three messages or more show it."""
        if self.count < 2 or self._stamp_ns is None:
            return 0.0
        return (self._stamp_ns - self.since_ns) / 1e9


def content_of(value: object) -> int | None:
    """Return a checksum of a picture's bytes or a scan's points; None for an input that may stay the same.

    Cameras and scanners have noise. A scan without a return has not.
    """
    if isinstance(value, CameraFrame):
        return zlib.crc32(value.data)
    if isinstance(value, RangeScan):
        points = value.points_m
        return zlib.crc32(points.tobytes()) if np.isfinite(points).any() else None
    return None
