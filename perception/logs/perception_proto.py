"""Encoding and decoding of the project's own messages (`perception.proto`).

The descriptors are package data (`perception.binpb`, made from the .proto by protoc) and live in a
pool of their own: no generated code, so any protobuf release reads them. The same inputs
give the same bytes. Decoders raise ValueError on bytes that are not the message.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from importlib.resources import files
from math import nan
from types import MappingProxyType
from typing import Any, NamedTuple

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError as ProtobufError

from perception.types import (
    NOT_STATED,
    Control,
    ControlChannel,
    Detection,
    Detections,
    Input,
    Sample,
    Schema,
    Tick,
    TruthBox,
    Vector,
)

DESCRIPTORS: bytes = files("perception.logs").joinpath("perception.binpb").read_bytes()
"""A serialized FileDescriptorSet with all its imports, as MCAP and Foxglove want a protobuf schema."""

_MOST_BYTES = 8 << 20
_NAMES = ("Detections", "Control", "Status", "Inputs")


def _message_classes() -> dict[str, Any]:
    pool = descriptor_pool.DescriptorPool()
    for file in descriptor_pb2.FileDescriptorSet.FromString(DESCRIPTORS).file:
        pool.Add(file)
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"perception.{name}"))
        for name in _NAMES
    }


_CLASSES = _message_classes()

SCHEMAS = MappingProxyType(
    {f"perception.{name}": Schema(f"perception.{name}", "protobuf", DESCRIPTORS) for name in _NAMES}
)
"""The schemas by full name: `perception.Detections`, `.Control`, `.Status`, `.Inputs`."""


class InputState(NamedTuple):
    """The state of one input at a tick. `stamp_ns` and `age_ms` are 0 where no message is known."""

    name: str
    topic: str
    stamp_ns: int
    age_ms: float
    present: bool
    reason: str


def encode_detections(tick: Tick, detections: Detections, frame_id: str) -> bytes:
    """Return a `perception.Detections` stamped with the tick; `frame_id` is the camera's."""
    message = _new("Detections", tick.stamp_ns)
    message.frame_id = frame_id
    message.valid = detections.valid
    message.based_on.extend(detections.based_on)
    message.error = detections.error
    message.position_frame = detections.position_frame
    add = message.detections.add
    for item in detections.items:
        x1, y1, x2, y2 = item.xyxy
        unknown, cov = item.position_unknown, item.position_cov_m2
        add(
            label=item.label,
            score=item.score,
            x1=x1,
            y1=y1,
            x2=x2,
            y2=y2,
            box_std=item.box_std,
            distance_m=item.distance_m,
            distance_std_m=item.distance_std_m,
            visible=item.visible,
            track_id=item.track_id,
            position_m=item.position_m,
            position_cov_m2=None if cov is None else [*cov[0], *cov[1], *cov[2]],
            position_unknown="" if unknown == NOT_STATED else unknown,  # one that is not stated adds no byte
        )
    return _bytes(message)


def decode_detections(data: bytes) -> tuple[int, str, Detections]:
    """Return `(stamp_ns, frame_id, detections)` of a `perception.Detections`."""
    message = _parse("Detections", data)
    items = []
    for item in message.detections:
        std, position_m = tuple(item.box_std), tuple(item.position_m)
        distance_std_m = _known(item, "distance_std_m")
        known = len(position_m) == 3
        items.append(
            Detection(
                item.label,
                item.score,
                (item.x1, item.y1, item.x2, item.y2),
                std if len(std) == 4 else None,
                # a deviation is of a distance: earlier files leave out a distance of 0
                _known(item, "distance_m") if distance_std_m is None else item.distance_m,
                distance_std_m,
                item.visible,
                item.track_id,
                position_m if known else None,
                _matrix(item.position_cov_m2) if known else None,
                "" if known else item.position_unknown or NOT_STATED,
            )
        )
    detections = Detections(
        message.valid, tuple(message.based_on), message.error, tuple(items), message.position_frame
    )
    return _stamp_ns(message), message.frame_id, detections


def encode_control(tick: Tick, control: Control) -> bytes:
    """Return a `perception.Control` stamped with the tick."""
    message = _new("Control", tick.stamp_ns)
    message.valid = control.valid
    message.based_on.extend(control.based_on)
    message.error = control.error
    for channel in control.channels:
        message.channels.add(name=channel.name, unit=channel.unit, value=channel.value, std=channel.std)
    return _bytes(message)


