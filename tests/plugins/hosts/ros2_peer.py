"""A robot in ROS 2 by dora's bridge (Rust: RustDDS, Zenoh), which shares no code with ours but `rosbags`.

    python ros2_peer.py JOB.json

It plays a log of ROS 2 in real time, and writes what it hears as JSON lines. Run as a program of its own.
"""

from __future__ import annotations

import json
import os
import queue
import sys
import threading
import time
import warnings
from pathlib import Path
from typing import Any

import dora
import numpy as np
import pyarrow as pa
from mcap.reader import make_reader
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

VISION = {  # as in ros-perception/vision_msgs, branch ros2
    "Point2D": "float64 x\nfloat64 y\n",
    "Pose2D": "vision_msgs/Point2D position\nfloat64 theta\n",
    "BoundingBox2D": "vision_msgs/Pose2D center\nfloat64 size_x\nfloat64 size_y\n",
    "BoundingBox3D": "geometry_msgs/Pose center\ngeometry_msgs/Vector3 size\n",
    "ObjectHypothesis": "string class_id\nfloat64 score\n",
    "ObjectHypothesisWithPose": "ObjectHypothesis hypothesis\ngeometry_msgs/PoseWithCovariance pose\n",
    "Detection2D": "std_msgs/Header header\nObjectHypothesisWithPose[] results\nBoundingBox2D bbox\n"
    "string id\n",
    "Detection3D": "std_msgs/Header header\nObjectHypothesisWithPose[] results\nBoundingBox3D bbox\n"
    "string id\n",
    "Detection2DArray": "std_msgs/Header header\nDetection2D[] detections\n",
    "Detection3DArray": "std_msgs/Header header\nDetection3D[] detections\n",
}
HEARD = {
    "/perception/detections": "vision_msgs/Detection2DArray",
    "/perception/detections_3d": "vision_msgs/Detection3DArray",
    "/perception/control": "geometry_msgs/TwistStamped",
    "/diagnostics": "diagnostic_msgs/DiagnosticArray",
}


def type_store() -> Any:
    store = get_typestore(Stores.ROS2_JAZZY)
    for name, text in VISION.items():
        store.register(get_types_from_msg(text, f"vision_msgs/msg/{name}"))
    return store


def install(folder: Path, store: Any) -> None:
    """Write the part of a ROS installation that dora reads: definitions and packages."""
    packages: dict[str, set[str]] = {}
    for name, (_, fields) in store.fielddefs.items():
        package, _, short = name.split("/")
        if package not in WANTED:
            continue
        place = folder / "share" / package
        (place / "msg").mkdir(parents=True, exist_ok=True)
        text = store.generate_msgdef(name, ros_version=2)[0].split("=" * 80)[0]
        (place / "msg" / f"{short}.msg").write_text(text)
        named = {kind[1] for _, kind in fields if kind[0] == 2}
        named |= {kind[1][0][1] for _, kind in fields if kind[0] in (3, 4) and kind[1][0][0] == 2}
        packages.setdefault(package, set()).update(n.split("/")[0] for n in named)
    for package, others in packages.items():
        depends = "".join(f"<depend>{other}</depend>" for other in sorted(others - {package}))
        xml = f'<?xml version="1.0"?><package format="3"><name>{package}</name>{depends}</package>'
        (folder / "share" / package / "package.xml").write_text(xml)


WANTED = [
    *("builtin_interfaces", "std_msgs", "sensor_msgs", "geometry_msgs"),
    *("vision_msgs", "diagnostic_msgs", "tf2_msgs", "rosgraph_msgs"),
]


def plain(value: Any) -> Any:
    """Return a message of `rosbags` as Arrow takes it."""
    if hasattr(value, "__dataclass_fields__"):
        return {k: plain(getattr(value, k)) for k in value.__dataclass_fields__ if k != "__msgtype__"}
    return [plain(item) for item in value] if isinstance(value, list) else value


