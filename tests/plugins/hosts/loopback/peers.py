"""The other side of a host, by the library of each stack: what sends a robot's messages and hears outputs."""

from __future__ import annotations

import base64
import sys
from collections.abc import Callable
from threading import Thread
from typing import Any, Protocol

from perception_plugins.hosts.ros.message_types import MessageTypes
from perception_plugins.hosts.ros.rospy_transport import DEBIAN, RospyTransport
from perception_plugins.hosts.ros.transport import SENSOR, Arrived, Qos

STACKS = ("dora", "zenoh", "dds", "ros1")
Hear = Callable[[bytes, Any], None]
"""Takes a message's bytes, or an array of dora, and dora's metadata."""


class Peer(Protocol):
    types: MessageTypes

    def send(self, topic: str, kind: str, message: Any) -> None:
        """Send a message of `MessageTypes`."""

    def hear(self, topic: str, take: Hear) -> None:
        """Call a function with each message of a topic."""

    def close(self) -> None: ...


def open_peer(stack: str, name: str, domain: int, endpoint: str) -> Peer:
    """Return a connected peer. `endpoint` is where Zenoh meets; the one called `robot` listens there."""
    return DoraPeer() if stack == "dora" else RosPeer(stack, name, domain, endpoint)


class RosPeer:
    def __init__(self, stack: str, name: str, domain: int, endpoint: str) -> None:
        self.types = MessageTypes("ros1" if stack == "ros1" else "cdr")
        self._publishers: dict[tuple[str, str], Callable[[bytes], None]] = {}
        self._transport: Any
        if stack == "zenoh":
            from perception_plugins.hosts.ros.zenoh_transport import ZenohTransport

            ends = ([], [endpoint]) if name == "robot" else ([endpoint], [])
            self._transport = ZenohTransport(self.types, name, domain, *ends)
        elif stack == "dds":
            from perception_plugins.hosts.ros.dds_transport import DdsTransport

            self._transport = DdsTransport(self.types, name, domain)
        else:
            sys.path.append(str(DEBIAN))  # behind all others, as by a .pth file
            self._transport = RospyTransport(self.types, name)

    def send(self, topic: str, kind: str, message: Any) -> None:
        if (topic, kind) not in self._publishers:
            self._publishers[topic, kind] = self._transport.publisher(topic, kind, Qos(True, depth=100))
        self._publishers[topic, kind](self.types.serialize(message, kind))

    def hear(self, topic: str, take: Hear) -> None:
        def deliver(arrived: Arrived) -> None:
            take(arrived.data, None)

        self._transport.subscribe(topic, SENSOR, deliver)

    def close(self) -> None:
        self._transport.close()


class DoraPeer:
    """A node of dora. Its inputs and outputs are called as topics, with `_` for `/`."""

    def __init__(self) -> None:
        import dora
        import pyarrow as pa

        pa.array([0])
        self.types = MessageTypes("cdr")
        self._node = dora.Node()
        self._hears: dict[str, Hear] = {}
        self._numbers: dict[str, int] = {}
        Thread(target=self._read, daemon=True).start()

    def send(self, topic: str, kind: str, message: Any) -> None:
        import numpy as np
        import pyarrow as pa

        number = self._numbers[topic] = self._numbers.get(topic, -1) + 1
        if kind == "sensor_msgs/msg/CompressedImage":  # as cameras of dora send it
            stamp = message.header.stamp
            metadata = {"encoding": message.format, "stamp_ns": stamp.sec * 10**9 + stamp.nanosec}
            data = message.data
        else:
            schema = self.types.schema(kind)
            metadata = {"schema": schema.name, "schema_encoding": schema.encoding, "message_encoding": "cdr"}
            metadata["schema_data"] = base64.b64encode(schema.data).decode()
            data = np.frombuffer(self.types.serialize(message, kind), np.uint8)
        self._node.send_output(_port(topic), pa.array(data), {**metadata, "seq": number})

    def hear(self, topic: str, take: Hear) -> None:
        self._hears[_port(topic)] = take

    def close(self) -> None: ...

    def _read(self) -> None:
        while (event := self._node.next()) is not None and event["type"] != "STOP":
            if event["type"] == "INPUT" and event["id"] in self._hears:
                self._hears[event["id"]](event["value"], event["metadata"])


def _port(topic: str) -> str:
    return topic.removeprefix("/perception").strip("/").replace("/", "_")
