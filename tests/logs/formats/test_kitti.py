"""KITTI drives, sequences and object folders: stamps, pictures, returns, the rig, and labels as truth."""

from __future__ import annotations

import json
import math
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest

from perception.autoconfig import complete_config
from perception.logs import open_log
from perception.types import (
    CameraFrame,
    CameraInfo,
    Cuboids,
    FrameTransforms,
    RangeScan,
    StatusReading,
    TruthBoxes,
)
from perception_tools.cli import run
from tests.logs.formats.made_logs import (
    BASE_TO_SCANNER,
    SCANNER_FORWARD,
    jpeg,
    kitti_returns,
    kitti_time,
    projection,
    read,
    write_kitti_object,
    write_kitti_odometry,
    write_kitti_raw,
)


def stamp_ns(i: int) -> int:
    seconds = Decimal(kitti_time(i).split(":")[-1]) - 25
    return 1_317_042_145_000_000_000 + int(seconds * 10**9)


def test_a_drive_gives_its_sensors_with_exact_stamps(tmp_path: Path) -> None:
    messages, account, damage = read(write_kitti_raw(tmp_path))
    assert damage == []
    assert account.totals() == account.read
    stamps = [stamp_ns(i) for i in range(6)]
    for topic in ("/image_02/image", "/image_03/image", "/velodyne_points", "/oxts"):
        assert [m.stamp_ns for m in messages[topic]] == stamps
    pictures = [bytes(m.data) for m in messages["/image_02/image"] if isinstance(m, CameraFrame)]
    assert pictures == [jpeg(i, suffix=".png") for i in range(6)]
    for i, scan in enumerate(messages["/velodyne_points"]):
        assert isinstance(scan, RangeScan)
        assert scan.intensity is not None
        np.testing.assert_array_equal(np.column_stack([scan.points_m, scan.intensity]), kitti_returns(i))
    states = [m.values for m in messages["/oxts"] if isinstance(m, StatusReading)]
    assert [v["speed"] for v in states] == [8 + i / 8 for i in range(6)]
    assert [v["acceleration"] for v in states] == [14 + i / 8 for i in range(6)]
    assert [v["yaw_rate"] for v in states] == [22 + i / 8 for i in range(6)]


def pixel_of(frame: str, point: np.ndarray, infos: CameraInfo, transforms: FrameTransforms) -> np.ndarray:
    """Return the pixel of a point of the scanner, by the decoded camera info and transforms."""
    poses = {item.child: (item.parent, item.parent_from_child) for item in transforms.items}
    parent, scanner_from_camera = poses[frame]
    assert parent == "velodyne"
    in_camera = np.linalg.inv(scanner_from_camera) @ [*point, 1]
    homogeneous = infos.intrinsics @ in_camera[:3]
    return homogeneous[:2] / homogeneous[2]


@pytest.mark.parametrize("camera", [2, 3])
def test_returns_are_projected_as_the_authors_say(tmp_path: Path, camera: int) -> None:
    messages, _, _ = read(write_kitti_raw(tmp_path))
    (info,), (transforms,) = messages[f"/image_0{camera}/camera_info"], messages["/tf_static"]
    assert isinstance(info, CameraInfo)
    assert isinstance(transforms, FrameTransforms)
    assert (info.width, info.height) == (32, 24)
    for point in ([10.0, 1, 0.5], [30.0, -2, -1]):
        expected = projection(camera) @ np.append(SCANNER_FORWARD @ [*point, 1], 1)
        np.testing.assert_allclose(
            pixel_of(f"image_0{camera}", np.array(point), info, transforms),
            expected[:2] / expected[2],
            atol=1e-6,
        )
    base = {item.child: item.parent_from_child for item in transforms.items}["velodyne"]
    np.testing.assert_allclose(np.linalg.inv(base)[:3], BASE_TO_SCANNER, atol=1e-9)


def test_a_sequence_gives_its_sensors_a_second_later_and_places_returns(tmp_path: Path) -> None:
    messages, account, damage = read(write_kitti_odometry(tmp_path))
    assert damage == []
    assert account.totals() == account.read
    for topic in ("/image_0/image", "/image_2/image", "/velodyne"):
        assert [m.stamp_ns for m in messages[topic]] == [10**9 + i * 125_000_000 for i in range(6)]
    pictures = [bytes(m.data) for m in messages["/image_2/image"] if isinstance(m, CameraFrame)]
    assert pictures == [jpeg(i + 2, suffix=".png") for i in range(6)]
    for i, scan in enumerate(messages["/velodyne"]):
        assert isinstance(scan, RangeScan)
        np.testing.assert_array_equal(scan.points_m, kitti_returns(i)[:, :3])
    (info,), (transforms,) = messages["/image_2/camera_info"], messages["/tf_static"]
    assert isinstance(info, CameraInfo)
    assert isinstance(transforms, FrameTransforms)
    for point in ([10.0, 1, 0.5], [30.0, -2, -1]):
        expected = projection(2) @ np.append(SCANNER_FORWARD @ [*point, 1], 1)
        actual = pixel_of("image_2", np.array(point), info, transforms)
        np.testing.assert_allclose(actual, expected[:2] / expected[2], atol=1e-6)


