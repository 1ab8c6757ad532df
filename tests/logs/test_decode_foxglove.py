"""Foxglove's schemas, in protobuf and in JSON, against messages built with Foxglove's own classes."""

from __future__ import annotations

import base64
import json
import struct
import warnings
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import pytest
from foxglove_schemas_protobuf.CameraCalibration_pb2 import CameraCalibration as PbCalibration
from foxglove_schemas_protobuf.CompressedImage_pb2 import CompressedImage
from foxglove_schemas_protobuf.CompressedVideo_pb2 import CompressedVideo
from foxglove_schemas_protobuf.FrameTransform_pb2 import FrameTransform
from foxglove_schemas_protobuf.FrameTransforms_pb2 import FrameTransforms as PbTransforms
from foxglove_schemas_protobuf.LaserScan_pb2 import LaserScan
from foxglove_schemas_protobuf.PointCloud_pb2 import PointCloud
from foxglove_schemas_protobuf.RawImage_pb2 import RawImage
from foxglove_schemas_protobuf.SceneUpdate_pb2 import SceneUpdate
from google.protobuf.json_format import MessageToDict
from mcap.reader import make_reader

from perception.logs.decoding import decode, sensor_kind
from perception.types import (
    CameraFrame,
    CameraInfo,
    Channel,
    Cuboids,
    FrameTransforms,
    Message,
    RangeScan,
    Schema,
    StatusReading,
    Undecodable,
    VideoPacket,
)
from tests.logs.decode_build import LOG_TIME, PUBLISH_TIME, STAMP, protobuf, record, refused, stamped

JPEG = cv2.imencode(".jpg", np.full((24, 40, 3), 90, np.uint8))[1].tobytes()


def as_json(message: Any) -> Message:
    """The same message as Foxglove's JSON: base64 bytes, {sec, nsec} times, enums as numbers."""
    fields = MessageToDict(message, preserving_proto_field_name=True, use_integers_for_enums=True)
    _replace_times(fields, message)
    schema = Schema(message.DESCRIPTOR.full_name, "jsonschema", b"{}")
    return record(json.dumps(fields).encode(), schema, "json")


def _replace_times(fields: dict[str, Any], message: Any) -> None:
    for descriptor, value in message.ListFields():
        if descriptor.message_type is None:
            continue
        if descriptor.message_type.full_name in ("google.protobuf.Timestamp", "google.protobuf.Duration"):
            fields[descriptor.name] = {"sec": value.seconds, "nsec": value.nanos}
        elif isinstance(fields[descriptor.name], list):
            for item, part in zip(fields[descriptor.name], value, strict=True):
                _replace_times(item, part)
        else:
            _replace_times(fields[descriptor.name], value)


def as_protobuf_json(message: Any) -> Message:
    """The same message as protobuf's own JSON: `frameId`, times as text, enums by name, URL-safe base64."""
    fields = MessageToDict(message)
    if isinstance(fields.get("data"), str):
        fields["data"] = fields["data"].rstrip("=").replace("+", "-").replace("/", "_")
    schema = Schema(message.DESCRIPTOR.full_name, "jsonschema", b"{}")
    return record(json.dumps(fields).encode(), schema, "json")


both = pytest.mark.parametrize(
    "encode", [protobuf, as_json, as_protobuf_json], ids=["protobuf", "json", "protobuf_json"]
)


@both
def test_compressed_image(encode: Any) -> None:
    frame = decode(encode(stamped(CompressedImage(frame_id="cam", data=JPEG, format="png"))))
    assert isinstance(frame, CameraFrame)
    assert (frame.topic, frame.stamp_ns, frame.log_time_ns, frame.frame_id) == ("/t", STAMP, LOG_TIME, "cam")
    assert (frame.format, frame.width, frame.height) == (
        "jpeg",
        40,
        24,
    )  # by its bytes, whatever it is called
    assert bytes(frame.data) == JPEG


