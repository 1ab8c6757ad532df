"""The function that decodes the messages of a channel, chosen by schema once and cached."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from perception.logs import perception_proto as proto
from perception.logs.decoding import foxglove, jsontext, protobuf, ros, ros_types
from perception.logs.decoding.checks import DecodeError, stamp_or_publish
from perception.logs.decoding.field_view import AttributeView
from perception.logs.decoding.flatten import flatten
from perception.types import (
    Channel,
    Decoded,
    Message,
    Schema,
    StatusReading,
    TruthBoxes,
    Undecodable,
)

if TYPE_CHECKING:
    from perception.config import Role

Decoder = Callable[[Message], Decoded]

_MAX_CACHED = 4096
_cached: dict[tuple[int, Role | None], tuple[Channel, Decoder]] = {}

_ROS = {("cdr", "ros2msg"), ("cdr", "ros2idl"), ("ros1", "ros1msg")}
_AS_STATUS: tuple[Role, ...] = ("status", "truth_control")


def decode(message: Message, role: Role | None = None) -> Decoded:
    """Decode a message to a class of `perception.types`; what cannot be read becomes `Undecodable`.

    Args:
        message: One record of a log. The result shares its bytes.
        role: How to read it. None: as its schema says, and as a status where the schema says nothing.
            `status` and `truth_control` read numbers out of any message.

    Cached by channel object: keep one `Channel` for each stream.
    """
    channel = message.channel
    cached = _cached.get((id(channel), role))
    if cached is None or cached[0] is not channel:
        cached = _add_decoder(channel, role)
    try:
        return cached[1](message)
    except (DecodeError, ValueError) as error:
        reason = str(error)[:500]
    except Exception as error:  # whatever a hostile payload brings out of a library is a reason, too
        reason = f"{type(error).__name__}: {str(error)[:200]}"
    stamp_ns = stamp_or_publish(0, message)
    return Undecodable(channel.topic, stamp_ns, message.log_time_ns, reason, message.data)


def sensor_kind(schema: Schema | None, encoding: str) -> Role | None:
    """Return the role of a channel by its schema.

    `status` stands for numbers of any kind, None for messages that cannot be decoded.
    """
    name = schema.name if schema else ""
    if name in foxglove.UNREADABLE:
        return None
    if encoding == "json":
        return _foxglove_role(name)
    if schema is None or not schema.data:
        return None
    if encoding == "protobuf":
        return _OWN[name][0] if name in _OWN else _foxglove_role(name)
    if (encoding, schema.encoding) in _ROS:
        short = ros_types.ros_name(name)
        if short not in ros.UNREADABLE:
            return _ROS_BUILDERS[short][0] if short in _ROS_BUILDERS else "status"
    return None


def _foxglove_role(name: str) -> Role:
    return foxglove.BUILDERS[name][0] if name in foxglove.BUILDERS else "status"


def _add_decoder(channel: Channel, role: Role | None) -> tuple[Channel, Decoder]:
    try:
        decoder = _decoder(channel, role)
    except Exception as error:
        decoder = _refusal(str(error)[:300])
    if len(_cached) >= _MAX_CACHED:
        _cached.clear()
    cached = _cached[id(channel), role] = (channel, decoder)
    return cached


def _refusal(reason: str) -> Decoder:
    def refuse(message: Message) -> Decoded:
        raise DecodeError(reason)

    return refuse


def _decoder(channel: Channel, role: Role | None) -> Decoder:
    schema, encoding = channel.schema, channel.encoding
    name = schema.name if schema else ""
    if name in foxglove.UNREADABLE:
        raise DecodeError(f"{name}: {foxglove.UNREADABLE[name]}")
    natural = sensor_kind(schema, encoding)
    wanted = role or natural or "status"
    if schema is not None and (encoding, schema.encoding) in _ROS:
        return _ros(schema, encoding, natural, wanted)
    if wanted not in (natural, *_AS_STATUS):
        raise _misfit(name, encoding, wanted)
    if encoding == "json":
        return _json(name, wanted)
    if encoding == "protobuf" and schema is not None:
        return _protobuf(schema, wanted)
    raise DecodeError(
        f"expected the encoding protobuf, json, cdr or ros1 with a schema, found {encoding!r} with {name!r}"
    )


def _protobuf(schema: Schema, wanted: Role) -> Decoder:
    role, own = _OWN.get(schema.name, (None, None))
    if own is not None and (role == wanted or role in _AS_STATUS):
        return own
    if wanted in _AS_STATUS:
        numbers = protobuf.flattener(schema)
        return lambda message: _status(message, *numbers(message.data))
    parse, build = protobuf.parser(schema), foxglove.BUILDERS[schema.name][1]
    return lambda message: build(parse(message.data), message)


def _ros(schema: Schema, encoding: str, natural: Role | None, wanted: Role) -> Decoder:
    short = ros_types.ros_name(schema.name)
    if short in ros.UNREADABLE:
        raise DecodeError(f"{schema.name}: {ros.UNREADABLE[short]}")
    build = _ROS_BUILDERS[short][1] if wanted == natural and short in _ROS_BUILDERS else None
    build = build or ros.ON_REQUEST.get((short, wanted))
    parse = ros_types.parser(schema, encoding)
    if build is not None:
        return lambda message: build(parse(message.data), message)
    if wanted not in _AS_STATUS:
        raise _misfit(schema.name, encoding, wanted)

    def status(message: Message) -> Decoded:
        fields = parse(message.data)
        return _status(message, ros.stamp_ns(fields), flatten(fields))

    return status


def _json(name: str, wanted: Role) -> Decoder:
    if wanted in _AS_STATUS:

        def status(message: Message) -> Decoded:
            fields = jsontext.parse(message.data)
            return _status(message, jsontext.status_time_ns(fields), flatten(fields))

        return status
    build = foxglove.BUILDERS[name][1]
    return lambda message: build(jsontext.JsonView(jsontext.parse(message.data)), message)


def _misfit(name: str, encoding: str, wanted: Role) -> DecodeError:
    found = f"{name or 'no schema'} ({encoding or 'no encoding'})"
    return DecodeError(f"expected a message to use as {wanted}, found {found}")


def _status(message: Message, stamp_ns: int, values: dict[str, float]) -> Decoded:
    stamp_ns = stamp_or_publish(stamp_ns, message)
    return StatusReading(message.topic, stamp_ns, message.log_time_ns, values, message.data)


def _own_status(message: Message) -> Decoded:
    stamp_ns, rows = proto.decode_status(message.data)
    return _status(message, stamp_ns, {name: value for name, _, value in rows})


def _own_control(message: Message) -> Decoded:
    stamp_ns, control = proto.decode_control(message.data)
    unknown = float("nan")
    values = {channel.name: channel.value if control.valid else unknown for channel in control.channels}
    return _status(message, stamp_ns, values)


def _own_detections(message: Message) -> Decoded:
    stamp_ns, _, detections = proto.decode_detections(message.data)
    if not detections.valid:
        raise DecodeError(f"detections that are not valid: {detections.error or 'no reason given'}")
    stamp_ns, boxes = stamp_or_publish(stamp_ns, message), proto.truth_of(detections)
    return TruthBoxes(message.topic, stamp_ns, message.log_time_ns, boxes, message.data)


def _from_fields(build: foxglove.Builder) -> ros.Builder:
    return lambda fields, message: build(AttributeView(fields), message)


_OWN: dict[str, tuple[Role | None, Decoder | None]] = {
    "perception.Detections": ("truth_boxes", _own_detections),
    "perception.Control": ("truth_control", _own_control),
    "perception.Status": ("status", _own_status),
    "perception.Inputs": (None, None),  # the account of a run, not a measurement
}
_ROS_BUILDERS: dict[str, tuple[Role, ros.Builder]] = {
    **ros.BUILDERS,
    **{
        name.replace("foxglove.", "foxglove_msgs/"): (role, _from_fields(build))
        for name, (role, build) in foxglove.BUILDERS.items()
    },
}
"""Also `foxglove_msgs`: Foxglove's schemas as ROS messages, with the same fields."""
