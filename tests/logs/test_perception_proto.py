"""Our own messages: the descriptors match the .proto, bytes are stable, and everything comes back."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path

import pytest
from google.protobuf import descriptor_pb2
from hypothesis import given
from hypothesis import strategies as st
from mcap.reader import make_reader
from mcap_protobuf.decoder import DecoderFactory

from perception.logs import perception_proto as proto
from perception.logs.mcap.writer import LogWriter
from perception.types import (
    Absent,
    Control,
    ControlChannel,
    Detection,
    Detections,
    Input,
    Rig,
    Sample,
    Tick,
    TruthBox,
)

ROOM = Path(proto.__file__).parent
TICK = Tick(3, "reference", 1_700_000_000_123_456_789, 1_700_000_000_223_456_789)

text = st.text(st.characters(exclude_categories=("Cs",)), max_size=12)
number = st.floats(allow_nan=False)
four = st.tuples(number, number, number, number)
detection = st.builds(
    Detection,
    label=text,
    score=number,
    xyxy=four,
    box_std=four,
    distance_m=number,
    distance_std_m=number,
    visible=number,
    track_id=text,
)
stamps = st.integers(0, 2**63 - 1)


def test_the_packed_descriptors_are_those_of_the_proto_file(tmp_path: Path) -> None:
    pytest.importorskip("grpc_tools", reason="grpcio-tools (group dev) holds the compiler")
    made = tmp_path / "made.binpb"
    command = [
        "-m",
        "grpc_tools.protoc",
        "-I",
        str(ROOM),
        "--include_imports",
        f"--descriptor_set_out={made}",
    ]
    subprocess.run([sys.executable, *command, str(ROOM / "perception.proto")], check=True, timeout=60)
    rebuilt = descriptor_pb2.FileDescriptorSet.FromString(made.read_bytes())
    packed = descriptor_pb2.FileDescriptorSet.FromString(proto.DESCRIPTORS)
    assert [f.name for f in rebuilt.file] == [f.name for f in packed.file]
    assert rebuilt.file[-1] == packed.file[-1], "run protoc again: perception.proto has changed"


def test_a_schema_carries_its_imports() -> None:
    names = {
        f.name
        for f in descriptor_pb2.FileDescriptorSet.FromString(proto.SCHEMAS["perception.Status"].data).file
    }
    assert names == {"google/protobuf/timestamp.proto", "perception.proto"}


@given(
    stamp=stamps,
    frame=text,
    items=st.lists(detection, max_size=4),
    based=st.lists(text, max_size=3),
    error=text,
)
def test_detections_come_back(
    stamp: int, frame: str, items: list[Detection], based: list[str], error: str
) -> None:
    sent = Detections(True, tuple(based), error, tuple(items))
    data = proto.encode_detections(Tick(0, "reference", stamp, 0), sent, frame)
    assert proto.decode_detections(data) == (stamp, frame, sent)
    assert proto.encode_detections(Tick(9, "substitute", stamp, 5), sent, frame) == data


@given(stamp=stamps, channels=st.lists(st.builds(ControlChannel, text, text, number, number), max_size=3))
def test_control_comes_back(stamp: int, channels: list[ControlChannel]) -> None:
    sent = Control(False, ("range",), "all sensors absent", tuple(channels))
    assert proto.decode_control(proto.encode_control(Tick(0, "reference", stamp, 0), sent)) == (stamp, sent)


@given(stamp=stamps, rows=st.lists(st.tuples(text, text, number), max_size=4))
def test_status_comes_back(stamp: int, rows: list[tuple[str, str, float]]) -> None:
    assert proto.decode_status(proto.encode_status(stamp, rows)) == (stamp, tuple(rows))


@given(stamp=stamps, boxes=st.lists(st.builds(TruthBox, text, four, number, number, text), max_size=4))
def test_truth_comes_back(stamp: int, boxes: list[TruthBox]) -> None:
    data = proto.encode_truth(stamp, "camera", boxes)
    assert proto.decode_truth(data) == (stamp, "camera", tuple(boxes))
    assert all(d.score == 1.0 for d in proto.decode_detections(data)[2].items)


def test_inputs_say_what_was_there_and_why_not() -> None:
    status = Input("status", "/state", object(), stamp_ns=TICK.stamp_ns - 4_000_000, age_ms=4.0)
    camera: Input[None] = Input("camera", "/image", None, absence=Absent("silent", "silent"))
    scan: Input[None] = Input(
        "range", "/scan", None, stamp_ns=5, age_ms=912.5, absence=Absent("stale", "too old")
    )
    stamp_ns, kind, states = proto.decode_inputs(
        proto.encode_inputs(Sample(TICK, camera, scan, status, Rig()))
    )  # type: ignore[arg-type]
    assert (stamp_ns, kind) == (TICK.stamp_ns, "reference")
    assert states == (
        proto.InputState("camera", "/image", 0, 0.0, False, "silent"),
        proto.InputState("range", "/scan", 5, 912.5, False, "too old"),
        proto.InputState("status", "/state", TICK.stamp_ns - 4_000_000, 4.0, True, ""),
    )


def test_nan_survives() -> None:
    [(_, _, value)] = proto.decode_status(proto.encode_status(1, [("speed", "m/s", float("nan"))]))[1]
    assert value != value


def test_bytes_of_something_else_are_refused() -> None:
    with pytest.raises(ValueError, match=r"not a perception\.Control"):
        proto.decode_control(b"\x0a\xff\xff")


def test_a_foreign_reader_understands_the_file(tmp_path: Path) -> None:
    """mcap-protobuf-support builds its classes from the schema in the file alone."""
    path = tmp_path / "own.mcap"
    with LogWriter(path) as log:
        data = proto.encode_status(TICK.stamp_ns, [("speed", "m/s", 12.5)])
        log.write(
            "/state",
            data,
            schema=proto.SCHEMAS["perception.Status"],
            encoding="protobuf",
            log_time_ns=7,
        )
    with path.open("rb") as stream:
        [(_, _, message, decoded)] = make_reader(
            stream, decoder_factories=[DecoderFactory()]
        ).iter_decoded_messages()
    assert message.log_time == 7
    assert decoded.timestamp.seconds == 1_700_000_000
    assert [(c.name, c.value) for c in decoded.channels] == [("speed", 12.5)]


def test_an_ignore_region_comes_back_as_one() -> None:
    boxes = (
        TruthBox("", (1.0, 2.0, 3.0, 4.0), math.nan, 1.0, "", ignore=True),
        TruthBox("person", (1.0, 2.0, 3.0, 4.0), 5.0, 1.0, "7"),
    )
    found = proto.decode_truth(proto.encode_truth(1, "camera", boxes))[2]
    assert [(box.label, box.ignore) for box in found] == [("", True), ("person", False)]
    assert not proto.decode_truth(proto.encode_truth(1, "camera", boxes[1:]))[2][0].ignore


def test_truth_that_is_not_valid_is_refused_with_its_reason() -> None:
    sent = proto.encode_detections(TICK, Detections(False, error="camera dirty"), "camera")
    with pytest.raises(ValueError, match="not valid: camera dirty"):
        proto.decode_truth(sent)
