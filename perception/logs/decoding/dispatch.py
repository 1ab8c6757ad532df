"""From a channel to the function that reads its messages, found once and kept."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from perception.logs import perception_proto as proto
from perception.logs.decoding import foxglove, jsontext, protobuf, ros_types
from perception.logs.decoding.checks import Fault, stamp_or_publish
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

_MOST_KNOWN = 4096
_known: dict[tuple[int, Role | None], tuple[Channel, Decoder]] = {}

_OWN: dict[str, Role | None] = {
    "perception.Detections": "truth_boxes",
    "perception.Control": "truth_control",
    "perception.Status": "status",
    "perception.Inputs": None,  # the account of a run, not a measurement
}
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
    known = _known.get((id(channel), role))
    if known is None or known[0] is not channel:
        known = _remember(channel, role)
    try:
        return known[1](message)
    except (Fault, ValueError) as fault:
        reason = str(fault)[:500]
    except Exception as error:  # whatever a hostile payload brings out of a library is a reason, too
        reason = f"{type(error).__name__}: {str(error)[:200]}"
    stamp_ns = stamp_or_publish(0, message)
    return Undecodable(channel.topic, stamp_ns, message.log_time_ns, reason, message.data)


def sensor_kind(schema: Schema | None, encoding: str) -> Role | None:
    """What a channel is by its schema: `status` for numbers of any kind, None for what cannot be decoded."""
    name = schema.name if schema else ""
    if encoding == "json":
        return None if name in foxglove.UNREADABLE else _foxglove_role(name)
    if schema is None or not schema.data or name in foxglove.UNREADABLE:
        return None
    if encoding == "protobuf":
        return _OWN[name] if name in _OWN else _foxglove_role(name)
    if (encoding, schema.encoding) in _ROS:
        from perception.logs.decoding import ros

        short = ros_types.ros_name(name)
        return None if short in ros.UNREADABLE else ros.BUILDERS.get(short, ("status",))[0]
    return None


def _foxglove_role(name: str) -> Role:
    return foxglove.BUILDERS[name][0] if name in foxglove.BUILDERS else "status"


def _remember(channel: Channel, role: Role | None) -> tuple[Channel, Decoder]:
    try:
        decoder = _decoder(channel, role)
    except Exception as error:
        decoder = _refusal(str(error)[:300])
    if len(_known) >= _MOST_KNOWN:
        _known.clear()
    known = _known[id(channel), role] = (channel, decoder)
    return known


def _refusal(reason: str) -> Decoder:
    def refuse(message: Message) -> Decoded:
        raise Fault(reason)

    return refuse


def _decoder(channel: Channel, role: Role | None) -> Decoder:
    schema, encoding = channel.schema, channel.encoding
    name = schema.name if schema else ""
    if name in foxglove.UNREADABLE:
        raise Fault(f"{name}: {foxglove.UNREADABLE[name]}")
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
    raise Fault(
        f"expected the encoding protobuf, json, cdr or ros1 with a schema, found {encoding!r} with {name!r}"
    )


def _protobuf(schema: Schema, wanted: Role) -> Decoder:
    if schema.name == "perception.Detections" and wanted == "truth_boxes":
        return _truth
    if schema.name == "perception.Status":
        return _own_status
    if schema.name == "perception.Control":
        return _own_control
    parse = protobuf.parser(schema)
    if wanted in _AS_STATUS:
        numbers = protobuf.flattener(schema)
        return lambda message: _status(message, *numbers(message.data))
    build = foxglove.BUILDERS[schema.name][1]
    return lambda message: build(parse(message.data), message)


def _ros(schema: Schema, encoding: str, natural: Role | None, wanted: Role) -> Decoder:
    from perception.logs.decoding import ros

    short = ros_types.ros_name(schema.name)
    if short in ros.UNREADABLE:
        raise Fault(f"{schema.name}: {ros.UNREADABLE[short]}")
    build = ros.BUILDERS[short][1] if wanted == natural and short in ros.BUILDERS else None
    build = build or ros.ON_REQUEST.get((short, wanted))
    parse = ros_types.parser(schema, encoding)
    if build is not None:
        return lambda message: build(parse(message.data), message)
    if wanted not in _AS_STATUS:
        raise _misfit(schema.name, encoding, wanted)

    def status(message: Message) -> Decoded:
        found = parse(message.data)
        return _status(message, ros.stamp_ns(found), flatten(found))

    return status


def _misfit(name: str, encoding: str, wanted: Role) -> Fault:
    found = f"{name or 'no schema'} ({encoding or 'no encoding'})"
    return Fault(f"expected a message to use as {wanted}, found {found}")


def _json(name: str, wanted: Role) -> Decoder:
    if wanted in _AS_STATUS:

        def status(message: Message) -> Decoded:
            fields = jsontext.parse(message.data)
            return _status(message, jsontext.status_time_ns(fields), flatten(fields))

        return status
    build = foxglove.BUILDERS[name][1]
    return lambda message: build(jsontext.JsonView(jsontext.parse(message.data)), message)


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


def _truth(message: Message) -> Decoded:
    stamp_ns, _, found = proto.decode_detections(message.data)
    if not found.valid:
        raise Fault(f"detections that are not valid: {found.error or 'no reason given'}")
    boxes = proto.truth_of(found)
    return TruthBoxes(
        message.topic, stamp_or_publish(stamp_ns, message), message.log_time_ns, boxes, message.data
    )
