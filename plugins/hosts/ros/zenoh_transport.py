"""ROS 2 over Zenoh without ROS: the protocol of `rmw_zenoh_cpp`.

Reference: docs/design.md of ros2/rmw_zenoh. Messages of a topic have the key
`DOMAIN/TOPIC/TYPE/HASH`, CDR as payload, and an attachment with sequence number, time and publisher. Tokens
under `@ros2_lv` tell the graph who publishes and subscribes, with type and quality of service.
"""

from __future__ import annotations

import json
import os
import struct
import time
from collections.abc import Sequence
from hashlib import md5
from itertools import count
from threading import Lock
from typing import Any

import zenoh

from perception.errors import PerceptionError
from perception_plugins.hosts.ros.message_types import MessageTypes, UnknownType, dds_name, ros_name
from perception_plugins.hosts.ros.transport import Arrived, Deliver, Notes, Publish, Qos

ROUTER = "tcp/localhost:7447"
"""Where the router of `rmw_zenoh_cpp` listens (`ros2 run rmw_zenoh_cpp rmw_zenohd`)."""
_NO_HASH = "TypeHashNotSupported"  # what Humble writes
_ATTACHMENT = struct.Struct("<qqB16s")  # sequence number, source time, length of the gid, gid
_MOST_PUBLISHERS = 4096  # whose sequence numbers are followed


class ZenohTransport:
    """A session of Zenoh that other nodes see as a ROS 2 node.

    Args:
        types: The message types.
        node: The node's name.
        domain: The ROS domain (`ROS_DOMAIN_ID`).
        connect, listen: Endpoints, as `tcp/192.168.0.2:7447`; none: the router on this machine, and any
            free local port. `ZENOH_SESSION_CONFIG_URI` names a file that replaces them all, as in ROS.
        type_hashes: False writes keys as ROS 2 Humble does.
        notes: Gets what cannot be used.

    Raises:
        PerceptionError: The session does not open.
    """

    def __init__(
        self,
        types: MessageTypes,
        node: str = "perception",
        domain: int = 0,
        connect: Sequence[str] = (),
        listen: Sequence[str] = (),
        type_hashes: bool = True,
        notes: Notes | None = None,
    ) -> None:
        self.notes = notes or Notes()
        self._types, self._node, self._domain = types, node, domain
        self._type_hashes = type_hashes
        self._ids = count(1)
        self._entities: list[Any] = []
        self._sequences = _Sequences(self.notes)
        try:
            self._session: Any = zenoh.open(_session_config(connect, listen))
            self._zid = str(self._session.info.zid())
            self._declare_token("NN", 0)
        except zenoh.ZError as error:
            raise PerceptionError(f"no Zenoh session: {error}") from None

    @property
    def connected(self) -> bool:
        """Return whether another session is there: a router, or a node."""
        return bool([*self._session.info.routers_zid(), *self._session.info.peers_zid()])

    def subscribe(self, topic: str, qos: Qos, deliver: Deliver) -> None:
        """Ask for a topic, whatever its type and its hash are.

        The publishers' tokens tell the type; a token of this subscription answers with the same.
        """
        key = f"{self._domain}/{topic.strip('/')}/*/*"
        announced: set[str] = set()

        def take(sample: Any) -> None:
            self._take(topic, sample, deliver)

        def hear(token: Any) -> None:
            self._hear_publisher(topic, qos, token, announced)

        if qos.transient_local:
            history = zenoh.ext.HistoryConfig(detect_late_publishers=True)
            subscriber = zenoh.ext.declare_advanced_subscriber(self._session, key, take, history=history)
            self._entities.append(subscriber)
        else:
            self._entities.append(self._session.declare_subscriber(key, take))
        tokens = f"@ros2_lv/{self._domain}/*/*/*/MP/*/*/*/{_mangled(topic)}/*/*/*"
        self._entities.append(self._session.liveliness().declare_subscriber(tokens, hear, history=True))

    def publisher(self, topic: str, type_name: str, qos: Qos) -> Publish:
        """Announce a topic; the function that is returned publishes serialised messages on it."""
        identity = f"{dds_name(type_name)}/{self._hash(type_name)}"
        key = f"{self._domain}/{topic.strip('/')}/{identity}"
        control = zenoh.CongestionControl.BLOCK if qos.reliable else zenoh.CongestionControl.DROP
        put = self._declare_publisher(key, qos, control)
        token = self._declare_token("MP", next(self._ids), f"{_mangled(topic)}/{identity}/{_qos_text(qos)}")
        gid, numbers, lock = md5(token.encode()).digest(), count(1), Lock()

        def publish(data: bytes) -> None:
            with lock:  # numbers go out in their order
                put(data, attachment=_ATTACHMENT.pack(next(numbers), time.time_ns(), 16, gid))

        return publish

    def close(self) -> None:
        """End deliveries and close the session; its tokens go with it."""
        self._session.close()

    # --- declarations ----------------------------------------------------------------------------

    def _declare_publisher(self, key: str, qos: Qos, control: Any) -> Any:
        if not qos.transient_local:
            entity: Any = self._session.declare_publisher(key, congestion_control=control)
        else:
            cache = zenoh.ext.CacheConfig(qos.depth)
            entity = zenoh.ext.declare_advanced_publisher(
                self._session, key, congestion_control=control, cache=cache, publisher_detection=True
            )
        self._entities.append(entity)
        return entity.put

    def _declare_token(self, kind: str, number: int, endpoint: str = "") -> str:
        namespace, _, name = self._node.strip("/").rpartition("/")
        place = f"@ros2_lv/{self._domain}/{self._zid}/0/{number}/{kind}/%/{_mangled(namespace)}/{name}"
        key = f"{place}/{endpoint}" if endpoint else place
        self._entities.append(self._session.liveliness().declare_token(key))
        return key

    def _hash(self, type_name: str) -> str:
        return self._types.type_hash(type_name) if self._type_hashes else _NO_HASH

    # --- deliveries ------------------------------------------------------------------------------

    def _take(self, topic: str, sample: Any, deliver: Deliver) -> None:
        parts = str(sample.key_expr).rsplit("/", 2)
        type_name = ros_name(parts[-2])
        if type_name is None:
            self.notes.say(topic, f"a message of {parts[-2]!r}, which is no type of ROS, is not used")
            return
        sent_ns = None
        if sample.attachment is not None:
            sent_ns = self._sequences.note(topic, sample.attachment.to_bytes())
        deliver(Arrived(topic, type_name, sample.payload.to_bytes(), sent_ns))

    def _hear_publisher(self, topic: str, qos: Qos, token: Any, announced: set[str]) -> None:
        """Answer the token of a publisher with one for the subscription, and compare definitions."""
        if token.kind != zenoh.SampleKind.PUT:
            return
        kind, type_hash = str(token.key_expr).split("/")[-3:-1]
        if f"{kind}/{type_hash}" in announced or len(announced) > _MOST_PUBLISHERS:
            return
        announced.add(f"{kind}/{type_hash}")
        endpoint = f"{_mangled(topic)}/{kind}/{type_hash}/{_qos_text(qos)}"
        self._declare_token("MS", next(self._ids), endpoint)
        type_name = ros_name(kind)
        if type_name is None or type_hash == _NO_HASH:
            return
        try:
            own = self._types.type_hash(type_name)
        except UnknownType as error:
            self.notes.say(topic, str(error))
            return
        if own != type_hash:
            hashes = f"{type_hash[:15]}..., here {own[:15]}..."
            text = f"its publisher has another definition of {type_name} ({hashes}): values may be wrong"
            self.notes.say(topic, f"{text}; source the publisher's installation")