def test_pixels_are_not_copied() -> None:
    message = protobuf(stamped(CompressedImage(frame_id="cam", data=JPEG)))
    frame = decode(message)
    assert isinstance(frame, CameraFrame)
    assert isinstance(frame.data, memoryview)
    assert frame.data.obj is message.data
    assert frame.source is message.data


@both
def test_raw_image(encode: Any) -> None:
    pixels = np.arange(5 * 16, dtype=np.uint8).tobytes()
    image = RawImage(frame_id="cam", width=4, height=5, encoding="8UC3", step=16, data=pixels)
    frame = decode(encode(stamped(image)))
    assert isinstance(frame, CameraFrame)
    assert (frame.format, frame.width, frame.height, frame.step) == ("bgr8", 4, 5, 16)
    assert bytes(frame.data) == pixels
    image.height = 6
    assert "4x6 bgr8 with step 16 needs 92 bytes, found 80" in refused(encode(image))


@both
def test_camera_calibration(encode: Any) -> None:
    k = [500.0, 0, 320, 0, 510, 240, 0, 0, 1]
    message = PbCalibration(
        frame_id="cam", width=640, height=480, distortion_model="plumb_bob", D=[0.1, -0.2, 0, 0, 0], K=k
    )
    found = decode(encode(stamped(message)))
    assert isinstance(found, CameraInfo)
    assert (found.stamp_ns, found.frame_id, found.width, found.height) == (STAMP, "cam", 640, 480)
    assert found.distortion_model == "plumb_bob"
    assert found.intrinsics.tolist() == [[500, 0, 320], [0, 510, 240], [0, 0, 1]]
    assert found.distortion.tolist() == [0.1, -0.2, 0, 0, 0]


def test_json_of_a_calibration_may_have_small_letters_and_bytes_line_ends() -> None:
    k = [500.0, 0, 320, 0, 510, 240, 0, 0, 1]
    fields = {"frame_id": "cam", "width": 640, "height": 480, "k": k, "d": [0.1, 0, 0, 0]}
    schema = Schema("foxglove.CameraCalibration", "jsonschema", b"{}")
    found = decode(record(json.dumps(fields).encode(), schema, "json"))
    assert isinstance(found, CameraInfo)
    assert (found.intrinsics[1, 1], found.distortion[0]) == (510, 0.1)
    text = base64.encodebytes(JPEG).decode()
    schema = Schema("foxglove.CompressedImage", "jsonschema", b"{}")
    frame = decode(record(json.dumps({"data": text}).encode(), schema, "json"))
    assert isinstance(frame, CameraFrame)
    assert frame.data == JPEG


@pytest.mark.parametrize("k", [[], [1.0] * 8, [0.0] * 9, [500.0, 0, np.nan, 0, 500, 0, 0, 0, 1]])
def test_an_unusable_calibration_is_refused(k: list[float]) -> None:
    reason = refused(protobuf(PbCalibration(K=k)))
    assert "nine finite numbers" in reason or "uncalibrated" in reason


@both
def test_frame_transforms(encode: Any) -> None:
    message = PbTransforms()
    edge = stamped(message.transforms.add(parent_frame_id="base", child_frame_id="cam"))
    edge.translation.x, edge.translation.z = 1.5, 0.5
    edge.rotation.z = 1.0
    unset = message.transforms.add(parent_frame_id="world", child_frame_id="base")
    unset.translation.y = 2.0
    found = decode(encode(message))
    assert isinstance(found, FrameTransforms)
    assert found.stamp_ns == STAMP
    parent, parent_from_child = found.edges["cam"]
    assert parent == "base"
    np.testing.assert_allclose(
        parent_from_child, [[-1, 0, 0, 1.5], [0, -1, 0, 0], [0, 0, 1, 0.5], [0, 0, 0, 1]]
    )
    np.testing.assert_allclose(
        found.edges["base"][1], [[1, 0, 0, 0], [0, 1, 0, 2], [0, 0, 1, 0], [0, 0, 0, 1]]
    )


