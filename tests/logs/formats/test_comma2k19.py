"""Segments of comma2k19: what is in the arrays comes out, whatever is missing is counted."""

from __future__ import annotations

import json
import pickle
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from perception.logs import open_log
from perception.types import RangeScan, StatusReading
from perception_tools.cli import run
from tests.logs.formats.made_logs import hevc_pictures, read, save_array, write_comma


def exact_ns(seconds: np.ndarray) -> list[int]:
    """Return float seconds in nanoseconds, by fractions."""
    return [round(Fraction(float(value)) * 10**9) for value in seconds]


def test_a_segment_gives_its_sensors_with_their_stamps_and_values(tmp_path: Path) -> None:
    path = write_comma(tmp_path / "segment")
    messages, account, damage = read(path)
    assert damage == []
    assert account.totals() == account.read
    speed = messages["/can/speed"]
    times = np.load(path / "processed_log/CAN/speed/t")
    assert [m.stamp_ns for m in speed] == exact_ns(times)
    assert [m.log_time_ns for m in speed] == exact_ns(times)
    values = np.load(path / "processed_log/CAN/speed/value").ravel()
    assert [m.values["speed"] for m in speed if isinstance(m, StatusReading)] == values.tolist()
    scans = messages["/radar/tracks"]
    assert len(scans) == 12
    for i, scan in enumerate(scans):
        assert isinstance(scan, RangeScan)
        assert scan.points_m.tolist() == [[40 + i, 3 - k, 0] for k in range(3)]
        assert scan.radial_speed_m_s is not None
        assert scan.radial_speed_m_s.tolist() == [0, 1.5, 3]
    frame_times = np.load(path / "global_pose/frame_times")
    assert [scan.stamp_ns for scan in scans] == exact_ns(frame_times)


def test_the_imu_turns_from_forward_right_down_to_forward_left_up(tmp_path: Path) -> None:
    path = write_comma(tmp_path / "segment")
    raw = np.load(path / "processed_log/IMU/gyro/value")
    gyro = read(path)[0]["/imu/gyro"]
    turned = [
        [m.values[f"angular_velocity.{axis}"] for axis in "xyz"] for m in gyro if isinstance(m, StatusReading)
    ]
    assert turned == (raw * [1, -1, -1]).tolist()


def test_each_picture_of_the_video_is_a_packet_with_its_frame_time(tmp_path: Path) -> None:
    path = write_comma(tmp_path / "segment")
    times = np.load(path / "global_pose/frame_times")
    with open_log(path) as log:
        packets = [m for m in log.messages() if m.topic == "/camera/video"]
        assert log.channels["/camera/video"].schema is not None
        assert log.channels["/camera/video"].schema.name == "foxglove.CompressedVideo"
    assert [m.log_time_ns for m in packets] == exact_ns(times)
    for packet, picture in zip(packets, hevc_pictures(12), strict=True):
        assert picture in packet.data
        assert len(packet.data) < len(picture) + 40


@pytest.mark.parametrize(
    ("missing", "topic", "count"),
    [
        ("video.hevc", "/camera/video", 12),
        ("processed_log/CAN/speed/value", None, None),
        ("processed_log/CAN/raw_can/src", None, None),
    ],
)
def test_a_missing_file_is_named(tmp_path: Path, missing: str, topic: str | None, count: int | None) -> None:
    path = write_comma(tmp_path / "segment")
    (path / missing).unlink()
    _, account, damage = read(path)
    assert Path(missing).name in " ".join(item.reason for item in damage)
    assert [item.messages for item in damage] == [count]
    if topic:
        assert account.lost[topic] == count
        assert damage[0].t0_ns == exact_ns(np.load(path / "global_pose/frame_times"))[0]


def test_an_array_that_is_cut_gives_its_whole_rows(tmp_path: Path) -> None:
    path = write_comma(tmp_path / "segment")
    file = path / "processed_log/CAN/radar/value"
    data = file.read_bytes()
    file.write_bytes(data[: len(data) - 56 * 6 - 20])  # six rows and a half: two sweeps and a track
    messages, account, damage = read(path)
    assert len(messages["/radar/tracks"]) == 10
    assert account.lost["/radar/tracks"] == 7
    assert "cut off after 29 of 36 rows" in damage[0].reason


def test_rows_without_a_time_are_counted_and_rows_without_a_value_are_kept(tmp_path: Path) -> None:
    path = write_comma(tmp_path / "segment")
    times = np.load(path / "processed_log/CAN/speed/t")
    values = np.load(path / "processed_log/CAN/speed/value")
    times[3], times[5], times[7], values[9] = np.nan, -1.0, np.inf, np.nan
    save_array(path / "processed_log/CAN/speed/t", times)
    save_array(path / "processed_log/CAN/speed/value", values)
    messages, account, damage = read(path)
    assert account.lost["/can/speed"] == 3
    assert [item.messages for item in damage] == [3]
    assert len(messages["/can/speed"]) == len(times) - 3
    assert sum("speed" not in m.values for m in messages["/can/speed"] if isinstance(m, StatusReading)) == 1


def test_nothing_is_unpickled(tmp_path: Path) -> None:
    class Harm:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return Path.touch, (tmp_path / "harmed",)  # type: ignore[return-value]

    path = write_comma(tmp_path / "segment")
    with (path / "processed_log/CAN/speed/value").open("wb") as file:
        np.save(file, np.array([Harm()] * 48, dtype=object), allow_pickle=True)
    (path / "processed_log/CAN/speed/t").write_bytes(pickle.dumps(Harm()))
    messages, _, damage = read(path)
    assert not (tmp_path / "harmed").exists()
    assert "/can/speed" not in messages
    assert len(damage) == 2


def test_commands_take_a_segment(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_comma(tmp_path / "segment", video=False)
    assert run(["info", str(path), "--json"]) == 3
    report = json.loads(capsys.readouterr().out)
    sensors = report["configuration"]["sensors"]
    topics = {sensor["topic"] for sensor in sensors.values() if "topic" in sensor}
    assert topics == {"/radar/tracks", "/can/speed", "/imu/gyro", "/imu/accelerometer"}
    assert "video.hevc is missing" in report["damage"][0]["reason"]
    assert any("where the radar sits is not in the segment" in note for note in report["log"]["notes"])


@pytest.mark.shared
def test_the_real_segment(shared: Path) -> None:
    path = shared / "comma2k19_example1"
    with open_log(path) as log:
        counts = log.survey.counts
    assert counts["/can/speed"] == 4974
    assert counts["/imu/gyro"] == 6256
    assert counts["/can/raw_can"] == 135_468
    assert 1195 <= counts["/radar/tracks"] <= 1205
