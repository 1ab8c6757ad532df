"""Flattening of any decoded structure to numbers by dotted path.

Bools are 0 or 1, enums are integers, NaN is kept. Texts and bytes are left out, and so are arrays of
more than 16 elements. At most 256 numbers and 12 levels are taken, in the order of the message.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass
from functools import lru_cache
from typing import Any

import numpy as np

MAX_VALUES = 256
MAX_ELEMENTS = 16
MAX_DEPTH = 12


def flatten(
    value: Any, into: dict[str, float] | None = None, path: str = "", depth: int = 0
) -> dict[str, float]:
    """Return the numbers of nested mappings, lists, numpy arrays and dataclasses, by dotted path."""
    values = {} if into is None else into
    if depth > MAX_DEPTH:
        return values
    for key, item in _items(value):
        if len(values) >= MAX_VALUES:
            break
        where = f"{path}.{key}" if path else key
        kind = type(item)
        if kind is float:
            values[where] = item
        elif kind is int or kind is bool or isinstance(item, (np.generic, int, float)):
            try:
                values[where] = float(item)
            except (OverflowError, ValueError, TypeError):  # an integer of 400 digits is not a measurement
                continue
        elif kind is not str and item is not None:
            flatten(item, values, where, depth + 1)
    return values


def _items(value: Any) -> Iterable[tuple[str, Any]]:
    if isinstance(value, Mapping):
        return ((str(key), item) for key, item in value.items())
    if isinstance(value, np.ndarray):
        value = value.ravel()
        return ((str(i), item) for i, item in enumerate(value.tolist())) if value.size <= MAX_ELEMENTS else ()
    if isinstance(value, (list, tuple)):
        return ((str(i), item) for i, item in enumerate(value)) if len(value) <= MAX_ELEMENTS else ()
    return ((name, getattr(value, name)) for name in _field_names(type(value)))  # type: ignore[arg-type]


@lru_cache(maxsize=1024)
def _field_names(kind: Any) -> tuple[str, ...]:
    return tuple(field.name for field in fields(kind)) if is_dataclass(kind) else ()