class _Sequences:
    """Follows the sequence numbers of publishers, and counts what is missing between them."""

    def __init__(self, notes: Notes) -> None:
        self._notes = notes
        self._last: dict[tuple[str, bytes], int] = {}

    def note(self, topic: str, attachment: bytes) -> int | None:
        """Count the gap before a message; return when it was sent, None where that is not readable."""
        if len(attachment) == _ATTACHMENT.size:
            number, sent_ns, _, gid = _ATTACHMENT.unpack(attachment)
        elif len(attachment) == _ATTACHMENT.size - 1:  # an array without its length
            number, sent_ns, gid = struct.unpack("<qq16s", attachment)
        else:
            return None
        last = self._last.get((topic, gid))
        if last is None and len(self._last) >= _MOST_PUBLISHERS:
            self._last.clear()
        if last is not None and number > last + 1:
            self._notes.on_lost(topic, number - last - 1)
        self._last[topic, gid] = number
        return int(sent_ns)


def _session_config(connect: Sequence[str], listen: Sequence[str]) -> Any:
    """Return the configuration of a session, as `rmw_zenoh_cpp` has it by default."""
    if path := os.environ.get("ZENOH_SESSION_CONFIG_URI"):
        return zenoh.Config.from_file(path)
    config = zenoh.Config()
    quoted = {
        "mode": '"peer"',
        "connect/endpoints": json.dumps(list(connect) or [ROUTER]),
        "connect/exit_on_failure": "false",
        "connect/timeout_ms": "-1",
        "listen/endpoints": json.dumps(list(listen) or ["tcp/localhost:0"]),
        "scouting/multicast/enabled": "false",
        "timestamping/enabled": "true",
    }
    for name, value in quoted.items():
        config.insert_json5(name, value)
    return config


def _mangled(name: str) -> str:
    return "%" + name.strip("/").replace("/", "%")


def _qos_text(qos: Qos) -> str:
    """Return the quality of service as tokens write it: what differs from the defaults."""
    reliability, durability = "" if qos.reliable else "2", "1" if qos.transient_local else ""
    return f"{reliability}:{durability}:,{qos.depth}:,:,:,,"
