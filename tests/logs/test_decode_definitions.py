"""Definitions of ROS and protobuf messages as recorders write them, and as attackers do."""

from __future__ import annotations

import textwrap
from typing import Any

import numpy as np
import pytest
from google.protobuf import descriptor_pb2
from hypothesis import given
from hypothesis import strategies as st
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from perception.logs import decode, sensor_kind
from perception.logs.decoding.protobuf import message_class
from perception.types import Channel, Decoded, Message, RangeScan, Schema, StatusReading, Undecodable
from tests.forked_python import ForkedPython

RULE = "=" * 80
ROS2 = get_typestore(Stores.ROS2_HUMBLE)
SPEED = b"\0\1\0\0" + np.float32(7.5).tobytes()


def read(
    definition: bytes, data: bytes, name: str = "veh_msgs/msg/State", encoding: str = "ros2msg"
) -> Decoded:
    wire = "ros1" if encoding == "ros1msg" else "cdr"
    return decode(Message(Channel(1, "/t", wire, Schema(name, encoding, definition)), 1, 1, 0, data))


def values(found: Decoded) -> dict[str, float]:
    assert isinstance(found, StatusReading), found
    return dict(found.values)


IDL = """\
// generated from rosidl_adapter/resource/msg.idl.em
// with input from veh_msgs/msg/State.msg

#include "geometry_msgs/msg/Vector3.idl"

module veh_msgs {
  module msg {
    typedef double double__3[3];
    module State_Constants {
      const string NAME = "a = b; // c";
    };
    @verbatim (language="comment", text=
      "Speed (m/s) and more, at 20 \xb0" "\\n"
      "second (line)")
    struct State {
      @verbatim (language="comment", text="the speed")
      @unit (value="m/s")
      float speed; /* over
      lines */
      @default (value=3)
      double__3 covariance;
      geometry_msgs::msg::Vector3 linear;
    };
  };
};
"""
VECTOR_IDL = """\
module geometry_msgs { module msg {
  struct Vector3 { double x; double y; double z; };
}; };
"""
IDL_DATA = b"\0\1\0\0" + np.float32(7.5).tobytes() + bytes(4) + np.arange(6.0).tobytes()


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("heads", [True, False])
def test_idl_as_rosbag2_writes_it(end: str, heads: bool) -> None:
    parts = [IDL, VECTOR_IDL]
    if heads:
        names = ("veh_msgs/msg/State", "geometry_msgs/msg/Vector3")
        parts = [f"{RULE}\nIDL: {name}\n{part}" for name, part in zip(names, parts, strict=True)]
    definition = "\n".join(parts).replace("\n", end).encode()
    found = values(read(definition, IDL_DATA, encoding="ros2idl"))
    assert found == {
        "speed": 7.5,
        **{f"covariance.{i}": i for i in range(3)},
        **{f"linear.{axis}": 3 + i for i, axis in enumerate("xyz")},
    }


def test_idl_whose_parts_come_from_the_standard() -> None:
    assert values(read(IDL.encode(), IDL_DATA, encoding="ros2idl"))["linear.z"] == 5


@pytest.mark.parametrize("name", ["@optional", "@optional "])
def test_an_optional_field_is_refused_as_it_changes_the_bytes(name: str) -> None:
    definition = f'module a {{ struct B {{ @verbatim (text="@optional") long a; {name} double b; }}; }};'
    found = read(definition.encode(), bytes(20), encoding="ros2idl", name="a/B")
    assert isinstance(found, Undecodable)
    assert "optional fields (@optional) are not read" in found.reason


MSG = """\
# the state of a car, \xe4\xf6\xfc
uint8 eStop=1   # a constant in no usual case
float32 pi = 3.14
string TEXT=a # b = c
   float32   speed   # km/h = 3.6 m/s

@optional
uint8 mode 3
string<=10 name "x = y"
Part[<=2] parts
"""
PART = "int16 a\nint16[2] b\n"


@pytest.mark.parametrize("end", ["\n", "\r\n", " \n", "\t\r\n"])
@pytest.mark.parametrize("rule", [RULE, "=" * 40, RULE + "=="])
@pytest.mark.parametrize("code", ["utf-8", "utf-8-sig", "latin-1"])
def test_msg_with_all_that_recorders_leave_in_it(end: str, rule: str, code: str) -> None:
    definition = f"{MSG}{rule}\nMSG: veh_msgs/Part\n{PART}".replace("\n", end).encode(code)
    data = SPEED + b"\3\0\0\0" + np.uint32(1).tobytes() + b"\0\0\0\0" + np.uint32(1).tobytes()
    data += np.array([1, 2, 3], np.int16).tobytes()
    assert values(read(definition, data)) == {
        "speed": 7.5,
        "mode": 3,
        "parts.0.a": 1,
        "parts.0.b.0": 2,
        "parts.0.b.1": 3,
    }


def test_a_definition_may_begin_with_its_own_name() -> None:
    assert values(read(f"{RULE}\nMSG: veh_msgs/State\nfloat32 speed\n".encode(), SPEED)) == {"speed": 7.5}


