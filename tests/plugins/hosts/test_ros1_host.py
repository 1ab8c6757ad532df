"""A node of ROS 1 beside a real `roscore`, `rosbag play` and `rosbag record`."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from io import BytesIO
from pathlib import Path
from shutil import which
from threading import Thread
from typing import Any, ClassVar

import pytest
from rosbags.rosbag1 import Reader
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

import perception
from perception.errors import PerceptionError
from perception_plugins.hosts.ros import rospy_transport
from perception_plugins.hosts.ros.message_types import MessageTypes
from perception_plugins.hosts.ros.rospy_transport import DEBIAN, _arrived
from perception_plugins.hosts.ros.transport import Notes
from tests.forked_python import ForkedPython
from tests.plugins.hosts.ros2_robot import free_port, receipt_of, wait_for
from tests.plugins.hosts.ros_logs import IMAGE, PIXELS, STATIC, ros_config, write_ros1
from tests.plugins.hosts.ros_plugin import register

pytestmark = pytest.mark.skipif(
    not ((DEBIAN / "rospy").is_dir() and which("roscore") and which("rosbag")),
    reason="needs Debian's packages python3-rospy, python3-rosbag, python3-roslaunch, rosout",
)

QUIET = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
ROOT = Path(__file__).resolve().parents[3]
HOST = """
import site, sys
site.addsitedir(sys.argv[1])  # holds debian_ros.pth: Debian's packages, behind all others
from pathlib import Path
from tests.plugins.hosts.ros_plugin import register
register(Path(sys.argv[2]))
sys.argv = ["perception", "host", "ros1", "--config", sys.argv[2], "--record", sys.argv[3], "--json",
            "--queue", "1000"]
