"""Outputs and inputs of a replay to the viewers that are connected to a Foxglove server."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from foxglove_schemas_protobuf.Log_pb2 import Log as LogMessage
from mcap_protobuf.schema import build_file_descriptor_set

from perception.config import Config
from perception.errors import MissingExtraError
from perception.logs import Log
from perception.logs.perception_proto import SCHEMAS
from perception.plugin import Manifest
from perception.sinks import Level, McapSink, RunInfo
from perception.sinks.annotations import SCHEMA as ANNOTATIONS
from perception.sinks.mcap_sink import (
    ANNOTATIONS_TOPIC,
    CONTROL,
    DETECTIONS,
    HEALTH,
    INPUTS,
    SCENE,
    TIMING,
    camera_topic,
    topic_of,
)
from perception.sinks.scene import SCHEMA as SCENE_SCHEMA
from perception.types import Message, Output, Sample, Schema, TruthFrame, extra_specs
from perception_plugins.viewers.foxglove_layout import LOG

try:
    import foxglove
except ModuleNotFoundError as error:
    if error.name != "foxglove":
        raise
    raise MissingExtraError("a Foxglove server", "foxglove") from error

LOG_SCHEMA = Schema(
    "foxglove.Log",
    "protobuf",
    build_file_descriptor_set(LogMessage).SerializeToString(deterministic=True),
)
_LEVELS: Mapping[Level, LogMessage.Level.ValueType] = {
    "info": LogMessage.INFO,
    "warning": LogMessage.WARNING,
    "error": LogMessage.ERROR,
}


class ChannelWriter:
    """Publishes messages on the channels of a server; has the methods of a log writer."""

    def __init__(self, context: foxglove.Context) -> None:
        self._context = context
        self._channels: dict[tuple[str, str, bytes, str], foxglove.Channel] = {}

    def advertise(self, topic: str, schema: Schema | None, encoding: str) -> foxglove.Channel:
        """Return the channel of a topic; viewers see it from now on."""
        key = (topic, "" if schema is None else schema.name, b"" if schema is None else schema.data, encoding)
        if key not in self._channels:
            known = None
            if schema is not None and schema.name:
                known = foxglove.Schema(name=schema.name, encoding=schema.encoding, data=schema.data)
            channel = foxglove.Channel(topic, schema=known, message_encoding=encoding, context=self._context)
            self._channels[key] = channel
        return self._channels[key]

    def write(
        self,
        topic: str,
        payload: bytes,
        *,
        schema: Schema | None,
        encoding: str,
        log_time_ns: int,
        publish_time_ns: int | None = None,
    ) -> None:
        """Publish a message."""
        self.advertise(topic, schema, encoding).log(payload, log_time=log_time_ns)

    def copy(self, message: Message) -> None:
        """Publish an input message as it is."""
        channel, data = message.channel, bytes(message.data)
        at_ns = message.log_time_ns
        self.write(message.topic, data, schema=channel.schema, encoding=channel.encoding, log_time_ns=at_ns)

    def add_metadata(self, name: str, mapping: Mapping[str, str]) -> None:
        return None

    def flush(self) -> None:
        return None

    def close(self) -> None:
        return None


class FoxgloveSink(McapSink):
    """Publishes what an output log holds, with the inputs beside it.

    Args:
        writer: The channels.
        is_wanted: Whether anyone is subscribed, and the outputs are those to show; else nothing is encoded.
    """

    def __init__(self, writer: ChannelWriter, is_wanted: Callable[[], bool]) -> None:
        super().__init__(Path("foxglove"))
        self._writer, self._is_wanted = writer, is_wanted

    def open(self, run: RunInfo) -> None:
        self._run, self._log = run, self._writer

    def write(
        self,
        sample: Sample,
        output: Output,
        truth: TruthFrame | None = None,
        timing_ms: Mapping[str, float] | None = None,
    ) -> None:
        if self._is_wanted():
            super().write(sample, output, truth, timing_ms)

    def add_values(self, topic: str, output: Output, rows: Sequence[tuple[str, str, float]]) -> None:
        if self._is_wanted():
            super().add_values(topic, output, rows)

    def add_remark(self, level: Level, subject: str, text: str, log_time_ns: int, stamp_ns: int) -> None:
        """Publish a line of text about a moment."""
        if not self._is_wanted():
            return
        line = LogMessage(level=_LEVELS[level], name=subject, message=text)
        line.timestamp.seconds, line.timestamp.nanos = divmod(int(log_time_ns), 1_000_000_000)
        payload = line.SerializeToString()
        self._writer.write(LOG, payload, schema=LOG_SCHEMA, encoding="protobuf", log_time_ns=log_time_ns)

    def copy(self, message: Message) -> None:
        if self._is_wanted():
            super().copy(message)
        else:
            self._forget()

    def sign(self, receipt: Mapping[str, str]) -> None:
        return None

    def close(self) -> None:
        if self._log is not None and self._is_wanted():
            super().close()
        self._log = None
        self._forget()

    def _forget(self) -> None:
        self._held.clear()
        self._held_bytes = 0

    def _add(self, topic: str, payload: bytes, schema: Schema, output: Output) -> None:
        at_ns = output.tick.log_time_ns
        self._writer.write(topic, payload, schema=schema, encoding="protobuf", log_time_ns=at_ns)

    def _release(self) -> None:
        message = self._held.popleft()
        self._held_bytes -= len(message.data)
        self._writer.copy(message)


def advertise_all(writer: ChannelWriter, log: Log, config: Config, manifest: Manifest) -> None:
    """Advertise the topics of a replay before anything is published, so that viewers can subscribe."""
    for topic in sorted(config.roles()):
        if (channel := log.channels.get(topic)) is not None:
            writer.advertise(topic, channel.schema, channel.encoding)
    names = list(config.sensors.cameras) if len(config.sensors.cameras) > 1 else [""]
    for topic, schema in _output_topics(names, manifest, bool(config.base_frame)):
        writer.advertise(topic, schema, "protobuf")


def _output_topics(cameras: Iterable[str], manifest: Manifest, placed: bool) -> Iterable[tuple[str, Schema]]:
    for name in cameras:
        yield camera_topic(DETECTIONS, name), SCHEMAS["perception.Detections"]
        yield camera_topic(ANNOTATIONS_TOPIC, name), ANNOTATIONS
        if placed:
            yield camera_topic(SCENE, name), SCENE_SCHEMA
    control = SCHEMAS["perception.Control"]
    yield CONTROL, control
    yield from ((topic_of(spec.name), control) for spec in extra_specs() if spec.name in manifest.heads)
    yield from ((topic, SCHEMAS["perception.Status"]) for topic in (TIMING, HEALTH))
    yield INPUTS, SCHEMAS["perception.Inputs"]
    yield LOG, LOG_SCHEMA


__all__ = ["ChannelWriter", "FoxgloveSink", "advertise_all"]
