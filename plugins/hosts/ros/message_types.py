"""Message types of ROS by name: definitions, hashes, messages, serialisation.

Names have the form `sensor_msgs/msg/Image`, in ROS 1 as well.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
from rosbags.typesys import get_types_from_msg
from rosbags.typesys.store import Typestore

from perception.logs.decoding.ros_types import standard_definition
from perception.types import Schema
from perception_plugins.hosts.ros.extra_definitions import ROS1_TEXTS, ROS2_TEXTS

Encoding = Literal["cdr", "ros1"]

_BASE, _NAMED, _ARRAY, _SEQUENCE = 1, 2, 3, 4  # rosbags.interfaces.Nodetype
_MOST_BYTES = 256 << 10  # of one definition in a folder
_MOST_TYPES = 256


class UnknownType(Exception):
    """A message type without a definition."""


class MessageTypes:
    """Types that are known: the standard ones, those of outputs, and those of installed packages.

    Args:
        encoding: `cdr` for ROS 2, `ros1` for ROS 1; they differ in a few definitions.
        folders: Where definitions of further types lie, as `PACKAGE/msg/NAME.msg` or
            `share/PACKAGE/msg/NAME.msg`; those of `AMENT_PREFIX_PATH` are added.
    """

    def __init__(self, encoding: Encoding, folders: Iterable[str | Path] = ()) -> None:
        self.encoding: Encoding = encoding
        self._folders = [Path(folder) for folder in folders] + _installed()
        self._own = dict(ROS2_TEXTS if encoding == "cdr" else ROS1_TEXTS)
        self._empty: dict[str, Any] = {}

    @cached_property
    def _store(self) -> Typestore:
        return Typestore()

    def define(self, name: str, text: str) -> None:
        """Add the definition of a type, before anything uses it."""
        self._own[name] = text

    def schema(self, name: str) -> Schema:
        """Return the definition of a type with all that it contains, as logs carry it.

        Raises:
            UnknownType: The type, or one that it contains, is defined nowhere.
        """
        self._require(name)
        version = 2 if self.encoding == "cdr" else 1
        text, _ = self._store.generate_msgdef(name, ros_version=version)
        short = name if version == 2 else name.replace("/msg/", "/")
        return Schema(short, f"ros{version}msg", text.encode())

    def type_hash(self, name: str) -> str:
        """Return the hash of a type as REP 2016 defines it (`RIHS01_...`). Raises UnknownType."""
        self._require(name)
        return str(self._store.hash_rihs01(name))

    def md5(self, name: str) -> str:
        """Return the hash of a type in ROS 1. Raises UnknownType."""
        self._require(name)
        return str(self._store.generate_msgdef(name, ros_version=1)[1])

    def fields(self, name: str) -> list[tuple[str, Any]]:
        """Return the fields of a type, in order, as `rosbags` describes them. Raises UnknownType."""
        self._require(name)
        return list(self._store.fielddefs[name][1])

    def make(self, name: str, /, **values: Any) -> Any:
        """Return a message with these fields; the others are empty: zeros, no text, no elements.

        Empty parts are shared between messages: build new ones rather than change them.
        """
        return type(self.empty(name))(**{**self.empty(name).__dict__, **values})

    def empty(self, name: str) -> Any:
        """Return the message of a type with all fields empty. Raises UnknownType."""
        if name not in self._empty:
            self._require(name)
            values = {label: self._empty_value(kind) for label, kind in self._store.fielddefs[name][1]}
            self._empty[name] = self._store.types[name](**values)
        return self._empty[name]

    def serialize(self, message: Any, name: str) -> bytes:
        """Return the bytes of a message, in CDR with its header, or as ROS 1 writes them."""
        if self.encoding == "cdr":
            return bytes(self._store.serialize_cdr(message, name))
        return bytes(self._store.serialize_ros1(message, name))

    def deserialize(self, data: bytes, name: str) -> Any:
        """Return the message of bytes. Raises UnknownType, and what `rosbags` raises on damage."""
        self._require(name)
        if self.encoding == "cdr":
            return self._store.deserialize_cdr(data, name)
        return self._store.deserialize_ros1(data, name)

    # --- definitions -----------------------------------------------------------------------------

    def _empty_value(self, kind: Any) -> Any:
        node, detail = kind
        if node == _BASE:
            return {"string": "", "wstring": "", "bool": False}.get(detail[0], _zero(detail[0]))
        if node == _NAMED:
            return self.empty(detail)
        element, count = detail
        count = count if node == _ARRAY else 0
        if element[0] == _BASE and element[1][0] not in ("string", "wstring"):
            return np.zeros(count, _dtype(element[1][0]))
        return [self._empty_value(element) for _ in range(count)]

    def _require(self, name: str) -> None:
        """Register a type and those that it contains."""
        wanted = [name]
        seen: set[str] = set()
        while wanted:
            one = wanted.pop()
            if one in seen:
                continue
            seen.add(one)
            if len(seen) > _MOST_TYPES:
                raise UnknownType(f"{name}: its definition contains more than {_MOST_TYPES} types")
            if one not in self._store.fielddefs:
                self._register(one)
            wanted += _named_types(self._store.fielddefs[one][1])

    def _register(self, name: str) -> None:
        text = self._own.get(name) or standard_definition(name, self.encoding) or self._text_in_folders(name)
        if text is None:
            raise UnknownType(
                f"the type {name} is not known; expected a standard type, or its .msg file below "
                "AMENT_PREFIX_PATH or a folder given by --set definitions=FOLDER"
            )
        try:
            types = get_types_from_msg(text, name)
        except Exception as error:  # the library's parser raises what it likes
            raise UnknownType(f"the definition of {name} cannot be read: {str(error)[:200]}") from None
        known = self._store.fielddefs
        self._store.register({key: value for key, value in types.items() if key not in known})

    def _text_in_folders(self, name: str) -> str | None:
        package, _, short = name.split("/") if name.count("/") == 2 else ("", "", "")
        if not (package.isidentifier() and short.isidentifier()):
            return None
        for folder in self._folders:
            for base in (folder, folder / "share"):
                path = base / package / "msg" / f"{short}.msg"
                if path.is_file() and path.stat().st_size <= _MOST_BYTES:
                    return path.read_text(encoding="utf-8", errors="replace")
        return None


def dds_name(name: str) -> str:
    """Return `sensor_msgs::msg::dds_::Image_` for `sensor_msgs/msg/Image`, as DDS and Zenoh spell it."""
    package, group, short = name.split("/")
    return f"{package}::{group}::dds_::{short}_"


def ros_name(name: str) -> str | None:
    """Return `sensor_msgs/msg/Image` for a name of DDS; None for one that is not of ROS."""
    parts = name.split("::")
    if len(parts) != 4 or parts[2] != "dds_" or not parts[3].endswith("_"):
        return None
    return f"{parts[0]}/{parts[1]}/{parts[3][:-1]}"


def _installed() -> list[Path]:
    """Return the prefixes of a ROS installation, if one is sourced."""
    return [Path(text) for text in os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep) if text]


def _named_types(fields: list[tuple[str, Any]]) -> list[str]:
    kinds = [kind[1][0] if kind[0] in (_ARRAY, _SEQUENCE) else kind for _, kind in fields]
    return [kind[1] for kind in kinds if kind[0] == _NAMED]


def _dtype(base: str) -> np.dtype[Any]:
    return np.dtype({"octet": "uint8", "byte": "uint8", "char": "uint8", "bool": "bool"}.get(base, base))


def _zero(base: str) -> Any:
    return 0.0 if base.startswith("float") else 0
