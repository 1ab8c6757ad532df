"""The audit reports defects and the heads they make unreliable, and nothing for a sound log."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from tempfile import NamedTemporaryFile, TemporaryDirectory

import numpy as np
import pytest
from foxglove_schemas_protobuf.CameraCalibration_pb2 import CameraCalibration
from foxglove_schemas_protobuf.CompressedImage_pb2 import CompressedImage
from foxglove_schemas_protobuf.FrameTransforms_pb2 import FrameTransforms
from foxglove_schemas_protobuf.LaserScan_pb2 import LaserScan
from foxglove_schemas_protobuf.RawImage_pb2 import RawImage
from foxglove_schemas_protobuf.SceneUpdate_pb2 import SceneUpdate
from hypothesis import given, settings
from hypothesis import strategies as st

from perception.align.ledger import Ledger
from perception.autoconfig import complete_config
from perception.config import Config, StampConfig, parse_config
from perception.diagnosis.audit import Audit, Delay, Finding, TopicTimes, audit, survey_times
from perception.diagnosis.audit.log_contents import ScanContents
from perception.errors import PerceptionError
from perception.logs import open_log
from perception.logs.perception_proto import SCHEMAS, encode_truth
from perception.pipeline.log_source import LogSource
from perception.types import DepthImage, Schema, TruthBox
from tests.scripted_scene import write_scene
from tests.small_logs import START_NS, SmallLog, foxglove_schema

HEADS = ("class and box", "distance", "control")


def log_schema(name: str) -> Schema:
    """Return the schema of a Foxglove message."""
    return foxglove_schema({"LaserScan": LaserScan, "SceneUpdate": SceneUpdate}[name])


def planar(stamp_ns: int, first: float, last: float, ranges: list[float]) -> bytes:
    message = LaserScan(frame_id="laser", start_angle=first, end_angle=last, ranges=ranges)
    message.timestamp.FromNanoseconds(stamp_ns)
    message.pose.orientation.w = 1.0
    return bytes(message.SerializeToString())


def unstamped(topic: str, data: bytes) -> bytes:
    """Return a message without its stamp."""
    if topic == "/vehicle/state":
        values = json.loads(data)
        del values["timestamp_ns"]
        return json.dumps(values).encode()
    kinds = {"/camera/image": CompressedImage, "/scan": LaserScan}
    if topic not in kinds:
        return data
    message = kinds[topic].FromString(data)
    message.ClearField("timestamp")
    return bytes(message.SerializeToString())


def cuboid_log(frame: str) -> SmallLog:
    """Return a log with truth as cuboids of a frame."""

    def make(i: int, stamp: int) -> bytes:
        message = SceneUpdate()
        entity = message.entities.add(frame_id=frame, id="1")
        entity.timestamp.FromNanoseconds(stamp)
        cube = entity.cubes.add()
        cube.pose.orientation.w = 1.0
        cube.pose.position.z = 5.0
        cube.size.x = cube.size.y = cube.size.z = 1.0
        return bytes(message.SerializeToString())

    log = SmallLog().image().calibration().transforms()
    return log.stream("/annotations", log_schema("SceneUpdate"), "protobuf", make)


def audit_of(log: SmallLog, folder: Path, config: Config | None = None) -> Audit:
    with open_log(log.write(folder / "small.mcap")) as opened:
        return audit(opened, config or complete_config(opened).config)


def by_message_stamps(log: SmallLog, folder: Path) -> Config:
    """Return the choice for a log, with the scanner's own stamps whatever its clock is."""
    with open_log(log.write(folder / "small.mcap")) as opened:
        config = complete_config(opened).config
    scanner = config.sensors.ranges["range"].model_copy(update={"stamp": StampConfig(source="message")})
    return config.model_copy(update={"sensors": config.sensors.replaced({"range": scanner})})


def codes(found: Audit, severity: str = "") -> list[str]:
    return [finding.code for finding in found.findings if severity in ("", finding.severity)]


def the(found: Audit, code: str) -> Finding:
    (finding,) = [finding for finding in found.findings if finding.code == code]
    return finding


def unreliable(found: Audit) -> set[str]:
    return {head for head, because in found.verdicts().items() if because}


def test_a_sound_log_has_no_findings_but_its_truth(tmp_path: Path) -> None:
    found = audit_of(SmallLog().sound(), tmp_path)
    assert codes(found) == ["truth", "truth"]
    assert unreliable(found) == set()
    assert not found.lossy
    assert set(found.verdicts()) == set(HEADS)


def test_a_scripted_scene_is_sound(tmp_path: Path) -> None:
    with open_log(write_scene(tmp_path / "scene.mcap", duration_s=2.0, image_size=(128, 64))) as log:
        found = audit(log, complete_config(log).config)
    assert [f for f in found.findings if f.severity != "note"] == []
    assert found.delays["/camera/image"].median_ms == pytest.approx(44, abs=3)
    assert found.delays["/scan"].median_ms == pytest.approx(13.5, abs=1)
    assert found.times["/vehicle/state"].count == 200


def test_missing_sensors_name_the_heads_that_rest_on_them(tmp_path: Path) -> None:
    found = audit_of(SmallLog().image().calibration(), tmp_path)
    assert codes(found, "warning") == ["no_sensor", "no_sensor"]
    assert unreliable(found) == {"distance", "control"}
    found = audit_of(SmallLog().status(), tmp_path)
    assert unreliable(found) == {"class and box", "distance"}


