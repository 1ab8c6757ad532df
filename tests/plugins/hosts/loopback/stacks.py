"""Starts a stack on loopback: a robot, a host, and where asked for a node that does nothing."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import Any

import yaml

from tests.plugins.hosts.ros2_robot import free_port

HERE = Path(__file__).parent
PHASE_S = 240.0
SENSORS: Mapping[str, Any] = {
    "camera": {"topic": "/camera/image"},
    "range": {"topic": "/scan"},
    "status": {"topic": "/twist", "fields": {"speed": "twist.linear.x"}},
}


class Process:
    """A program with its output, ended by SIGINT."""

    def __init__(self, command: Sequence[object], environment: Mapping[str, str], folder: Path) -> None:
        self.out: list[str] = []
        self.err: list[str] = []
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        words = [str(word) for word in command]
        self.popen = subprocess.Popen(
            words, env={**os.environ, **environment}, cwd=folder, text=True, start_new_session=True, **pipes
        )
        self._readers = [
            Thread(target=lines.extend, args=(stream,), daemon=True)
            for lines, stream in ((self.out, self.popen.stdout), (self.err, self.popen.stderr))
        ]
        for reader in self._readers:
            reader.start()

    def tell(self, line: str) -> None:
        assert self.popen.stdin is not None
        self.popen.stdin.write(f"{line}\n")
        self.popen.stdin.flush()

    def end(self, sent: int = signal.SIGINT) -> str:
        """End it, and return what it printed."""
        if self.popen.poll() is None:
            os.killpg(self.popen.pid, sent)
            try:
                self.popen.wait(60)
            except subprocess.TimeoutExpired:
                os.killpg(self.popen.pid, signal.SIGKILL)
                self.popen.wait(10)
        for reader in self._readers:
            reader.join(10)
        return "".join(self.out)

    def wait_for(self, holds: Callable[[], object], patience_s: float = PHASE_S) -> None:
        due_s = time.monotonic() + patience_s
        while not holds():
            assert self.popen.poll() is None, "".join(self.out + self.err)[-4000:]
            assert time.monotonic() < due_s, "".join(self.out + self.err)[-4000:]
            time.sleep(0.02)


class LoopbackStack:
    """A stack without dora, whose programs are started one by one.

    Args:
        stack: `zenoh`, `dds` or `ros1`.
        folder: For files.
        config: Values of the host's configuration beside the sensors.
    """

    def __init__(self, stack: str, folder: Path, config: Mapping[str, Any]) -> None:
        port, self.stack, self.folder = free_port(), stack, folder
        self.domain = 70 + port % 100 if stack == "dds" else 0
        self.endpoint = f"tcp/127.0.0.1:{port}"
        self._environment: dict[str, str] = {}
        self._processes: list[Process] = []
        write_config(folder / "robot.yaml", config)
        if stack == "ros1":
            self._start_master(port)
        job = {"stack": stack, "domain": self.domain, "endpoint": self.endpoint, "out": "account.json"}
        (folder / "job.json").write_text(json.dumps(job))
        self.robot = self._start(HERE / "robot.py", "job.json")
        self.robot.wait_for(lambda: self.robot.out)

    def _start(self, *command: object) -> Process:
        process = Process([sys.executable, *command], self._environment, self.folder)
        self._processes.append(process)
        return process

    def _start_master(self, port: int) -> None:
        from tests.plugins.hosts.test_ros1_host import master_is_up

        self._environment = {"ROS_MASTER_URI": f"http://127.0.0.1:{port}", "ROS_HOSTNAME": "127.0.0.1"}
        self._environment |= {"ROS_HOME": str(self.folder), "ROS_LOG_DIR": str(self.folder)}
        system = {"PATH": "/usr/bin:/bin", "PYTHONPATH": "", **self._environment}
        master = Process(["/usr/bin/roscore", "-p", port], system, self.folder)
        self._processes.append(master)
        master.wait_for(lambda: master_is_up(port))

    def start_host(self, *more: object) -> Process:
        """Start `perception host`, with `--json`."""
        settings = {"zenoh": f"connect={self.endpoint}", "dds": f"domain={self.domain}"}
        words = ["ros1"] if self.stack == "ros1" else ["ros2", "--set", f"transport={self.stack}"]
        if self.stack in settings:
            words += ["--set", settings[self.stack]]
        return self._start(HERE / "run_host.py", *words, "--config", "robot.yaml", "--json", *more)

    def start_null_node(self) -> Process:
        return self._start(HERE / "null_node.py", self.stack, self.domain, self.endpoint)

    def run(self, name: str, **phase: Any) -> None:
        """Run a phase of the robot."""
        count = len(self.robot.out)
        self.robot.tell(json.dumps({"name": name, **phase}))
        self.robot.wait_for(lambda: len(self.robot.out) > count)

    def account(self) -> dict[str, Any]:
        """End the robot, and return its account."""
        self.robot.tell(json.dumps({"name": "end"}))
        self.robot.wait_for(lambda: any('"end"' in line for line in self.robot.out))
        account: dict[str, Any] = json.loads((self.folder / "account.json").read_text())
        return account

    def close(self) -> None:
        for process in reversed(self._processes):
            process.end()


@contextmanager
def loopback(stack: str, folder: Path, **config: Any) -> Iterator[LoopbackStack]:
    opened = LoopbackStack(stack, folder, config)
    try:
        yield opened
    finally:
        opened.close()


def write_config(path: Path, config: Mapping[str, Any]) -> None:
    """Write the configuration of a host for the robot's sensors; `sensors` names those that it takes."""
    sensors = {name: SENSORS[name] for name in config.get("sensors", SENSORS)}
    values = {"version": 1, "reference": "camera", "reference_rate_hz": 20.0}
    path.write_text(yaml.safe_dump({**values, **config, "sensors": sensors}))


