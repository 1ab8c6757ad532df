"""ROS 2 over DDS without ROS, by `cyclonedds`: topics `rt/...`, types `sensor_msgs::msg::dds_::Image_`.

Reference: the mapping of names in design.ros2.org ("Topic and Service name mapping to DDS"), and
rmw_dds_common for the hash of types in the user data of endpoints. Publishers are discovered before a topic
is read: so its type and quality of service are known, and a best-effort driver is heard as a reliable one.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from threading import Thread
from typing import Any, NamedTuple

from cyclonedds.builtin import BuiltinDataReader, BuiltinTopicDcpsPublication
from cyclonedds.core import (
    DDSException,
    InstanceState,
    Policy,
    Qos,
    ReadCondition,
    SampleState,
    ViewState,
    WaitSet,
)
from cyclonedds.domain import DomainParticipant
from cyclonedds.pub import DataWriter
from cyclonedds.sub import DataReader
from cyclonedds.topic import Topic
from cyclonedds.util import duration

from perception.errors import PerceptionError
from perception_plugins.hosts.ros.dds_graph import ENCLAVE, GID_BYTES, HUMBLE_GID_BYTES, DdsGraph
from perception_plugins.hosts.ros.dds_types import DdsTypes
from perception_plugins.hosts.ros.message_types import MessageTypes, UnknownType, ros_name
from perception_plugins.hosts.ros.transport import Arrived, Deliver, Notes, Publish
from perception_plugins.hosts.ros.transport import Qos as RosQos

_AT_ONCE = 64  # messages taken from a reader in one go
_READER_DEPTH = 512  # messages of a topic that wait for the thread, while a plugin keeps Python busy
_BUFFERS = '<Internal><SocketReceiveBufferSize min="default" max="64MB"/></Internal>'
"""As much as the system allows (`net.core.rmem_max`): of larger best-effort pictures parts are lost."""
_WAKE_S = 0.2  # how soon an end, and a new publisher at the latest, is noticed
_BLOCK_MS = 100  # how long a reliable publisher waits for slow subscribers


class _Offer(NamedTuple):
    """What a reader asks for: the weakest that the publishers of a topic offer."""

    reliable: bool
    durable: bool


@dataclass(slots=True)
class _Reader:
    """A topic that is read under one type."""

    topic: str
    type_name: str
    offer: _Offer
    reader: Any
    condition: Any
    deliver: Deliver
    lost: int = 0


class DdsTransport:
    """A participant of DDS.

    `CYCLONEDDS_URI` configures it as it does in ROS (interfaces, peers).

    Args:
        types: The message types.
        node: The node's name.
        domain: The ROS domain (`ROS_DOMAIN_ID`).
        humble: Whether the other nodes are of ROS 2 Humble, whose graph has longer numbers.
        notes: Gets what cannot be used.

    Raises:
        PerceptionError: There is no participant, mostly because of the network's configuration.
    """

    def __init__(
        self,
        types: MessageTypes,
        node: str = "perception",
        domain: int = 0,
        humble: bool = False,
        notes: Notes | None = None,
    ) -> None:
        self.notes = notes or Notes()
        self._types, self._dds_types = types, DdsTypes(types)
        self._wanted: dict[str, tuple[RosQos, Deliver]] = {}
        self._readers: dict[tuple[str, str], _Reader] = {}
        self._topics: dict[tuple[str, str], Any] = {}
        self._writers: list[Any] = []
        self._closed = False
        os.environ.setdefault("CYCLONEDDS_URI", _BUFFERS)
        try:
            self._participant = DomainParticipant(domain, Qos(Policy.Userdata(ENCLAVE)))
            self._graph = DdsGraph(self._participant, types, node, HUMBLE_GID_BYTES if humble else GID_BYTES)
            self._graph.tell()
            self._discovery = BuiltinDataReader(self._participant, BuiltinTopicDcpsPublication)
            self._waitset = WaitSet(self._participant)
            self._waitset.attach(_unread(self._discovery))
        except DDSException as error:
            raise PerceptionError(f"no participant of DDS in domain {domain}: {error}") from None
        self._thread = Thread(target=self._run, name="dds", daemon=True)
        self._thread.start()

    def subscribe(self, topic: str, qos: RosQos, deliver: Deliver) -> None:
        """Ask for a topic, whatever its type is; it is read once a publisher is discovered."""
        self._wanted[f"rt/{topic.strip('/')}"] = qos, deliver

    def publisher(self, topic: str, type_name: str, qos: RosQos) -> Publish:
        """Announce a topic; the function that is returned publishes serialised messages on it."""
        raw = self._dds_types.raw(type_name)
        policies = [
            *_policies(_Offer(qos.reliable, qos.transient_local)),
            Policy.History.KeepLast(qos.depth),
            Policy.Userdata(f"typehash={self._types.type_hash(type_name)};".encode()),
        ]
        writer = DataWriter(
            self._participant, self._topic(f"rt/{topic.strip('/')}", type_name), Qos(*policies)
        )

        self._writers.append(writer)
        self._graph.tell(writers=self._writers)

        def publish(data: bytes) -> None:
            writer.write(raw.of(data))

        return publish

    def close(self) -> None:
        """End deliveries and leave the domain."""
        self._closed = True
        self._thread.join(5.0)

    def _topic(self, name: str, type_name: str) -> Any:
        key = name, type_name
        if key not in self._topics:
            self._topics[key] = Topic(self._participant, name, self._dds_types.raw(type_name))
        return self._topics[key]

    # --- the thread ------------------------------------------------------------------------------

    def _run(self) -> None:
        known: list[Any] = []
        while not self._closed:
            known += self._discovery.take(N=_AT_ONCE)
            known = [entry for entry in known if not self._discover(entry)][-4096:]
            for entry in tuple(self._readers.values()):
                self._take(entry)
            self._waitset.wait(duration(seconds=_WAKE_S))

    def _discover(self, publication: Any) -> bool:
        """Read the topic of a publisher; return whether it is done with, for now it may be unwanted."""
        name = getattr(publication, "topic_name", None)
        if name is None:
            return True
        if name not in self._wanted:
            return not name.startswith("rt/")
        type_name = ros_name(publication.type_name)
        qos, deliver = self._wanted[name]
        topic = name.removeprefix("rt")
        if type_name is None:
            self.notes.say(topic, f"its publisher's type {publication.type_name!r:.80} is no type of ROS")
            return True
        offer = _offered(publication.qos, qos)
        reader = self._readers.get((topic, type_name))
        if reader is not None:
            offer = _Offer(offer.reliable and reader.offer.reliable, offer.durable and reader.offer.durable)
            if offer == reader.offer:
                return True
            self._waitset.detach(reader.condition)
        try:
            self._read(topic, type_name, offer, deliver)
        except (UnknownType, DDSException) as error:
            self.notes.say(topic, str(error))
        return True

    def _read(self, topic: str, type_name: str, offer: _Offer, deliver: Deliver) -> None:
        qos = Qos(*_policies(offer), *_history(offer))
        reader = DataReader(self._participant, self._topic(f"rt{topic}", type_name), qos)
        condition = _unread(reader)
        self._waitset.attach(condition)
        self._readers[topic, type_name] = _Reader(topic, type_name, offer, reader, condition, deliver)
        self._graph.tell(readers=[entry.reader for entry in self._readers.values()])

    def _take(self, entry: _Reader) -> None:
        while samples := entry.reader.take(N=_AT_ONCE):
            for sample in samples:
                if isinstance(getattr(sample, "data", None), bytes) and sample.sample_info.valid_data:
                    sent_ns = sample.sample_info.source_timestamp
                    entry.deliver(Arrived(entry.topic, entry.type_name, sample.data, sent_ns))
        reader = entry.reader
        lost = reader.get_sample_lost_status().total_count + reader.get_sample_rejected_status().total_count
        if lost > entry.lost:
            self.notes.on_lost(entry.topic, lost - entry.lost)
            entry.lost = lost


def _unread(reader: Any) -> Any:
    return ReadCondition(reader, SampleState.NotRead | ViewState.Any | InstanceState.Any)


def _offered(offered: Any, asked: RosQos) -> _Offer:
    """Return what to ask a publisher for: reliability where it offers it, history where it is wanted."""
    reliable = isinstance(offered[Policy.Reliability], Policy.Reliability.Reliable)
    durable = asked.transient_local and offered[Policy.Durability] != Policy.Durability.Volatile
    return _Offer(reliable, durable)


def _policies(offer: _Offer) -> list[Any]:
    blocking = duration(milliseconds=_BLOCK_MS)
    return [
        Policy.Reliability.Reliable(blocking) if offer.reliable else Policy.Reliability.BestEffort,
        Policy.Durability.TransientLocal if offer.durable else Policy.Durability.Volatile,
    ]


def _history(offer: _Offer) -> list[Any]:
    """Return the history policies of a reader.

    A history of the last messages drops older ones without a notice. So of best-effort publishers all are
    kept, and those beyond the depth are rejected and counted. A reliable publisher would wait for such a
    reader, and the robot with it.
    """
    if offer.reliable:
        return [Policy.History.KeepLast(_READER_DEPTH)]
    return [Policy.History.KeepAll, Policy.ResourceLimits(_READER_DEPTH, 1, _READER_DEPTH)]