from perception_tools.cli import main
main()
"""


@contextmanager
def running(
    command: list[str], environment: dict[str, str], **options: Any
) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(command, env=environment, text=True, start_new_session=True, **options)
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGINT)
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait(10)


def ros_system(folder: Path, port: int) -> dict[str, str]:
    """Return the environment of ROS with a master at a port."""
    system = {"PATH": "/usr/bin:/bin", "HOME": str(folder), "ROS_MASTER_URI": f"http://127.0.0.1:{port}"}
    return system | {"ROS_HOSTNAME": "127.0.0.1", "ROS_HOME": str(folder), "ROS_LOG_DIR": str(folder)}


def master_is_up(port: int) -> bool:
    from xmlrpc.client import ServerProxy

    try:
        return bool(ServerProxy(f"http://127.0.0.1:{port}").getSystemState("/test")[0] == 1)
    except OSError:
        return False


def subscribers(port: int, topic: str) -> list[str]:
    from xmlrpc.client import ServerProxy

    _, _, (_, subscribed, _) = ServerProxy(f"http://127.0.0.1:{port}").getSystemState("/test")
    return [name for found, names in subscribed if found == topic for name in names]


@pytest.mark.parametrize("raw", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_a_bag_played_in_ros_gives_the_outputs_of_its_replay(
    tmp_path: Path, forked_python: ForkedPython, raw: bool
) -> None:
    """With `CompressedImage` and `LaserScan`, or with `Image` and `PointCloud2`."""
    drive, config = write_ros1(tmp_path, 1.0, raw), ros_config(tmp_path / "robot.yaml", raw)
    image, out = PIXELS if raw else IMAGE, tmp_path / "out.mcap"
    register(config)
    expected = perception.replay(drive, config).outputs
    port = free_port()
    system = ros_system(tmp_path, port)
    ours = {key: value for key, value in system.items() if key.startswith("ROS_")}
    (tmp_path / "debian_ros.pth").write_text(f"{DEBIAN}\n")
    heard = tmp_path / "heard.bag"
    said: list[str] = []
    with running(["/usr/bin/roscore", "-p", str(port)], system, **QUIET):
        assert wait_for(lambda: master_is_up(port))
        with forked_python.start(tmp_path, config, out, program=HOST, cwd=ROOT, env=ours) as host:
            errors = host.stderr
            assert errors is not None
            Thread(target=lambda: said.extend(errors), daemon=True).start()
            assert wait_for(lambda: subscribers(port, image) or host.poll() is not None), said
            assert host.poll() is None, said
            record = ["/usr/bin/rosbag", "record", "-O", str(heard), "-e", "/perception/.*", "/diagnostics"]
            with running(record, system, **QUIET):
                assert wait_for(lambda: len(subscribers(port, "/perception/detections")) > 0)
                play = ["/usr/bin/rosbag", "play", "-d", "2", str(drive)]
                subprocess.run(play, env=system, check=True, timeout=120, **QUIET)
                assert wait_for(lambda: heard.with_suffix(".bag.active").exists())
                wait_for(lambda: False, 2.0)
            host.send_signal(signal.SIGINT)
            text = host.stdout.read() if host.stdout else ""
            host.wait(60)
    summary = json.loads(text)
    assert summary["ledger"][STATIC] == {"rig": 1}
    assert "dropped_live" not in summary["ledger"][image]

    rows = read_bag(heard)
    boxes = {stamp: message for topic, stamp, message in rows if topic == "/perception/detections"}
    for output in expected:
        detections = output.detections
        if output.tick.kind != "reference" or detections is None or not detections.valid:
            continue
        (item,), (flat,) = detections.items, boxes[output.tick.stamp_ns].detections
        x1, y1, x2, y2 = item.xyxy
        assert (flat.bbox.center.x, flat.bbox.center.y) == ((x1 + x2) / 2, (y1 + y2) / 2)
        assert flat.results[0].score == item.score
    assert {topic for topic, _, _ in rows} >= {
        "/perception/detections_3d",
        "/perception/control",
        "/diagnostics",
    }
    replayed = perception.replay(out, config).summary.run
    assert replayed["outputs_sha256"] == receipt_of(out)["outputs_sha256"]


def test_a_message_that_rospy_has_decoded_is_taken_as_bytes() -> None:
    """rospy hears `/clock` itself, and so gives it decoded to everybody in the process."""

    class Clock:
        _connection_header: ClassVar = {"type": "rosgraph_msgs/Clock", "message_definition": "time clock\n"}

        def serialize(self, buffer: BytesIO) -> None:
            buffer.write(b"\1\0\0\0\2\0\0\0")

    arrived = _arrived("/clock", Clock())
    assert arrived is not None
    assert (arrived.type_name, arrived.data) == ("rosgraph_msgs/msg/Clock", b"\1\0\0\0\2\0\0\0")


def test_without_a_master_the_host_says_what_to_do(tmp_path: Path, forked_python: ForkedPython) -> None:
    config = ros_config(tmp_path / "robot.yaml")
    (tmp_path / "debian_ros.pth").write_text(f"{DEBIAN}\n")
    nowhere = {"ROS_MASTER_URI": f"http://127.0.0.1:{free_port()}", "ROS_HOME": str(tmp_path)}
    words = (tmp_path, config, tmp_path / "out.mcap")
    done = forked_python.run(*words, program=HOST, cwd=ROOT, env=nowhere)
    assert done.returncode == 1
    assert "start `roscore`" in json.loads(done.stdout)["error"]


def test_a_master_that_was_started_again_gets_to_know_the_node(monkeypatch: pytest.MonkeyPatch) -> None:
    """It does not know the nodes of the former one, which stay silent to all that is started later."""
    transport = object.__new__(rospy_transport.RospyTransport)
    transport.notes = Notes()
    turns, told = iter([True] * 6), iter([OSError("not yet"), None])
    monkeypatch.setattr(transport, "wait", lambda seconds: next(turns, False))
    answers = iter([7, OSError("no master answers"), 7, 8, 8, 8])

    def announce() -> None:
        assert not transport.notes.texts
        if (error := next(told)) is not None:
            raise error

    monkeypatch.setattr(transport, "_announce", announce)

    def master_pid() -> int:
        answer = next(answers)
        if isinstance(answer, OSError):
            raise answer
        return answer

    transport._watch_master(master_pid, 7)
    assert "started again" in transport.notes.texts["ROS master"]
    assert next(answers, None) is None
    assert next(told, "both") == "both"


def test_a_host_goes_on_with_a_roscore_that_was_started_again(
    tmp_path: Path, forked_python: ForkedPython
) -> None:
    """The player and what listens to the outputs know the second one alone."""
    drive, config = write_ros1(tmp_path, 1.0, raw=False), ros_config(tmp_path / "robot.yaml", raw=False)
    register(config)
    port, out = free_port(), tmp_path / "out.mcap"
    system = ros_system(tmp_path, port)
    ours = {key: value for key, value in system.items() if key.startswith("ROS_")}
    (tmp_path / "debian_ros.pth").write_text(f"{DEBIAN}\n")
    with ExitStack() as stack:
        with running(["/usr/bin/roscore", "-p", str(port)], system, **QUIET):
            assert wait_for(lambda: master_is_up(port))
            host = stack.enter_context(
                forked_python.start(tmp_path, config, out, program=HOST, cwd=ROOT, env=ours)
            )
            assert wait_for(lambda: subscribers(port, IMAGE) or host.poll() is not None)
        stack.enter_context(running(["/usr/bin/roscore", "-p", str(port)], system, **QUIET))
        assert wait_for(lambda: master_is_up(port) and len(subscribers(port, IMAGE)) > 0)
        play = ["/usr/bin/rosbag", "play", "-d", "2", str(drive)]
        subprocess.run(play, env=system, check=True, timeout=120, **QUIET)
        host.send_signal(signal.SIGINT)
        text, _ = host.communicate()
    assert json.loads(text)["ledger"][IMAGE]["used"] > 5


def read_bag(path: Path) -> list[tuple[str, int, Any]]:
    """Return topic, stamp and message of what was recorded, by the definitions in the bag."""
    rows = []
    with Reader(path) as bag:
        store = get_typestore(Stores.ROS1_NOETIC)
        for connection in bag.connections:
            found = get_types_from_msg(connection.msgdef.data, connection.msgtype)
            store.register({key: value for key, value in found.items() if key not in store.fielddefs})
        for connection, _, data in bag.messages():
            message = store.deserialize_ros1(data, connection.msgtype)
            stamp = message.header.stamp
            rows.append((connection.topic, stamp.sec * 10**9 + stamp.nanosec, message))
    return rows


def test_the_command_that_makes_rospy_visible_is_one_of_a_shell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "rospy").mkdir()
    (tmp_path / "my env").mkdir()
    monkeypatch.setattr(rospy_transport, "DEBIAN", tmp_path)
    monkeypatch.setattr(rospy_transport, "find_spec", lambda name: None)
    monkeypatch.setattr("sysconfig.get_path", lambda name: str(tmp_path / "my env"))
    with pytest.raises(PerceptionError) as caught:
        rospy_transport.RospyTransport(MessageTypes("ros1"))
    subprocess.run(str(caught.value).rpartition(": ")[2], shell=True, check=True)
    assert (tmp_path / "my env" / "debian_ros.pth").read_text() == f"{tmp_path}\n"