def test_heads_and_sensors_are_those_of_the_plugin(tmp_path: Path) -> None:
    """A detector takes no status and gives no control: a log without a status lacks nothing for it."""
    sensors = {"camera": {"topic": "/camera/image"}}
    config = parse_config({"plugin": {"name": "detector"}, "sensors": sensors})
    found = audit_of(SmallLog().image().calibration(), tmp_path, config)
    assert [finding.text for finding in found.findings if finding.code == "no_sensor"] == [
        "there is no range: distances are guessed from the picture alone"
    ]
    assert list(found.verdicts()) == ["class and box", "distance"]


def test_a_configured_topic_without_messages_is_an_error(tmp_path: Path) -> None:
    config = parse_config({"sensors": {"camera": {"topic": "/camera/image"}, "range": {"topic": "/none"}}})
    found = audit_of(SmallLog().sound(), tmp_path, config)
    assert the(found, "no_messages").topic == "/none"
    assert the(found, "no_messages").severity == "error"


def test_stamps_that_go_back_are_found(tmp_path: Path) -> None:
    log = SmallLog().image().scan()
    log.scan(seconds=0.1, start_s=0.25, delay_s=1.0)  # one scan arrives much later than those after it
    finding = the(audit_of(log, tmp_path), "stamps_back")
    assert "go back 1 time, by up to" in finding.text
    assert finding.heads == ("distance",)


def test_a_clock_that_steps_back_by_less_than_a_second_says_what_it_costs(tmp_path: Path) -> None:
    log = SmallLog().image(seconds=2).image(seconds=2, start_s=1.45, delay_s=0.55).scan(seconds=4)
    assert "; 5 messages until the stamps have caught up are late, and not used" in (
        the(audit_of(log, tmp_path), "stamps_back").text
    )
    with open_log(log.write(tmp_path / "log.mcap")) as opened:
        ledger = Ledger()
        list(LogSource(opened, complete_config(opened).config, ledger).samples())
    assert ledger.rows()["/camera/image"]["late"] == 5


def test_a_clock_that_jumps_back_says_that_replay_starts_anew(tmp_path: Path) -> None:
    log = SmallLog().image(seconds=2).image(seconds=2, start_s=0.01, delay_s=2.0)
    finding = the(audit_of(log, tmp_path), "stamps_back")
    assert "1 of them by more than 1 s, where replay starts anew" in finding.text


def test_stamps_that_jump_ahead_without_the_arrival_are_found(tmp_path: Path) -> None:
    log = SmallLog().image().status(hz=10, seconds=1).status(hz=10, seconds=1, start_s=61, delay_s=-60)
    found = audit_of(log, tmp_path)
    assert "jump ahead 1 time, by up to 60.1 s" in the(found, "stamps_jump").text


