"""Status out of any message: numbers by dotted path, and the stamp that the message itself carries."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from hypothesis import given
from hypothesis import strategies as st

from perception.logs import perception_proto as proto
from perception.logs.decoding import decode, sensor_kind
from perception.logs.decoding.numbers import MAX_VALUES, flatten
from perception.types import (
    Control,
    ControlChannel,
    Detections,
    Schema,
    StatusReading,
    Tick,
    TruthBox,
    TruthBoxes,
)
from tests.logs.decode_build import LOG_TIME, PUBLISH_TIME, STAMP, record, refused

TICK = Tick(0, "reference", STAMP, LOG_TIME)


def status(fields: Any) -> StatusReading:
    found = decode(record(json.dumps(fields).encode(), None, "json"))
    assert isinstance(found, StatusReading)
    return found


def test_json_by_dotted_path() -> None:
    found = status(
        {
            "speed": 1.5,
            "gear": 3,
            "brake": True,
            "name": "x",
            "none": None,
            "twist": {"linear": {"x": 2}},
            "wheels": [1, 2.5, {"rpm": 7}],
            "cells": list(range(17)),
            "huge": 10**400,
        }
    )
    assert dict(found.values) == {
        "speed": 1.5, "gear": 3.0, "brake": 1.0, "twist.linear.x": 2.0,
        "wheels.0": 1.0, "wheels.1": 2.5, "wheels.2.rpm": 7.0,
    }  # fmt: skip
    assert all(type(value) is float for value in found.values.values())
    assert (found.topic, found.log_time_ns) == ("/t", LOG_TIME)


def test_nan_is_kept() -> None:
    found = decode(record(b'{"speed": NaN, "far": Infinity}', None, "json"))
    assert isinstance(found, StatusReading)
    assert math.isnan(found.values["speed"])
    assert found.values["far"] == math.inf


def test_at_most_256_values_are_taken() -> None:
    found = status({f"k{i}": {f"v{j}": j for j in range(20)} for i in range(50)})
    assert len(found.values) == MAX_VALUES
    assert list(found.values)[:2] == ["k0.v0", "k0.v1"]


@pytest.mark.parametrize(
    ("fields", "stamp_ns"),
    [
        ({"timestamp": {"sec": 1_700_000_000, "nsec": 250_000_001}}, STAMP),
        ({"stamp": {"secs": 1_700_000_000, "nsecs": 250_000_001}}, STAMP),
        ({"header": {"stamp": {"sec": 1_700_000_000, "nanosec": 250_000_001}}}, STAMP),
        ({"timestamp": {"seconds": 1_700_000_000, "nanos": 250_000_001}}, STAMP),
        ({"timestamp": STAMP}, STAMP),
        ({"stamp_ns": 77}, 77),
        ({"timestamp": 1_700_000_000.25}, 1_700_000_000_250_000_000),
        ({"timestamp": 12.5}, PUBLISH_TIME),  # seconds since when?
        ({"timestamp": 1_700_000_000_250}, PUBLISH_TIME),  # milliseconds? not guessed
        ({"timestamp": {"sec": 0, "nsec": 0}}, PUBLISH_TIME),
        ({"timestamp": {"sec": -5, "nsec": 0}}, PUBLISH_TIME),
        ({"timestamp": {"sec": "now"}}, PUBLISH_TIME),
        ({"timestamp": True, "header": [1]}, PUBLISH_TIME),
        ({"when": STAMP}, PUBLISH_TIME),
        ({"time": STAMP}, STAMP),
    ],
)
def test_the_stamp_of_a_json_status(fields: dict[str, Any], stamp_ns: int) -> None:
    assert status({"speed": 1.0, **fields}).stamp_ns == stamp_ns


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"\xff\xfe\x00", "not JSON"),
        (b"3", "expected a JSON object, found a number"),
        (b"null", "expected a JSON object, found null"),
        (b'{"a":' * 100_000, "RecursionError"),
        (b'{"a": [' + b"[]," * 3_000_000 + b"[]]}", "more than 2097152 values"),
        (b'{"a": ' + b"9" * 5000 + b"}", "not JSON"),
    ],
)
def test_json_that_is_none_is_refused(data: bytes, reason: str) -> None:
    assert reason in refused(record(data, None, "json"))


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=4),
)


@given(values)
def test_flattening_takes_every_number_once(value: Any) -> None:
    found = flatten({"root": value})

    def count(item: Any) -> int:
        if isinstance(item, dict):
            return sum(count(child) for child in item.values())
        if isinstance(item, list):
            return sum(count(child) for child in item)
        return int(isinstance(item, (bool, int, float)))

    assert len(found) <= count(value)
    assert all(type(number) is float and path.startswith("root") for path, number in found.items())


def test_our_status_is_read_by_channel_name() -> None:
    data = proto.encode_status(STAMP, [("speed", "m/s", 3.5), ("yaw_rate", "rad/s", -0.1)])
    message = record(data, proto.SCHEMAS["perception.Status"], "protobuf")
    found = decode(message)
    assert isinstance(found, StatusReading)
    assert (found.stamp_ns, dict(found.values)) == (STAMP, {"speed": 3.5, "yaw_rate": -0.1})
    assert sensor_kind(message.channel.schema, "protobuf") == "status"


def test_our_control_is_truth_where_it_is_valid() -> None:
    channels = (
        ControlChannel("curvature", "1/m", 0.02, 0.0),
        ControlChannel("acceleration", "m/s2", -1.0, 0.1),
    )
    schema = proto.SCHEMAS["perception.Control"]
    found = decode(
        record(proto.encode_control(TICK, Control(True, channels=channels)), schema, "protobuf"),
        "truth_control",
    )
    assert isinstance(found, StatusReading)
    assert dict(found.values) == {"curvature": 0.02, "acceleration": -1.0}
    invalid = decode(
        record(proto.encode_control(TICK, Control(False, channels=channels)), schema, "protobuf")
    )
    assert isinstance(invalid, StatusReading)
    assert all(math.isnan(value) for value in invalid.values.values())
    assert sensor_kind(schema, "protobuf") == "truth_control"


def test_our_detections_are_truth_boxes() -> None:
    box = TruthBox("vehicle", (1.0, 2.0, 30.0, 40.0), 12.5, 0.75, "7")
    schema = proto.SCHEMAS["perception.Detections"]
    for role in (None, "truth_boxes"):
        found = decode(record(proto.encode_truth(STAMP, "camera", [box]), schema, "protobuf"), role)  # type: ignore[arg-type]
        assert isinstance(found, TruthBoxes)
        assert (found.stamp_ns, found.items) == (STAMP, (box,))
    failed = proto.encode_detections(TICK, Detections(False, error="plugin raised"), "camera")
    assert "not valid: plugin raised" in refused(record(failed, schema, "protobuf"))


def test_the_account_of_a_run_is_no_input() -> None:
    assert sensor_kind(proto.SCHEMAS["perception.Inputs"], "protobuf") is None


def vehicle_type() -> tuple[Any, Schema]:
    """A protobuf schema that nobody has heard of."""
    file = descriptor_pb2.FileDescriptorProto(name="car.proto", package="acme", syntax="proto3")
    wheel = file.message_type.add(name="Wheel")
    wheel.field.add(name="rpm", number=1, type=2, label=1)
    enum = file.enum_type.add(name="Gear")
    enum.value.add(name="P", number=0)
    enum.value.add(name="D", number=3)
    stamp = file.message_type.add(name="Stamp")
    stamp.field.add(name="sec", number=1, type=5, label=1)
    stamp.field.add(name="nanosec", number=2, type=13, label=1)
    header = file.message_type.add(name="Header")
    header.field.add(name="stamp", number=1, type=11, type_name=".acme.Stamp", label=1)
    car = file.message_type.add(name="Car")
    car.field.add(name="header", number=1, type=11, type_name=".acme.Header", label=1)
    car.field.add(name="speed", number=2, type=1, label=1)
    car.field.add(name="gear", number=3, type=14, type_name=".acme.Gear", label=1)
    car.field.add(name="wheels", number=4, type=11, type_name=".acme.Wheel", label=3)
    car.field.add(name="spare", number=5, type=11, type_name=".acme.Wheel", label=1)
    car.field.add(name="ticks", number=6, type=5, label=3)
    car.field.add(name="name", number=7, type=9, label=1)
    car.field.add(name="blob", number=8, type=12, label=1)
    car.field.add(name="brake", number=9, type=8, label=1)
    data = descriptor_pb2.FileDescriptorSet(file=[file])
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    made = message_factory.GetMessageClass(pool.FindMessageTypeByName("acme.Car"))
    return made, Schema("acme.Car", "protobuf", data.SerializeToString())


def test_any_protobuf_by_dotted_path() -> None:
    made, schema = vehicle_type()
    car = made(gear=3, ticks=[5, 6], name="x", blob=b"12345", brake=True)
    car.header.stamp.sec, car.header.stamp.nanosec = 1_700_000_000, 250_000_001
    car.wheels.add(rpm=10.5)
    car.wheels.add()
    found = decode(record(car.SerializeToString(), schema, "protobuf"))
    assert isinstance(found, StatusReading)
    assert found.stamp_ns == STAMP
    assert dict(found.values) == {
        "header.stamp.sec": 1_700_000_000,
        "header.stamp.nanosec": 250_000_001,
        "speed": 0.0,  # zero is a value, though protobuf does not write it
        "gear": 3.0,
        "wheels.0.rpm": 10.5,
        "wheels.1.rpm": 0.0,
        "ticks.0": 5.0,
        "ticks.1": 6.0,
        "brake": 1.0,
    }
    assert sensor_kind(schema, "protobuf") == "status"
    assert "expected a message to use as range, found acme.Car" in refused(
        record(b"", schema, "protobuf"), "range"
    )


@pytest.mark.parametrize(
    ("schema", "encoding"), [(None, ""), (None, "cdr"), (Schema("a/B", "x", b"y"), "thrift")]
)
def test_an_unknown_encoding_is_named(schema: Schema | None, encoding: str) -> None:
    assert f"found {encoding!r}" in refused(record(b"abc", schema, encoding))
    assert sensor_kind(schema, encoding) is None
