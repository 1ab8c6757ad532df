"""The messages of a log as the new log holds them: in a schema of Foxglove where that says the same, proven.

A converted message is decoded and compared with the decoded source. Where one value differs, or where two
messages that differ would become one, the message keeps its bytes, its encoding and its schema.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from mcap_protobuf.schema import build_file_descriptor_set

from perception.config import Role
from perception.logs.conversion.foxglove_messages import CONVERSIONS, Inexpressible, SchemaConversion
from perception.logs.conversion.report import ConvertedTopic
from perception.logs.conversion.same_values import same_values
from perception.logs.decoding.checks import DecodeError
from perception.logs.decoding.definition_text import ros1_name
from perception.logs.decoding.dispatch import decode
from perception.logs.decoding.ros_types import parser, standard_definition
from perception.types import Channel, Message, Schema, Undecodable

_REMEMBERED = 16_384  # messages of a channel among which one that doubles another is found
_ROLES: tuple[Role | None, ...] = (None, "range")  # a depth image decodes only as a range


class MessageCopies:
    """Converts the messages of a log, and counts them by channel.

    Args:
        as_recorded: Keep every message as it is.
    """

    def __init__(self, *, as_recorded: bool = False) -> None:
        self._as_recorded = as_recorded
        self._channels: dict[int, tuple[Channel, _ChannelCopies | None]] = {}  # held: the identity is the key
        self._rows: dict[tuple[int, str], ConvertedTopic] = {}
        self._defined: dict[int, Channel] = {}  # by identity of the source's: with the definition it lacks
        self.dropped: dict[tuple[str, str], int] = {}
        """Messages by topic and by the fields that are not carried over."""

    @property
    def topics(self) -> tuple[ConvertedTopic, ...]:
        """A row for each source channel and schema of the new log, by topic."""
        return tuple(sorted(self._rows.values(), key=lambda row: (row.topic, row.schema)))

    def copy(self, message: Message) -> Message:
        """Return a message as it is to be written."""
        known = self._channels.get(id(message.channel))
        if known is None:
            known = self._channels[id(message.channel)] = (message.channel, self._copies(message.channel))
            if (schema := _with_definition(message.channel)) is not None:
                self._defined[id(message.channel)] = replace(message.channel, schema=schema)
        copies, why = known[1], ""
        if copies is not None:
            try:
                converted = copies.convert(message)
                self._count(message, converted, "")
                key = (message.topic, copies.dropped)
                if copies.dropped:
                    self.dropped[key] = self.dropped.get(key, 0) + 1
                return converted
            except Inexpressible as error:
                why = f"{copies.name} has no place for {error}"
            except (DecodeError, ValueError, TypeError, OverflowError) as error:
                why = f"it cannot be converted ({str(error)[:200]})"
        defined = self._defined.get(id(message.channel))
        written = message if defined is None else replace(message, channel=defined)
        self._count(message, written, why)
        return written

    def _copies(self, channel: Channel) -> _ChannelCopies | None:
        schema = channel.schema
        if self._as_recorded or schema is None or channel.encoding not in ("cdr", "ros1"):
            return None
        conversion = CONVERSIONS.get(ros1_name(schema.name))
        try:
            return None if conversion is None else _ChannelCopies(channel, schema, conversion)
        except DecodeError:
            return None  # its definition cannot be read: it stays as it is

    def _count(self, source: Message, written: Message, kept: str) -> None:
        old, new = source.channel, written.channel
        name = new.schema.name if new.schema else ""
        row = self._rows.get((id(old), name))
        if row is None:
            source_name = old.schema.name if old.schema else ""
            row = ConvertedTopic(old.topic, source_name, old.encoding, name, new.encoding)
            self._rows[id(old), name] = row
        row.messages += 1
        row.kept = row.kept or kept


class _ChannelCopies:
    """Converts the messages of one channel. Raises DecodeError where its definition cannot be read."""

    def __init__(self, channel: Channel, schema: Schema, conversion: SchemaConversion) -> None:
        self._conversion = conversion
        self._parse: Callable[[bytes], Any] = parser(schema, channel.encoding)
        data = build_file_descriptor_set(conversion.schema).SerializeToString(deterministic=True)
        self.name: str = conversion.schema.DESCRIPTOR.full_name
        self._channel = replace(channel, encoding="protobuf", schema=Schema(self.name, "protobuf", data))
        counter = ["header.seq"] if channel.encoding == "ros1" else []
        self.dropped = ", ".join([*counter, *([conversion.dropped] if conversion.dropped else [])])
        self._recent: OrderedDict[int, int] = OrderedDict()  # hash of a payload here -> of the source's

    def convert(self, message: Message) -> Message:
        """Return the converted message. Raises DecodeError, Inexpressible, or what protobuf raises."""
        built = self._conversion.build(self._parse(message.data))
        converted = replace(message, channel=self._channel, data=built.SerializeToString(deterministic=True))
        if not _say_the_same(message, converted):
            raise Inexpressible("all that is read of the message")
        content, source = hash(converted.data), hash(message.data)
        if self._recent.setdefault(content, source) != source:
            raise Inexpressible("what tells it from another message")
        if len(self._recent) > _REMEMBERED:
            self._recent.popitem(last=False)
        return converted


def _with_definition(channel: Channel) -> Schema | None:
    """Return the schema of a standard ROS type with the definition that the source lacks; None: it has one.

    Recorders before ROS 2 Iron write none, and nothing else reads a message without one.
    """
    schema = channel.schema
    if schema is None or channel.encoding not in ("cdr", "ros1") or schema.data.strip():
        return None
    text = standard_definition(schema.name, channel.encoding)
    kind = "ros1msg" if channel.encoding == "ros1" else "ros2msg"
    return Schema(schema.name, kind, text.encode()) if text else None


def _say_the_same(source: Message, converted: Message) -> bool:
    """Return whether two messages decode to the same values, in a role in which the source can be read."""
    for role in _ROLES:
        before = decode(source, role)
        if not isinstance(before, Undecodable):
            return same_values(before, decode(converted, role))
    return False
