"""CARMEN logs: scans and odometry with both clocks, plain and compressed."""

from __future__ import annotations

import math
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from perception.errors import LogError
from perception.logs import open_log
from perception.types import FrameTransforms, RangeScan, StatusReading
from tests.logs.formats.made_logs import carmen_lines, read, write_carmen


def ns(text: str) -> int:
    return int(Decimal(text) * 10**9)


@pytest.mark.parametrize("name", ["a.clf", "a.log.gz", "a.clf.bz2"])
def test_scans_and_odometry_come_out_with_both_clocks(tmp_path: Path, name: str) -> None:
    lines = carmen_lines(8)
    messages, account, damage = read(write_carmen(tmp_path / name, lines))
    assert damage == []
    assert account.totals() == account.read
    for topic, word in (("/odom", "ODOM"), ("/laser/front", "FLASER")):
        words = [line.split() for line in lines if line.startswith(word)]
        assert [m.stamp_ns for m in messages[topic]] == [ns(w[-3]) for w in words]
        steps = np.diff([m.log_time_ns for m in messages[topic]]).tolist()
        assert steps == np.diff([ns(w[-1]) for w in words]).tolist()
    odometry = [m.values for m in messages["/odom"] if isinstance(m, StatusReading)]
    assert [v["speed"] for v in odometry] == [0.5 + i / 8 for i in range(8)]
    assert [v["yaw_rate"] for v in odometry] == [-i / 16 for i in range(8)]
    scan = messages["/laser/front"][0]
    assert isinstance(scan, RangeScan)
    assert np.isnan(scan.points_m[::9]).all()  # beyond robot_front_laser_max: no return
    angles = np.radians(-90 + np.arange(180.0))
    ranges = np.array([2 + k % 7 + 0.25 for k in range(180)])
    expected = np.stack([ranges * np.cos(angles), ranges * np.sin(angles)], axis=1)
    seen = np.arange(180) % 9 != 0
    np.testing.assert_allclose(scan.points_m[seen, :2], expected[seen], atol=1e-5)
    (mount,) = messages["/tf/laser_front"]
    assert isinstance(mount, FrameTransforms)
    np.testing.assert_allclose(mount.items[0].parent_from_child[:3, 3], [0.3, 0, 0], atol=1e-9)


@pytest.mark.parametrize(
    ("beams", "first", "last"),
    [(180, -90, 89), (181, -90, 90), (360, -90, 89.5), (361, -90, 90), (401, -50, 50)],
)
def test_the_angles_follow_from_the_number_of_readings(
    tmp_path: Path, beams: int, first: float, last: float
) -> None:
    path = write_carmen(tmp_path / "a.clf", carmen_lines(2, beams=beams))
    scan = read(path)[0]["/laser/front"][1]
    assert isinstance(scan, RangeScan)
    seen = np.flatnonzero(~np.isnan(scan.points_m[:, 0]))
    angles = np.degrees(np.arctan2(scan.points_m[seen, 1], scan.points_m[seen, 0]))
    np.testing.assert_allclose(angles, first + seen * (last - first) / (beams - 1), atol=1e-3)


def robot_laser(name: str, i: int) -> str:
    remissions = "2 0.5 0.75 " if i % 2 else "0 "
    poses = "1.0 2.0 0.5 1.0 2.0 0.0 0.1 0.2 0.3 0.4 1.0 " if name.startswith("ROBOT") else ""
    head = f"{name} 1 -0.5 1.5 1.0 20.0 0.01 1 2 {3 + i} 25.0"
    return f"{head} {remissions}{poses}{100 + i}.5 host {i}.25"


@pytest.mark.parametrize(("name", "topic"), [("ROBOTLASER1", "/laser/robot1"), ("RAWLASER2", "/laser/raw2")])
def test_newer_lasers_say_their_angles_and_largest_range(tmp_path: Path, name: str, topic: str) -> None:
    lines = [robot_laser(name, i) for i in range(4)]
    messages, _, damage = read(write_carmen(tmp_path / "a.log", lines))
    assert damage == []
    scans = messages[topic]
    assert [m.stamp_ns for m in scans] == [(100 + i) * 10**9 + 500_000_000 for i in range(4)]
    for i, scan in enumerate(scans):
        assert isinstance(scan, RangeScan)
        np.testing.assert_allclose(
            scan.points_m[0, :2], [(3 + i) * math.cos(-0.5), (3 + i) * math.sin(-0.5)], rtol=1e-6
        )
        assert np.isnan(scan.points_m[1]).all()
        assert (scan.intensity is None) == (i % 2 == 0)


def test_a_logger_that_began_again_keeps_the_time_of_the_senders(tmp_path: Path) -> None:
    first = [f"ODOM 0 0 0 {i} 0 0 {1000 + i}.0 host {50 + i}.0" for i in range(5)]
    again = [f"ODOM 0 0 0 {i} 0 0 {1000 + i}.0 host {i - 4}.0" for i in range(5, 9)]
    path = write_carmen(tmp_path / "a.log", [*first, *again])
    odometry = read(path)[0]["/odom"]
    assert [m.log_time_ns for m in odometry] == [(1000 + i) * 10**9 for i in range(9)]
    with open_log(path) as log:
        assert any("goes back 1 time" in note for note in log.survey.notes)


def test_broken_lines_are_counted_by_topic(tmp_path: Path) -> None:
    lines = carmen_lines(6)
    lines[3] = lines[3][:40]  # a scan without its end
    lines[5] = lines[5].replace(" 2.25", " ?", 1) if " 2.25" in lines[5] else lines[5]
    lines.append("ODOM 1 2 3")
    lines.append("GPS 1 2 3 4.0 host 5.0")
    messages, account, damage = read(write_carmen(tmp_path / "a.clf", lines))
    assert account.lost["/odom"] == 1
    assert (account.lost["/laser/front"], account.corrupt["/laser/front"]) == (1, 1)
    assert account.total("/laser/front") == 6
    assert account.total("/odom") == 7
    assert sum(item.messages or 0 for item in damage) == 3
    assert len(messages["/odom"]) == 6


def test_a_compressed_log_that_is_cut_gives_its_beginning(tmp_path: Path) -> None:
    path = write_carmen(tmp_path / "a.clf.gz", carmen_lines(200))
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    messages, _, damage = read(path)
    assert 20 < len(messages["/odom"]) < 180
    assert "does not unpack to its end" in damage[0].reason


@given(stamps=st.lists(st.integers(1, 10**18), min_size=1, max_size=6))
def test_any_stamp_is_exact(tmp_path_factory: pytest.TempPathFactory, stamps: list[int]) -> None:
    lines = [
        f"ODOM 0 0 0 1 0 0 {t // 10**9}.{t % 10**9:09d} host {t // 10**9}.{t % 10**9:09d}" for t in stamps
    ]
    path = write_carmen(tmp_path_factory.mktemp("carmen") / "a.log", lines)
    assert sorted(m.stamp_ns for m in read(path)[0]["/odom"]) == sorted(stamps)


def test_text_of_another_kind_is_no_carmen_log(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("PARAMETERS of the run\nODOMETRY was off\n")
    with pytest.raises(LogError, match="a text file"):
        open_log(path)


@pytest.mark.shared
def test_the_real_log(shared: Path) -> None:
    with open_log(shared / "radish_fr079" / "radish_fr079.clf.bz2") as log:
        assert log.survey.counts == {"/laser/front": 4934, "/odom": 8951, "/tf/laser_front": 1}
        stream = log.messages()
        times = [m.log_time_ns for m in stream]
        assert stream.damage == []
    assert times == sorted(times)
