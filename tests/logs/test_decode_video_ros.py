"""Packets of video in ROS messages of ffmpeg_image_transport and foxglove_msgs, defined there or not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from perception.logs.decoding import decode, sensor_kind
from perception.types import Message, Schema, VideoPacket
from tests.logs.decode_build import STAMP, record

# As in ffmpeg_image_transport_msgs/msg/FFMPEGPacket.msg and foxglove_msgs/msg/CompressedVideo.msg.
FFMPEG = """std_msgs/Header header
int32 width
int32 height
string encoding
uint64 pts
uint8 flags
bool is_bigendian
uint8[] data
"""
FOXGLOVE = """builtin_interfaces/Time timestamp
string frame_id
uint8[] data
string format
"""
KEY = b"\0\0\0\1\x67\x42\0\x1e\xab\x40\xa0\xfd\0\0\0\1\x68\xce\x38\x80\0\0\0\1\x65\x88\x84"


def made(encoding: str, name: str, text: str, fields: dict[str, Any], defined: bool) -> Message:
    store = get_typestore(Stores.ROS2_HUMBLE if encoding == "cdr" else Stores.ROS1_NOETIC)
    store.register(get_types_from_msg(text, name))
    time = store.types["builtin_interfaces/msg/Time"](*divmod(STAMP, 1_000_000_000))
    if "header" in text:
        extra = {"seq": 1} if encoding == "ros1" else {}
        head = store.types["std_msgs/msg/Header"](stamp=time, frame_id="/cam", **extra)
        fields = {"header": head, **fields}
    else:
        fields = {"timestamp": time, "frame_id": "cam", **fields}
    message = store.types[name](**fields, data=np.frombuffer(KEY, np.uint8))
    if encoding == "cdr":
        definition = store.generate_msgdef(name, ros_version=2)[0].encode() if defined else b""
        return record(bytes(store.serialize_cdr(message, name)), Schema(name, "ros2msg", definition), "cdr")
    schema = Schema(name.replace("/msg/", "/"), "ros1msg", store.generate_msgdef(name)[0].encode())
    return record(bytes(store.serialize_ros1(message, name)), schema, "ros1")


def check(message: Message, codec: str) -> None:
    packet = decode(message)
    assert isinstance(packet, VideoPacket), packet
    assert (packet.codec, packet.frame_id, packet.stamp_ns) == (codec, "cam", STAMP)
    assert bytes(packet.data) == KEY
    assert sensor_kind(message.channel.schema, message.channel.encoding) == "camera"


@pytest.mark.parametrize(("encoding", "defined"), [("cdr", True), ("cdr", False), ("ros1", True)])
def test_a_packet_of_ffmpeg_image_transport(encoding: str, defined: bool) -> None:
    fields = {
        "width": 640,
        "height": 480,
        "encoding": "hevc_nvenc",
        "pts": 7,
        "flags": 1,
        "is_bigendian": False,
    }
    name = "ffmpeg_image_transport_msgs/msg/FFMPEGPacket"
    check(made(encoding, name, FFMPEG, fields, defined), "h265")


@pytest.mark.parametrize("defined", [True, False])
def test_a_video_of_foxglove_in_ros(defined: bool) -> None:
    check(made("cdr", "foxglove_msgs/msg/CompressedVideo", FOXGLOVE, {"format": "h264"}, defined), "h264")
    packet = decode(made("cdr", "foxglove_msgs/msg/CompressedVideo", FOXGLOVE, {"format": "h264"}, defined))
    assert isinstance(packet, VideoPacket)
    assert packet.key