@pytest.mark.parametrize(("step_ns", "code"), [(1_000_000_000, "unstamped"), (200_000_000, "stamps_still")])
def test_stamps_that_are_too_coarse_are_found(tmp_path: Path, step_ns: int, code: str) -> None:
    log = SmallLog().image().calibration().transforms().status(hz=10.0)

    def coarse(i: int, stamp: int) -> bytes:
        message = LaserScan(frame_id="laser", start_angle=-1, end_angle=1, ranges=[5.0 + 0.01 * i] * 8)
        message.timestamp.FromNanoseconds(stamp // step_ns * step_ns)
        return message.SerializeToString()

    log.stream("/scan", log_schema("LaserScan"), "protobuf", coarse)
    finding = the(audit_of(log, tmp_path), code)
    assert finding.topic == "/scan"
    assert finding.heads == (("distance",) if code == "unstamped" else ())


def test_stamps_of_another_clock_are_found(tmp_path: Path) -> None:
    log = SmallLog().image().scan(delay_s=1e5)
    found = audit_of(log, tmp_path, by_message_stamps(log, tmp_path))
    assert "20 stamps on /scan are hours away" in the(found, "stamps_foreign").text
    assert unreliable(found) >= {"distance"}


def test_one_bad_stamp_of_the_reference_says_nothing_of_other_sensors(tmp_path: Path) -> None:
    log = SmallLog().image(seconds=1).image(seconds=0.1, start_s=1e6, delay_s=1.0 - 1e6)
    log.image(seconds=0.9, start_s=1.1).scan().status(hz=20.0)
    found = audit_of(log, tmp_path)
    foreign = [finding for finding in found.findings if finding.code == "stamps_foreign"]
    assert [finding.topic for finding in foreign] == ["/camera/image"]
    assert foreign[0].text.startswith("1 stamp on")


@pytest.mark.parametrize(
    ("delay_s", "severity"), [(0.04, ""), (0.055, "note"), (0.3, "warning"), (-0.3, "warning")]
)
def test_a_clock_offset_weighs_by_what_it_breaks(tmp_path: Path, delay_s: float, severity: str) -> None:
    found = audit_of(SmallLog().image(delay_s=0.0).scan(delay_s=delay_s), tmp_path)
    offsets = [finding for finding in found.findings if finding.code == "clock_offset"]
    assert [finding.severity for finding in offsets] == ([severity] if severity else [])
    assert found.delays["/scan"].median_ms == pytest.approx(1000 * delay_s, abs=1e-3)
    if severity:
        assert (
            f"{abs(1000 * delay_s):.0f} ms {'further from' if delay_s > 0 else 'closer to'} their arrival"
            in offsets[0].text
        )


@pytest.mark.parametrize("standing_s", [1.5, 4.0])
def test_a_recorder_that_stood_still_says_nothing_of_the_clocks(tmp_path: Path, standing_s: float) -> None:
    """It writes what it received meanwhile topic by topic, in a burst."""
    log = SmallLog().image(seconds=20).scan(seconds=20).status(seconds=20)
    period = round(standing_s * 1e9)
    rows = [((row[0] - START_NS) // period, row[1], row) for row in log.rows]
    log.rows = [
        (START_NS + (turn + 1) * period + 20_000 * index, *row[1:])
        for index, (turn, _, row) in enumerate(sorted(rows, key=lambda row: row[:2]))
    ]
    found = audit_of(log, tmp_path)
    assert "clock_offset" not in {finding.code for finding in found.findings}
    assert "silent" in {finding.code for finding in found.findings}


def test_a_slow_camera_is_no_clock_that_differs(tmp_path: Path) -> None:
    log = SmallLog().image(delay_s=0.25).calibration().transforms().scan(delay_s=0.02)
    finding = the(audit_of(log, tmp_path), "clock_offset")
    assert (finding.topic, finding.severity) == ("/scan", "unjudged")
    assert "230 ms closer to their arrival" in finding.text
    assert "nothing for a tick" not in finding.text


def test_a_wait_that_reaches_a_late_sensor_leaves_it_nothing_to_miss(tmp_path: Path) -> None:
    log = SmallLog().image().calibration().transforms().scan(delay_s=0.25).status(hz=50.0)
    found = audit_of(log, tmp_path)
    assert "nothing for a tick" not in the(found, "clock_offset").text
    config = parse_config(
        {"sensors": {"camera": {"topic": "/camera/image"}, "range": {"topic": "/scan"}}, "wait_ms": 0}
    )
    assert (
        "beyond 60 ms it often has nothing for a tick"
        in the(audit_of(log, tmp_path, config), "clock_offset").text
    )


def test_dropouts_are_counted(tmp_path: Path) -> None:
    log = SmallLog().image(seconds=10).scan(seconds=10, drop=(20, 21, 22, 50, 70))
    finding = the(audit_of(log, tmp_path), "dropouts")
    assert "leaves out about 5 messages in 3 gaps (5.0%)" in finding.text
    assert finding.severity == "warning"
    assert the(audit_of(SmallLog().image(seconds=10, drop=(4,)), tmp_path), "dropouts").severity == "note"


def test_silence_is_named_with_its_place(tmp_path: Path) -> None:
    log = SmallLog().image(seconds=10).scan(seconds=10, drop=range(30, 60))
    finding = the(audit_of(log, tmp_path), "silent")
    assert finding.text == "/scan is silent 1 time for more than 1 s, 3.1 s from 2.9 s on"


def test_a_late_start_and_an_early_end_are_found(tmp_path: Path) -> None:
    found = audit_of(SmallLog().image(seconds=10).scan(start_s=3, seconds=4), tmp_path)
    texts = [finding.text for finding in found.findings if finding.code == "short"]
    assert texts == ["/scan starts 3.0 s after /camera/image", "/scan ends 3.0 s before /camera/image"]


def test_duplicates_are_a_note(tmp_path: Path) -> None:
    found = audit_of(SmallLog().image().image(seconds=0.3, delay_s=0.001), tmp_path)
    assert "3 messages on /camera/image came before" in the(found, "duplicates").text
    assert the(found, "duplicates").severity == "note"


def test_a_recorder_that_doubles_every_message_doubles_no_rate(tmp_path: Path) -> None:
    log = SmallLog().image(seconds=4).image(seconds=4, delay_s=0.002).status(hz=50, seconds=4)
    with open_log(log.write(tmp_path / "doubled.mcap")) as opened:
        config = complete_config(opened).config
        found = audit(opened, config)
    assert config.reference_rate_hz == pytest.approx(10)
    assert found.times["/camera/image"].period_s() == pytest.approx(0.1)
    assert "40 messages on /camera/image came before" in the(found, "duplicates").text
    assert "dropouts" not in codes(found)


def test_what_cannot_be_decoded_is_loss_with_its_first_reason(tmp_path: Path) -> None:
    log = SmallLog().image().scan()
    log.rows = [
        (t, topic, b"\xff" if topic == "/scan" and i % 2 else data, *rest)
        for i, (t, topic, data, *rest) in enumerate(log.rows)
    ]
    found = audit_of(log, tmp_path)
    finding = the(found, "undecodable")
    assert "10 of 20 messages on /scan cannot be decoded: " in finding.text
    assert len(finding.text) > 60  # the reason is there
    assert found.lossy
    assert "distance" in unreliable(found)


def test_scans_without_a_return_are_found(tmp_path: Path) -> None:
    log = (
        SmallLog()
        .image()
        .scan(ranges=lambda i: [float("inf")] * 8 if i < 5 else [100.0] * 8 if i < 7 else [5.0])
    )
    found = audit_of(log, tmp_path)
    texts = [finding.text for finding in found.findings if finding.code == "blind_scans"]
    assert texts == [
        "5 of 20 scans on /scan are without a single finite return: the input is absent there",
        "2 of 20 scans on /scan are with every return beyond max_range_m (30 m): the input is absent there",
    ]


def rigged(log: SmallLog, frame: str = "laser") -> SmallLog:
    """Add a scan of a frame at the camera, and a status."""
    return log.scan(frame=frame).transforms(edges=(("base", "camera"), ("base", frame))).status(hz=50.0)


def test_a_calibration_of_another_shape_is_taken_as_stretched(tmp_path: Path) -> None:
    found = audit_of(rigged(SmallLog().image(delay_s=0.03).calibration(size=(128, 100))), tmp_path)
    finding = the(found, "stretched_image")
    assert "placed in the image with reserve: the images are 64x48" in finding.text
    assert finding.severity == "note"


def test_a_rotated_picture_has_no_ranges(tmp_path: Path) -> None:
    found = audit_of(rigged(SmallLog().image(delay_s=0.03).calibration(size=(48, 64))), tmp_path)
    assert "ranges on /scan cannot be placed in the image: " in the(found, "rotated_image").text
    assert "distance" in unreliable(found)


@pytest.mark.parametrize("size", [(128, 96), (32, 24), (100, 75), (21, 16)])
def test_a_scaled_picture_is_no_defect(tmp_path: Path, size: tuple[int, int]) -> None:
    found = audit_of(rigged(SmallLog().image(delay_s=0.03).calibration(size=size)), tmp_path)
    assert codes(found) == []


def test_the_camera_info_of_another_camera_is_found(tmp_path: Path) -> None:
    log = SmallLog().image(frame="colour", delay_s=0.03).calibration(frame="depth").scan()
    log.transforms(edges=(("base", "depth"), ("base", "laser")))
    camera = {"topic": "/camera/image", "calibration": "/camera/calibration", "transforms": ["/tf"]}
    sensors = {"camera": camera, "range": {"topic": "/scan"}}
    found = audit_of(log, tmp_path, parse_config({"reference_rate_hz": 10, "sensors": sensors}))
    assert "of the frame 'colour', the camera info /camera/calibration is of 'depth'" in (
        the(found, "other_camera").text
    )
    assert "distance" in unreliable(found)


def test_a_lens_that_is_not_known_is_found(tmp_path: Path) -> None:
    log = SmallLog().image(delay_s=0.03)

    def info(i: int, stamp: int) -> bytes:
        message = CameraCalibration(frame_id="camera", width=64, height=48, distortion_model="cubic")
        message.K.extend([50, 0, 32, 0, 50, 24, 0, 0, 1])
        message.D.extend([0.1, 0.2])
        message.timestamp.FromNanoseconds(stamp)
        return bytes(message.SerializeToString())

    log.stream("/camera/calibration", foxglove_schema(CameraCalibration), "protobuf", info, hz=1.0)
    found = audit_of(rigged(log), tmp_path)
    assert "cannot be placed in the image" in the(found, "unknown_lens").text
    assert "cubic" in the(found, "unknown_lens").text
    assert "distance" in unreliable(found)


@given(clock_s=st.floats(-1e9, 3e8), speed=st.sampled_from([0.2, 0.9, 1.0, 1.3, 7.0]))
@settings(max_examples=10, deadline=None)
def test_sensors_on_one_clock_are_sound_whatever_the_recorder_shows(clock_s: float, speed: float) -> None:
    with TemporaryDirectory() as folder:
        log = SmallLog().image(delay_s=0.03, seconds=1.0).scan(delay_s=0.02, seconds=1.0)
        log.status(hz=50, delay_s=0.001, seconds=1.0).calibration().transforms()
        recorder_ns = START_NS + round(clock_s * 1e9)
        log.rows = [(recorder_ns + round((arrival - START_NS) / speed), *rest) for arrival, *rest in log.rows]
        found = audit_of(log, Path(folder))
    assert unreliable(found) == set()
    others = set(codes(found)) - {"clock_epoch", "truth"}
    assert others <= {"clock_offset"}
    assert {finding.severity for finding in found.findings} <= {"note"}


def test_one_sensor_alone_on_another_clock_is_not_judged(tmp_path: Path) -> None:
    found = audit_of(SmallLog().scan(delay_s=-1.95), tmp_path)
    assert "1950 ms in the future" in the(found, "clock_epoch").text
    assert [finding.code for finding in found.unjudged()["distance"]] == ["clock_epoch"]
    among = audit_of(SmallLog().image(delay_s=0.01).scan(delay_s=-1.95), tmp_path)
    assert the(among, "clock_offset").severity == "warning"


def test_scans_in_one_direction_are_found(tmp_path: Path) -> None:
    log = SmallLog().image()
    log.stream(
        "/scan", log_schema("LaserScan"), "protobuf", lambda i, s: planar(s, 0.5, 0.5, [4.0, 5.0, 6.0])
    )
    found = audit_of(log, tmp_path)
    assert "all returns of 20 of 20 scans on /scan lie in one direction" in the(found, "one_direction").text
    assert "distance" in unreliable(found)


@pytest.mark.parametrize(("last", "ranges"), [(0.5, [4.0]), (0.5004, [4.0, 5.0, 6.0])])
def test_a_single_beam_and_a_narrow_scan_have_directions_enough(
    tmp_path: Path, last: float, ranges: list[float]
) -> None:
    log = SmallLog().image()
    log.stream("/scan", log_schema("LaserScan"), "protobuf", lambda i, s: planar(s, 0.5, last, ranges))
    assert "one_direction" not in codes(audit_of(log, tmp_path))


def test_a_camera_frame_that_is_not_an_optical_one_is_found(tmp_path: Path) -> None:
    log = SmallLog().image(frame="camera_link", delay_s=0.03).calibration(frame="camera_link").scan()
    log.transforms(edges=(("base", "camera_link"), ("base", "laser"))).status(hz=50.0)
    finding = the(audit_of(log, tmp_path), "none_in_picture")
    assert "none of 20 scans on /scan that were tried has a return in the picture" in finding.text
    assert finding.heads == ("distance",)


@pytest.mark.parametrize(
    ("box", "word"),
    [
        ((20.0, 10.0, 40.0, 30.0), ""),
        ((50.0, 30.0, 77.0, 60.0), ""),  # reaches out of the picture
        ((200.0, 100.0, 300.0, 200.0), "lie outside, perhaps in pixels of another size"),
        ((0.25, 0.25, 0.75, 0.5), "lie within the first pixel"),
    ],
)
def test_truth_in_other_pixels_is_found(tmp_path: Path, box: tuple[float, ...], word: str) -> None:
    truth = [TruthBox("car", (box[0], box[1], box[2], box[3]), 5.0, 1.0, "1")]
    log = (
        SmallLog()
        .image()
        .stream(
            "/truth/boxes",
            SCHEMAS["perception.Detections"],
            "protobuf",
            lambda i, s: encode_truth(s, "camera", truth),
        )
    )
    found = audit_of(log, tmp_path)
    texts = [finding.text for finding in found.findings if finding.code == "truth_outside"]
    assert len(texts) == bool(word)
    assert all(word in text and "pictures (64x48)" in text for text in texts)


def test_truth_of_an_unknown_frame_names_the_missing_transform(tmp_path: Path) -> None:
    found = audit_of(cuboid_log("map"), tmp_path)
    finding = the(found, "truth_unplaced")
    assert finding.text.startswith("truth on /annotations cannot be used in 100% of the ticks: no transforms")
    assert "connect 'map' with the camera's frame 'camera'" in finding.text
    assert "truth" not in codes(found)
    assert "truth" in codes(audit_of(cuboid_log("base"), tmp_path))


@pytest.mark.parametrize("ahead_s", [37.0, -37.0])
def test_no_setting_is_named_for_a_clock_that_differs(tmp_path: Path, ahead_s: float) -> None:
    log = SmallLog().image().calibration().scan(start_s=ahead_s, delay_s=-ahead_s)  # TAI, or the reverse
    finding = the(audit_of(log, tmp_path, by_message_stamps(log, tmp_path)), "absent")
    assert "its clock is not that of /camera/image" in finding.text
    assert "sensors.range.stamp: {source: arrival}" in finding.text
    assert "raise" not in finding.text


def test_no_stamps_are_accused_of_a_log_that_was_played_slowly_and_recorded_again(tmp_path: Path) -> None:
    log = SmallLog().image(seconds=8.0).calibration().scan(delay_s=0.5, seconds=8.0)
    first_ns = min(row[0] for row in log.rows)
    log.rows = [(first_ns + 2 * (row[0] - first_ns), *row[1:]) for row in log.rows]
    finding = the(audit_of(log, tmp_path), "absent")
    assert "jump" not in finding.text
    assert "wait_ms" in finding.text


@pytest.mark.parametrize("topic", ["/camera/image", "/scan"])
def test_no_setting_is_named_for_a_clock_that_jumps_midway(tmp_path: Path, topic: str) -> None:
    log = SmallLog()
    for begin_s, ahead_s in ((0.0, 0.0), (2.0, 5.0)):
        for make, name in ((log.image, "/camera/image"), (log.scan, "/scan")):
            ahead = ahead_s if name == topic else 0.0
            make(name, start_s=begin_s + ahead, delay_s=-ahead)
    audit = audit_of(log.calibration(), tmp_path)
    finding = the(audit, "absent")
    assert f"stamps on {topic} jump or stand still (arrival less stamp differs by 5000 ms)" in finding.text
    assert "wait_ms" not in finding.text
    assert "stamps_jump" in codes(audit)


@pytest.mark.parametrize(("away_s", "severity"), [(0.0, ""), (60.0, "warning")])
def test_poses_of_another_time_are_found(tmp_path: Path, away_s: float, severity: str) -> None:
    def turning(i: int, stamp: int) -> bytes:
        message = FrameTransforms()
        for child, y in (("camera", 0.1 * i), ("laser", 0.0)):
            edge = message.transforms.add(parent_frame_id="base", child_frame_id=child)
            edge.timestamp.FromNanoseconds(stamp - round(away_s * 1e9))
            edge.rotation.w, edge.translation.y = 1.0, y
        return bytes(message.SerializeToString())

    log = SmallLog().image().calibration().scan()
    found = audit_of(log.stream("/tf", foxglove_schema(FrameTransforms), "protobuf", turning), tmp_path)
    assert [f.severity for f in found.findings if f.code == "held_transform"] == (
        [severity] if severity else []
    )


@pytest.mark.parametrize(
    ("channel", "usual", "large", "unit"),
    [
        ("speed", 50.0, 120.0, "km/h"),
        ("yaw_rate", 3.0, 25.0, "degrees/s"),
        ("acceleration", 9.0, 200.0, "cm/s2"),
        ("steering", 0.6, 40.0, "degrees"),
    ],
)
def test_values_that_no_vehicle_has_are_found(
    tmp_path: Path, channel: str, usual: float, large: float, unit: str
) -> None:
    for most in (usual, large):
        log = SmallLog().image().json("/state", lambda i, most=most: {"speed": 3.0, channel: most - 0.1 * i})
        texts = [f.text for f in audit_of(log, tmp_path).findings if f.code == "status_large"]
        assert len(texts) == (most == large)
        assert all(unit in text for text in texts)


@pytest.mark.parametrize(("unit", "factor"), [("us", 1000), ("ms", 1_000_000)])
def test_log_times_in_another_unit_are_found(tmp_path: Path, unit: str, factor: int) -> None:
    log = SmallLog().sound()
    log.rows = [(log_time // factor, *rest) for log_time, *rest in log.rows]
    assert f"perhaps in {unit}, where nanoseconds" in the(audit_of(log, tmp_path), "log_time_unit").text


def test_a_clock_that_was_started_again_is_no_other_unit_of_log_times(tmp_path: Path) -> None:
    log = SmallLog().image(seconds=1).image(seconds=1, start_s=-1999.0, delay_s=2000.0)
    found = audit_of(log, tmp_path)
    assert the(found, "stamps_back")
    assert not [finding for finding in found.findings if finding.code == "log_time_unit"]


def test_sensors_that_share_a_topic_are_found(tmp_path: Path) -> None:
    log = SmallLog().image().calibration().scan(frame="left").scan(frame="right", start_s=0.05)
    finding = the(audit_of(log, tmp_path), "several_frames")
    assert finding.topic == "/scan"
    assert "left (20), right (20)" in finding.text
    assert finding.heads == ("distance",)


def test_scans_whose_angles_contradict_each_other_are_found(tmp_path: Path) -> None:
    log = SmallLog().image().calibration()
    log.stream("/scan", log_schema("LaserScan"), "protobuf", lambda i, s: planar(s, -135, 135, [5.0] * 28))
    finding = the(audit_of(log, tmp_path), "odd_angles")
    assert "20 of 20 scans on /scan" in finding.text
    assert "degrees" in finding.text
    with open_log(tmp_path / "small.mcap") as opened:
        assert any("/scan contradicts itself" in text for text in complete_config(opened).warnings)


def test_elements_that_are_ignored_are_counted(tmp_path: Path) -> None:
    log = cuboid_log("base")

    def broken(i: int, stamp: int) -> bytes:
        message = FrameTransforms()
        for child, x in (("roof", float("nan")), ("door", 1.0)):
            edge = message.transforms.add(parent_frame_id="base", child_frame_id=child)
            edge.timestamp.FromNanoseconds(stamp)
            edge.translation.x = x
            edge.rotation.w = 1.0
        return bytes(message.SerializeToString())

    log.stream("/tf_more", foxglove_schema(FrameTransforms), "protobuf", broken, hz=1.0)
    finding = the(audit_of(log, tmp_path), "ignored_elements")
    assert finding.text.startswith("2 elements of messages on /tf_more cannot be used: ")


def test_nothing_stamped_is_said(tmp_path: Path) -> None:
    log = SmallLog().image(delay_s=0.03).scan().status(hz=50.0).calibration().transforms()
    bare = [(arrival, topic, unstamped(topic, data), *rest) for arrival, topic, data, *rest in log.rows]
    log.rows = bare  # type: ignore[assignment]
    found = audit_of(log, tmp_path)
    finding = the(found, "unstamped")
    assert finding.text.startswith("nothing is stamped: arrival stands in for every stamp")
    assert found.delays == {}
    assert all("unstamped" in [f.code for f in fs] for fs in found.unjudged().values())


def test_one_sensor_without_stamps_is_named(tmp_path: Path) -> None:
    log = SmallLog().image(delay_s=0.03).scan().status(hz=50.0)
    bare = [
        (arrival, topic, unstamped(topic, data) if topic == "/scan" else data, *rest)
        for arrival, topic, data, *rest in log.rows
    ]
    log.rows = bare  # type: ignore[assignment]
    found = audit_of(log, tmp_path)
    assert the(found, "unstamped").text.startswith("20 of 20 messages on /scan carry no stamp")
    assert set(found.delays) == {"/camera/image", "/vehicle/state"}
    assert [f.code for f in found.unjudged()["distance"]] == ["unstamped"]


def test_an_input_that_is_absent_at_most_ticks_is_named_with_the_cure(tmp_path: Path) -> None:
    log = SmallLog().image().scan(delay_s=0.09).status(hz=50.0).calibration().transforms()
    config = parse_config(
        {
            "reference_rate_hz": 10,
            "sensors": {
                "camera": {"topic": "/camera/image"},
                "range": {"topic": "/scan", "tolerance_ms": 30},
                "status": {"topic": "/vehicle/state", "fields": {"speed": "speed"}},
            },
        }
    )
    found = audit_of(log, tmp_path, config)
    finding = next(f for f in found.findings if f.code == "absent" and f.topic == "/scan")
    assert "/scan is absent in 100% of the ticks" in finding.text
    assert "raise wait_ms" in finding.text
    assert "distance" in unreliable(found)
    waiting = audit_of(log, tmp_path, config.model_copy(update={"wait_ms": 100.0}))
    assert [f for f in waiting.findings if f.code == "absent"] == []


def test_messages_logged_long_before_the_rest_are_named(tmp_path: Path) -> None:
    log = SmallLog().sound()
    static = SmallLog().transforms("/tf_static", edges=(("base", "roof"),), seconds=1).rows
    log.rows += [(0, *rest) for _, *rest in static]
    finding = the(audit_of(log, tmp_path), "arrivals_far")
    assert finding.text.startswith("the log has 1 message on /tf_static up to 54 years away")
    assert "arrivals_far" not in codes(audit_of(SmallLog().sound(), tmp_path))


@given(st.lists(st.floats(0, 0.9), min_size=20, max_size=60), st.sets(st.integers(5, 14), max_size=3))
def test_a_late_message_is_not_a_lost_one(lateness: list[float], lost: set[int]) -> None:
    times, stamped = TopicTimes(), TopicTimes()
    arrival = 0
    for i, late in enumerate([*lateness, 0.0]):
        if i in lost:
            continue
        arrival = max(arrival, 10_000_000 * i + round(10_000_000 * late * (i % 7 == 3)))
        times.add(arrival)
        stamped.add(arrival, 10_000_000 * i)
    assert stamped.dropouts()[1] == len(lost)
    if not lost:
        assert times.dropouts() == (0, 0)


def test_a_camera_that_repeats_one_picture_with_fresh_stamps_is_named(tmp_path: Path) -> None:
    log = SmallLog().image(seconds=1.0).image(seconds=2.0, start_s=1.0, frozen=True).scan(seconds=3.0)
    finding = the(audit_of(log, tmp_path), "frozen")
    assert finding.topic == "/camera/image"
    assert finding.severity == "warning"
    assert "19 of 30 pictures on /camera/image repeat" in finding.text
    assert "20 in a row over 1.9 s" in finding.text
    assert finding.heads == ("class and box",)


def test_a_picture_that_repeats_now_and_then_is_not_frozen(tmp_path: Path) -> None:
    log = SmallLog().image(seconds=0.8, frozen=True).image(seconds=1.2, start_s=0.8)
    assert "frozen" not in codes(audit_of(log, tmp_path))


def test_images_that_change_their_size_are_found(tmp_path: Path) -> None:
    found = audit_of(SmallLog().image(seconds=1).image(seconds=1, start_s=1, size=(32, 24)), tmp_path)
    assert the(found, "sizes").text == "images on /camera/image change their size: 32x24, 64x48"


def test_frames_that_are_not_connected_are_found(tmp_path: Path) -> None:
    log = SmallLog().image(delay_s=0.03).calibration().scan(frame="roof_laser").transforms()
    found = audit_of(log, tmp_path)
    assert "no transforms connect 'roof_laser' with the camera's frame 'camera'" in (
        the(found, "no_transform").text
    )
    assert "distance" in unreliable(found)
    joined = SmallLog().image(delay_s=0.03).calibration().scan(frame="roof_laser")
    joined.transforms(edges=(("base", "camera"),))
    joined.transforms("/tf_static", edges=(("base", "roof_laser"),))
    assert "no_transform" not in codes(audit_of(joined, tmp_path))


def test_a_missing_or_empty_calibration_is_found(tmp_path: Path) -> None:
    found = audit_of(SmallLog().image(delay_s=0.03).scan(), tmp_path)
    assert "ranges on /scan cannot be placed in the image: " in the(found, "no_camera_info").text
    found = audit_of(SmallLog().image(delay_s=0.03).scan().calibration(focal=0.0), tmp_path)
    assert {"no_camera_info", "undecodable"} <= set(codes(found))
    assert the(found, "undecodable").topic == "/camera/calibration"
    assert the(found, "undecodable").heads == ("distance",)


def test_a_status_that_says_nothing_is_found(tmp_path: Path) -> None:
    def values(i: int) -> dict[str, object]:
        return {"speed": 1.0, "yaw_rate": 0.1 * i} | ({"acceleration": 0.1 * i} if i % 4 else {})

    found = audit_of(SmallLog().image().json("/state", values), tmp_path)
    assert (
        the(found, "status_constant").text
        == "speed (speed) on /state is always 1: not connected, or standing still"
    )
    assert (
        the(found, "status_nan").text
        == "acceleration (acceleration) on /state is no number in 5 of 20 messages"
    )
    assert "control" in unreliable(found)


def test_truth_says_how_far_it_reaches(tmp_path: Path) -> None:
    found = audit_of(SmallLog().image(seconds=4).truth(seconds=2).control(seconds=4), tmp_path)
    texts = {finding.topic: finding.text for finding in found.findings if finding.code.startswith("truth")}
    assert texts["/truth/detections"].startswith("/truth/detections has truth for 50% of the ticks")
    assert texts["/truth/control"].startswith("/truth/control has truth for 100% of the ticks")


def test_a_cut_file_is_damage_first_of_all(tmp_path: Path) -> None:
    path = write_scene(tmp_path / "whole.mcap", duration_s=3.0, image_size=(128, 64))
    cut = tmp_path / "cut.mcap"
    cut.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    with open_log(cut) as log:
        found = audit(log, complete_config(log).config)
    assert found.findings[0].code == "damage"
    assert found.findings[0].severity == "error"
    assert "the file is damaged" in found.findings[0].text
    assert found.lossy
    assert unreliable(found) == set(HEADS)


def test_findings_come_by_severity(tmp_path: Path) -> None:
    log = SmallLog().image().scan(delay_s=0.3).image(seconds=0.3, delay_s=0.001)
    severities = [finding.severity for finding in audit_of(log, tmp_path).findings]
    assert severities == sorted(severities, key=("error", "warning", "note").index)


def test_arrivals_are_told_for_every_topic(tmp_path: Path) -> None:
    path = (
        SmallLog()
        .image(hz=10)
        .json("/other", lambda i: {"a": i}, hz=25, drop=(10, 11))
        .write(tmp_path / "a.mcap")
    )
    with open_log(path) as log:
        times, damage = survey_times(log)
    assert damage == []
    assert times["/other"].count == 48
    assert times["/other"].period_s() == pytest.approx(0.04)
    assert times["/other"].largest_gap() == (pytest.approx(0.12), START_NS + 360_000_000)
    assert times["/other"].dropouts() == (1, 2)


@pytest.mark.parametrize(("apart_ns", "hz"), [(0, 100.0), (16_000, 400.0)])
def test_messages_in_bursts_come_as_often_as_they_are_many(apart_ns: int, hz: float) -> None:
    """Four frames of a CAN bus every 10 ms: at one time they are one, 16 us apart is no rate."""
    times = TopicTimes()
    for burst in range(101):
        for k in range(4):
            times.add(burst * 10_000_000 + k * apart_ns)
    assert times.rate_hz() == pytest.approx(hz, rel=0.02)


@given(st.lists(st.integers(0, 10**12), max_size=30))
def test_times_of_any_arrivals_are_finite(arrivals: list[int]) -> None:
    times = TopicTimes()
    for arrival in sorted(arrivals):
        times.add(arrival, arrival - 5)
    period, gap = times.period_s(), times.largest_gap()
    assert (gap is None) == (len(arrivals) < 2)
    assert period is None or period > 0
    assert times.dropouts() >= (0, 0)
    delay = Delay.of(times)
    assert (delay is None) == (not arrivals)
    assert delay is None or (delay.median_ms, delay.jitter_ms) == (pytest.approx(5e-6), 0.0)


@pytest.mark.slow
@pytest.mark.shared
def test_the_missing_sweeps_of_a_real_drive_are_found(shared: Path) -> None:
    with open_log(shared / "pandaset_002_front.mcap") as log:
        found = audit(log, complete_config(log).config)
    assert codes(found) == ["dropouts", "unstamped", "truth", "truth"]
    assert "leaves out about 4 messages in 2 gaps" in the(found, "dropouts").text
    assert unreliable(found) == {"distance"}
    assert not found.lossy


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("fuzz") / "whole.mcap"
    return write_scene(path, duration_s=0.5, image_size=(64, 32)).read_bytes()


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_any_damage_gives_an_audit_or_a_plain_refusal(whole: bytes, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(whole)))
    size = data.draw(st.integers(1, 3000))
    kinds = {
        "cut": lambda: whole[:at],
        "lose": lambda: whole[:at] + whole[at + size :],
        "zero": lambda: whole[:at] + bytes(len(whole[at : at + size])) + whole[at + size :],
        "flip": lambda: whole[:at] + bytes(b ^ 0x10 for b in whole[at : at + 1]) + whole[at + 1 :],
    }
    with NamedTemporaryFile(suffix=".mcap") as file:
        file.write(kinds[data.draw(st.sampled_from(sorted(kinds)))]())
        file.flush()
        with contextlib.suppress(PerceptionError), open_log(file.name) as log:
            found = audit(log, complete_config(log).config)
            assert set(found.verdicts()) == set(HEADS)
            assert found.lossy or not found.damage


@pytest.mark.parametrize(
    ("depth_m", "blind", "far"), [(2.0, 0, 0), (2000.0, 0, 1), (float("nan"), 1, 0)], ids=str
)
def test_depth_images_are_judged_as_scans_are(depth_m: float, blind: int, far: int) -> None:
    contents = ScanContents(max_range_m=30.0)
    contents.add(DepthImage("/depth", 0, 0, "camera", np.full((4, 4), depth_m, np.float32)))
    assert (contents.count, contents.blind, contents.far) == (1, blind, far)


def test_a_depth_image_in_another_unit_is_named(tmp_path: Path) -> None:
    """Floats are metres; these are millimetres, of which none is within reach."""
    log = SmallLog().calibration("/depth/info")

    def make(i: int, stamp: int) -> bytes:
        message = RawImage(frame_id="camera", width=64, height=48, encoding="32FC1", step=256)
        message.data = np.full(64 * 48, 2000 + i, "<f4").tobytes()
        message.timestamp.FromNanoseconds(stamp)
        return message.SerializeToString()

    log.stream("/depth/image", foxglove_schema(RawImage), "protobuf", make)
    found = audit_of(log, tmp_path)
    assert "20 of 20 scans on /depth/image are with every return beyond" in the(found, "blind_scans").text
    assert "distance" in unreliable(found)
