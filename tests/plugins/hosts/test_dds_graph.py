"""The node in the graph of ROS 2 over DDS, beside one of RustDDS, which shares no code with ours."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from threading import Event
from typing import Any

import pytest

pytest.importorskip("dora", reason="needs the extra `dora`: its bridge is the other side")
pytest.importorskip("cyclonedds", reason="needs the extra `ros2`")

from cyclonedds.core import Policy, Qos
from cyclonedds.domain import DomainParticipant
from cyclonedds.sub import DataReader
from cyclonedds.topic import Topic

from perception_plugins.hosts.ros.dds_graph import (
    GID_BYTES,
    HUMBLE_GID_BYTES,
    INFO,
    TOPIC,
    define_graph_types,
)
from perception_plugins.hosts.ros.dds_transport import DdsTransport
from perception_plugins.hosts.ros.dds_types import DdsTypes
from perception_plugins.hosts.ros.message_types import MessageTypes
from perception_plugins.hosts.ros.transport import OUTPUT, SENSOR, Arrived
from perception_plugins.hosts.ros.transport import Qos as RosQos

HEADER = "std_msgs/msg/Header"


class Graph:
    """What `ros2 node list` reads: node -> the numbers of its readers and writers."""

    def __init__(self, domain: int, gid_bytes: int) -> None:
        self._types = MessageTypes("cdr")
        define_graph_types(self._types, gid_bytes)
        self._participant = DomainParticipant(domain)
        topic: Any = Topic(self._participant, TOPIC, DdsTypes(self._types).raw(INFO))
        qos = Qos(Policy.Reliability.Reliable(0), Policy.Durability.TransientLocal, Policy.History.KeepAll)
        self._reader: Any = DataReader(self._participant, topic, qos)
        self.nodes: dict[str, tuple[set[bytes], set[bytes]]] = {}

    def wait_for(self, name: str, endpoints: int = 0) -> tuple[set[bytes], set[bytes]]:
        until_s = time.monotonic() + 30
        while time.monotonic() < until_s:
            for sample in self._reader.take(N=64):
                info = self._types.deserialize(sample.data, INFO)
                for node in info.node_entities_info_seq:
                    ids = (node.reader_gid_seq, node.writer_gid_seq)
                    readers, writers = ({gid.data.tobytes() for gid in gids} for gids in ids)
                    self.nodes[f"{node.node_namespace}:{node.node_name}"] = readers, writers
            if name in self.nodes and sum(map(len, self.nodes[name])) >= endpoints:
                return self.nodes[name]
            time.sleep(0.02)
        raise AssertionError(f"{name} is not among {list(self.nodes)}")


@pytest.mark.parametrize("humble", [False, True])
def test_a_node_and_its_endpoints_are_told_to_who_comes_late(humble: bool) -> None:
    transport = DdsTransport(MessageTypes("cdr"), "robot/perception", domain=63, humble=humble)
    try:
        transport.publisher("/out", HEADER, OUTPUT)
        graph = Graph(63, HUMBLE_GID_BYTES if humble else GID_BYTES)
        readers, writers = graph.wait_for("/robot:perception", 1)
        assert (len(readers), len(writers)) == (0, 1)
        transport.subscribe("/out", OUTPUT, lambda arrived: None)
        readers, writers = graph.wait_for("/robot:perception", 2)
        assert {gid.rstrip(b"\0") for gid in writers} == {transport._writers[0].guid.bytes.rstrip(b"\0")}
    finally:
        transport.close()


def test_the_graph_of_another_implementation_is_read_by_the_same_definitions(tmp_path: Path) -> None:
    """dora 1.1 writes numbers as Humble does."""
    import warnings

    import dora

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        context = dora.Ros2Context([str(tmp_path)], domain_id=64)
    node = context.new_node("robot", "/", dora.Ros2NodeOptions())
    assert Graph(64, HUMBLE_GID_BYTES).wait_for("/:robot") is not None
    del node


@pytest.mark.parametrize(("reliable", "sent"), [(False, 2000), (True, 400)])
def test_what_comes_while_python_is_busy_is_taken_later_or_counted(reliable: bool, sent: int) -> None:
    types = MessageTypes("cdr")
    robot, host = DdsTransport(types, "robot", domain=64), DdsTransport(types, "host", domain=64)
    busy, free, taken, lost = Event(), Event(), [], []

    def take(arrived: Arrived) -> None:
        taken.append(arrived)
        busy.set()
        free.wait(30)

    def all_came() -> bool:
        return sum(b"data" in arrived.data for arrived in taken) + sum(lost) == sent

    try:
        host.notes.on_lost = lambda topic, count: lost.append(count)
        host.subscribe("/out", SENSOR, take)
        publish = robot.publisher("/out", HEADER, RosQos(reliable, depth=sent))
        first = types.serialize(types.empty(HEADER), HEADER)
        data = types.serialize(types.make(HEADER, frame_id="data"), HEADER)
        while not busy.wait(0.05):  # what is sent before the reader is there is nobody's
            publish(first)
        for _ in range(sent):
            publish(data)
        free.set()
        _wait_for(all_came)
        assert reliable or sum(lost) > 0
    finally:
        free.set()
        robot.close()
        host.close()


def _wait_for(condition: Callable[[], bool]) -> None:
    until_s = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < until_s
        time.sleep(0.02)
