"""The node for an installed ROS 2, over a stand-in of `rclpy`: no `rclpy` can be had from package indexes."""

from __future__ import annotations

import ast
from pathlib import Path
from threading import Thread
from xml.etree import ElementTree

import pytest
import yaml

import perception
from perception.errors import PerceptionError
from perception.logs import open_log
from perception.pipeline.host_job import HostJob, HostSummary
from perception.types import Message
from perception_plugins.hosts import rclpy_node, ros2_host
from perception_plugins.hosts.ros.message_types import MessageTypes
from tests.plugins.hosts import rclpy_stand_in as stand_in
from tests.plugins.hosts.rclpy_stand_in import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from tests.plugins.hosts.ros2_robot import receipt_of, wait_for
from tests.plugins.hosts.ros_logs import IMAGE, STATIC, ros_config, write_ros2
from tests.plugins.hosts.ros_plugin import register

PACKAGES = {"sensor_msgs", "geometry_msgs", "tf2_msgs", "vision_msgs", "diagnostic_msgs"}
PACKAGE = Path(__file__).resolve().parents[3] / "ros" / "perception_ros"


@pytest.fixture(scope="module")
def drive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_ros2(tmp_path_factory.mktemp("rclpy"), 0.6)


def advertise(bus: stand_in.Bus, messages: list[Message]) -> None:
    for message in messages:
        assert message.channel.schema is not None
        if message.topic not in bus.endpoints:
            static = message.topic == STATIC
            reliable = ReliabilityPolicy.RELIABLE if static else ReliabilityPolicy.BEST_EFFORT
            durable = DurabilityPolicy.TRANSIENT_LOCAL if static else DurabilityPolicy.VOLATILE
            profile = QoSProfile(reliability=reliable, durability=durable)
            bus.advertise(message.topic, message.channel.schema.name, profile)


def test_the_node_publishes_what_replay_gives(
    drive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, out = ros_config(tmp_path / "robot.yaml"), tmp_path / "out.mcap"
    register(config)
    expected = perception.replay(drive, config).outputs
    with open_log(drive) as log:
        messages = list(log.messages())
    parameters = {"config": str(config), "record": str(out), "queue": 1000}
    bus = stand_in.install(monkeypatch, parameters, PACKAGES)
    advertise(bus, messages)
    bus.send(STATIC, next(message.data for message in messages if message.topic == STATIC))
    status: list[int] = []
    thread = Thread(target=lambda: status.append(rclpy_node.main([])), daemon=True)
    thread.start()
    assert wait_for(lambda: len(bus.subscriptions) == len(bus.endpoints))
    for message in messages:
        if message.topic != STATIC:
            bus.send(message.topic, message.data)
    images = sum(message.topic == IMAGE for message in messages)
    assert wait_for(lambda: sum(topic == "/perception/control" for topic, _ in bus.published) >= images - 1)
    assert wait_for(lambda: any(topic == "/diagnostics" for topic, _ in bus.published))
    bus.ended.set()
    thread.join(60)
    assert status == [0]

    types, boxes = MessageTypes("cdr"), {}
    for topic, data in bus.published:
        if topic == "/perception/detections":
            message = types.deserialize(data, "vision_msgs/msg/Detection2DArray")
            stamp = message.header.stamp
            boxes[stamp.sec * 10**9 + stamp.nanosec] = message.detections
    for output in expected:
        if output.tick.kind == "reference" and output.detections is not None and output.detections.valid:
            (item,), (flat,) = output.detections.items, boxes[output.tick.stamp_ns]
            assert flat.bbox.size_x == item.xyxy[2] - item.xyxy[0]
    assert perception.replay(out, config).summary.run["outputs_sha256"] == receipt_of(out)["outputs_sha256"]


def test_the_command_runs_on_rclpy_where_it_is_asked_for(
    drive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = ros_config(tmp_path / "robot.yaml")
    register(config)
    job = HostJob(config, options={"transport": "rclpy", "node": "robot/eyes", "domain": "7"})
    with pytest.raises(PerceptionError, match="needs a ROS 2 installation that is sourced"):
        ros2_host.serve(job, lambda health: None)
    bus = stand_in.install(monkeypatch, {}, PACKAGES)
    ended: list[HostSummary] = []
    thread = Thread(target=lambda: ended.append(ros2_host.serve(job, lambda health: None)), daemon=True)
    thread.start()
    assert wait_for(lambda: any(topic == "/diagnostics" for topic, _ in bus.published))
    bus.ended.set()
    thread.join(60)
    assert ended[0].host == "ros2"


def test_a_missing_message_package_is_named(
    drive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = ros_config(tmp_path / "robot.yaml")
    register(config)
    bus = stand_in.install(monkeypatch, {"config": str(config)}, PACKAGES - {"vision_msgs"})
    thread = Thread(target=rclpy_node.main, daemon=True)
    thread.start()
    assert wait_for(lambda: any("vision-msgs" in line for line in bus.logged))
    bus.ended.set()
    thread.join(60)


def test_a_wrong_parameter_ends_the_node_with_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    bus = stand_in.install(monkeypatch, {}, PACKAGES)
    assert rclpy_node.main() == 2
    assert "config: missing" in bus.logged[-1]


def test_the_package_names_what_the_code_uses() -> None:
    """The package, its parameters and its launch file agree with the node."""
    values = yaml.safe_load((PACKAGE / "config" / "perception.yaml").read_text())["/**"]["ros__parameters"]
    assert values == {**rclpy_node.PARAMETERS, "use_sim_time": False}
    depends = {node.text for node in ElementTree.parse(PACKAGE / "package.xml").iter("exec_depend")}
    assert depends >= {*PACKAGES, "rclpy", "ackermann_msgs", "rosgraph_msgs"}
    launch = (PACKAGE / "launch" / "perception.launch.py").read_text()
    ast.parse(launch)
    setup = (PACKAGE / "setup.py").read_text()
    assert 'executable="perception_node"' in launch
    assert "perception_node = perception_plugins.hosts.rclpy_node:main" in setup
