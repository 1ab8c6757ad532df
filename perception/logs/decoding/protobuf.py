"""Protobuf messages, by the descriptors that the file itself carries.

Large byte fields (`data` of an image or a cloud) are taken out of the message as a view before the
protobuf library sees it: pixels are not copied. What remains is small and parsed in C.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

from google.protobuf import descriptor_database, descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import DecodeError as ProtobufError

from perception.logs.decoding.checks import DecodeError
from perception.logs.decoding.field_view import AttributeView
from perception.types import Schema

_MOST_SCHEMA_BYTES = 4 << 20
_MOST_BYTES = 8 << 20  # without the byte fields; two bytes may become an object of a hundred


def parser(schema: Schema) -> Callable[[bytes], AttributeView]:
    """Return the function that turns payloads of this schema into views.

    Raises:
        DecodeError: The schema is unusable. The function raises it where a payload does not fit.
    """
    parse = _parser(schema)

    def view(data: bytes) -> AttributeView:
        message, blobs = parse(data)
        return AttributeView(message, _is_set, blobs)

    return view


def _parser(schema: Schema) -> Callable[[bytes], tuple[Any, dict[str, memoryview]]]:
    """Return the function that gives the message without its byte fields, and those by name."""
    cls = message_class(schema)
    blobs = {f.number: f.name for f in cls.DESCRIPTOR.fields if f.type == FieldDescriptor.TYPE_BYTES}

    def parse(data: bytes) -> tuple[Any, dict[str, memoryview]]:
        rest, taken = take_out(data, blobs) if blobs else (data, {})
        return _parse(cls, rest), taken

    return parse


def _is_set(message: Any, name: str) -> bool:
    return name in message.DESCRIPTOR.fields_by_name and message.HasField(name)


@lru_cache(maxsize=256)
def message_class(schema: Schema) -> Any:
    """Return the message class of the schema's own descriptors. Raises DecodeError where they lack it."""
    if len(schema.data) > _MOST_SCHEMA_BYTES:
        raise DecodeError(f"a schema of {len(schema.data)} bytes")
    try:
        database = descriptor_database.DescriptorDatabase()
        for file in descriptor_pb2.FileDescriptorSet.FromString(schema.data).file:
            database.Add(file)
        pool = descriptor_pool.DescriptorPool(database)
        return message_factory.GetMessageClass(pool.FindMessageTypeByName(schema.name))
    except Exception as error:
        raise DecodeError(
            f"the file's descriptors do not define {schema.name!r}: {str(error)[:200]}"
        ) from None


def take_out(data: bytes, numbers: dict[int, str]) -> tuple[bytes, dict[str, memoryview]]:
    """Return the message without the byte fields of these numbers, and views of them by name.

    A field that comes twice counts as it last came, as protobuf has it. Raises DecodeError where the bytes
    are not a protobuf message (encoding: protobuf.dev/programming-guides/encoding).
    """
    view = memoryview(data)
    kept: list[memoryview] = []
    taken: dict[str, memoryview] = {}
    at = start = 0
    end = len(data)
    try:
        while at < end:
            begin = at
            tag, at = _varint(data, at)
            wire = tag & 7
            if wire == 2:
                length, at = _varint(data, at)
                name = numbers.get(tag >> 3)
                if name is not None:
                    taken[name] = view[at : at + length]
                    kept.append(view[start:begin])
                    start = at + length
                at += length
            elif wire == 0:
                _, at = _varint(data, at)
            elif wire == 1:
                at += 8
            elif wire == 5:
                at += 4
            else:
                raise DecodeError(f"not a protobuf message: wire type {wire} at byte {begin}")
    except IndexError:
        at = end + 1
    if at != end:
        raise DecodeError(f"a protobuf message that is cut: a field ends after its {end} bytes")
    kept.append(view[start:])
    return b"".join(kept), taken


def _varint(data: bytes, at: int) -> tuple[int, int]:
    byte = data[at]
    if byte < 0x80:
        return byte, at + 1
    value, shift = byte & 0x7F, 7
    while True:
        at += 1
        byte = data[at]
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at + 1
        shift += 7
        if shift > 63:
            raise DecodeError("not a protobuf message: a number of more than ten bytes")


def _parse(cls: Any, data: bytes) -> Any:
    if len(data) > _MOST_BYTES:
        raise DecodeError(
            f"{len(data)} bytes beside images and clouds: more than {_MOST_BYTES} are not taken"
        )
    try:
        return cls.FromString(data)
    except ProtobufError as error:
        raise DecodeError(f"not a {cls.DESCRIPTOR.full_name}: {error}") from None
