"""A node over any transport: messages in, outputs and health out, wall or simulated time."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from itertools import count
from threading import Lock
from typing import Any

from perception.config import Role, load_config
from perception.errors import ConfigError
from perception.logs import decode
from perception.pipeline.host_job import HostHealth, HostJob, HostSummary
from perception.types import Channel, Message, Schema
from perception_plugins.hosts.loop import HostLoop
from perception_plugins.hosts.opening import open_loop
from perception_plugins.hosts.outcomes import HostFrame
from perception_plugins.hosts.ros import diagnostics as diagnostic
from perception_plugins.hosts.ros.message_types import MessageTypes, UnknownType
from perception_plugins.hosts.ros.ros_outputs import RosOutputs
from perception_plugins.hosts.ros.settings import RosSettings, read_settings
from perception_plugins.hosts.ros.transport import LATCHED, OUTPUT, SENSOR, Arrived, Publish, Transport
from perception_plugins.hosts.serving import serve

CLOCK = "rosgraph_msgs/msg/Clock"
_USUAL: Mapping[str, Role] = {
    "sensor_msgs/msg/CompressedImage": "camera",
    "sensor_msgs/msg/Image": "camera",
    "sensor_msgs/msg/LaserScan": "range",
    "sensor_msgs/msg/PointCloud2": "range",
    "sensor_msgs/msg/CameraInfo": "calibration",
    "tf2_msgs/msg/TFMessage": "transforms",
}
_MOST_STREAMS = 4096
_MOST_HELD = 512


class RosNode:
    """Carries messages between a transport and the loop of a host.

    Args:
        transport: Connected.
        types: Its message types.
        settings: Of the host.
    """

    def __init__(self, transport: Transport, types: MessageTypes, settings: RosSettings) -> None:
        self._transport, self._types, self._settings = transport, types, settings
        self._outputs = RosOutputs(types, settings.control)
        self._publishers: dict[str, Publish] = {}
        self._channels: dict[tuple[str, str], Channel] = {}
        self._ids, self._lock = count(1), Lock()
        self._sim_ns: int | None = None
        self._held: deque[tuple[Channel, Arrived]] = deque()
        self._loop: HostLoop | None = None

    def connect(self, loop: HostLoop) -> None:
        """Announce what will be published, and subscribe to the topics of the configuration.

        Raises:
            ConfigError: An input has the name of an output.
        """
        self._loop = loop
        self._transport.notes.on_lost = loop.arrivals.note_lost
        self._outputs.number_classes(loop.description.get("classes", "").split("\n"))
        prefix = f"/{self._settings.node}/"
        topics = {prefix + name: kind for name, kind in self._outputs.topics(_cameras(loop)).items()}
        topics["/diagnostics"] = diagnostic.TYPE
        if same := sorted(topics.keys() & loop.topics.keys()):
            raise ConfigError([f"{', '.join(same)}: is an output of this node; give it another name (node)"])
        self._warm_up(topics.values())
        self._publishers = {
            topic: self._transport.publisher(topic, kind, OUTPUT) for topic, kind in topics.items()
        }
        if self._settings.use_sim_time:
            self._transport.subscribe("/clock", SENSOR._replace(depth=1), self._hear_clock)
        for topic, role in loop.topics.items():
            static = role == "transforms" and topic.endswith("static")
            self._transport.subscribe(topic, LATCHED if static else SENSOR, self._take)

    def _warm_up(self, kinds: Iterable[str]) -> None:
        """Make the code that writes and reads messages, which takes `rosbags` a fifth of a second."""
        for kind in kinds:
            self._types.serialize(self._types.empty(kind), kind)
        for kind, role in _USUAL.items():
            channel = Channel(0, "", self._types.encoding, self._types.schema(kind))
            data = self._types.serialize(self._types.empty(kind), kind)
            decode(Message(channel, 0, 0, 0, data), role)

    # --- messages in -----------------------------------------------------------------------------

    def _take(self, arrived: Arrived) -> None:
        loop = self._loop
        if loop is None:
            return
        channel = self._channel(arrived)
        with self._lock:
            if self._settings.use_sim_time and self._sim_ns is None:
                self._hold(channel, arrived)
                return
        loop.feed(channel, arrived.data, arrived.publish_ns, self._sim_ns)

    def _hold(self, channel: Channel, arrived: Arrived) -> None:
        """Keep a message until simulated time begins: static transforms come before it, once."""
        self._held.append((channel, arrived))
        if len(self._held) > _MOST_HELD:
            oldest, _ = self._held.popleft()
            self._transport.notes.on_lost(oldest.topic, 1)
        self._transport.notes.say("/clock", "nothing received yet: messages wait for simulated time")

    def _channel(self, arrived: Arrived) -> Channel:
        """Return the channel of a topic and type; the same object each time."""
        key = arrived.topic, arrived.type_name
        with self._lock:
            channel = self._channels.get(key)
            if channel is None:
                if len(self._channels) >= _MOST_STREAMS:
                    self._channels.clear()
                schema = arrived.schema or self._schema(arrived)
                channel = Channel(next(self._ids), arrived.topic, self._types.encoding, schema)
                self._channels[key] = channel
        return channel

    def _schema(self, arrived: Arrived) -> Schema:
        try:
            return self._types.schema(arrived.type_name)
        except UnknownType as error:
            self._transport.notes.say(arrived.topic, str(error))
            return Schema(arrived.type_name, "ros2msg" if self._types.encoding == "cdr" else "ros1msg", b"")

    def _hear_clock(self, arrived: Arrived) -> None:
        if arrived.type_name != CLOCK:
            self._transport.notes.say("/clock", f"expected {CLOCK}, found {arrived.type_name}")
            return
        try:
            now = self._types.deserialize(arrived.data, CLOCK).clock
        except Exception as error:  # a damaged message; the library raises what it likes
            self._transport.notes.say("/clock", f"does not decode: {str(error)[:100]}")
            return
        loop, now_ns = self._loop, int(now.sec) * 1_000_000_000 + int(now.nanosec)
        if loop is None:
            return
        with self._lock:
            held, self._held = self._held, deque()
            for channel, message in held:
                loop.feed(channel, message.data, message.publish_ns, now_ns)
            self._sim_ns = now_ns
        self._transport.notes.say("/clock", "")
        loop.tell_time(now_ns)

    # --- messages out ----------------------------------------------------------------------------

    def publish(self, frame: HostFrame) -> None:
        """Publish the outputs of one tick."""
        for topic, kind, message in self._outputs.messages(frame.sample, frame.output):
            self._send(f"/{self._settings.node}/{topic}", kind, message)

    def health(self, health: HostHealth) -> HostHealth:
        """Return a health with what this node knows beside the loop."""
        return diagnostic.with_notes(health, self._transport.notes, self._outputs.unsent)

    def publish_health(self, health: HostHealth) -> None:
        """Publish the health, on `/diagnostics`."""
        stamp_ns = self._sim_ns if self._settings.use_sim_time and self._sim_ns else time.time_ns()
        message = diagnostic.diagnostics(self._types, self.health(health), self._settings.node, stamp_ns)
        try:
            self._send("/diagnostics", diagnostic.TYPE, message)
        except Exception as error:  # a transport that fails does not take the node down
            self._transport.notes.say("/diagnostics", f"is not published: {error}")

    def _send(self, topic: str, kind: str, message: Any) -> None:
        self._publishers[topic](self._types.serialize(message, kind))


def serve_node(
    job: HostJob,
    host: str,
    types: MessageTypes,
    settings: RosSettings,
    connect: Callable[[], Transport],
    report: Callable[[HostHealth], None],
    wait: Callable[[float], bool],
) -> HostSummary:
    """Run a node until the stack or an interrupt ends it.

    Args:
        job: Of the host.
        host: Its name.
        types, settings: As for `RosNode`.
        connect: Returns the transport, connected.
        report: Takes the health about once a second.
        wait: Waits for so many seconds; False: the stack has ended.

    Raises:
        PerceptionError: It cannot begin.
    """
    transport = connect()
    try:
        node = RosNode(transport, types, settings)
        clock = None if settings.use_sim_time else time.time_ns
        loop = open_loop(job, host, node.publish, clock)
        return serve(
            loop,
            wait,
            node.publish_health,
            lambda health: report(node.health(health)),
            lambda: node.connect(loop),
        )
    finally:
        transport.close()


def node_settings(job: HostJob, keys: tuple[str, ...]) -> RosSettings:
    """Return the settings of a job. Raises ConfigError with every error."""
    return read_settings(job.options, keys, load_config(job.config).truth.control_ahead_ms / 1e3)


def _cameras(loop: HostLoop) -> list[str]:
    return list(loop.config.sensors.cameras)