@both
def test_one_frame_transform(encode: Any) -> None:
    found = decode(encode(stamped(FrameTransform(parent_frame_id="base", child_frame_id="cam"))))
    assert isinstance(found, FrameTransforms)
    assert found.edges["cam"][0] == "base"


def test_transforms_that_say_nothing_are_refused() -> None:
    assert "says nothing" in refused(protobuf(FrameTransform(parent_frame_id="a", child_frame_id="a")))
    unset = FrameTransform(parent_frame_id="a", child_frame_id="b")
    unset.rotation.SetInParent()
    assert "has the rotation 0, 0, 0, 0" in refused(protobuf(unset))
    loose = FrameTransform(parent_frame_id="a", child_frame_id="b")
    loose.translation.x = float("inf")
    assert "not finite" in refused(protobuf(loose))


@both
def test_laser_scan(encode: Any) -> None:
    message = LaserScan(frame_id="laser", start_angle=-np.pi / 2, end_angle=np.pi / 2, ranges=[1.0, 2.0, 4.0])
    found = decode(encode(stamped(message)))
    assert isinstance(found, RangeScan)
    assert (found.stamp_ns, found.frame_id, found.intensity) == (STAMP, "laser", None)
    assert found.points_m.dtype == np.float32
    np.testing.assert_allclose(found.points_m, [[0, -1, 0], [2, 0, 0], [0, 4, 0]], atol=1e-6)


def test_a_scan_keeps_the_place_of_missing_returns() -> None:
    ranges = [np.inf, 0.0, -1.0, np.nan, 1e300, 5.0]
    found = decode(protobuf(LaserScan(ranges=ranges, intensities=[1, 2, 3, 4, 5, 6])))
    assert isinstance(found, RangeScan)
    assert np.isfinite(found.points_m).all(axis=1).tolist() == [False] * 5 + [True]
    assert found.intensity is not None
    assert found.intensity.tolist() == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize("wrong", [b"\x01\0\0\0\0\0\xf0\x7f", b"\xff" * 8, b"\0\0\0\0\0\0\xf0\xff"])
@pytest.mark.parametrize("field", ["ranges", "intensities"])
def test_damaged_doubles_are_no_returns_and_warn_of_nothing(wrong: bytes, field: str) -> None:
    """A signalling NaN, as wrong bytes make it, is one that numpy warns of where it is cast."""
    message = protobuf(LaserScan(ranges=[1.0, 2.0, 4.0], intensities=[7.0, 8.0, 9.0]))
    at = 2.0 if field == "ranges" else 8.0
    damaged = message.data.replace(struct.pack("<d", at), wrong)
    assert damaged != message.data
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = decode(replace(message, data=damaged))
    assert isinstance(found, RangeScan)
    assert found.intensity is not None
    values = found.points_m[:, 0] if field == "ranges" else found.intensity
    assert np.isfinite(values).tolist() == [True, False, True]


@both
def test_a_scan_with_a_pose_lies_in_its_frame(encode: Any) -> None:
    message = LaserScan(start_angle=0, end_angle=0, ranges=[2.0])
    message.pose.position.x, message.pose.orientation.z = 10.0, 1.0
    found = decode(encode(message))
    assert isinstance(found, RangeScan)
    np.testing.assert_allclose(found.points_m, [[8, 0, 0]], atol=1e-6)
    message.pose.orientation.z = float("nan")
    assert "not finite" in refused(protobuf(message))


def test_a_scan_without_angles_is_refused() -> None:
    assert "not finite" in refused(protobuf(LaserScan(start_angle=float("nan"), ranges=[1.0, 2.0])))


POINTS = np.dtype(
    {"names": ["x", "y", "z", "intensity", "velocity"], "formats": ["<f4", "<f8", "<i2", "u1", "<f4"],
     "offsets": [0, 4, 12, 14, 16], "itemsize": 24}
)  # fmt: skip