@given(st.text("=#@ \t\r\nabAB[]<>0129_/\"'(){};", max_size=200))
def test_any_text_is_a_definition_or_refused(text: str) -> None:
    for encoding in ("ros2msg", "ros2idl", "ros1msg"):
        found = read(text.encode(), SPEED, encoding=encoding)
        assert isinstance(found, (StatusReading, Undecodable))


def test_an_array_of_astronomical_size_is_refused_at_once() -> None:
    text = "module m { module msg { const uint32 A = 1 << 99999999999; struct S { float x[A]; }; }; };"
    found = read(text.encode(), SPEED, "m/msg/S", "ros2idl")
    assert isinstance(found, Undecodable)
    assert "shifts by more than 63 bits" in found.reason


@pytest.mark.parametrize("encoding", ["", "ros2msg", "ros2idl"])
@pytest.mark.parametrize("definition", [b"", b"  \n"])
def test_standard_types_of_ros_2_are_read_without_a_definition(encoding: str, definition: bytes) -> None:
    scan = ROS2.types["sensor_msgs/msg/LaserScan"]
    head = ROS2.types["std_msgs/msg/Header"](ROS2.types["builtin_interfaces/msg/Time"](5, 0), "laser")
    three = np.array([1, 2, 3], np.float32)
    message = scan(head, 0.0, 1.0, 0.5, 0.0, 0.0, 0.1, 30.0, three, three)
    data = bytes(ROS2.serialize_cdr(message, message.__msgtype__))
    schema = Schema("sensor_msgs/msg/LaserScan", encoding, definition)
    assert sensor_kind(schema, "cdr") == "range"
    found = read(definition, data, schema.name, encoding)
    assert isinstance(found, RangeScan)
    assert (found.frame_id, len(found.points_m), found.stamp_ns) == ("laser", 3, 5_000_000_000)


@pytest.mark.parametrize("name", ["geometry_msgs/Twist", "geometry_msgs/msg/Twist"])
def test_standard_types_of_ros_1_are_read_without_a_definition(name: str) -> None:
    found = read(b"", np.arange(6.0).tobytes(), name, "ros1msg")
    assert values(found)["angular.z"] == 5
    assert sensor_kind(Schema("tf2_msgs/TFMessage", "ros1msg", b""), "ros1") == "transforms"


def test_an_empty_definition_of_another_type_is_named_as_that() -> None:
    found = read(b"", SPEED)
    assert isinstance(found, Undecodable)
    assert "the definition of 'veh_msgs/msg/State' is empty in the file" in found.reason
    assert "record with the package of the message installed" in found.reason
    assert sensor_kind(Schema("veh_msgs/msg/State", "ros2msg", b""), "cdr") is None


@pytest.mark.parametrize("body", [b"", b"\0", b"\0\0\0\0"])
def test_a_message_without_fields_has_an_empty_definition_by_right(body: bytes) -> None:
    assert values(read(b"", b"\0\1\0\0" + body, "test_msgs/msg/Empty")) == {}
    assert values(read(b"\n", b"", "test_msgs/Empty", "ros1msg")) == {}


def test_schemas_of_foxglove_are_read_without_descriptors() -> None:
    schema = Schema("foxglove.LaserScan", "protobuf", b"")
    assert sensor_kind(schema, "protobuf") == "range"
    scan = message_class(schema)(ranges=[1.0, 2.0], frame_id="laser")
    message = Message(Channel(1, "/t", "protobuf", schema), 1, 1, 0, scan.SerializeToString())
    assert isinstance(decode(message), RangeScan)
    found = decode(Message(Channel(1, "/t", "protobuf", Schema("veh.State", "protobuf", b"")), 1, 1, 0, b""))
    assert isinstance(found, Undecodable)
    assert "is empty in the file" in found.reason


# --- sizes ---------------------------------------------------------------------------------------

LISTS = {
    "Texts": "string[] items",
    "Parts": "Part[] items",
    "Nested": "Parts[3] items",
    "Blob": "uint8[] data\nstring[] items",
}


def lists_definition(name: str) -> bytes:
    rest = "".join(f"{RULE}\nMSG: v/{other}\n{text}\n" for other, text in LISTS.items() if other != name)
    return f"{LISTS[name]}\n{rest}{RULE}\nMSG: v/Part\nuint8 a\n".encode()


@pytest.mark.parametrize("name", LISTS)
@pytest.mark.parametrize("encoding", ["ros2msg", "ros1msg"])
def test_a_payload_that_unfolds_to_millions_of_objects_is_refused_before_it_is_parsed(
    name: str, encoding: str
) -> None:
    count = 20_000_000
    data = np.uint32(count).tobytes() + bytes(count)
    if name == "Blob":
        data = np.uint32(4).tobytes() + bytes(4) + data
    found = read(
        lists_definition(name), b"\0\1\0\0" + data if encoding == "ros2msg" else data, f"v/{name}", encoding
    )
    assert isinstance(found, Undecodable)
    assert "more than 1048576 fields in lists" in found.reason