def test_a_sequence_counts_missing_files_and_says_what_is_not_placed(tmp_path: Path) -> None:
    sequence = write_kitti_odometry(tmp_path)
    (sequence / "image_0/000003.png").unlink()
    (sequence / "velodyne/000006.bin").write_bytes(b"")
    (sequence / "calib.txt").write_text(f"P0: {projection(0)[0, 0]}\n")
    messages, account, _ = read(sequence)
    assert account.lost == {"/image_0/image": 1, "/velodyne": 1}
    assert "/image_2/camera_info" not in messages
    with open_log(sequence) as log:
        notes = " ".join(log.survey.notes)
    assert "calib.txt has no Tr" in notes
    assert "image_2: its intrinsics are not known" in notes


def test_files_that_the_times_list_are_lost_where_they_are_missing(tmp_path: Path) -> None:
    drive = write_kitti_raw(tmp_path)
    (drive / "velodyne_points/data/0000000002.bin").unlink()
    cut = drive / "velodyne_points/data/0000000004.bin"
    cut.write_bytes(cut.read_bytes()[:-3])
    (drive / "oxts/data/0000000001.txt").write_text("1 2 3")
    messages, account, damage = read(drive)
    assert account.lost == {"/velodyne_points": 1}
    assert account.corrupt == {"/velodyne_points": 1, "/oxts": 1}
    assert [m.stamp_ns for m in messages["/velodyne_points"]] == [stamp_ns(i) for i in (0, 1, 3, 5)]
    assert sum(item.messages or 0 for item in damage) == 3
    with open_log(drive) as log:
        assert log.accounting.counts == "the lines of timestamps.txt"


def test_a_drive_without_calibration_or_times_is_read_and_says_so(tmp_path: Path) -> None:
    drive = write_kitti_raw(tmp_path)
    for file in drive.parent.glob("calib_*.txt"):
        file.unlink()
    (drive / "image_02/timestamps.txt").unlink()
    messages, _, damage = read(drive)
    assert damage == []
    assert [m.stamp_ns for m in messages["/image_02/image"]] == [100_000_000 * (i + 1) for i in range(6)]
    with open_log(drive) as log:
        text = "\n".join(log.survey.notes)
    assert "stamps are made at 10 Hz" in text
    assert "image_02: its intrinsics are not known" in text
    assert "calib_velo_to_cam.txt is not there" in text


def test_an_object_folder_gives_labels_as_truth(tmp_path: Path) -> None:
    messages, account, damage = read(write_kitti_object(tmp_path / "training"))
    assert damage == []
    assert account.totals() == account.read
    stamps = [100_000_000 * (i + 1) for i in range(4)]
    assert {topic: [m.stamp_ns for m in held] for topic, held in messages.items()} == dict.fromkeys(
        messages, stamps
    )
    boxes, cuboids = messages["/label_2/boxes"][0], messages["/label_2/cuboids"][0]
    assert isinstance(boxes, TruthBoxes)
    assert isinstance(cuboids, Cuboids)
    car, pedestrian, region = boxes.items
    assert (car.label, car.xyxy, car.visible) == ("Car", (10, 8, 22, 18), 1.0)
    assert car.distance_m == pytest.approx(math.hypot(0.5, 1.7 - 0.75, 12), rel=1e-6)
    assert pedestrian.visible == pytest.approx(0.35)
    assert (region.xyxy, region.ignore, region.label) == ((25, 5, 31, 9), True, "")
    assert math.isnan(region.distance_m)
    assert [c.label for c in cuboids.items] == ["Car", "Pedestrian"]
    assert cuboids.items[0].size_m == (4.0, 1.6, 1.5)
    np.testing.assert_allclose(cuboids.items[0].frame_from_box[:3, 3], [0.5, 0.95, 12])
    np.testing.assert_allclose(cuboids.items[0].frame_from_box[:3, 2], [0, -1, 0], atol=1e-12)
    np.testing.assert_allclose(cuboids.items[1].frame_from_box[:3, 0], [0, 0, -1], atol=1e-3)


