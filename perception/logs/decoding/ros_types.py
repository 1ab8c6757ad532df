"""ROS payloads (`cdr`, `ros1`) to plain objects, by the definitions that the file itself carries.

The `rosbags` library writes and runs Python for each definition. So a definition is checked first: plain
names, bounded sizes, no recursion, and no array of elements without bytes, which a few bytes of payload
could make endless.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from perception.logs.decoding import ros_packages
from perception.logs.decoding.checks import DecodeError
from perception.logs.decoding.definition_text import clean_idl, clean_msg, plain_text
from perception.logs.decoding.ros_elements import checker
from perception.text import listed
from perception.types import Schema

_MOST_SCHEMA_BYTES = 256 << 10  # the longest of the common messages has 10
_MOST_TYPES, _MOST_FIELDS = 256, 4096
_LONGEST_UNROLLED = 512  # elements of a fixed array of texts or messages: the library writes a line for each
_MOST_TRAILING = 8  # bytes after a message that are padding; RealSense recorders leave 4
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,127}(/[A-Za-z][A-Za-z0-9_]{0,127}){0,3}")
_BASE, _NAMED, _ARRAY, _SEQUENCE = 1, 2, 3, 4  # rosbags.interfaces.Nodetype
_HUGE_SHIFT = re.compile(r"<<(?!\s*(?:[0-5]?\d|6[0-3])\b)")  # an array of 1 << 99999999999 elements
_TIME_TEXT = "int32 sec\nuint32 nanosec\n"


def parser(schema: Schema, encoding: str) -> Callable[[bytes], Any]:
    """Return the function that turns payloads of this schema into objects with the fields as attributes.

    Arrays of numbers are numpy arrays that share the payload. Raises DecodeError where the definition cannot
    be used; the function raises it where a payload does not fit.
    """
    if not schema.data.strip() and not is_standard(schema.name, encoding):
        return _empty_parser(schema.name, encoding)
    name, types, store = _store(schema, encoding)
    definition = store.get_msgdef(name)
    check = checker(types, name, encoding)

    def reader(big_endian: bool) -> Any:
        if encoding != "cdr":
            return definition.deserialize_ros1
        return definition.deserialize_cdr_be if big_endian else definition.deserialize_cdr_le

    def parse(data: bytes) -> Any:
        view = memoryview(data)
        big_endian = False
        if encoding == "cdr":
            kind = bytes(view[:2])
            if len(view) < 4 or kind not in (b"\x00\x00", b"\x00\x01"):
                raise DecodeError(f"expected plain CDR, found {len(view)} bytes that start with {kind.hex()}")
            view, big_endian = view[4:], not kind[1]
        check(view, big_endian)
        try:
            message, end = reader(big_endian)(view, 0, definition.cls, store)
        except Exception as error:  # struct, numpy, unicode and the library's own
            raise DecodeError(f"cut or not a {schema.name}: {str(error)[:200]}") from None
        if len(view) - end > _MOST_TRAILING:
            raise DecodeError(f"{len(view) - end} bytes are left over after a {schema.name}")
        return message

    return parse


@lru_cache(maxsize=256)
def _store(schema: Schema, encoding: str) -> tuple[str, dict[str, Any], Any]:
    """Return the message's full name, the types that it contains, and a type store with them."""
    from perception.logs.decoding.ros_definitions import ReadingStore

    if len(schema.data) > _MOST_SCHEMA_BYTES:
        raise DecodeError(f"a definition of {len(schema.data)} bytes")
    name = _full_name(schema.name)
    types = _parse(schema, name) if schema.data.strip() else {name: _standard_types(encoding)[name]}
    if name not in types:
        raise DecodeError(f"the file's definition does not define {schema.name!r}")
    _complete(types, encoding)
    _check(types)
    store = ReadingStore()
    store.register(
        {name: ([], fields) for name, (_, fields) in types.items()}
    )  # constants are no measurements
    return name, types, store


def is_standard(name: str, encoding: str) -> bool:
    """Return whether a message can be read although the file does not define it."""
    return _NAME.fullmatch(name) is not None and _full_name(name) in _standard_types(encoding)


def standard_definition(name: str, encoding: str) -> str:
    """Return the definition of a message that is read although the file does not define it; else nothing."""
    if not is_standard(name, encoding):
        return ""
    version = 1 if encoding == "ros1" else 2
    text: str = _standard_store(encoding).generate_msgdef(_full_name(name), ros_version=version)[0]
    return text


@lru_cache(maxsize=2)
def _standard_store(encoding: str) -> Any:
    from rosbags.typesys.store import Typestore

    store = Typestore()
    store.register(_standard_types(encoding))
    return store


class _NoFields:
    """A message without fields."""


def _empty_parser(name: str, encoding: str) -> Callable[[bytes], Any]:
    """Return the function that takes payloads of a message that has no fields, and refuses any other."""

    def parse(data: bytes) -> Any:
        body = data[4:] if encoding == "cdr" else data
        if len(body) > 4 or any(body):  # CDR writes a zero for nothing, and may fill up to four
            raise DecodeError(
                f"the definition of {name!r} is empty in the file, and it is no standard type: record with "
                "the package of the message installed, so that the definition is written (bags in SQLite "
                "hold none before ROS 2 Iron: `ros2 bag convert` to MCAP with the package installed)"
            )
        return _NoFields()

    return parse


