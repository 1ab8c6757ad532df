"""The node in the graph of ROS 2 over DDS: `ros_discovery_info`, which `ros2 node list` reads.

Reference: the messages and the topic of rmw_dds_common. DDS tells which endpoints a participant has; this
message tells which node they belong to. Its writer is reliable and keeps the last message for who comes late.
"""

from __future__ import annotations

from collections.abc import Iterable
from threading import Lock
from typing import Any

import numpy as np
from cyclonedds.core import Policy, Qos
from cyclonedds.pub import DataWriter
from cyclonedds.topic import Topic
from cyclonedds.util import duration

from perception_plugins.hosts.ros.dds_types import DdsTypes
from perception_plugins.hosts.ros.message_types import MessageTypes

TOPIC = "ros_discovery_info"
ENCLAVE = b"enclave=/;"
"""The user data of the participant: no security enclave."""
GID_BYTES, HUMBLE_GID_BYTES = 16, 24
_PACKAGE = "rmw_dds_common/msg"
INFO = f"{_PACKAGE}/ParticipantEntitiesInfo"


def define_graph_types(types: MessageTypes, gid_bytes: int) -> None:
    """Add the definitions of the graph's messages."""
    ids = "Gid[] reader_gid_seq\nGid[] writer_gid_seq\n"
    types.define(f"{_PACKAGE}/Gid", f"uint8[{gid_bytes}] data\n")
    types.define(f"{_PACKAGE}/NodeEntitiesInfo", f"string<=256 node_namespace\nstring<=256 node_name\n{ids}")
    types.define(INFO, "Gid gid\nNodeEntitiesInfo[] node_entities_info_seq\n")


class DdsGraph:
    """Tells the other nodes which one the endpoints of a participant belong to. Used by any thread.

    Args:
        participant: Of Cyclone DDS.
        types: The message types.
        node: The node's name, with its namespace before it: `perception`, `robot/perception`.
        gid_bytes: The size of an endpoint's number: 24 in Humble, 16 since.
    """

    def __init__(self, participant: Any, types: MessageTypes, node: str, gid_bytes: int = GID_BYTES) -> None:
        define_graph_types(types, gid_bytes)
        self._types, self._gid_bytes, self._lock = types, gid_bytes, Lock()
        self._participant = participant
        namespace, _, self._name = f"/{node.strip('/')}".rpartition("/")
        self._namespace = namespace or "/"
        self._ids: dict[str, list[Any]] = {"reader": [], "writer": []}
        raw: Any = DdsTypes(types).raw(INFO)
        qos = Qos(
            Policy.Reliability.Reliable(duration(milliseconds=100)),
            Policy.Durability.TransientLocal,
            Policy.History.KeepLast(1),
        )
        self._of, self._writer = raw.of, DataWriter(participant, Topic(participant, TOPIC, raw), qos)

    def tell(self, *, readers: Iterable[Any] | None = None, writers: Iterable[Any] | None = None) -> None:
        """Publish the endpoints of the node; those that are left out stay as they were."""
        with self._lock:
            for kind, entities in (("reader", readers), ("writer", writers)):
                if entities is not None:
                    self._ids[kind] = [self._gid(entity) for entity in entities]
            self._writer.write(self._of(self._types.serialize(self._message(), INFO)))

    def _message(self) -> Any:
        endpoints = {f"{kind}_gid_seq": ids for kind, ids in self._ids.items()}
        names = {"node_namespace": self._namespace, "node_name": self._name}
        node = self._types.make(f"{_PACKAGE}/NodeEntitiesInfo", **names, **endpoints)
        gid = self._gid(self._participant)
        return self._types.make(INFO, gid=gid, node_entities_info_seq=[node])

    def _gid(self, entity: Any) -> Any:
        data = entity.guid.bytes.ljust(self._gid_bytes, b"\0")
        return self._types.make(f"{_PACKAGE}/Gid", data=np.frombuffer(data, np.uint8))
