"""A ROS 2 node without ROS beside a robot that shares no code with it, over both transports."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

import perception
from perception.logs import decode, open_log
from perception.pipeline.host_job import HostJob
from tests.plugins.hosts.ros_logs import IMAGE, PIXELS, POINTS, SCAN, STATIC, ros_config, write_ros2
from tests.plugins.hosts.ros_plugin import register

pytest.importorskip("dora", reason="needs the extra `dora`: its bridge is the other side")
pytest.importorskip("zenoh", reason="needs the extra `ros2`")
pytest.importorskip("cyclonedds", reason="needs the extra `ros2`")

from tests.plugins.hosts.ros2_robot import Robot, RunningHost, free_port, receipt_of, settings_of, wait_for

SECONDS = 1.0


@pytest.fixture(scope="module", params=["compressed", "raw"])
def drive(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Path:
    """Return a log with `CompressedImage` and `LaserScan`, or with `Image` and `PointCloud2`."""
    return write_ros2(tmp_path_factory.mktemp(request.param), SECONDS, raw=request.param == "raw")


DDS = ("dds", 61)
ZENOH = ("zenoh", 0)
"""dora 1.1 writes Zenoh keys of domain 0 whatever domain is asked for."""


@pytest.mark.parametrize(
    ("drive", "transport", "domain"),
    [
        ("raw", *ZENOH),
        ("compressed", *DDS),
        pytest.param("compressed", *ZENOH, marks=pytest.mark.slow),
        pytest.param("raw", *DDS, marks=pytest.mark.slow),
    ],
    indirect=["drive"],
)
def test_a_robot_gets_the_outputs_that_replay_gives(
    drive: Path, tmp_path: Path, transport: str, domain: int
) -> None:
    raw = drive.parent.name.startswith("raw")
    image, ranges = (PIXELS, POINTS) if raw else (IMAGE, SCAN)
    config, out, port = ros_config(tmp_path / "robot.yaml", raw), tmp_path / "out.mcap", free_port()
    register(config)
    expected = perception.replay(drive, config).outputs
    robot = Robot(tmp_path, drive, transport, domain, port)
    try:
        host = RunningHost(
            HostJob(config, record=out, queue=1000, options=settings_of(transport, domain, port))
        )
        assert wait_for(lambda: (robot.of("/diagnostics") and host.received(STATIC)) or host.error)
        time.sleep(1.0)  # DDS matches topic by topic
        robot.play()
        stamps = {output.tick.stamp_ns for output in expected if output.tick.kind == "reference"}
        assert wait_for(lambda: stamps <= {_stamp(row) for row in robot.of("/perception/control")})
        assert wait_for(lambda: _present(robot, "status"))
        summary = host.end()
    finally:
        robot.end()

    assert summary.ledger[image].keys() <= {"used", "pending_at_end"}
    assert summary.ledger[STATIC] == {"rig": 1}
    boxes = {_stamp(row): row for row in robot.of("/perception/detections")}
    places = {_stamp(row): row for row in robot.of("/perception/detections_3d")}
    for output in expected:
        assert output.detections is not None
        if output.tick.stamp_ns not in stamps or not output.detections.valid:
            continue
        (item,), (flat,) = output.detections.items, boxes[output.tick.stamp_ns]["detections"]
        (placed,) = places[output.tick.stamp_ns]["detections"]
        x1, y1, x2, y2 = item.xyxy
        centre = flat["bbox"]["center"]["position"]
        assert (centre["x"], centre["y"]) == ((x1 + x2) / 2, (y1 + y2) / 2)
        assert (flat["bbox"]["size_x"], flat["bbox"]["size_y"]) == (x2 - x1, y2 - y1)
        assert flat["results"][0]["hypothesis"] == {"class_id": "thing", "score": 0.5}
        pose = placed["results"][0]["pose"]
        assert tuple(pose["pose"]["position"].values()) == item.position_m
        assert pose["covariance"][:3] == [0.04, 0.01, 0.0]
        assert boxes[output.tick.stamp_ns]["header"]["frame_id"] == "camera"
        assert places[output.tick.stamp_ns]["header"]["frame_id"] == "base_link"

    assert values_of(out, image) == values_of(drive, image)
    assert values_of(out, ranges) == values_of(drive, ranges)
    result = perception.replay(out, config)
    assert result.summary.run["outputs_sha256"] == receipt_of(out)["outputs_sha256"]


def values_of(log: Path, topic: str) -> dict[int, bytes]:
    """Return the bytes of the picture, or of the points, of each stamp of a topic."""
    with open_log(log) as opened:
        decoded = [decode(m) for m in opened.messages() if m.topic == topic]
    return {m.stamp_ns: bytes(m.data) if hasattr(m, "data") else m.points_m.tobytes() for m in decoded}


def _stamp(row: dict) -> int:
    stamp = row["header"]["stamp"]
    return int(stamp["sec"]) * 10**9 + int(stamp["nanosec"])


def _present(robot: Robot, name: str) -> bool:
    statuses = robot.of("/diagnostics")[-1]["status"]
    return any(status["name"] == f"perception: input: {name}" for status in statuses)