def cloud() -> PointCloud:
    table = np.zeros(3, POINTS)
    table["x"], table["y"], table["z"] = [1, 2, 3], [0.5, np.nan, -1], [-2, 7, 0]
    table["intensity"], table["velocity"] = [10, 20, 255], [-1.5, 0, 3]
    message = PointCloud(frame_id="lidar", point_stride=24, data=table.tobytes())
    for name, (_, offset), kind in zip(
        POINTS.names or (), (POINTS.fields or {}).values(), (7, 8, 4, 1, 7), strict=True
    ):
        message.fields.add(name=name, offset=offset, type=kind)
    return stamped(message)


@both
def test_the_velocities_of_a_radar_give_the_speed_away_from_it(encode: Any) -> None:
    """Read the radial speeds of a cloud with velocities along x and y alone, as nuScenes writes them."""
    table = np.array([[3, 4, 0, -5, 0], [0, 2, 0, 7, 1], [0, 0, 0, 1, 1]], np.float32)
    message = PointCloud(frame_id="radar_front", point_stride=20, data=table.tobytes())
    for index, name in enumerate(("x", "y", "z", "vx", "vy")):
        message.fields.add(name=name, offset=4 * index, type=7)
    found = decode(encode(stamped(message)))
    assert isinstance(found, RangeScan)
    np.testing.assert_allclose(found.radial_speed_m_s, [-3, 1, np.nan])  # type: ignore[arg-type]


@both
def test_point_cloud_of_mixed_types(encode: Any) -> None:
    found = decode(encode(cloud()))
    assert isinstance(found, RangeScan)
    np.testing.assert_array_equal(
        found.points_m, np.array([[1, 0.5, -2], [2, np.nan, 7], [3, -1, 0]], np.float32)
    )
    assert found.intensity is not None
    assert found.radial_speed_m_s is not None
    assert found.intensity.tolist() == [10, 20, 255]
    assert found.radial_speed_m_s.tolist() == [-1.5, 0, 3]


@both
def test_points_that_were_not_set_stay_none_where_the_cloud_has_a_pose(encode: Any) -> None:
    message = cloud()
    message.data = np.zeros(1, POINTS).tobytes() + message.data
    message.pose.position.z, message.pose.orientation.w = 1.5, 1.0
    found = decode(encode(message))
    assert isinstance(found, RangeScan)
    nan = np.nan
    np.testing.assert_array_equal(found.points_m[:2], np.array([[nan] * 3, [1, 0.5, -0.5]], np.float32))
    assert found.intensity is not None
    assert found.intensity.tolist() == [0, 10, 20, 255]


def test_point_cloud_faults() -> None:
    message = cloud()
    del message.fields[2]
    assert "needs the fields x, y, z; found ['intensity', 'velocity', 'x', 'y']" in refused(protobuf(message))
    message = cloud()
    message.fields[0].offset = 21
    assert "lies outside a point of 24 bytes" in refused(protobuf(message))
    message = cloud()
    message.data += b"\0"
    assert "no whole number of points" in refused(protobuf(message))
    message.point_stride = 0
    assert "no whole number of points" in refused(protobuf(message))


def test_an_empty_cloud_has_no_points() -> None:
    message = cloud()
    message.data = b""
    found = decode(protobuf(message))
    assert isinstance(found, RangeScan)
    assert found.points_m.shape == (0, 3)


@both
def test_scene_update(encode: Any) -> None:
    message = SceneUpdate()
    entity = stamped(message.entities.add(id="car-7", frame_id="base"))
    entity.metadata.add(key="Class", value="Car")
    cube = entity.cubes.add()
    cube.pose.position.x, cube.pose.orientation.w = 4.0, 1.0
    cube.size.x, cube.size.y, cube.size.z = 4.5, 1.8, 1.5
    plain = message.entities.add(id="tree", frame_id="world")
    for _ in range(2):
        plain.cubes.add().size.x = 1.0
    message.entities.add(id="only text")
    found = decode(encode(message))
    assert isinstance(found, Cuboids)
    assert found.stamp_ns == STAMP
    assert [(c.label, c.track_id, c.frame_id) for c in found.items] == [
        ("Car", "car-7", "base"),
        ("tree", "tree/0", "world"),
        ("tree", "tree/1", "world"),
    ]
    assert found.items[0].size_m == (4.5, 1.8, 1.5)
    assert found.items[0].frame_from_box[:3, 3].tolist() == [4, 0, 0]
    assert found.change is not None
    assert [(e.id, e.stamp_ns) for e in found.change.entities] == [
        ("car-7", STAMP),
        ("tree", STAMP),
        ("only text", STAMP),
    ]
    cube.size.y = -1
    found = decode(encode(message))
    assert isinstance(found, Cuboids)
    assert [c.track_id for c in found.items] == ["tree/0", "tree/1"]
    assert (found.ignored, "size that is none" in found.ignored_reason) == (1, True)