def test_frames_that_one_folder_lacks_are_counted(tmp_path: Path) -> None:
    path = write_kitti_object(tmp_path / "training")
    (path / "velodyne/000001.bin").unlink()
    (path / "image_2/000003.png").unlink()
    (path / "label_2/000002.txt").write_text("Car 1 2 3\n")
    _, account, damage = read(path)
    assert account.lost == {"/velodyne": 1, "/image_2": 1}
    assert account.corrupt == {"/label_2/boxes": 1, "/label_2/cuboids": 1, "/image_2/camera_info": 1}
    assert len(damage) == 5


@pytest.mark.parametrize("kind", ["raw", "object"])
def test_sensors_are_chosen_without_a_configuration(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    path = (
        write_kitti_raw(tmp_path, cameras=(2,))
        if kind == "raw"
        else write_kitti_object(tmp_path / "training")
    )
    assert run(["info", str(path), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    topics = {
        item.get("topic") for item in report["configuration"]["sensors"].values() if isinstance(item, dict)
    }
    expected = (
        {"/image_02/image", "/velodyne_points", "/oxts"} if kind == "raw" else {"/image_2", "/velodyne"}
    )
    assert expected <= topics
    assert report["log"]["notes"]
    if kind == "object":
        assert report["configuration"]["truth"]["boxes"] == "/label_2/boxes"


def tracklets_xml(*tracklets: tuple[str, int, int]) -> str:
    """Return tracklets as KITTI's boost archives have them: class, first frame, number of poses."""
    items = []
    for name, first, count in tracklets:
        poses = "".join(
            f'<item class_id="3"><tx>{10 + i}</tx><ty>-2</ty><tz>-1.5</tz><rx>0</rx><ry>0</ry><rz>0.5</rz>'
            "<state>2</state><occlusion>0</occlusion><truncation>0</truncation></item>"
            for i in range(count)
        )
        items.append(
            f'<item class_id="1"><objectType>{name}</objectType><h>1.5</h><w>1.6</w><l>4</l>'
            f'<first_frame>{first}</first_frame><poses class_id="2"><count>{count}</count>'
            f"<item_version>2</item_version>{poses}</poses><finished>1</finished></item>"
        )
    head = '<?xml version="1.0" encoding="UTF-8" standalone="yes" ?>\n<!DOCTYPE boost_serialization>\n'
    return (
        f'{head}<boost_serialization signature="serialization::archive" version="9"><tracklets class_id="0">'
        f"<count>{len(items)}</count><item_version>1</item_version>{''.join(items)}"
        "</tracklets></boost_serialization>\n"
    )


def test_tracklets_are_cuboids_of_their_frames(tmp_path: Path) -> None:
    drive = write_kitti_raw(tmp_path)
    (drive / "tracklet_labels.xml").write_text(tracklets_xml(("Car", 1, 3), ("Pedestrian", 3, 2)))
    messages, _, damage = read(drive)
    assert damage == []
    scenes = messages["/tracklets"]
    assert [m.stamp_ns for m in scenes] == [stamp_ns(i) for i in range(6)]
    held = [[(c.label, c.track_id) for c in m.items] for m in scenes if isinstance(m, Cuboids)]
    car, walker = ("Car", "0"), ("Pedestrian", "1")
    assert held == [[], [car], [car], [car, walker], [walker], []]
    scene = scenes[2]
    assert isinstance(scene, Cuboids)
    (cuboid,) = scene.items
    assert (cuboid.frame_id, cuboid.size_m) == ("velodyne", (4.0, 1.6, 1.5))
    front = cuboid.frame_from_box @ [2.0, 0, -0.75, 1]  # the middle of the front, at the bottom
    np.testing.assert_allclose(front[:3], [11 + 2 * math.cos(0.5), -2 + 2 * math.sin(0.5), -1.5], atol=1e-9)
    with open_log(drive) as log:
        assert complete_config(log).config.truth.boxes == "/tracklets"


def test_damaged_tracklets_are_named_and_the_others_used(tmp_path: Path) -> None:
    drive = write_kitti_raw(tmp_path)
    whole = tracklets_xml(("Car", 0, 2), ("Van", 5, 2), ("Cyclist", 0, 2))
    (drive / "tracklet_labels.xml").write_text(whole.replace("<tx>10<", "<tx>nan<", 1)[:-200])
    messages, _, damage = read(drive)
    assert [len(m.items) for m in messages["/tracklets"] if isinstance(m, Cuboids)] == [0, 0, 0, 0, 0, 1]
    reasons = " ".join(item.reason for item in damage)
    for text in ("1 poses of tracklet_labels.xml are of frames", "from tracklet 2 on", "a pose that is none"):
        assert text in reasons
    (drive / "tracklet_labels.xml").write_text('<!DOCTYPE a [<!ENTITY b "c">]>' + whole)
    assert "without entities" in " ".join(item.reason for item in read(drive)[2])
