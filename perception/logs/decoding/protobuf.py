"""Protobuf messages, by the descriptors that the file itself carries.

Large byte fields (`data` of an image or a cloud) are taken out of the message as a view before the
protobuf library sees it: pixels are not copied. What remains is small and parsed in C.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from importlib import import_module
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import DecodeError as ProtobufError

from perception.logs.decoding.checks import DecodeError
from perception.logs.decoding.field_view import AttributeView
from perception.types import Schema

_MOST_SCHEMA_BYTES = 4 << 20
_MOST_FILES = 2048
_MOST_FIELDS = 1 << 16  # of a message that byte fields are taken out of
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
    try:
        return bool(message.HasField(name))
    except ValueError:
        if name in message.DESCRIPTOR.fields_by_name:  # it is no message of its own
            raise
        return False


@lru_cache(maxsize=256)
def message_class(schema: Schema) -> Any:
    """Return the message class of the schema's own descriptors. Raises DecodeError where they lack it."""
    if len(schema.data) > _MOST_SCHEMA_BYTES:
        raise DecodeError(f"a schema of {len(schema.data)} bytes")
    if not schema.data.strip():
        return _standard_class(schema.name)
    errors: list[str] = []
    try:
        pool = _pool(descriptor_pb2.FileDescriptorSet.FromString(schema.data), errors)
        return message_factory.GetMessageClass(pool.FindMessageTypeByName(schema.name))
    except Exception as error:
        reason = "; ".join([str(error)[:200], *(text[:200] for text in errors[:2])])
        raise DecodeError(f"the file's descriptors do not define {schema.name!r}: {reason}") from None


def _standard_class(name: str) -> Any:
    """Return the class of a message of Foxglove's, which is known without the file."""
    package, _, message = name.rpartition(".")
    try:
        if package != "foxglove" or not message.isidentifier():
            raise ImportError
        module = import_module(f"foxglove_schemas_protobuf.{message}_pb2")
    except ImportError:
        raise DecodeError(
            f"the definition of {name!r} is empty in the file, and it is no standard type"
        ) from None
    return getattr(module, message)


def _pool(files: descriptor_pb2.FileDescriptorSet, errors: list[str]) -> descriptor_pool.DescriptorPool:
    """Return a pool of the files, each added after those it imports: the library would recurse in C.

    A file that cannot be added is an error in `errors`; it matters only where the file is needed.

    Raises:
        DecodeError: There are too many files.
    """
    by_name = {file.name: file for file in files.file}
    if len(by_name) > _MOST_FILES:
        raise DecodeError(f"{len(by_name)} files; up to {_MOST_FILES} are taken")
    waiting = {name: {d for d in file.dependency if d in by_name} for name, file in by_name.items()}
    importers: dict[str, list[str]] = {}
    for name, imports in waiting.items():
        for imported in imports:
            importers.setdefault(imported, []).append(name)
    pool = descriptor_pool.DescriptorPool()
    ready = [name for name, imports in waiting.items() if not imports]
    while ready:
        name = ready.pop()
        try:
            pool.AddSerializedFile(by_name[name].SerializeToString())
        except TypeError as error:
            errors.append(str(error))
        del waiting[name]
        for importer in importers.get(name, ()):
            waiting[importer].discard(name)
            if not waiting[importer]:
                ready.append(importer)
    if waiting:  # those left import each other, or what does
        errors.append(f"the file {min(waiting)!r} imports itself")
    return pool


def take_out(data: bytes, numbers: dict[int, str]) -> tuple[bytes, dict[str, memoryview]]:
    """Return the message without the byte fields of these numbers, and views of them by name.

    A field that comes twice counts as it last came, as protobuf has it. Of a message of very many fields
    nothing is taken out. Raises DecodeError where the bytes are not a protobuf message (encoding:
    protobuf.dev/programming-guides/encoding).
    """
    view = memoryview(data)
    kept: list[memoryview] = []
    taken: dict[str, memoryview] = {}
    at = start = 0
    end = len(data)
    try:
        for _ in range(_MOST_FIELDS):
            if at >= end:
                break
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
        else:
            if at < end:
                return data, {}
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
