"""Whether two decoded messages hold the same values, bit for bit."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import fields, is_dataclass

import numpy as np

_OF_THE_BYTES = frozenset(("source", "stamp_problem"))  # the payload itself, and a text that names its fields


def same_values(a: object, b: object) -> bool:
    """Return whether two decoded messages differ in nothing but the bytes that they came from."""
    if isinstance(a, memoryview | bytes) and isinstance(b, memoryview | bytes):
        return bytes(a) == bytes(b)
    if type(a) is not type(b):
        return False
    if is_dataclass(a):
        names = (field.name for field in fields(a) if field.name not in _OF_THE_BYTES)
        return all(same_values(getattr(a, name), getattr(b, name)) for name in names)
    if isinstance(a, np.ndarray) and isinstance(b, np.ndarray):
        return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
    if isinstance(a, tuple | list) and isinstance(b, tuple | list):
        return len(a) == len(b) and all(map(same_values, a, b))
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        return list(a) == list(b) and all(same_values(a[key], b[key]) for key in a)
    if isinstance(a, float) and isinstance(b, float) and math.isnan(a):
        return math.isnan(b)
    return a == b
