"""Folders of pictures: which stamps they have, and what tables beside them say."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from perception.autoconfig import complete_config
from perception.errors import LogError
from perception.logs import open_log
from perception.types import CameraFrame, CameraInfo, FrameTransforms, StatusReading
from tests.logs.formats.made_logs import jpeg, read


def write_pictures(folder: Path, names: Sequence[str]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for i, name in enumerate(names):
        (folder / name).write_bytes(jpeg(i))
    return folder


def notes(path: Path) -> str:
    with open_log(path) as log:
        return "\n".join(log.survey.notes)


@pytest.mark.parametrize(
    ("names", "stamps", "said"),
    [
        (
            [f"1403636579763555{i}4.jpg" for i in (58, 59)],
            [1403636579763555584, 1403636579763555594],
            "since 1970",
        ),
        (
            [f"3159660705571271{i}.jpg" for i in (10, 15)],  # of Argoverse
            [315966070557127110, 315966070557127115],
            "since 1970",
        ),
        (
            ["1305031102.175304.jpg", "1305031102.211214.jpg"],
            [1305031102175304000, 1305031102211214000],
            "seconds",
        ),
        (
            ["frame_1700000000123.jpg", "frame_1700000000223.jpg"],
            [1700000000123 * 10**6, 1700000000223 * 10**6],
            "1970",
        ),
        (
            ["center_2016_12_01_13_30_48_287.jpg", "center_2016_12_01_13_30_48_404.jpg"],
            [1480599048287 * 10**6, 1480599048404 * 10**6],
            "dates in UTC",
        ),
        (["2.jpg", "10.jpg"], [10**8, 2 * 10**8], "made at 10 Hz"),
        (["a.jpg", "1700000000123.jpg"], None, "made at 10 Hz"),
    ],
)
def test_stamps_are_those_in_the_names_or_made(
    tmp_path: Path, names: list[str], stamps: list[int] | None, said: str
) -> None:
    path = write_pictures(tmp_path / "drive", names)
    frames = read(path)[0]["/camera/image"]
    assert stamps is None or [m.stamp_ns for m in frames] == stamps
    assert said in notes(path)
    if stamps:
        assert [bytes(m.data) for m in frames if isinstance(m, CameraFrame)] == [jpeg(0), jpeg(1)]


def test_a_table_says_the_times_and_values_of_pictures(tmp_path: Path) -> None:
    path = tmp_path / "drive"
    write_pictures(path / "images", ["b.jpg", "a.jpg", "c.jpg"])
    (path / "log.csv").write_text(
        "time_s,image,speed\n12.5,images/a.jpg,1\n12.25,b.jpg,2\n12.75,gone.jpg,3\n"
    )
    messages, account, damage = read(path)
    frames, values = messages["/camera/image"], messages["/log/values"]
    assert [m.stamp_ns for m in frames] == [12_250_000_000, 12_500_000_000]
    assert [bytes(m.data) for m in frames if isinstance(m, CameraFrame)] == [jpeg(0), jpeg(1)]
    assert [m.values["speed"] for m in values if isinstance(m, StatusReading)] == [2, 1, 3]
    assert account.lost == {"/log/image": 1}
    reasons = " ".join(item.reason for item in damage)
    assert "1 pictures in images that no table names are not read" in reasons
    with open_log(path) as log:
        files = [m.data.decode() for m in log.messages() if m.topic == "/camera/image/file"]
    assert ["b.jpg" in files[0], "a.jpg" in files[1]] == [True, True]


def test_folders_as_euroc_has_them(tmp_path: Path) -> None:
    path = tmp_path / "mav0"
    for camera in ("cam0", "cam1"):
        write_pictures(path / camera / "data", [f"140363657976355558{i}.jpg" for i in range(4)])
        rows = "".join(f"140363657976355558{i},140363657976355558{i}.jpg\n" for i in range(4))
        (path / camera / "data.csv").write_text("#timestamp [ns],filename\n" + rows)
    (path / "imu0").mkdir()
    rows = "".join(f"140363657976355558{i},{i / 4},0.5\n" for i in range(6))
    (path / "imu0" / "data.csv").write_text("#timestamp [ns],w_RS_S_x [rad s^-1],a_RS_S_x [m s^-2]\n" + rows)
    messages, _, damage = read(path)
    assert damage == []
    stamps = [1403636579763555580 + i for i in range(6)]
    assert (
        [m.stamp_ns for m in messages["/cam0/image"]]
        == stamps[:4]
        == [m.stamp_ns for m in messages["/cam1/image"]]
    )
    imu = [m for m in messages["/imu0/values"] if isinstance(m, StatusReading)]
    assert [m.stamp_ns for m in imu] == stamps
    assert [m.values["w_RS_S_x_[rad_s^-1]"] for m in imu] == [i / 4 for i in range(6)]


def test_folders_as_tum_has_them(tmp_path: Path) -> None:
    path = tmp_path / "fr1"
    names = [f"1305031102.17530{i}.jpg" for i in range(3)]
    write_pictures(path / "rgb", names)
    rows = "".join(f"{name[:-4]} rgb/{name}\n" for name in names)
    (path / "rgb.txt").write_text("# color images\n# file: 'fr1.bag'\n# timestamp filename\n" + rows)
    (path / "notes.txt").write_text("recorded on a rainy day\n")
    messages, _, damage = read(path)
    assert damage == []
    assert [m.stamp_ns for m in messages["/camera/image"]] == [
        1305031102175300000 + 1000 * i for i in range(3)
    ]
    assert "notes.txt is no table of numbers" in notes(path)


def test_a_table_without_times_takes_those_in_the_names_of_its_pictures(tmp_path: Path) -> None:
    path = tmp_path / "drive"
    sides = ("center", "left")
    names = [f"{side}_2016_12_01_13_30_48_{i}00.jpg" for i in range(1, 4) for side in sides]
    write_pictures(path / "IMG", names)
    rows = "".join(f"IMG/{names[2 * i]},IMG\\{names[2 * i + 1]},{i / 8}\n" for i in range(3))
    (path / "driving_log.csv").write_text("center,left,steering\n" + rows)
    messages, _, damage = read(path)
    assert damage == []
    stamps = [1480599048000000000 + i * 10**8 for i in range(1, 4)]
    for topic in ("/center/image", "/left/image", "/driving_log/values"):
        assert [m.stamp_ns for m in messages[topic]] == stamps
    steering = [m.values["steering"] for m in messages["/driving_log/values"] if isinstance(m, StatusReading)]
    assert steering == [0, 0.125, 0.25]


def test_a_table_without_names_loses_no_line(tmp_path: Path) -> None:
    path = tmp_path / "drive"
    names = [f"{side}_2016_12_01_13_30_48_{i}00.jpg" for i in (1, 2) for side in ("center", "left", "right")]
    write_pictures(path / "IMG", names)
    rows = [",".join([*(f"IMG/{n}" for n in names[3 * i : 3 * i + 3]), "0.5,1,0,10"]) for i in range(2)]
    (path / "driving_log.csv").write_text("\n".join([*rows, ""]))
    messages, account, damage = read(path)
    assert damage == []
    assert {t: n for t, n in account.read.items() if t.endswith("/image")} == dict.fromkeys(
        ("/center/image", "/left/image", "/right/image"), 2
    )
    values = [m.values for m in messages["/driving_log/values"] if isinstance(m, StatusReading)]
    assert [row["speed_mph"] for row in values] == [10, 10]
    assert values[0]["speed"] == pytest.approx(4.4704)
    assert "no line names the columns" in notes(path)
    (path / "driving_log.csv").write_text(f"{names[0]},7\n{names[3]},8\n")
    other, _, _ = read(path)
    assert [m.values["column_2"] for m in other["/driving_log/values"] if isinstance(m, StatusReading)] == [
        7,
        8,
    ]


@pytest.mark.parametrize(
    ("table", "stamps_ms", "said"),
    [
        ("frame,time_ms\n2,1300\n1,1200\n0,1000\n9,9000\n", [1000, 1200, 1300], "with its frame"),
        ("time_ms,speed\n1000,1\n1250,2\n1500,3\n", [1000, 1250, 1500], "as many lines"),
        ("time_ms,speed\n5000,1\n5500,2\n", [5000, 5100, 5200], "from the first time of the tables on"),
        ("frame,time_ms\n0,5000\n1,5500\n", [5000, 5100, 5200], "from the first time of the tables on"),
    ],
)
def test_pictures_without_stamps_take_those_of_a_table(
    table: str, stamps_ms: list[int], said: str, tmp_path: Path
) -> None:
    path = tmp_path / "drive"
    write_pictures(path / "frames", [f"frame_{i:04d}.jpg" for i in range(3)])
    (path / "telemetry.csv").write_text(table)
    messages, _, damage = read(path)
    assert damage == []
    assert [m.stamp_ns for m in messages["/camera/image"]] == [ms * 10**6 for ms in stamps_ms]
    assert said in notes(path)


def test_a_column_with_the_pictures_of_several_cameras_is_several(tmp_path: Path) -> None:
    """As Udacity's reader of bags writes it: a line for each picture, whatever camera took it."""
    path = tmp_path / "drive"
    sides, rows = ("left", "center", "right"), []
    for i in range(4):
        for k, side in enumerate(sides):
            stamp = 1479424215 * 10**9 + i * 50_000_000 + k * 3_000_000
            write_pictures(path / side, [f"{stamp}.jpg"])
            rows.append(f"{stamp},{side}_camera,{side}/{stamp}.jpg,{0.1 * i}")
    (path / "interpolated.csv").write_text("timestamp,frame_id,filename,angle\n" + "\n".join(rows) + "\n")
    messages, _, damage = read(path)
    assert damage == []
    for k, side in enumerate(sides):
        stamps = [m.stamp_ns - 1479424215 * 10**9 for m in messages[f"/{side}/image"]]
        assert stamps == [i * 50_000_000 + k * 3_000_000 for i in range(4)]
    assert "its pictures are of 3 cameras: left, center, right" in notes(path)


