"""Arrays of dora become messages of a log, decoded as those are; outputs keep every digit."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np
import pytest

pa = pytest.importorskip("pyarrow", reason="needs the extra `dora`")

from perception.config import parse_config  # noqa: E402
from perception.errors import ConfigError  # noqa: E402
from perception.logs import decode  # noqa: E402
from perception.types import (  # noqa: E402
    CameraFrame,
    Control,
    ControlChannel,
    Detection,
    Detections,
    Message,
    RangeScan,
    StatusReading,
    Undecodable,
)
from perception_plugins.hosts.dora_messages import DoraInputs, NumberedEvents  # noqa: E402
from perception_plugins.hosts.dora_outputs import boxes_array, channels_array  # noqa: E402

CONFIG = parse_config(
    {
        "version": 1,
        "reference": "front",
        "reference_rate_hz": 10,
        "sensors": {
            "front": {"kind": "camera", "topic": "/front/image", "transforms": ["/tf"]},
            "lidar": {"kind": "range", "topic": "/lidar/points"},
            "odom": {"kind": "status", "topic": "/odom", "fields": {"speed": "speed"}},
        },
    }
)
STAMP = 1_700_000_000_000_000_000


def decoded(name: str, value: Any, **metadata: Any) -> Any:
    inputs = DoraInputs(CONFIG)
    message = inputs.message({"id": name, "value": value, "metadata": {"stamp_ns": STAMP, **metadata}})
    raw = Message(message.channel, STAMP + 5, message.publish_ns or STAMP, 0, message.data)
    return decode(raw, CONFIG.roles()[message.channel.topic])


def test_a_picture_is_taken_as_dora_nodes_send_it() -> None:
    pixels = np.arange(4 * 6 * 3, dtype=np.uint8)
    for name in ("front", "front_image"):
        frame = decoded(name, pa.array(pixels), encoding="bgr8", width=6, height=4, frame_id="cam")
        assert isinstance(frame, CameraFrame)
        assert (frame.format, frame.width, frame.height, frame.step) == ("bgr8", 6, 4, 18)
        assert (frame.stamp_ns, frame.frame_id) == (STAMP, "cam")
        assert bytes(frame.data) == pixels.tobytes()


def test_points_and_planar_scans() -> None:
    cloud = decoded("lidar", pa.array(np.array([1, 2, 3, 4, 5, 6], np.float64)))
    assert isinstance(cloud, RangeScan)
    np.testing.assert_array_equal(cloud.points_m, [[1, 2, 3], [4, 5, 6]])
    scan = decoded("lidar", pa.array([2.0, 2.0], pa.float32()), angle_min=0.0, angle_increment=np.pi / 2)
    np.testing.assert_allclose(scan.points_m, [[2, 0, 0], [0, 2, 0]], atol=1e-6)


@pytest.mark.parametrize(
    ("value", "metadata"),
    [
        (pa.array([{"speed": 2.5}]), {}),
        (pa.array(['{"speed": 2.5}']), {}),
        (pa.array([2.5]), {"names": ["speed"]}),
    ],
)
def test_a_status_is_a_struct_a_text_or_named_numbers(value: Any, metadata: dict[str, Any]) -> None:
    reading = decoded("odom", value, **metadata)
    assert isinstance(reading, StatusReading)
    assert reading.values["speed"] == 2.5


def test_the_bytes_of_a_message_stay_as_they_are() -> None:
    data = b'{"speed": 1.5}'
    schema = {"schema": "Speed", "schema_encoding": "jsonschema", "message_encoding": "json"}
    schema["schema_data"] = base64.b64encode(b"{}").decode()
    inputs = DoraInputs(CONFIG)
    array = pa.array(np.frombuffer(b"xx" + data, np.uint8))[2:]  # a slice, as dora may give one
    events = [{"id": "odom", "value": array, "metadata": {**schema, "seq": seq}} for seq in (0, 1, 4)]
    messages = [inputs.message(event) for event in events]
    assert [message.data for message in messages] == [data] * 3
    assert [message.lost for message in messages] == [0, 0, 2]
    assert messages[0].channel is messages[1].channel
    assert (messages[0].channel.encoding, messages[0].channel.schema.data) == ("json", b"{}")  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("name", "value", "metadata", "reason"),
    [
        ("front", pa.array([1], pa.uint8()), {"encoding": "rgb8"}, "no 'width'"),
        (
            "front",
            pa.array([1], pa.uint8()),
            {"encoding": "yuv9", "width": 1, "height": 1},
            "expected one of jpeg",
        ),
        ("lidar", pa.array([1.0, 2.0]), {}, "expected points"),
        ("odom", pa.array([1.0]), {}, "no 'names'"),
        ("tf", pa.array([1.0]), {}, "expected the metadata `schema`"),
    ],
)
def test_an_array_that_cannot_be_used_is_undecodable_with_the_reason(
    name: str, value: Any, metadata: dict[str, Any], reason: str
) -> None:
    wrong = decoded(name, value, **metadata)
    assert isinstance(wrong, Undecodable)
    assert reason in wrong.reason


def test_inputs_that_no_sensor_has_are_named() -> None:
    inputs = DoraInputs(CONFIG)
    assert "did you mean front?" in inputs.unknown(["frnt", "odom"])[0]
    assert inputs.missing(["front", "odom"]) == ["/lidar/points", "/tf"]


def test_two_topics_that_are_one_input_are_refused() -> None:
    data = CONFIG.model_dump()
    data["sensors"]["odom"]["topic"] = "/front_image"
    data["sensors"] = {name: data["sensors"][name] for name in ("front", "lidar", "odom")}
    with pytest.raises(ConfigError, match="are one input of dora: front_image"):
        DoraInputs(parse_config(data))


def test_outputs_keep_every_digit_and_say_what_is_unknown() -> None:
    known = Detection("car", 0.1 + 0.2, (1.0, 2.0, 1 / 3, 4.0), (0.1,) * 4, 1 / 7, 0.25, 0.5, "t1")
    unknown = Detection("person", 0.3, (0.0, 0.0, 1.0, 1.0))
    (row,) = boxes_array(Detections(True, ("front",), items=(known, unknown))).to_pylist()
    assert row["bbox"] == [*known.xyxy, *unknown.xyxy]
    assert row["conf"] == [0.1 + 0.2, 0.3]
    assert row["distance_m"] == [1 / 7, None]
    assert row["box_std"] == [[0.1] * 4, None]
    assert boxes_array(Detections(True)).to_pylist()[0]["bbox"] == []
    control = Control(True, channels=(ControlChannel("curvature", "1/m", 1 / 3, None),))
    assert channels_array(control).to_pylist() == [
        {"name": "curvature", "unit": "1/m", "value": 1 / 3, "std": None}
    ]


def numbers(order: NumberedEvents, *sent: tuple[int, int]) -> list[int]:
    """Return the numbers in the order taken, for numbers that arrive with the oldest that is sent again."""
    events = ({"metadata": {"number": number, "oldest": oldest}} for number, oldest in sent)
    return [taken["metadata"]["number"] for event in events for taken in order.take(event)]


def test_numbered_messages_are_taken_once_and_in_order_from_the_first() -> None:
    order = NumberedEvents()
    assert numbers(order, (2, 0), (1, 0)) == []  # the first was overtaken, or is lost
    assert numbers(order, (0, 0), (1, 0), (4, 1), (3, 3)) == [0, 1, 2, 3, 4]
    assert numbers(order, (3, 3), (4, 3)) == []


def test_a_node_that_is_started_again_begins_at_what_was_not_acknowledged() -> None:
    order = NumberedEvents()
    assert numbers(order, (9, 5)) == []  # sent before the node before acknowledged 5 and 6
    assert numbers(order, (7, 7), (8, 7), (9, 7)) == [7, 8, 9]


def test_messages_without_a_number_are_taken_as_they_come() -> None:
    order, event = NumberedEvents(), {"metadata": {}}
    assert list(order.take(event)) == [event]
    assert order.next is None
