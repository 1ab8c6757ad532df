"""Definitions of ROS messages to read by: of the eleven functions that `rosbags` writes and compiles for each
type, only those that are called."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from rosbags.serde.cdr import generate_deserialize_cdr
from rosbags.serde.ros1 import generate_deserialize_ros1
from rosbags.typesys.base import normalize_fieldname
from rosbags.typesys.store import Typestore


class ReadingStore(Typestore):
    """A type store whose definitions only read."""

    def get_msgdef(self, typename: str) -> Any:
        if typename not in self.cache:
            self.cache[typename] = ReadingDefinition(typename, self)  # type: ignore[assignment]
        return self.cache[typename]


class ReadingDefinition:
    """Hold the class, the fields and the reading functions of one message type.

    Args:
        name: Full name of the type.
        store: Holds the type and those that it contains.
    """

    def __init__(self, name: str, store: ReadingStore) -> None:
        self.name, self.store, self.cls = name, store, store.types[name]
        self.fields = [(normalize_fieldname(label), kind) for label, kind in store.fielddefs[name][1]]

    @cached_property
    def deserialize_cdr_le(self) -> Any:
        return generate_deserialize_cdr(self.fields, self.store, "le")

    @cached_property
    def deserialize_cdr_be(self) -> Any:
        return generate_deserialize_cdr(self.fields, self.store, "be")

    @cached_property
    def deserialize_ros1(self) -> Any:
        return generate_deserialize_ros1(self.fields, self.store)