@pytest.mark.parametrize("encoding", ["cdr", "ros1"])
@pytest.mark.parametrize("big_endian", [False, True])
def test_the_walk_over_a_payload_ends_where_the_parser_does(encoding: str, big_endian: bool) -> None:
    """A large message with every kind of field is read: astray, the walk would meet nonsense for a count."""
    if encoding == "ros1" and big_endian:
        pytest.skip("ROS 1 is little-endian")
    store = get_typestore(Stores.EMPTY)
    fields = "uint8 a;float64 b;string c;uint16[] d;float64[] e;uint8[3] f;v/P[] g;string[] h;v/P[2] i;"
    text = (fields + "uint8[] j;int64 k;v/P[] l;").replace(";", "\n")
    part = "uint8 a\nfloat64[] b\nstring c\nint32 d\n"
    store.register({**get_types_from_msg(text, "v/msg/M"), **get_types_from_msg(part, "v/msg/P")})
    P: Any = store.types["v/msg/P"]
    parts = [P(i, np.arange(float(i % 3)), "x" * (i % 5), -i) for i in range(9)]
    message = store.types["v/msg/M"](
        1, 2.0, "abc", np.arange(5, dtype=np.uint16), np.arange(3.0), np.zeros(3, np.uint8), parts,
        ["", "a", "abcd"], parts[:2], np.zeros(2 << 20, np.uint8), 77, parts * 5_000,
    )  # fmt: skip
    definition = f"{text}{RULE}\nMSG: v/P\n{part}".encode()
    if encoding == "cdr":
        data = bytes(store.serialize_cdr(message, "v/msg/M", little_endian=not big_endian))
    else:
        data = bytes(store.serialize_ros1(message, "v/msg/M"))
    found = read(definition, data, "v/msg/M", "ros2msg" if encoding == "cdr" else "ros1msg")
    assert isinstance(found, StatusReading), found
    assert found.values["k"] == 77
    assert found.values["l.44999.d"] == -8


# --- descriptors ---------------------------------------------------------------------------------

HOSTILE = """
    import sys
    from google.protobuf import descriptor_pb2
    from perception.logs import decode
    from perception.types import Channel, Message, Schema

    kind, count = sys.argv[1], int(sys.argv[2])
    field = descriptor_pb2.FieldDescriptorProto
    files = descriptor_pb2.FileDescriptorSet()
    for i in range(count):
        file = files.file.add(name=f"f{i}", package="a")
        message = file.message_type.add(name=f"M{i}")
        following = (i + 1) % count if kind == "cycle" else i + 1
        if following < count:
            file.dependency.append(f"f{following}")
            name = f".a.M{following}"
            message.field.add(name="x", number=1, type=field.TYPE_MESSAGE, label=1, type_name=name)
    if kind == "types":
        everything = descriptor_pb2.FileDescriptorSet()
        one = everything.file.add(name="f", package="a")
        for file in files.file:
            one.message_type.extend(file.message_type)
        files = everything
    schema = Schema("a.M0", "protobuf", files.SerializeToString())
    print(decode(Message(Channel(1, "/t", "protobuf", schema), 1, 1, 0, b""), "status").reason)
"""


@pytest.mark.parametrize(
    ("kind", "count", "reason"),
    [
        ("cycle", 1, "imports itself"),
        ("cycle", 3, "imports itself"),
        ("cycle", 2000, "imports itself"),
        ("chain", 20_000, "20000 files"),
        ("chain", 2000, "maximum recursion"),
        ("types", 20_000, "maximum recursion"),
    ],
)
def test_descriptors_without_end_are_refused_without_recursion_in_c(
    kind: str, count: int, reason: str, forked_python: ForkedPython
) -> None:
    done = forked_python.run(kind, str(count), program=textwrap.dedent(HOSTILE))
    assert done.returncode == 0, done.stderr[-500:]
    assert reason in done.stdout


def test_files_are_added_after_those_they_import_whatever_their_order() -> None:
    files = descriptor_pb2.FileDescriptorSet()
    for i in (3, 0, 2, 1):
        file = files.file.add(name=f"f{i}", package="a")
        message = file.message_type.add(name=f"M{i}")
        if i < 3:
            file.dependency.append(f"f{i + 1}")
            kind = descriptor_pb2.FieldDescriptorProto.TYPE_MESSAGE
            message.field.add(name="x", number=1, type=kind, label=1, type_name=f".a.M{i + 1}")
        else:
            kind = descriptor_pb2.FieldDescriptorProto.TYPE_DOUBLE
            message.field.add(name="v", number=1, type=kind, label=1)
    broken = files.file.add(name="broken", package="a")
    broken.dependency.append("missing")
    schema = Schema("a.M0", "protobuf", files.SerializeToString())
    payload = b"\x0a\x0d\x0a\x0b\x0a\x09\x09" + np.float64(7.5).tobytes()
    found = decode(Message(Channel(1, "/t", "protobuf", schema), 1, 1, 0, payload), "status")
    assert values(found) == {"x.x.x.v": 7.5}
