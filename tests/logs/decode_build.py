"""Messages for the decoders' tests, built with the schemas' own libraries."""

from __future__ import annotations

from typing import Any

from mcap_protobuf.schema import build_file_descriptor_set

from perception.config import Role
from perception.logs.decoding import decode
from perception.types import Channel, Decoded, Message, Schema, Undecodable

LOG_TIME, PUBLISH_TIME, STAMP = 3_000_000_007, 2_000_000_005, 1_700_000_000_250_000_001


def record(
    data: bytes, schema: Schema | None, encoding: str, publish_time_ns: int = PUBLISH_TIME, topic: str = "/t"
) -> Message:
    return Message(Channel(1, topic, encoding, schema), LOG_TIME, publish_time_ns, 0, data)


def protobuf(message: Any) -> Message:
    data = build_file_descriptor_set(type(message)).SerializeToString()
    schema = Schema(message.DESCRIPTOR.full_name, "protobuf", data)
    return record(message.SerializeToString(), schema, "protobuf")


def stamped(message: Any, stamp_ns: int = STAMP) -> Any:
    message.timestamp.seconds, message.timestamp.nanos = divmod(stamp_ns, 1_000_000_000)
    return message


def refused(message: Message, role: Role | None = None) -> str:
    """The reason why the message is undecodable."""
    found: Decoded = decode(message, role)
    assert isinstance(found, Undecodable), found
    assert (found.topic, found.log_time_ns, found.source) == (message.topic, LOG_TIME, message.data)
    return found.reason