@pytest.mark.parametrize(
    ("names", "topics"),
    [
        (
            [f"{side}_{i:03d}.jpg" for i in range(4) for side in ("left", "right")],
            {"/left/image", "/right/image"},
        ),
        (
            [f"{side}_{i + k:03d}.jpg" for i in range(4) for k, side in ((0, "a"), (4, "b"))],
            {"/camera/image"},
        ),
        ([f"frame_{i:03d}.jpg" for i in range(8)], {"/camera/image"}),
    ],
)
def test_a_folder_with_the_pictures_of_several_cameras_is_several(
    tmp_path: Path, names: list[str], topics: set[str]
) -> None:
    messages = read(write_pictures(tmp_path / "drive", names))[0]
    assert {topic for topic in messages if topic.endswith("image")} == topics
    assert sum(len(messages[topic]) for topic in topics) == 8


def test_the_columns_of_udacitys_simulator_are_known_by_their_names(tmp_path: Path) -> None:
    path = tmp_path / "drive"
    names = [f"{side}_2016_12_01_13_30_48_{i}00.jpg" for i in (1, 2) for side in ("center", "left", "right")]
    write_pictures(path / "IMG", names)
    rows = [",".join([*(f"IMG/{n}" for n in names[3 * i : 3 * i + 3]), "0.5,1,0,10"]) for i in range(2)]
    head = "center,left,right,steering,throttle,brake,speed"
    (path / "driving_log.csv").write_text("\n".join([head, *rows, ""]))
    messages, _, _ = read(path)
    values = [m.values for m in messages["/driving_log/values"] if isinstance(m, StatusReading)]
    assert values[0]["speed"] == pytest.approx(4.4704)
    assert values[0]["steering_normalized"] == 0.5
    assert "steering" not in values[0]
    assert "speed in mph" in notes(path)


