"""Events of dora to messages of a log: bytes with a schema, or arrays as dora's own nodes send them."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from foxglove_schemas_protobuf.CompressedImage_pb2 import CompressedImage
from foxglove_schemas_protobuf.CompressedVideo_pb2 import CompressedVideo
from foxglove_schemas_protobuf.LaserScan_pb2 import LaserScan
from foxglove_schemas_protobuf.PackedElementField_pb2 import PackedElementField
from foxglove_schemas_protobuf.PointCloud_pb2 import PointCloud
from foxglove_schemas_protobuf.RawImage_pb2 import RawImage
from mcap_protobuf.schema import build_file_descriptor_set

from perception.config import Config
from perception.errors import ConfigError
from perception.logs.video.packet_header import CODECS
from perception.text import did_you_mean
from perception.types import Channel, Schema
from perception.types.image_layouts import ENCODED

MOST_AHEAD = 1024
"""So many numbered messages wait for one that is missing; further ones must be sent again."""
PIXEL_BYTES = {
    "rgb8": 3,
    "bgr8": 3,
    "mono8": 1,
    "8UC1": 1,
    "8UC3": 3,
    "rgba8": 4,
    "bgra8": 4,
    "mono16": 2,
    "16UC1": 2,
}
JSON_SCHEMA = Schema("perception.Json", "jsonschema", b"{}")


class DoraMessage(NamedTuple):
    """A message as `HostLoop.feed` takes it, and how many before it are missing."""

    channel: Channel
    data: bytes
    publish_ns: int | None
    received_ns: int | None
    lost: int


class DoraInputs:
    """The inputs of a node, by their ids, as messages on the topics of a configuration.

    An input is called as its sensor, or as its topic with `_` for `/` (`/tf_static` is `tf_static`). Its
    metadata say what the array holds:

    - `schema`: the bytes of a message, as of a log; `message_encoding` (`cdr`, `protobuf`, `json`, `ros1`),
      `schema_encoding` and `schema_data` (base64) where the schema is not a usual one;
    - camera: `encoding` (`jpeg`, `png`, `h264`, `rgb8`, `bgr8`, ...), `width`, `height`;
    - range: points [N, 3] in metres; with `angle_min` and `angle_increment` (rad) a planar scan of ranges;
    - status: one row of a struct, a JSON text, or numbers with `names`.

    `frame_id` and `stamp_ns` may be with each; `log_time_ns` states the arrival; `seq` numbers the messages
    of an input, so that lost ones are counted; `number` and `oldest` are for `NumberedEvents`.

    Args:
        config: Complete.
    """

    def __init__(self, config: Config) -> None:
        names = config.sensor_names()
        self._roles = config.roles()
        self._topics: dict[str, str] = {}
        for topic in self._roles:
            for name in {names.get(topic), topic.strip("/").replace("/", "_")} - {None}:
                if self._topics.setdefault(str(name), topic) != topic:
                    raise ConfigError(
                        [f"{topic} and {self._topics[str(name)]} are one input of dora: {name}"]
                    )
        self._channels: dict[tuple[object, ...], Channel] = {}
        self._next: dict[str, int] = {}

    def unknown(self, inputs: Sequence[str]) -> list[str]:
        """Return an error for each input that no topic of the configuration has."""
        return [
            f"input {name}: expected one of {', '.join(sorted(self._topics))}"
            + did_you_mean(name, self._topics, "; ")
            for name in inputs
            if name not in self._topics
        ]

    def missing(self, inputs: Sequence[str]) -> list[str]:
        """Return the topics of the configuration that no input brings."""
        return sorted(set(self._roles) - {self._topics[name] for name in inputs if name in self._topics})

    def message(self, event: Mapping[str, Any]) -> DoraMessage:
        """Return the message of an input event. One that is wrong gets the reason in place of a schema."""
        topic, metadata = self._topics[event["id"]], event["metadata"]
        sent = metadata.get("publish_time_ns") or _nanoseconds(metadata.get("timestamp"))
        try:
            encoding, schema, data = self._content(topic, event["value"], metadata, sent)
        except (KeyError, TypeError, ValueError) as error:
            text = f"no {error}" if isinstance(error, KeyError) else str(error)
            encoding, schema, data = (
                "arrow",
                Schema(f"an array that cannot be used: {text[:200]}", "", b""),
                b"",
            )
        key = topic, encoding, schema
        channel = self._channels.get(key)
        if channel is None:
            channel = self._channels[key] = Channel(len(self._channels), topic, encoding, schema)
        return DoraMessage(
            channel, data, sent, metadata.get("log_time_ns"), self._lost(event["id"], metadata)
        )

    def _lost(self, name: str, metadata: Mapping[str, Any]) -> int:
        """Return how many numbers are missing before this message of an input."""
        number = metadata.get("seq")
        if not isinstance(number, int):
            return 0
        expected = self._next.get(name, number)
        self._next[name] = number + 1
        return max(number - expected, 0)

    def _content(
        self, topic: str, value: Any, metadata: Mapping[str, Any], sent_ns: int
    ) -> tuple[str, Schema, bytes]:
        if "schema" in metadata:
            data = base64.b64decode(metadata.get("schema_data", ""))
            schema = Schema(str(metadata["schema"]), str(metadata.get("schema_encoding", "")), data)
            return str(metadata["message_encoding"]), schema, array_bytes(value)
        make = _ARRAYS.get(self._roles[topic])
        if make is None:
            raise ValueError(f"expected the metadata `schema` for {self._roles[topic]}")
        return make(value, metadata, int(metadata.get("stamp_ns", sent_ns)), topic)


class NumberedEvents:
    """The input events of a source that numbers its messages and sends lost ones again, each once, in order.

    dora sends small and large messages by different ways, so that one may overtake another, and loses some.
    In the metadata, `number` counts the messages of all inputs from 0, and `oldest` is the first that may
    be sent again: those before it were acknowledged, by this node or by one that it replaces.
    """

    def __init__(self) -> None:
        self.next: int | None = None
        """The number of the message that comes next; None: the source has not numbered any."""
        self._ahead: dict[int, Mapping[str, Any]] = {}

    def take(self, event: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
        """Yield the events whose turn it is with this one; one without a number at once."""
        number = event["metadata"].get("number")
        if number is None:
            yield event
            return
        self.next = max(self.next or 0, event["metadata"].get("oldest", 0))
        if number >= self.next and len(self._ahead) < MOST_AHEAD:
            self._ahead[number] = event
        while self.next in self._ahead:
            yield self._ahead.pop(self.next)
            self.next += 1


def array_bytes(value: Any) -> bytes:
    """Return the bytes of an array of numbers without nulls, or of its one text or blob."""
    if value.type in ("string", "large_string", "binary", "large_binary"):
        text = value[0].as_py()
        return text.encode() if isinstance(text, str) else bytes(text)
    if value.null_count:
        raise ValueError("expected an array without nulls")
    width = value.type.bit_width // 8
    buffer = memoryview(value.buffers()[1])
    return bytes(buffer[value.offset * width : (value.offset + len(value)) * width])


def _camera(value: Any, metadata: Mapping[str, Any], stamp_ns: int, topic: str) -> tuple[str, Schema, bytes]:
    encoding = str(metadata["encoding"])
    kind = CompressedImage if encoding in ENCODED else CompressedVideo if encoding in CODECS else RawImage
    message = kind(frame_id=_frame(metadata, topic), data=array_bytes(value))
    if isinstance(message, RawImage):
        message.encoding, message.width, message.height = encoding, metadata["width"], metadata["height"]
        if encoding not in PIXEL_BYTES:
            raise ValueError(f"encoding: expected one of {', '.join((*ENCODED, *CODECS, *PIXEL_BYTES))}")
        message.step = message.width * PIXEL_BYTES[encoding]
    else:
        message.format = "jpeg" if encoding == "jpg" else encoding
    return _foxglove(message, stamp_ns)


def _range(value: Any, metadata: Mapping[str, Any], stamp_ns: int, topic: str) -> tuple[str, Schema, bytes]:
    numbers = value.to_numpy(zero_copy_only=False)
    frame = _frame(metadata, topic)
    if "angle_min" in metadata:
        first, step = float(metadata["angle_min"]), float(metadata["angle_increment"])
        last = first + step * max(len(numbers) - 1, 0)
        return _foxglove(
            LaserScan(frame_id=frame, start_angle=first, end_angle=last, ranges=numbers), stamp_ns
        )
    if len(numbers) % 3:
        raise ValueError(f"expected points [N, 3], or `angle_min`; found {len(numbers)} numbers")
    fields = [
        PackedElementField(name=name, offset=4 * i, type=PackedElementField.FLOAT32)
        for i, name in enumerate("xyz")
    ]
    data = numbers.astype("<f4").tobytes()
    return _foxglove(PointCloud(frame_id=frame, point_stride=12, fields=fields, data=data), stamp_ns)


def _status(value: Any, metadata: Mapping[str, Any], stamp_ns: int, topic: str) -> tuple[str, Schema, bytes]:
    if value.type in ("string", "large_string"):
        return "json", JSON_SCHEMA, array_bytes(value)
    rows = value.to_pylist()
    if rows and isinstance(rows[0], dict):
        values = rows[-1]
    else:
        values = dict(zip(metadata["names"], rows, strict=True))
    return "json", JSON_SCHEMA, json.dumps({"timestamp_ns": stamp_ns, **values}).encode()


_ARRAYS: dict[str, Callable[[Any, Mapping[str, Any], int, str], tuple[str, Schema, bytes]]] = {
    "camera": _camera,
    "range": _range,
    "status": _status,
}
_SCHEMAS: dict[type, Schema] = {}


def _foxglove(message: Any, stamp_ns: int) -> tuple[str, Schema, bytes]:
    kind = type(message)
    if kind not in _SCHEMAS:
        data = build_file_descriptor_set(kind).SerializeToString(deterministic=True)
        _SCHEMAS[kind] = Schema(kind.DESCRIPTOR.full_name, "protobuf", data)
    message.timestamp.FromNanoseconds(stamp_ns)
    if hasattr(message, "pose"):
        message.pose.orientation.w = 1.0
    return "protobuf", _SCHEMAS[kind], message.SerializeToString()


def _frame(metadata: Mapping[str, Any], topic: str) -> str:
    return str(metadata.get("frame_id", topic.strip("/").replace("/", "_")))


def _nanoseconds(timestamp: Any) -> int:
    """Return when dora sent an event; it says so to the microsecond."""
    return 0 if timestamp is None else round(timestamp.timestamp() * 1e6) * 1000
