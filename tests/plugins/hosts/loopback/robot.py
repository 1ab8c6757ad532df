"""A robot by the library of a stack: it sends by phases, and writes when each output came.

    python robot.py JOB.json     # stack, domain, endpoint; phases from `phases`, else from stdin

A phase is a JSON object (`Phase`); its end is printed as one, and `{"name": "end"}` prints the whole account.
"""

from __future__ import annotations

import json
import os
import struct
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

sys.path.append(str(Path(__file__).resolve().parents[4]))
from perception_plugins.hosts.ros.ros_outputs import header
from tests.plugins.hosts.loopback.peers import Peer, open_peer

IMAGE, SCAN, TWIST = "/camera/image", "/scan", "/twist"
NULL_IMAGE, NULL_ANSWER = "/nothing/image", "/nothing/out"
JPEG_BYTES = 70_000
_STAMP = struct.Struct("<iI")  # bytes 4 to 12 of a message with a header, in CDR and in ROS 1


@dataclass
class Phase:
    """What the robot does for a while.

    Attributes:
        frames: Pictures, or with `until_heard` the most.
        image, scan, twist: Whether these sensors are plugged in; scans come with pictures, twists twice.
        speed: In the twists.
        wrong: Scans are sent under another type.
        null: A node that does nothing gets a picture after half of each period.
        until_heard: The phase ends once an output of it has come.
    """

    name: str
    frames: int = 0
    hz: float = 20.0
    image: bool = True
    scan: bool = False
    twist: bool = False
    speed: float = 1.0
    wrong: bool = False
    null: bool = False
    until_heard: bool = False


class Robot:
    def __init__(self, peer: Peer) -> None:
        self.peer, self.phase = peer, Phase("")
        self.sent: dict[str, dict[str, int]] = {}
        self.heard: dict[str, dict[int, float]] = {"host": {}, "null": {}}
        self.substitutes = 0
        self.stamps: dict[str, list[int]] = {}
        self.health: list[tuple[str, list[str]]] = []
        self._pixels = _jpeg()
        peer.hear("/perception/detections", lambda data, more: self._hear("host", data, more))
        peer.hear(NULL_ANSWER, lambda data, more: self._hear("null", data, more))
        peer.hear("/diagnostics", self._hear_health)
        peer.hear("/perception/health", self._hear_health)

    def run(self, phase: Phase) -> dict[str, Any]:
        self.phase, stamps = phase, self.stamps.setdefault(phase.name, [])
        began_s, period_s = time.monotonic(), 1 / phase.hz
        heard = dict.fromkeys(self.heard, 0) | {name: len(rows) for name, rows in self.heard.items()}
        for i in range(phase.frames):
            if phase.until_heard and all(
                len(self.heard[name]) > count for name, count in heard.items() if name == "host" or phase.null
            ):
                break
            began_s += _sleep_until(began_s + i * period_s)
            if phase.twist:
                self._send_twist()
            if phase.scan:
                self._send_scan()
            if phase.image:
                stamps.append(self._send_image(IMAGE))
            _sleep_until(began_s + (i + 0.5) * period_s)
            if phase.twist:
                self._send_twist()
            if phase.null:
                self._send_image(NULL_IMAGE)
        return {"phase": phase.name, "seconds": time.monotonic() - began_s}

    def account(self) -> dict[str, Any]:
        return {
            "sent": self.sent,
            "stamps": self.stamps,
            "latency_ms": {name: {str(k): v for k, v in rows.items()} for name, rows in self.heard.items()},
            "health": self.health,
        }

    # --- out -------------------------------------------------------------------------------------

    def _send(self, topic: str, kind: str, message: Any) -> None:
        counts = self.sent.setdefault(self.phase.name, {})
        counts[topic] = counts.get(topic, 0) + 1
        self.peer.send(topic, kind, message)

    def _header(self, frame: str) -> Any:
        return header(self.peer.types, time.time_ns(), frame)

    def _send_image(self, topic: str) -> int:
        kind, head = "sensor_msgs/msg/CompressedImage", self._header("camera")
        message = self.peer.types.make(kind, header=head, format="jpeg", data=self._pixels)
        self._send(topic, kind, message)
        return int(head.stamp.sec * 10**9 + head.stamp.nanosec)

    def _send_scan(self) -> None:
        if self.phase.wrong:
            self._send(
                SCAN,
                "geometry_msgs/msg/PointStamped",
                self.peer.types.empty("geometry_msgs/msg/PointStamped"),
            )
            return
        kind, ranges = "sensor_msgs/msg/LaserScan", np.full(360, 5.0, np.float32)
        values = {"angle_min": -1.5, "angle_increment": 3.0 / 360, "range_max": 30.0, "ranges": ranges}
        self._send(SCAN, kind, self.peer.types.make(kind, header=self._header("laser"), **values))

    def _send_twist(self) -> None:
        make = self.peer.types.make
        twist = make("geometry_msgs/msg/Twist", linear=make("geometry_msgs/msg/Vector3", x=self.phase.speed))
        kind = "geometry_msgs/msg/TwistStamped"
        self._send(TWIST, kind, make(kind, header=self._header("base_link"), twist=twist))

    # --- in --------------------------------------------------------------------------------------

    def _hear(self, name: str, data: Any, metadata: Any) -> None:
        now_ns = time.time_ns()
        if metadata is None:
            seconds, nanoseconds = _STAMP.unpack(data[4:12])
            stamp_ns = seconds * 10**9 + nanoseconds
        elif not metadata.get("valid", True):  # ROS does not get it at all
            return
        else:
            stamp_ns = metadata["stamp_ns"]
        self.heard[name].setdefault(stamp_ns, (now_ns - stamp_ns) / 1e6)

    def _hear_health(self, data: Any, metadata: Any) -> None:
        if metadata is not None:
            problems = json.loads(data[0].as_py())["problems"]
        else:
            statuses = self.peer.types.deserialize(data, "diagnostic_msgs/msg/DiagnosticArray").status
            problems = [f"{status.name}: {status.message}" for status in statuses if int(status.level) > 0]
        self.health.append((self.phase.name, problems))


def _jpeg() -> Any:
    noise = np.random.default_rng(0).integers(0, 255, (720, 1280, 3), np.uint8)
    picture = cv2.GaussianBlur(noise, (0, 0), 1.6)
    sizes = (
        cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, q])[1].ravel() for q in range(95, 5, -2)
    )
    return next(data for data in sizes if len(data) <= JPEG_BYTES * 1.02)


def _sleep_until(due_s: float) -> float:
    """Sleep; return by how much more than a second it is late, where the machine stood: nobody catches up."""
    time.sleep(max(0.0, due_s - time.monotonic()))
    late_s = time.monotonic() - due_s
    return late_s if late_s > 1.0 else 0.0


def main() -> None:
    job = json.loads(Path(sys.argv[1]).read_text())
    robot = Robot(open_peer(job["stack"], "robot", job["domain"], job["endpoint"]))
    lines: Iterable[Any] = job["phases"] if "phases" in job else map(json.loads, sys.stdin)
    out = Path(job["out"])
    print(json.dumps({"phase": "ready"}), flush=True)
    for line in lines:
        if line["name"] == "end":
            break
        print(json.dumps(robot.run(Phase(**line))), flush=True)
    time.sleep(2.0)  # what is under way arrives, and a last health
    out.write_text(json.dumps(robot.account()))
    print(json.dumps({"phase": "end"}), flush=True)
    os._exit(0)  # libraries of some stacks wait for their threads


if __name__ == "__main__":
    main()