def test_a_message_without_a_stamp_has_its_publish_time() -> None:
    assert decode(protobuf(CompressedImage(data=JPEG))).stamp_ns == PUBLISH_TIME
    unpublished = protobuf(CompressedImage(data=JPEG))
    message = Message(unpublished.channel, LOG_TIME, 0, 0, unpublished.data)
    assert decode(message).stamp_ns == LOG_TIME


@pytest.mark.parametrize("seconds", [-1, 2**62, -(2**62)])
def test_a_stamp_that_is_no_time_counts_as_none(seconds: int) -> None:
    image = CompressedImage(data=JPEG)
    image.timestamp.seconds = seconds
    assert decode(protobuf(image)).stamp_ns == PUBLISH_TIME


def test_a_message_of_video_is_a_packet_of_its_codec() -> None:
    message = protobuf(stamped(CompressedVideo(frame_id="/cam", format="h265", data=b"\0\0\0\1\x26")))
    packet = decode(message)
    assert isinstance(packet, VideoPacket)
    assert (packet.codec, packet.frame_id, packet.stamp_ns) == ("h265", "cam", STAMP)
    assert (bytes(packet.data), packet.size, packet.reorder) == (b"\0\0\0\1\x26", (0, 0), 0)
    assert sensor_kind(message.channel.schema, "protobuf") == "camera"
    image = decode(protobuf(CompressedImage(data=b"\0\0\0\1\x67", format="h264;yuv420p")))
    assert isinstance(image, VideoPacket)
    assert image.codec == "h264"


def test_video_of_an_unknown_codec_is_refused() -> None:
    message = protobuf(stamped(CompressedVideo(frame_id="cam", format="theora", data=b"\0")))
    assert "video is decoded as h264, h265, av1, vp9; found 'theora'" in refused(message)
    image = protobuf(CompressedImage(data=b"\0\0\0\1\x67", format=""))
    assert "a video stream whose format names no codec" in refused(image)


def test_a_role_that_does_not_fit_says_what_was_found() -> None:
    message = protobuf(LaserScan(ranges=[1.0]))
    assert (
        refused(message, "camera")
        == "expected a message to use as camera, found foxglove.LaserScan (protobuf)"
    )


def test_any_message_can_be_read_as_status() -> None:
    message = protobuf(stamped(LaserScan(start_angle=-1.0, ranges=[1.0, 2.0])))
    found = decode(message, "status")
    assert isinstance(found, StatusReading)
    assert found.stamp_ns == STAMP
    assert found.values["start_angle"] == -1.0
    assert found.values["ranges.1"] == 2.0


def test_fields_that_an_older_schema_lacks_are_empty() -> None:
    """A writer with its own, smaller definition of the schema."""
    from google.protobuf import descriptor_pb2

    file = descriptor_pb2.FileDescriptorProto(name="old.proto", package="foxglove", syntax="proto3")
    old = file.message_type.add(name="CompressedImage")
    old.field.add(name="data", number=9, type=12, label=1)
    schema = Schema(
        "foxglove.CompressedImage",
        "protobuf",
        descriptor_pb2.FileDescriptorSet(file=[file]).SerializeToString(),
    )
    frame = decode(record(b"\x4a" + _length(JPEG) + JPEG, schema, "protobuf"))
    assert isinstance(frame, CameraFrame)
    assert (frame.frame_id, frame.width, frame.stamp_ns) == ("", 40, PUBLISH_TIME)