def decode_control(data: bytes) -> tuple[int, Control]:
    """Return `(stamp_ns, control)` of a `perception.Control`."""
    message = _parse("Control", data)
    channels = tuple(ControlChannel(c.name, c.unit, c.value, _known(c, "std")) for c in message.channels)
    return _stamp_ns(message), Control(message.valid, tuple(message.based_on), message.error, channels)


def encode_status(stamp_ns: int, channels: Iterable[tuple[str, str, float]]) -> bytes:
    """Return a `perception.Status` from (name, unit, value) rows."""
    message = _new("Status", stamp_ns)
    for name, unit, value in channels:
        message.channels.add(name=name, unit=unit, value=value)
    return _bytes(message)


def decode_status(data: bytes) -> tuple[int, tuple[tuple[str, str, float], ...]]:
    """Return `(stamp_ns, rows)` of a `perception.Status`; a row is (name, unit, value)."""
    message = _parse("Status", data)
    return _stamp_ns(message), tuple((c.name, c.unit, c.value) for c in message.channels)


def encode_inputs(sample: Sample) -> bytes:
    """Return a `perception.Inputs`: the state of each input of the sample."""
    message = _new("Inputs", sample.tick.stamp_ns)
    message.tick = sample.tick.kind
    for source in sample.sensors:
        message.inputs.add(**_input_state(source)._asdict())
    return _bytes(message)


def decode_inputs(data: bytes) -> tuple[int, str, tuple[InputState, ...]]:
    """Return `(stamp_ns, kind of tick, inputs)` of a `perception.Inputs`."""
    message = _parse("Inputs", data)
    states = tuple(
        InputState(i.name, i.topic, i.stamp_ns, i.age_ms, i.present, i.reason) for i in message.inputs
    )
    return _stamp_ns(message), message.tick, states


def encode_truth(stamp_ns: int, frame_id: str, boxes: Sequence[TruthBox]) -> bytes:
    """Return truth as a `perception.Detections`: valid, every score 1, no standard deviations."""
    message = _new("Detections", stamp_ns)
    message.frame_id = frame_id
    message.valid = True
    for box in boxes:
        x1, y1, x2, y2 = box.xyxy
        shared = {name: getattr(box, name) for name in ("label", "distance_m", "visible", "track_id")}
        message.detections.add(x1=x1, y1=y1, x2=x2, y2=y2, score=1.0, ignore=box.ignore, **shared)
    return _bytes(message)


def decode_truth(data: bytes) -> tuple[int, str, tuple[TruthBox, ...]]:
    """Return `(stamp_ns, frame_id, boxes)` of a `perception.Detections` that holds truth.

    Raises:
        ValueError: It is none, or says that it is not valid.
    """
    message = _parse("Detections", data)
    if not message.valid:
        raise ValueError(f"detections that are not valid: {message.error or 'no reason given'}")
    boxes = tuple(
        TruthBox(
            item.label,
            (item.x1, item.y1, item.x2, item.y2),
            item.distance_m if item.HasField("distance_m") or item.HasField("distance_std_m") else nan,
            item.visible,
            item.track_id,
            ignore=item.ignore,
        )
        for item in message.detections
    )
    return _stamp_ns(message), message.frame_id, boxes


def _matrix(values: Sequence[float]) -> tuple[Vector, Vector, Vector] | None:
    """Return 3x3 numbers as rows; None where there are none."""
    if len(values) != 9:
        return None
    xx, xy, xz, yx, yy, yz, zx, zy, zz = values
    return (xx, xy, xz), (yx, yy, yz), (zx, zy, zz)


def _known(message: Any, field: str) -> float | None:
    return getattr(message, field) if message.HasField(field) else None


def _input_state(source: Input[Any]) -> InputState:
    return InputState(
        source.name, source.topic, source.stamp_ns or 0, source.age_ms or 0.0, source.present, source.reason
    )


def _new(name: str, stamp_ns: int) -> Any:
    message = _CLASSES[name]()
    message.timestamp.seconds, message.timestamp.nanos = divmod(int(stamp_ns), 1_000_000_000)
    return message


def _bytes(message: Any) -> bytes:
    return bytes(message.SerializeToString(deterministic=True))


def _parse(name: str, data: bytes) -> Any:
    if len(data) > _MOST_BYTES:
        raise ValueError(
            f"{len(data)} bytes are too many for a perception.{name}: up to {_MOST_BYTES} are taken"
        )
    try:
        return _CLASSES[name].FromString(data)
    except ProtobufError as error:
        raise ValueError(f"{len(data)} bytes are not a perception.{name}: {error}") from None


def _stamp_ns(message: Any) -> int:
    return int(message.timestamp.seconds) * 1_000_000_000 + int(message.timestamp.nanos)
