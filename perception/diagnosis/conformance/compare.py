"""Comparing what a plugin gives, bit for bit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np

from perception.types import Output, Sample


def difference(expected: Sequence[Output], found: Sequence[Output], what: str) -> str:
    """Where outputs are not bit-equal. `repr` shows every bit of a float, and a NaN equals itself."""
    for a, b in zip(expected, found, strict=True):
        if repr(a) != repr(b):
            parts = [f.name for f in fields(a) if repr(getattr(a, f.name)) != repr(getattr(b, f.name))]
            return f"{what} differs at tick {a.tick.index} in {', '.join(parts)}"
    return ""


def near(a: Output, b: Output) -> bool:
    """Whether two outputs say the same within what another batch shape may change."""
    x, y = _numbers(a), _numbers(b)
    return a.validity() == b.validity() and len(x) == len(y) and np.allclose(x, y, rtol=1e-3, atol=1e-3)


def _numbers(output: Output) -> list[float]:
    best = output.detections.items[:1] if output.detections else ()
    channels = output.control.channels if output.control else ()
    return [item.score for item in best] + [channel.value for channel in channels]


def arrays_of(sample: Sample) -> list[bytes]:
    scan, window = sample.range.value, sample.status.value
    found = [] if scan is None else [scan.points_m.tobytes()]
    return found + ([] if window is None else [window.values.tobytes()])


def same(a: Any, b: Any) -> bool:
    """Whether two payloads hold the same bits. Objects that cannot be compared count as the same."""
    if a is b:
        return True
    if type(a) is not type(b):
        return False
    if isinstance(a, Mapping):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    if is_dataclass(a):
        return all(same(getattr(a, f.name), getattr(b, f.name)) for f in fields(a))
    if hasattr(a, "__array__"):
        x, y = np.asarray(a), np.asarray(b)
        return x.dtype == y.dtype and x.shape == y.shape and x.tobytes() == y.tobytes()
    if isinstance(a, float):
        return repr(a) == repr(b)
    comparable = getattr(type(a), "__eq__", None) != object.__eq__
    return bool(a == b) if comparable else True