@lru_cache(maxsize=2)
def _standard_types(encoding: str) -> dict[str, Any]:
    """Return the types that come with ROS 1 (`ros1`) or ROS 2, as `rosbags` knows them, by full name.

    Of ROS 2 also those of some further packages: bags in SQLite lack definitions.
    """
    from rosbags.typesys import Stores, get_types_from_msg, get_typestore

    if encoding == "ros1":
        types = dict(get_typestore(Stores.ROS1_NOETIC).fielddefs)
        for name in ("tf2_msgs/msg/TFMessage", "tf/msg/tfMessage"):
            types |= get_types_from_msg("geometry_msgs/TransformStamped[] transforms\n", name)
        return types
    stores = [
        Stores.LATEST,
        Stores.ROS2_JAZZY,
        Stores.ROS2_FOXY,
        Stores.ROS2_HUMBLE,
    ]  # the last has precedence
    types = {name: fields for store in stores for name, fields in get_typestore(store).fielddefs.items()}
    for name, text in ros_packages.TEXTS.items():
        types |= get_types_from_msg(text, name)
    return types


def _full_name(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise DecodeError(f"{name[:60]!r} is no name of a ROS message")
    parts = name.split("/")
    return name if len(parts) != 2 else f"{parts[0]}/msg/{parts[1]}"


def _parse(schema: Schema, name: str) -> dict[str, Any]:
    from rosbags.typesys import get_types_from_idl, get_types_from_msg

    text = plain_text(schema.data)
    if _HUGE_SHIFT.search(text):
        raise DecodeError(f"the file's definition of {schema.name!r} shifts by more than 63 bits")
    try:
        if schema.encoding == "ros2idl":
            return dict(get_types_from_idl(clean_idl(text)))
        return dict(get_types_from_msg(clean_msg(text, name), name))
    except Exception as error:
        raise DecodeError(
            f"the file's definition of {schema.name!r} cannot be read: {str(error)[:200]}"
        ) from None


def _complete(types: dict[str, Any], encoding: str) -> None:
    """Add types that the definitions name and do not define: times, built into ROS 1, and common types."""
    from rosbags.typesys import get_types_from_msg

    for kind in ("Time", "Duration"):
        name = f"builtin_interfaces/msg/{kind}"
        if name not in types:
            types.update(get_types_from_msg(_TIME_TEXT, name))
    missing = _missing(types)
    if not missing:
        return
    common = _standard_types(encoding)
    while missing:
        unknown = sorted(missing - common.keys())
        if unknown or len(types) > _MOST_TYPES:
            raise DecodeError(f"the file's definition names types that it does not define: {listed(unknown)}")
        types.update({name: common[name] for name in missing})
        missing = _missing(types)


def _missing(types: dict[str, Any]) -> set[str]:
    named = set()
    for _, fields in types.values():
        for _, kind in fields:
            element = kind[1][0] if kind[0] in (_ARRAY, _SEQUENCE) else kind
            if element[0] == _NAMED:
                named.add(element[1])
    return named - types.keys()


def _check(types: dict[str, Any]) -> None:
    """Refuse definitions that are harmless to parse and harmful to use."""
    if len(types) > _MOST_TYPES or sum(len(fields) for _, fields in types.values()) > _MOST_FIELDS:
        raise DecodeError(f"a definition of {len(types)} types: more than a message needs")
    sizes: dict[str, int] = {}
    for name, (constants, fields) in types.items():
        for label in (name, *(c[0] for c in constants), *(f[0] for f in fields)):
            if not _NAME.fullmatch(label):
                raise DecodeError(f"{label[:60]!r} is no name in a ROS message")
        _least_bytes(name, types, sizes)


def _least_bytes(name: str, types: dict[str, Any], sizes: dict[str, int], above: tuple[str, ...] = ()) -> int:
    """Return the fewest bytes that a message of this type takes (in ROS 1, which has no padding)."""
    if name in sizes:
        return sizes[name]
    if name in above or len(above) > 32:
        raise DecodeError(f"the type {name!r} contains itself")
    total = 0
    for label, kind in types[name][1]:
        element = kind[1][0] if kind[0] in (_ARRAY, _SEQUENCE) else kind
        is_named = element[0] == _NAMED
        size = _least_bytes(element[1], types, sizes, (*above, name)) if is_named else 1
        if kind[0] in (_ARRAY, _SEQUENCE):
            if size == 0:
                raise DecodeError(f"{name}.{label} is an array of elements without bytes")
            unrolled = kind[0] == _ARRAY and (is_named or element[1][0] == "string")
            if unrolled and kind[1][1] > _LONGEST_UNROLLED:
                raise DecodeError(f"{name}.{label} is a fixed array of {kind[1][1]} elements")
        total += size * kind[1][1] if kind[0] == _ARRAY else 4 if kind[0] == _SEQUENCE else size
    sizes[name] = total
    return total
