"""A node over a transport in memory: simulated time, wrong types, a failing transport."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from perception.config import load_config
from perception.logs import open_log
from perception.types import Message
from perception_plugins.hosts.loop import HostLoop
from perception_plugins.hosts.ros.message_types import MessageTypes
from perception_plugins.hosts.ros.node import CLOCK, RosNode
from perception_plugins.hosts.ros.settings import RosSettings
from perception_plugins.hosts.ros.transport import Arrived, Deliver, Notes, Publish, Qos
from tests.plugins.hosts.ros_logs import IMAGE, SCAN, STATIC, ros_config, write_ros2
from tests.plugins.hosts.ros_plugin import RosPlugin


class Memory:
    """A transport to nowhere, which keeps what is published."""

    def __init__(self) -> None:
        self.notes = Notes()
        self.subscribed: dict[str, tuple[Qos, Deliver]] = {}
        self.published: list[tuple[str, bytes]] = []
        self.broken = False

    def subscribe(self, topic: str, qos: Qos, deliver: Deliver) -> None:
        self.subscribed[topic] = qos, deliver

    def publisher(self, topic: str, type_name: str, qos: Qos) -> Publish:
        def publish(data: bytes) -> None:
            if self.broken:
                raise RuntimeError("no route")
            self.published.append((topic, data))

        return publish

    def close(self) -> None:
        pass

    def send(self, message: Message) -> None:
        assert message.channel.schema is not None
        kind = message.channel.schema.name
        self.subscribed[message.topic][1](Arrived(message.topic, kind, message.data))

    def topics(self) -> set[str]:
        return {topic for topic, _ in self.published}


@pytest.fixture(scope="module")
def messages(tmp_path_factory: pytest.TempPathFactory) -> list[Message]:
    with open_log(write_ros2(tmp_path_factory.mktemp("ros"), 0.6)) as log:
        return list(log.messages())


@pytest.fixture
def memory() -> Memory:
    return Memory()


def started(memory: Memory, folder: Path, settings: RosSettings | None = None) -> tuple[RosNode, HostLoop]:
    config = load_config(ros_config(folder / "robot.yaml"))
    settings = settings or RosSettings()
    node = RosNode(memory, MessageTypes("cdr"), settings)
    clock = {"clock": None} if settings.use_sim_time else {}
    loop = HostLoop(config, RosPlugin(), node.publish, queue=1000, **clock)
    loop.start()
    node.connect(loop)
    return node, loop


def test_simulated_time_is_the_arrival_of_messages(
    memory: Memory, messages: list[Message], tmp_path: Path
) -> None:
    """What comes before the clock waits for it: static transforms come once."""
    _, loop = started(memory, tmp_path, RosSettings(use_sim_time=True))
    types = MessageTypes("cdr")
    waiting = [message for message in messages if message.topic == STATIC]
    for message in waiting:
        memory.send(message)
    assert "/clock" in memory.notes.texts
    for message in messages:
        stamp = types.make(
            "builtin_interfaces/msg/Time",
            sec=message.log_time_ns // 10**9,
            nanosec=message.log_time_ns % 10**9,
        )
        clock = types.serialize(types.make(CLOCK, clock=stamp), CLOCK)
        memory.subscribed["/clock"][1](Arrived("/clock", CLOCK, clock))
        if message.topic != STATIC:
            memory.send(message)
    loop.stop(60.0)  # a busy machine gets the time
    assert memory.notes.texts == {}
    summary = loop.summary()
    assert summary.ledger[STATIC] == {"rig": 1}
    assert summary.frames == sum(message.topic == IMAGE for message in messages)
    assert {"/perception/detections", "/perception/detections_3d", "/perception/control"} == memory.topics()


def test_a_message_of_a_wrong_type_is_named_and_the_node_stays_up(
    memory: Memory, messages: list[Message], tmp_path: Path
) -> None:
    node, loop = started(memory, tmp_path)
    types = MessageTypes("cdr")
    text = types.serialize(types.make("std_msgs/msg/String", data="hi"), "std_msgs/msg/String")
    memory.subscribed[SCAN][1](Arrived(SCAN, "std_msgs/msg/String", text))
    memory.subscribed[SCAN][1](Arrived(SCAN, "my_robot/msg/Unknown", b"\0\1\0\0"))
    memory.subscribed[IMAGE][1](Arrived(IMAGE, "sensor_msgs/msg/CompressedImage", b"\0\1"))
    for message in messages:
        memory.send(message)
    loop.stop(60.0)  # a busy machine gets the time
    health = node.health(loop.health())
    node.publish_health(health)
    assert any("my_robot/msg/Unknown" in text and "definitions" in text for text in health.problems)
    summary = loop.summary()
    assert summary.ledger[SCAN]["undecodable"] == 2
    assert summary.ledger[IMAGE]["undecodable"] == 1
    assert summary.outputs["box"]["valid"] > 3
    (data,) = [data for topic, data in memory.published if topic == "/diagnostics"]
    statuses = types.deserialize(data, "diagnostic_msgs/msg/DiagnosticArray").status
    assert {status.name for status in statuses} >= {"perception: node", "perception: plugin"}
    assert max(status.level for status in statuses) >= 1


def test_a_transport_that_fails_is_reported_and_the_node_stays_up(
    memory: Memory, messages: list[Message], tmp_path: Path
) -> None:
    node, loop = started(memory, tmp_path)
    memory.broken = True
    for message in messages:
        memory.send(message)
    loop.stop(60.0)  # a busy machine gets the time
    node.publish_health(loop.health())
    assert "no route" in memory.notes.texts["/diagnostics"]
    assert any(warned.code == "unpublished" for warned in loop.summary().warnings)


def test_static_transforms_are_asked_for_as_they_are_published(memory: Memory, tmp_path: Path) -> None:
    _, loop = started(memory, tmp_path)
    loop.stop(60.0)  # a busy machine gets the time
    assert memory.subscribed[STATIC][0].transient_local
    assert not memory.subscribed[IMAGE][0].reliable


def test_what_a_transport_lost_is_in_the_account(
    memory: Memory, messages: list[Message], tmp_path: Path
) -> None:
    _, loop = started(memory, tmp_path)
    for message in messages:
        memory.send(message)
    memory.notes.on_lost(IMAGE, 2)
    problems = loop.health().problems
    loop.stop(60.0)
    summary = loop.summary()
    assert any("2 were lost on the way" in text for text in problems)
    assert (summary.dropped, summary.status) == ({IMAGE: 2}, "loss")
    assert summary.ledger[IMAGE]["dropped_live"] == 2


def test_each_of_several_cameras_has_its_detections(
    memory: Memory, messages: list[Message], tmp_path: Path
) -> None:
    path, left = ros_config(tmp_path / "robot.yaml"), "/left/image_raw/compressed"
    values = yaml.safe_load(path.read_text())
    camera = {"kind": "camera", **values["sensors"].pop("camera")}
    values["sensors"] |= {"front": camera, "left": {"kind": "camera", "topic": left}}
    path.write_text(json.dumps({**values, "reference": "front", "reference_rate_hz": 0.1}))
    node, published = RosNode(memory, MessageTypes("cdr"), RosSettings()), memory.published
    loop = HostLoop(load_config(path), RosPlugin(), node.publish, queue=1000)
    loop.start()
    node.connect(loop)
    for message in messages:
        memory.send(message)
        if message.topic == IMAGE:
            memory.subscribed[left][1](Arrived(left, "sensor_msgs/msg/CompressedImage", message.data))
    loop.stop(60.0)
    images = sum(message.topic == IMAGE for message in messages)
    assert loop.summary().frames == images
    for name in ("front", "left"):
        sent = [data for topic, data in published if topic == f"/perception/{name}/detections"]
        boxes = [MessageTypes("cdr").deserialize(data, "vision_msgs/msg/Detection2DArray") for data in sent]
        assert len(boxes) == images
        assert {array.header.frame_id for array in boxes} == {"camera"}
    assert sum(topic == "/perception/control" for topic, _ in published) == images