def test_speeds_in_other_units_are_also_given_in_si(tmp_path: Path) -> None:
    path = write_pictures(tmp_path / "drive", ["1.jpg", "2.jpg"])
    (path / "can.csv").write_text(
        "time_s,velocity [km/h],gyro_z_dps,speed,speed_kph\n1,36,90,2,9\n2,72,0,3,9\n"
    )
    messages, _, _ = read(path)
    values = [m.values for m in messages["/can/values"] if isinstance(m, StatusReading)]
    assert [row["velocity"] for row in values] == pytest.approx([10, 20])
    assert [row["gyro_z"] for row in values] == pytest.approx([1.5707963, 0])
    assert [row["velocity_[km/h]"] for row in values] == [36, 72]
    assert [row["speed"] for row in values] == [2, 3]  # a column of that name is as it was recorded


ROS_LENS = """image_width: 64
image_height: 48
camera_name: front
camera_matrix: {rows: 3, cols: 3, data: [50.0, 0.0, 32.0, 0.0, 51.0, 24.0, 0.0, 0.0, 1.0]}
distortion_model: plumb_bob
distortion_coefficients: {rows: 1, cols: 5, data: [-0.3, 0.1, 0.001, 0.002, 0.0]}
rectification_matrix: {rows: 3, cols: 3, data: [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]}
projection_matrix: {rows: 3, cols: 4, data: [45.0, 0.0, 31.0, 0.0, 0.0, 46.0, 23.0, 0.0, 0.0, 0.0, 1.0, 0.0]}
"""
EUROC_LENS = """sensor_type: camera
T_BS: {cols: 4, rows: 4, data: [0, -1, 0, 0.1, 1, 0, 0, 0.2, 0, 0, 1, 0.3, 0, 0, 0, 1.0]}
resolution: [64, 48]
camera_model: pinhole
intrinsics: [50.0, 51.0, 32.0, 24.0]
distortion_model: radial-tangential
distortion_coefficients: [-0.3, 0.1, 0.001, 0.002]
"""