def arrow_type(store: Any, kind: Any) -> pa.DataType:
    """Return the Arrow type of a field of `rosbags`: 1 a base, 2 a message, 3 and 4 arrays of either."""
    node, detail = kind
    if node == 1:
        plain_names = {"octet": "uint8", "byte": "uint8", "char": "uint8", "bool": "bool"}
        base = plain_names.get(detail[0], detail[0])
        return pa.type_for_alias(base)
    if node == 2:
        return pa.struct([(label, arrow_type(store, k)) for label, k in store.fielddefs[detail][1]])
    return pa.list_(arrow_type(store, detail[0]))


class Robot:
    def __init__(self, job: dict[str, Any]) -> None:
        self.job, self.store = job, type_store()
        folder = Path(job["folder"]) / "ament"
        install(folder, self.store)
        transport = None
        if job["transport"] == "zenoh":
            config = Path(job["folder"]) / "peer.json5"
            endpoints = {"endpoints": [job["endpoint"]]}
            config.write_text(
                json.dumps(
                    {"mode": "peer", "listen": endpoints, "scouting": {"multicast": {"enabled": False}}}
                )
            )
            transport = dora.Ros2Transport.zenoh("humble", str(config))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self.context = dora.Ros2Context([str(folder)], transport=transport, domain_id=job["domain"])
        self.node = self.context.new_node("robot", "/", dora.Ros2NodeOptions())
        self.publishers: dict[str, Any] = {}
        self.kinds: dict[str, pa.DataType] = {}
        self.subscriptions = {}
        for topic, kind in HEARD.items():
            qos = dora.Ros2QosPolicies(reliable=True, keep_last=100)
            self.subscriptions[topic] = self.node.create_subscription(
                self.node.create_topic(topic, kind, qos), qos
            )

    def advertise(self, topic: str, name: str) -> None:
        if topic in self.publishers:
            return
        static = topic.endswith("static")
        qos = dora.Ros2QosPolicies(
            durability=dora.Ros2Durability.TransientLocal if static else dora.Ros2Durability.Volatile,
            reliable=static or self.job.get("reliable", False),
            keep_last=10,
        )
        short = name.replace("/msg/", "/")
        self.publishers[topic] = self.node.create_publisher(self.node.create_topic(topic, short, qos), qos)

    def send(self, topic: str, message: Any) -> None:
        kind = self.kinds.setdefault(topic, arrow_type(self.store, (2, message.__msgtype__)))
        self.publishers[topic].publish(pa.array([plain(message)], type=kind))

    def listen(self, until_s: float) -> None:
        while True:
            for topic, subscription in self.subscriptions.items():
                while (row := subscription.next()) is not None:
                    print(json.dumps([topic, row.to_pylist()[0]], default=str), flush=True)
            left_s = until_s - time.monotonic()
            if left_s <= 0:
                return
            time.sleep(min(left_s, 0.002))


def main() -> None:
    job = json.loads(Path(sys.argv[1]).read_text())
    pa.array([{"a": np.zeros(2, np.uint8)}])  # loads what Arrow loads late
    robot = Robot(job)
    rows = []
    with open(job["log"], "rb") as file:
        for schema, channel, message in make_reader(file).iter_messages():
            decoded = robot.store.deserialize_cdr(message.data, schema.name)
            robot.advertise(channel.topic, schema.name)
            if channel.topic.endswith("static"):
                robot.send(channel.topic, decoded)  # once, before anybody listens
                continue
            rows.append((message.log_time, channel.topic, decoded))
    print(json.dumps(["ready", None]), flush=True)
    lines: queue.Queue[str] = queue.Queue()
    threading.Thread(target=lambda: [lines.put(line.strip()) for line in sys.stdin], daemon=True).start()
    while True:
        robot.listen(time.monotonic() + 0.05)
        line = "" if lines.empty() else lines.get()
        if line == "end":
            os._exit(0)  # the bridge waits for its threads otherwise
        if line == "play":
            began, first = time.monotonic(), rows[0][0]
            for at, topic, message in rows:
                due = began + (at - first) / 1e9 / job.get("rate", 1.0)
                if due > time.monotonic():
                    robot.listen(due)
                robot.send(topic, message)
            print(json.dumps(["played", len(rows)]), flush=True)


main()