def run_dora(
    folder: Path, phases: Sequence[Mapping[str, Any]], host: Sequence[str] = (), **config: Any
) -> Any:
    """Run a dataflow of robot, host and null node; return the robot's account, and what dora printed."""
    write_config(folder / "robot.yaml", config)
    job = {"stack": "dora", "domain": 0, "endpoint": "", "out": "account.json", "phases": list(phases)}
    (folder / "job.json").write_text(json.dumps(job))
    queue = 1000
    topics = [SENSORS[name]["topic"] for name in config.get("sensors", SENSORS)]
    names = [topic.strip("/").replace("/", "_") for topic in topics]
    inputs = {name: {"source": f"robot/{name}", "queue_size": queue} for name in names}
    heard = {name: {"source": f"host/{name}", "queue_size": queue} for name in ("detections", "health")}
    nodes = [
        {
            "id": "robot",
            "path": sys.executable,
            "args": f"{HERE / 'robot.py'} job.json",
            "inputs": {**heard, "nothing_out": {"source": "null/nothing_out", "queue_size": queue}},
            "outputs": [*inputs, "nothing_image"],
        },
        {
            "id": "host",
            "path": sys.executable,
            "args": " ".join([f"{HERE / 'run_host.py'} dora --config robot.yaml --json", *host]),
            "inputs": inputs,
            "outputs": ["detections", "control", "health", "ack"],
            "restart_policy": "on-failure",
        },
        {
            "id": "null",
            "path": sys.executable,
            "args": f"{HERE / 'null_node.py'} dora 0 none",
            "inputs": {"image": {"source": "robot/nothing_image", "queue_size": queue}},
            "outputs": ["nothing_out"],
        },
    ]
    (folder / "flow.yml").write_text(yaml.safe_dump({"nodes": nodes}))
    dora = Process([Path(sys.executable).parent / "dora", "run", "flow.yml"], {}, folder)
    due_s, path = time.monotonic() + PHASE_S, folder / "account.json"
    while dora.popen.poll() is None and time.monotonic() < due_s:
        time.sleep(0.1)
        if path.is_file():  # dora 1.1 does not end by itself where a node was started again
            due_s = min(due_s, time.monotonic() + 20.0)
    text = dora.end()
    assert path.is_file(), (text + "".join(dora.err))[-4000:]
    return json.loads(path.read_text()), text
