"""The numbers of any decoded structure by dotted path: JSON values, ROS messages and protobuf messages.

A path names fields, keys and indices (`twist.linear.x`, `position.16`), of a JointState also joints. Bools
are 0 or 1, enums are integers, NaN is kept; texts and bytes are no numbers. Any path can be read; a listing
is short: it leaves out arrays of more than 16 elements and ends after 256 numbers or 12 levels, in the
order of the message.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from google.protobuf.descriptor import Descriptor, FieldDescriptor

MAX_VALUES = 256
MAX_ELEMENTS = 16
MAX_DEPTH = 12

MISSING: Any = object()
"""Stands for a field that a structure does not have, or that is not set."""


class NumberFields(Mapping[str, float]):
    """The numbers of one decoded message; nothing is copied before it is read.

    Args:
        tree: The message as it was parsed.
        unmeasured: Its fields that hold no measurement, with all in them.
    """

    __slots__ = ("_listed", "_read", "_tree", "_unmeasured")

    numbers_only = True
    """Every value is a float or is left out: nobody needs to check each one."""

    def __init__(self, tree: Any, unmeasured: Collection[str] = ()) -> None:
        self._tree = tree
        self._unmeasured = unmeasured
        self._listed: dict[str, float] | None = None
        self._read: dict[str, float | None] = {}

    @property
    def tree(self) -> Any:
        """The message as it was parsed."""
        return self._tree

    def __getitem__(self, path: str) -> float:
        value = self._value(path)
        if value is None:
            raise KeyError(path)
        return value

    def get(self, path: str, default: Any = None) -> Any:
        value = self._value(path)
        return default if value is None else value

    def _value(self, path: str) -> float | None:
        """Return a number, which is looked up once: a window reads the same one at many ticks."""
        if path not in self._read:
            is_known = path.partition(".")[0] not in self._unmeasured
            self._read[path] = _number(_found(self._tree, path)) if is_known else None
        return self._read[path]

    def __contains__(self, path: object) -> bool:
        return isinstance(path, str) and self._value(path) is not None

    def __iter__(self) -> Iterator[str]:
        return iter(self._listing())

    def __len__(self) -> int:
        return len(self._listing())

    def __repr__(self) -> str:
        return f"NumberFields({self._listing()})"

    def __reduce__(self) -> tuple[type[dict[str, float]], tuple[dict[str, float]]]:
        return dict, (self._listing(),)  # classes made from definitions cannot be pickled

    def _listing(self) -> dict[str, float]:
        if self._listed is None:
            values = flatten(self._tree)
            self._listed = {
                path: value
                for path, value in values.items()
                if path.partition(".")[0] not in self._unmeasured
            }
        return self._listed


def flatten(tree: Any) -> dict[str, float]:
    """Return the listed numbers of a structure by dotted path."""
    values: dict[str, float] = {}
    _flatten(tree, values, "", 0)
    return values


def _flatten(node: Any, values: dict[str, float], path: str, depth: int) -> None:
    if depth > MAX_DEPTH:
        return
    for key, item in _items(node):
        if len(values) >= MAX_VALUES:
            break
        where = f"{path}.{key}" if path else key
        number = _number(item)
        if number is not None:
            values[where] = number
        elif not isinstance(item, (str, bytes, int, float, np.generic)) and item is not None:
            _flatten(item, values, where, depth + 1)


def find(node: Any, path: str) -> Any:
    """Return what a dotted path leads to, or `MISSING`. A key of a mapping may contain dots itself."""
    if not path:
        return node
    dot = path.find(".")
    while True:
        name, rest = (path, "") if dot < 0 else (path[:dot], path[dot + 1 :])
        child = _child(node, name)
        if child is not MISSING and (item := find(child, rest)) is not MISSING:
            return item
        if dot < 0 or not isinstance(node, Mapping):
            return MISSING
        dot = path.find(".", dot + 1)


def _found(tree: Any, path: str) -> Any:
    """Return what a path leads to, also by the name of an element where the message lists names.

    A JointState has a list `name` beside its lists of numbers, and several nodes may send it, each for its
    own joints in its own order: `velocity.left_wheel` is that joint in each message.
    """
    item = find(tree, path)
    if item is not MISSING:
        return item
    group, _, name = path.partition(".")
    names = find(tree, "name")
    if not name or not isinstance(names, (list, tuple)) or name not in names:
        return MISSING
    return find(tree, f"{group}.{names.index(name)}")


def _number(item: Any) -> float | None:
    if type(item) is float:
        return item
    if isinstance(item, (int, float, np.number, np.bool_)):
        try:
            return float(item)
        except (OverflowError, ValueError, TypeError):  # an integer of 400 digits is not a measurement
            return None
    return None


def _child(node: Any, name: str) -> Any:
    """Return a field, key or element by name; `MISSING` where there is none or it is not set."""
    if isinstance(node, Mapping):
        if name in node:
            return node[name]
        if type(node) is dict:  # of JSON: its keys are texts
            return MISSING
        return next((item for key, item in node.items() if str(key) == name), MISSING)
    if isinstance(node, (str, bytes)):
        return MISSING
    if isinstance(node, np.ndarray):
        node = node.reshape(-1)
    descriptor = getattr(node, "DESCRIPTOR", None)
    if isinstance(descriptor, Descriptor):
        tracked = number_fields_of(descriptor).get(name)
        return MISSING if tracked is None or (tracked and not node.HasField(name)) else getattr(node, name)
    if hasattr(node, "__getitem__") and hasattr(node, "__len__"):
        return _element(node, name)
    return getattr(node, name) if name in _fields_of(node) else MISSING


def _element(items: Any, name: str) -> Any:
    if not (name.isascii() and name.isdigit() and len(name) < 10):
        return MISSING
    index = int(name)
    return items[index] if index < len(items) else MISSING


def _items(node: Any) -> Iterable[tuple[str, Any]]:
    if isinstance(node, Mapping):
        pairs = [(str(key), item) for key, item in node.items()]
        return pairs if type(node) is dict else sorted(pairs, key=lambda pair: pair[0])  # maps have no order
    if isinstance(node, np.ndarray):
        node = node.reshape(-1)
    descriptor = getattr(node, "DESCRIPTOR", None)
    if isinstance(descriptor, Descriptor):
        held = number_fields_of(descriptor)
        return ((n, getattr(node, n)) for n, tracked in held.items() if not tracked or node.HasField(n))
    if hasattr(node, "__getitem__") and hasattr(node, "__len__"):
        return ((str(i), node[i]) for i in range(len(node))) if len(node) <= MAX_ELEMENTS else ()
    return ((name, getattr(node, name)) for name in _fields_of(node))


def _fields_of(node: Any) -> tuple[str, ...]:
    return _field_names(type(node))  # type: ignore[arg-type]


@lru_cache(maxsize=1024)
def _field_names(kind: Any) -> tuple[str, ...]:
    return tuple(field.name for field in fields(kind)) if is_dataclass(kind) else ()


@lru_cache(maxsize=4096)
def number_fields_of(descriptor: Descriptor) -> dict[str, bool]:
    """Return the fields of a protobuf message that may hold numbers, and whether each knows being unset."""
    skipped = (FieldDescriptor.TYPE_STRING, FieldDescriptor.TYPE_BYTES)
    return {
        field.name: not _is_repeated(field) and (field.message_type is not None or field.has_presence)
        for field in descriptor.fields
        if field.type not in skipped
    }


def _is_repeated(field: FieldDescriptor) -> bool:
    if hasattr(field, "is_repeated"):
        return bool(field.is_repeated)
    return bool(field.label == 3)  # type: ignore[attr-defined]  # before protobuf 6.31
