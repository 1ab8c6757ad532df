"""The function that decodes the messages of a channel, chosen by schema once and cached."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Any

from perception.logs import perception_proto as proto
from perception.logs.decoding import foxglove, jsontext, protobuf, ros, ros_types
from perception.logs.decoding.checks import DecodeError, Envelope, Skipped, checked_rectangle
from perception.logs.decoding.definition_text import ros1_name
from perception.logs.decoding.field_view import AttributeView
from perception.logs.decoding.numbers import NumberFields, find
from perception.logs.decoding.stamps import Stamp, bare_number, time_fields, unstamped
from perception.types import Channel, Decoded, Message, Schema, StatusReading, TruthBoxes, Undecodable
from perception.types.stamp_rule import StampRule

if TYPE_CHECKING:
    from perception.config import Config, Role

Decoder = Callable[[Envelope], Decoded]

_MAX_CACHED = 4096
_cached: dict[tuple[int, Role | None], tuple[Channel, Decoder]] = {}

_ROS = {("cdr", "ros2msg"), ("cdr", "ros2idl"), ("ros1", "ros1msg")}
_ROS_ENCODINGS = ("cdr", "ros1")
_AS_STATUS: tuple[Role, ...] = ("status", "truth_control")


def decode(message: Message, role: Role | None = None, stamp: StampRule | None = None) -> Decoded:
    """Decode a message to a class of `perception.types`; what cannot be read becomes `Undecodable`.

    Args:
        message: One record of a log. The result shares its bytes.
        role: How to read it. None: as its schema says, and as a status where the schema says nothing.
            `status` and `truth_control` read numbers out of any message, `range` depth out of an image.
        stamp: Where the message has its stamp, and in which unit; None: it is found.

    Cached by channel object: keep one `Channel` for each stream.
    """
    channel = message.channel
    cached = _cached.get((id(channel), role))
    if cached is None or cached[0] is not channel:
        cached = _add_decoder(channel, role)
    try:
        return cached[1](Envelope(message, stamp))
    except (DecodeError, ValueError) as error:
        reason = str(error)[:500]
    except Exception as error:  # whatever a hostile payload brings out of a library is a reason, too
        reason = f"{type(error).__name__}: {str(error)[:200]}"
    stamp_ns = unstamped(message).ns
    return Undecodable(channel.topic, stamp_ns, message.log_time_ns, reason, message.data, stamped=False)


def decoder(config: Config) -> Callable[[Message], Decoded]:
    """Return the function that decodes the messages of configured topics as the configuration says."""
    roles, stamps = config.roles(), config.stamps()
    return lambda message: decode(message, roles.get(message.topic), stamps.get(message.topic))


def bare_times(message: Message) -> dict[str, float | None]:
    """Return the fields of a message that may be its time, by path; None for what is no bare number, or 0."""
    reading = decode(message, "status")
    if not isinstance(reading, StatusReading) or not isinstance(reading.values, NumberFields):
        return {}
    numbers = ((name, bare_number(value)) for name, value, _ in time_fields(reading.values.tree))
    return {name: float(number) if number else None for name, number in numbers}


def sensor_kind(schema: Schema | None, encoding: str) -> Role | None:
    """Return the role of a channel by its schema.

    `status` stands for numbers of any kind, None for messages that cannot be decoded.
    """
    name = schema.name if schema else ""
    if _unreadable(name):
        return None
    if encoding == "json":
        return _foxglove_role(name)
    if schema is None or not (schema.data.strip() or _is_standard(schema, encoding)):
        return None
    if encoding == "protobuf":
        return _OWN[name][0] if name in _OWN else _foxglove_role(name)
    if _is_ros(schema, encoding):
        short = ros1_name(name)
        return _ROS_BUILDERS[short][0] if short in _ROS_BUILDERS else "status"
    return None


def _unreadable(name: str) -> str:
    """Return what to do instead where messages of a known schema cannot be read; empty: they can."""
    return foxglove.UNREADABLE.get(name) or ros.UNREADABLE.get(ros1_name(name), "")


def _is_ros(schema: Schema, encoding: str) -> bool:
    """Return whether a message is of ROS; a schema without a definition may lack its encoding, too."""
    return (encoding, schema.encoding) in _ROS or (encoding in _ROS_ENCODINGS and not schema.data.strip())


def _is_standard(schema: Schema, encoding: str) -> bool:
    """Return whether the definition of a message is known without the file."""
    if encoding == "protobuf":
        return schema.name in _OWN or schema.name in foxglove.BUILDERS
    return encoding in _ROS_ENCODINGS and ros_types.is_standard(schema.name, encoding)


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
    def refuse(envelope: Envelope) -> Decoded:
        raise DecodeError(reason)

    return refuse


def _decoder(channel: Channel, role: Role | None) -> Decoder:
    schema, encoding = channel.schema, channel.encoding
    name = schema.name if schema else ""
    if reason := _unreadable(name):
        raise DecodeError(f"{name}: {reason}")
    natural = sensor_kind(schema, encoding)
    wanted = role or natural or "status"
    if schema is not None and _is_ros(schema, encoding):
        return _ros(schema, encoding, natural, wanted)
    if wanted not in (natural, *_AS_STATUS) and (name, wanted) not in foxglove.ON_REQUEST:
        raise _misfit(name, encoding, wanted)
    if encoding == "json":
        return _json(name, wanted)
    if encoding == "protobuf" and schema is not None:
        return _protobuf(schema, wanted)
    kind = f" ({schema.encoding})" if schema is not None and schema.encoding else ""
    raise DecodeError(
        "expected messages in protobuf or JSON, or in CDR or ros1 with a definition in ros2msg, ros2idl or "
        f"ros1msg; found {encoding!r} with {name or 'no schema'}{kind}"
    )


def _protobuf(schema: Schema, wanted: Role) -> Decoder:
    role, own = _OWN.get(schema.name, (None, None))
    if own is not None and (role == wanted or role in _AS_STATUS):
        return own
    parse = protobuf.parser(schema)
    if wanted in _AS_STATUS:
        return lambda envelope: _status(envelope, parse(envelope.message.data).tree)
    build = _foxglove_builder(schema.name, wanted)
    return lambda envelope: build(parse(envelope.message.data), envelope)


def _foxglove_builder(name: str, wanted: Role) -> foxglove.Builder:
    return foxglove.ON_REQUEST.get((name, wanted)) or foxglove.BUILDERS[name][1]


def _ros(schema: Schema, encoding: str, natural: Role | None, wanted: Role) -> Decoder:
    short = ros1_name(schema.name)
    build = _ROS_BUILDERS[short][1] if wanted == natural and short in _ROS_BUILDERS else None
    build = build or ros.ON_REQUEST.get((short, wanted))
    parse = ros_types.parser(schema, encoding)
    if build is not None:
        return lambda envelope: build(parse(envelope.message.data), envelope)
    if wanted not in _AS_STATUS:
        raise _misfit(schema.name, encoding, wanted)
    if short == "sensor_msgs/Imu":
        return lambda envelope: _imu_status(envelope, parse(envelope.message.data))
    return lambda envelope: _status(envelope, parse(envelope.message.data))


def _imu_status(envelope: Envelope, imu: Any) -> Decoded:
    """Return the numbers of an Imu, without the fields that the sensor does not measure.

    Its definition says so: where the first element of a covariance is -1, disregard the estimate.
    """
    parts = ("orientation", "angular_velocity", "linear_acceleration")
    return _status(envelope, imu, [part for part in parts if find(imu, f"{part}_covariance.0") == -1])


def _json(name: str, wanted: Role) -> Decoder:
    if wanted in _AS_STATUS:
        return lambda envelope: _status(envelope, jsontext.parse(envelope.message.data))
    build = _foxglove_builder(name, wanted)
    return lambda envelope: build(jsontext.JsonView(jsontext.parse(envelope.message.data)), envelope)


def _misfit(name: str, encoding: str, wanted: Role) -> DecodeError:
    found = f"{name or 'no schema'} ({encoding or 'no encoding'})"
    return DecodeError(f"expected a message to use as {wanted}, found {found}")


def _status(envelope: Envelope, tree: Any, unmeasured: Collection[str] = ()) -> Decoded:
    times, tail = envelope.times(envelope.stamp(tree))
    return StatusReading(*times, NumberFields(tree, unmeasured), **tail)


def _own_stamp(stamp_ns: int, envelope: Envelope) -> Stamp:
    return Stamp(stamp_ns) if 0 < stamp_ns < 1 << 63 else unstamped(envelope.message)


def _own_status(envelope: Envelope) -> Decoded:
    stamp_ns, rows = proto.decode_status(envelope.message.data)
    times, tail = envelope.times(_own_stamp(stamp_ns, envelope))
    return StatusReading(*times, {name: value for name, _, value in rows}, **tail)


def _own_control(envelope: Envelope) -> Decoded:
    stamp_ns, control = proto.decode_control(envelope.message.data)
    unknown = float("nan")
    values = {channel.name: channel.value if control.valid else unknown for channel in control.channels}
    times, tail = envelope.times(_own_stamp(stamp_ns, envelope))
    return StatusReading(*times, values, **tail)


def _own_detections(envelope: Envelope) -> Decoded:
    stamp_ns, frame_id, boxes = proto.decode_truth(envelope.message.data)
    items, skipped = [], Skipped()
    for box in boxes:
        try:
            items.append(checked_rectangle(box))
        except DecodeError as error:
            skipped.add(error)
    times, tail = envelope.times(_own_stamp(stamp_ns, envelope))
    return TruthBoxes(
        *times,
        tuple(items),
        **tail,
        ignored=skipped.count,
        ignored_reason=skipped.reason,
        frame_id=frame_id,
    )


def _from_fields(build: foxglove.Builder) -> ros.Builder:
    return lambda fields, envelope: build(AttributeView(fields), envelope)


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
