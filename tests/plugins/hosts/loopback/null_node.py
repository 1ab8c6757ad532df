"""A node that does nothing but answer each picture with its stamp.

    python null_node.py STACK DOMAIN ENDPOINT

Plain code over the library of each stack, to compare a host with.
"""

from __future__ import annotations

import json
import struct
import sys
import time
from pathlib import Path
from typing import Any

IMAGE, ANSWER = "/nothing/image", "/nothing/out"
_NO_FRAME = struct.pack("<I", 1) + b"\0"


def run_dora(domain: int, endpoint: str) -> None:
    import dora
    import pyarrow as pa

    answer = pa.array([1.0])
    node = dora.Node()
    while (event := node.next()) is not None and event["type"] != "STOP":
        if event["type"] == "INPUT":
            node.send_output("nothing_out", answer, {"stamp_ns": event["metadata"]["stamp_ns"]})


def run_zenoh(domain: int, endpoint: str) -> None:
    import zenoh

    config = zenoh.Config()
    config.insert_json5("mode", '"peer"')
    config.insert_json5("connect/endpoints", json.dumps([endpoint]))
    config.insert_json5("scouting/multicast/enabled", "false")
    with zenoh.open(config) as session:
        out = session.declare_publisher(f"{domain}{ANSWER}/std_msgs::msg::dds_::Header_/none")

        def answer(sample: Any) -> None:
            out.put(sample.payload.to_bytes()[:12] + _NO_FRAME)

        session.declare_subscriber(f"{domain}{IMAGE}/*/*", answer)
        time.sleep(3600)


def run_dds(domain: int, endpoint: str) -> None:
    from cyclonedds.core import InstanceState as Instance
    from cyclonedds.core import Policy, Qos, ReadCondition, SampleState, ViewState, WaitSet
    from cyclonedds.domain import DomainParticipant
    from cyclonedds.pub import DataWriter
    from cyclonedds.sub import DataReader
    from cyclonedds.topic import Topic

    from perception_plugins.hosts.ros.dds_types import DdsTypes
    from perception_plugins.hosts.ros.message_types import MessageTypes

    types = DdsTypes(MessageTypes("cdr"))
    participant = DomainParticipant(domain)
    image, header = types.raw("sensor_msgs/msg/CompressedImage"), types.raw("std_msgs/msg/Header")
    qos = Qos(Policy.Reliability.Reliable(10**8), Policy.History.KeepLast(64))
    writer = DataWriter(participant, Topic(participant, f"rt{ANSWER}", header), qos)
    reader: Any = DataReader(participant, Topic(participant, f"rt{IMAGE}", image), qos)
    waits = WaitSet(participant)
    waits.attach(ReadCondition(reader, SampleState.NotRead | ViewState.Any | Instance.Any))
    while True:
        waits.wait(10**9)
        for sample in reader.take(N=64):
            if isinstance(getattr(sample, "data", None), bytes):
                writer.write(header.of(sample.data[:12] + _NO_FRAME))


def run_ros1(domain: int, endpoint: str) -> None:
    sys.path.append("/usr/lib/python3/dist-packages")
    import rospy
    from std_msgs.msg import Header

    rospy.init_node("nothing")
    out = rospy.Publisher(ANSWER, Header, queue_size=100, tcp_nodelay=True)

    def answer(message: Any) -> None:
        out.publish(Header(stamp=rospy.Time(*struct.unpack("<II", message._buff[4:12]))))

    rospy.Subscriber(IMAGE, rospy.AnyMsg, answer, buff_size=1 << 24, tcp_nodelay=True)
    rospy.spin()


if __name__ == "__main__":
    stack, domain, endpoint = sys.argv[1:]
    sys.path.append(str(Path(__file__).resolve().parents[4]))
    globals()[f"run_{stack}"](int(domain), endpoint)