def _length(data: bytes) -> bytes:
    return bytes([len(data) & 0x7F | 0x80, len(data) >> 7])


def test_descriptors_that_do_not_fit_are_named() -> None:
    for data in (b"\xff\xff", b"garbage"):
        schema = Schema("foxglove.LaserScan", "protobuf", data)
        assert "LaserScan" in refused(record(b"", schema, "protobuf"))


def test_every_sensor_kind() -> None:
    kinds = {
        CompressedImage: "camera",
        RawImage: "camera",
        PbCalibration: "calibration",
        PbTransforms: "transforms",
        LaserScan: "range",
        PointCloud: "range",
        SceneUpdate: "truth_boxes",
    }
    for message, kind in kinds.items():
        for built, encoding in ((protobuf(message()), "protobuf"), (as_json(message()), "json")):
            assert sensor_kind(built.channel.schema, encoding) == kind
    assert sensor_kind(None, "json") == "status"
    assert sensor_kind(Schema("VehicleState", "jsonschema", b"{}"), "json") == "status"
    assert sensor_kind(None, "protobuf") is None
    assert sensor_kind(Schema("x", "flatbuffer", b"x"), "flatbuffer") is None


@pytest.mark.shared
def test_a_recorded_street(shared: Any) -> None:
    """PandaSet through Foxglove's schemas: every message is understood, and the parts fit each other."""
    kinds: dict[str, set[type]] = {}
    channels: dict[int, Channel] = {}
    with (shared / "pandaset_002_front.mcap").open("rb") as stream:
        for schema, channel, record in make_reader(stream).iter_messages():
            assert schema is not None
            if channel.id not in channels:
                ours = Schema(schema.name, schema.encoding, schema.data)
                channels[channel.id] = Channel(channel.id, channel.topic, channel.message_encoding, ours)
            message = Message(channels[channel.id], record.log_time, record.publish_time, 0, record.data)
            found = decode(message)
            assert not isinstance(found, Undecodable), found.reason
            kinds.setdefault(channel.topic, set()).add(type(found))
            if isinstance(found, RangeScan):
                assert found.points_m.shape == (24000, 3)
            elif isinstance(found, CameraFrame):
                assert (found.format, found.width, found.height) == ("jpeg", 1920, 1080)
            elif isinstance(found, Cuboids):
                assert {"Car", "Pedestrian"} & {item.label for item in found.items}
    assert kinds == {
        "/camera/image": {CameraFrame},
        "/camera/calibration": {CameraInfo},
        "/tf": {FrameTransforms},
        "/lidar/points": {RangeScan},
        "/annotations/cuboids": {Cuboids},
        "/vehicle/state": {StatusReading},
        "/vehicle/control": {StatusReading},
    }


def test_json_that_is_not_the_schema_is_refused() -> None:
    schema = Schema("foxglove.CompressedImage", "jsonschema", b"{}")
    for fields, reason in (
        ({"data": "not base64!"}, "not base64"),
        ({"data": 5}, "expected a text as 'data', found a number"),
        (
            {"data": base64.b64encode(JPEG).decode(), "frame_id": [1]},
            "expected a text as 'frame_id', found a list",
        ),
        ([], "expected a JSON object, found a list"),
    ):
        assert reason in refused(record(json.dumps(fields).encode(), schema, "json"))


def test_a_camera_that_lies_behind_another_has_its_p() -> None:
    """P[2, 3] of KITTI's colour camera is 3 mm."""
    p = [721.5, 0, 609.5, 44.8, 0, 721.5, 172.8, 0.2, 0, 0, 1, 0.003]
    k = [960, 0, 696, 0, 957, 224, 0, 0, 1]
    found = decode(protobuf(stamped(PbCalibration(frame_id="camera", width=1242, height=375, K=k, P=p))))
    assert isinstance(found, CameraInfo)
    assert found.projection is not None
    assert found.projection.ravel().tolist() == p
