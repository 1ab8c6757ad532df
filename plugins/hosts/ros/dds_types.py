"""Message types for `cyclonedds` from the definitions of ROS, whose messages stay bytes."""

from __future__ import annotations

from typing import Any, Self

from cyclonedds import idl

from perception_plugins.hosts.ros.message_types import MessageTypes, UnknownType

types: Any = idl.types  # generic in ways of its own
_BASE, _NAMED, _ARRAY = 1, 2, 3  # rosbags.interfaces.Nodetype
_WHOLE = {f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)}
_NUMBERS = {name: getattr(types, name) for name in (*_WHOLE, "float32", "float64")}
_BASES: dict[str, Any] = {
    **_NUMBERS,
    "bool": bool,
    "string": str,
    "byte": types.uint8,
    "octet": types.uint8,
    "char": types.uint8,
}


class DdsMessage:
    """A message as its CDR bytes: what `cyclonedds` calls to serialise and to read is replaced."""

    data: bytes
    sample_info: Any

    @classmethod
    def of(cls, data: bytes) -> Self:
        message = cls.__new__(cls)
        message.data = data
        return message

    def serialize(self, buffer: Any = None, endianness: Any = None, use_version_2: Any = None) -> bytes:
        return self.data

    @classmethod
    def deserialize(cls, data: bytes, has_header: bool = True, use_version_2: Any = None) -> Self:
        return cls.of(data)

    @classmethod
    def deserialize_key(cls, data: bytes, has_header: bool = True, use_version_2: Any = None) -> Self:
        return cls.of(b"")


class DdsTypes:
    """Types by their ROS names; each is made once.

    The fields are those of the definition, so that peers which compare types find the same.
    """

    def __init__(self, types: MessageTypes) -> None:
        self._types = types
        self._structs: dict[str, Any] = {}
        self._raw: dict[str, type[DdsMessage]] = {}

    def raw(self, name: str) -> type[DdsMessage]:
        """Return the type whose messages are bytes.

        Raises:
            UnknownType: It has no definition, or one with texts of two-byte characters.
        """
        if name not in self._raw:
            struct = self._struct(name)
            for method in ("of", "serialize", "deserialize", "deserialize_key"):
                setattr(struct, method, DdsMessage.__dict__[method])
            self._raw[name] = struct
        return self._raw[name]

    def _struct(self, name: str) -> Any:
        if name not in self._structs:
            fields = {label: self._field(kind) for label, kind in self._types.fields(name)}
            package, group, short = name.split("/")
            self._structs[name] = idl.make_idl_struct(f"{short}_", f"{package}.{group}.dds_.{short}_", fields)
        return self._structs[name]

    def _field(self, kind: Any) -> Any:
        node, detail = kind
        if node == _BASE:
            base, limit = detail
            if base not in _BASES:
                raise UnknownType(f"a field of type {base} is not supported over DDS")
            return types.bounded_str[limit] if base == "string" and limit else _BASES[base]
        if node == _NAMED:
            return self._struct(detail)
        element, count = detail
        if node == _ARRAY:
            return types.array[self._field(element), count]
        return types.sequence[self._field(element), count] if count else types.sequence[self._field(element)]