def test_intrinsics_beside_pictures_are_read(tmp_path: Path) -> None:
    names = [f"140363657976355558{i}.jpg" for i in range(3)]
    for camera in ("cam0", "cam1"):
        write_pictures(tmp_path / camera / "data", names)
    (tmp_path / "cam0" / "sensor.yaml").write_text(EUROC_LENS)
    (tmp_path / "cam1.yaml").write_text(ROS_LENS)
    messages, _, damage = read(tmp_path)
    assert damage == []
    ((euroc,), (ros,)) = (messages[f"/{camera}/camera_info"] for camera in ("cam0", "cam1"))
    assert isinstance(euroc, CameraInfo)
    assert isinstance(ros, CameraInfo)
    for info, frame in ((euroc, "cam0"), (ros, "cam1")):
        assert (info.width, info.height, info.frame_id) == (64, 48, frame)
        assert info.intrinsics.tolist() == [[50, 0, 32], [0, 51, 24], [0, 0, 1]]
        assert info.distortion[:4].tolist() == [-0.3, 0.1, 0.001, 0.002]
    assert ros.projection is not None
    assert ros.projection[0].tolist() == [45, 0, 31, 0]
    (transforms,) = messages["/tf_static"]
    assert isinstance(transforms, FrameTransforms)
    (edge,) = transforms.items
    assert (edge.parent, edge.child) == ("body", "cam0")
    np.testing.assert_allclose(edge.parent_from_child[:3, 3], [0.1, 0.2, 0.3])
    np.testing.assert_allclose(edge.parent_from_child[:3, :3] @ [1, 0, 0], [0, 1, 0], atol=1e-12)


@pytest.mark.parametrize(
    "text", ["camera_matrix: 7", "camera_model: omni", "[1, 2", ROS_LENS.replace("51.0", ".nan"), "- 1"]
)
def test_a_file_that_holds_no_intrinsics_is_named(text: str, tmp_path: Path) -> None:
    path = write_pictures(tmp_path / "drive", ["1.jpg", "2.jpg"])
    (path / "camera_info.yaml").write_text(text)
    messages, _, _ = read(path)
    assert list(messages) == ["/camera/image", "/camera/image/file"]
    assert "camera_info.yaml beside it is no camera info that is read" in notes(path)


def test_a_picture_that_is_none_is_counted(tmp_path: Path) -> None:
    path = write_pictures(tmp_path / "drive", ["1.jpg", "2.jpg", "3.jpg"])
    (path / "2.jpg").write_bytes(b"GIF89a")
    (path / "3.jpg").write_bytes(b"")
    messages, account, damage = read(path)
    assert len(messages["/camera/image"]) == 1
    assert account.corrupt["/camera/image"] == 2
    assert sum(item.messages or 0 for item in damage) == 2


def test_a_folder_of_logs_with_previews_is_no_folder_of_pictures(tmp_path: Path) -> None:
    path = write_pictures(tmp_path / "drives", ["1.jpg", "2.jpg"])
    (path / "a.mcap").write_bytes(b"")
    with pytest.raises(LogError, match=r"found a directory; give one log in it, for instance a\.mcap"):
        open_log(path)
    (tmp_path / "days" / "monday").mkdir(parents=True)
    (tmp_path / "days" / "monday" / "b.mcap").write_bytes(b"")
    with pytest.raises(LogError, match=r"give one log in it, for instance monday/b\.mcap"):
        open_log(tmp_path / "days")


def test_files_that_are_not_read_are_named_and_names_of_pictures_are_no_numbers(tmp_path: Path) -> None:
    for folder, suffix in (("image_2", ".jpg"), ("velodyne", ".bin"), ("labels", ".json")):
        (tmp_path / folder).mkdir()
        for i in range(3):
            (tmp_path / folder / f"{i:06d}{suffix}").write_bytes(jpeg(i))
    (tmp_path / "values.csv").write_text("time,speed\r\n" + "".join(f"{i / 10},{i}\r\n" for i in range(9)))
    with open_log(tmp_path) as log:
        (note,) = [text for text in log.survey.notes if text.startswith("not read")]
        choice = complete_config(log)
    assert "3 .bin in velodyne" in note
    assert "3 .json in labels" in note
    assert ".csv" not in note
    assert {s.topic for s in choice.config.sensors.statuses.values()} == {"/values/values"}
    unused = {item.topic: item.reason for item in choice.unused}
    assert "truth.labels" in unused["/camera/image/file"]
    assert not [text for text in choice.warnings if "/file" in text or "no stamp" in text]


def test_mixed_cameras_of_two_folders_are_not_one(tmp_path: Path) -> None:
    names = [f"{side}_{i:04d}.jpg" for side in ("left", "right") for i in range(4)]
    for folder in ("drive_a", "drive_b"):
        write_pictures(tmp_path / "log" / folder, names)
    with open_log(tmp_path / "log") as log:
        counts = {topic: survey.count for topic, survey in log.survey.topics.items()}
    pictures = {topic: count for topic, count in counts.items() if topic.endswith("/image")}
    sides = [f"/drive_{drive}_{side}/image" for drive in "ab" for side in ("left", "right")]
    assert pictures == dict.fromkeys(sides, 4)
