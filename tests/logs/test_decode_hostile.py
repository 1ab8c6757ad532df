"""Whatever the bytes are: no exception, no endless time, no boundless memory."""

from __future__ import annotations

import random
import time
import tracemalloc
from functools import cache

import numpy as np
import pytest
from foxglove_schemas_protobuf.CompressedImage_pb2 import CompressedImage
from foxglove_schemas_protobuf.SceneUpdate_pb2 import SceneUpdate
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from perception.config import Role
from perception.logs.decoding import decode, sensor_kind
from perception.logs.decoding.checks import MAX_PIXELS, MAX_RETURNS
from perception.logs.decoding.numbers import MAX_VALUES
from perception.types import (
    CameraFrame,
    Channel,
    Decoded,
    Message,
    RangeScan,
    Schema,
    StatusReading,
    Undecodable,
)
from tests.logs import test_decode_foxglove as foxglove
from tests.logs import test_decode_ros as ros
from tests.logs.decode_build import LOG_TIME, protobuf, record, refused
from tests.scripted_scene import scene_messages

ROLES: tuple[Role | None, ...] = (
    None, "camera", "range", "status", "calibration", "transforms", "truth_boxes", "truth_control",
)  # fmt: skip


@cache
def good_messages() -> list[Message]:
    """One valid message of many schemas and all encodings."""
    found = {m.topic: m for m in scene_messages(duration_s=0.1)}
    built = [foxglove.protobuf(foxglove.cloud()), foxglove.as_json(foxglove.cloud())]
    built += [foxglove.as_json(foxglove.LaserScan(ranges=[1.0, 2.0], end_angle=1.0))]
    scene = SceneUpdate()
    scene.entities.add(id="a").cubes.add().size.x = 1.0
    built += [
        protobuf(scene),
        record(b'{"timestamp": {"sec": 5}, "speed": 1.5, "wheels": [1, 2]}', None, "json"),
    ]
    built += [ros.encode(encoding, ros.scan(encoding)) for encoding in ("cdr", "ros1")]
    return [*found.values(), *built]


def check(message: Message) -> list[Decoded]:
    """Decode in every role; what comes out is sound."""
    found = []
    for role in ROLES:
        result = decode(message, role)
        found.append(result)
        assert (result.topic, result.log_time_ns) == (message.topic, message.log_time_ns)
        assert type(result.stamp_ns) is int
        if isinstance(result, Undecodable):
            assert 0 < len(result.reason) < 1000
        elif isinstance(result, StatusReading):
            assert len(result.values) <= MAX_VALUES
        elif isinstance(result, CameraFrame):
            assert 0 < result.width * result.height <= MAX_PIXELS
        elif isinstance(result, RangeScan):
            assert result.points_m.shape[1] == 3
            assert len(result.points_m) <= MAX_RETURNS
            for extra in (result.intensity, result.radial_speed_m_s):
                assert extra is None or len(extra) == len(result.points_m)
    return found


def test_all_of_them_are_good() -> None:
    for message in good_messages():
        assert not all(isinstance(found, Undecodable) for found in check(message))


@settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.binary(max_size=300), which=st.integers(0, 10**6))
def test_random_bytes(data: bytes, which: int) -> None:
    valid = good_messages()[which % len(good_messages())]
    check(Message(valid.channel, LOG_TIME, 5, 0, data))


@settings(max_examples=100, suppress_health_check=[HealthCheck.too_slow])
@given(which=st.integers(0, 10**6), seed=st.integers(0, 10**9), edits=st.integers(1, 6))
@example(which=0, seed=0, edits=1)
def test_damaged_messages(which: int, seed: int, edits: int) -> None:
    """Bits flipped, bytes set to the extremes, pieces cut out, doubled and cut off."""
    valid = good_messages()[which % len(good_messages())]
    rng = random.Random(seed)
    data = bytearray(valid.data)
    for _ in range(edits):
        at = rng.randrange(min(len(data), 400) or 1)  # lengths and headers are at the front
        action = rng.randrange(5)
        if not data:
            break
        if action == 0:
            data[at] ^= 1 << rng.randrange(8)
        elif action == 1:
            data[at : at + 4] = rng.choice(
                [b"\xff\xff\xff\xff", b"\0\0\0\0", b"\xff\xff\xff\x7f", b"\0\0\0\x80"]
            )
        elif action == 2:
            del data[at : at + rng.randrange(1, 9)]
        elif action == 3:
            data[at:at] = data[at : at + rng.randrange(1, 30)]
        else:
            del data[rng.randrange(len(data)) :]
    check(Message(valid.channel, LOG_TIME, 5, 0, bytes(data)))


@settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow])
@given(which=st.integers(0, 10**6), seed=st.integers(0, 10**9))
def test_damaged_schemas(which: int, seed: int) -> None:
    valid = good_messages()[which % len(good_messages())]
    schema = valid.channel.schema
    if schema is None or not schema.data:
        return
    rng = random.Random(seed)
    data = bytearray(schema.data)
    for _ in range(rng.randrange(1, 5)):
        at = rng.randrange(len(data) or 1)
        if rng.random() < 0.7:
            data[at : at + 1] = bytes(
                [rng.choice([0, 1, 10, 32, 47, 91, 93, 127, 128, 255, rng.randrange(256)])]
            )
        else:
            del data[at : at + rng.randrange(1, 20)]
    damaged = Schema(schema.name, schema.encoding, bytes(data))
    sensor_kind(damaged, valid.channel.encoding)
    check(Message(Channel(1, "/t", valid.channel.encoding, damaged), LOG_TIME, 5, 0, valid.data))


@given(
    name=st.sampled_from(
        ["foxglove.LaserScan", "sensor_msgs/msg/Image", "a", "", "x/y/z", "perception.Status"]
    ),
    schema_encoding=st.sampled_from(["protobuf", "ros2msg", "ros1msg", "ros2idl", "jsonschema", ""]),
    encoding=st.sampled_from(["protobuf", "cdr", "ros1", "json", "", "cbor"]),
    text=st.binary(max_size=60),
    data=st.binary(max_size=60),
)
def test_random_schemas(name: str, schema_encoding: str, encoding: str, text: bytes, data: bytes) -> None:
    check(record(data, Schema(name, schema_encoding, text), encoding))


def bounded(
    message: Message, role: Role | None = None, *, seconds: float = 5.0, peak_mb: float = 200.0
) -> Decoded:
    decode(Message(message.channel, 0, 0, 0, b""), role)  # what is prepared once is not measured
    tracemalloc.start()
    begin = time.process_time()
    try:
        found = decode(message, role)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert time.process_time() - begin < seconds
    assert peak < peak_mb * 1e6
    return found


def test_millions_of_empty_boxes_are_refused() -> None:
    schema = protobuf(SceneUpdate()).channel.schema
    assert schema is not None
    found = bounded(record(b"\x12\x00" * 8_000_000, schema, "protobuf"))
    assert isinstance(found, Undecodable)
    assert "are not taken" in found.reason


def test_a_large_number_of_fields_is_flattened_to_the_limit() -> None:
    text = "{" + ",".join(f'"k{i}": {i}' for i in range(200_000)) + "}"
    found = bounded(record(text.encode(), None, "json"))
    assert isinstance(found, StatusReading)
    assert len(found.values) == MAX_VALUES


def test_an_image_of_many_segments_takes_no_time() -> None:
    data = b"\xff\xd8" + b"\xff\xe0\x00\x02" * 4_000_000
    found = bounded(protobuf(CompressedImage(data=data)), seconds=0.5, peak_mb=1.0)
    assert isinstance(found, Undecodable)


def test_json_beyond_all_size_is_refused_unread() -> None:
    found = bounded(record(b"[" * (40 << 20), None, "json"), seconds=0.5, peak_mb=1.0)
    assert isinstance(found, Undecodable)


@pytest.mark.parametrize("stride", [0, 1, 3, 2**32 - 1])
def test_a_cloud_whose_stride_lies(stride: int) -> None:
    message = foxglove.cloud()
    message.point_stride = stride
    assert refused(protobuf(message))


def test_a_cloud_of_more_points_than_bytes() -> None:
    field = ros.kind("cdr", "sensor_msgs/msg/PointField")
    for step, row, width, height in (
        (0, 0, 2**32 - 1, 2**32 - 1),
        (12, 0, 2**31, 1),
        (12, 2**32 - 1, 1, 2**24),
        (12, 0, 0, 0),
    ):
        cloud = ros.make(
            "cdr", "sensor_msgs/msg/PointCloud2", header=ros.header("cdr"), height=height, width=width,
            is_bigendian=False, fields=[field(n, 4 * i, 7, 1) for i, n in enumerate("xyz")], point_step=step,
            row_step=row, data=np.zeros(24, np.uint8), is_dense=True,
        )  # fmt: skip
        found = bounded(ros.encode("cdr", cloud), peak_mb=2.0)
        assert isinstance(found, RangeScan if not width * height else Undecodable)
