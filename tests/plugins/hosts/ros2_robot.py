"""Runs the robot of `ros2_peer.py` and a ROS 2 host in this process, and waits for what they say."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from threading import Event, Thread
from typing import Any

from perception.logs import open_log
from perception.pipeline.host_job import HostHealth, HostJob, HostSummary
from perception.sinks import read_receipt
from perception_plugins.hosts import ros2_host
from perception_plugins.hosts.ros.message_types import MessageTypes
from perception_plugins.hosts.ros.node import node_settings, serve_node
from perception_plugins.hosts.ros.settings import ROS2_KEYS

PATIENCE_S = 120.0


def wait_for(condition: Callable[[], object], patience_s: float = PATIENCE_S) -> bool:
    """Return whether a condition comes true in time; a busy machine gets the time."""
    due_s = time.monotonic() + patience_s
    while not condition() and time.monotonic() < due_s:
        time.sleep(0.02)
    return bool(condition())


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def receipt_of(path: Path) -> Mapping[str, str]:
    """Return the receipt of a recording."""
    with open_log(path) as log:
        return read_receipt(log)


class Robot:
    """The other side: dora's bridge in a process of its own."""

    def __init__(self, folder: Path, log: Path, transport: str, domain: int, port: int) -> None:
        job = {"folder": str(folder), "log": str(log), "transport": transport, "domain": domain}
        path = folder / "robot.json"
        path.write_text(json.dumps({**job, "endpoint": f"tcp/127.0.0.1:{port}"}))
        program = [sys.executable, str(Path(__file__).with_name("ros2_peer.py")), str(path)]
        self._process = subprocess.Popen(
            program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        self.heard: list[tuple[str, Any]] = []
        self._thread = Thread(target=self._read, daemon=True)
        self._thread.start()
        assert wait_for(lambda: self.of("ready") or self._process.poll() is not None)
        assert self._process.poll() is None, self._process.stderr and self._process.stderr.read()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.heard.append(tuple(json.loads(line)))

    def of(self, topic: str) -> list[Any]:
        return [row for heard, row in list(self.heard) if heard == topic]

    def play(self) -> None:
        self._tell("play")

    def _tell(self, word: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{word}\n")
        self._process.stdin.flush()

    def end(self) -> None:
        self._process.kill()
        self._process.wait(10)


class RunningHost:
    """`ros2_host` in a thread, ended by an event instead of a signal."""

    def __init__(self, job: HostJob) -> None:
        self.health: list[HostHealth] = []
        self.summary: HostSummary | None = None
        self.error: BaseException | None = None
        self._end = Event()
        self._thread = Thread(target=self._run, args=(job,), daemon=True)
        self._thread.start()

    def _run(self, job: HostJob) -> None:
        try:
            settings = node_settings(job, ROS2_KEYS)
            types = MessageTypes("cdr", settings.definitions)
            self.summary = serve_node(
                job,
                "ros2",
                types,
                settings,
                lambda: ros2_host.connect(types, settings),
                self.health.append,
                lambda seconds: not self._end.wait(seconds),
            )
        except BaseException as error:
            self.error = error

    def received(self, topic: str) -> int:
        """Return how many messages of a topic have come."""
        inputs = self.health[-1].inputs if self.health else ()
        return sum(entry.received for entry in inputs if entry.topic == topic)

    def end(self) -> HostSummary:
        self._end.set()
        self._thread.join(PATIENCE_S)
        if self.error is not None:
            raise self.error
        assert self.summary is not None
        return self.summary


def settings_of(transport: str, domain: int, port: int) -> Mapping[str, str]:
    if transport == "dds":
        return {"transport": "dds", "domain": str(domain)}
    return {
        "transport": "zenoh",
        "domain": str(domain),
        "connect": f"tcp/127.0.0.1:{port}",
        "type_hashes": "false",
    }
