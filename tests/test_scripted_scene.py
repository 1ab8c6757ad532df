"""The scripted scene is one world: camera, scan, status and truth agree, and the seed decides all of it."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import cast

import cv2
import numpy as np
import pytest

from perception.geometry import TransformTree, project, transform_points
from perception.logs.decoding import decode
from perception.types import (
    CameraFrame,
    CameraInfo,
    Decoded,
    FrameTransforms,
    RangeScan,
    StatusReading,
    TruthBoxes,
)
from tests.scripted_scene import START_NS, Row, forget_scenes, scene_messages, scene_rows, write_scene


@pytest.fixture(scope="module")
def scene() -> dict[str, list[Decoded]]:
    found: dict[str, list[Decoded]] = {}
    for message in scene_messages(seed=3, duration_s=2.0):
        found.setdefault(message.topic, []).append(decode(message))
    return found


def test_every_topic_comes_at_its_rate(scene: dict[str, list[Decoded]]) -> None:
    assert {topic: len(items) for topic, items in scene.items()} == {
        "/camera/image": 20,
        "/camera/calibration": 2,
        "/tf": 20,
        "/scan": 40,
        "/vehicle/state": 200,
        "/truth/detections": 20,
        "/truth/control": 20,
    }


def test_each_sensor_arrives_with_its_own_latency(scene: dict[str, list[Decoded]]) -> None:
    for topic, least, most in (("/camera/image", 40, 48), ("/scan", 12, 15), ("/vehicle/state", 4, 5)):
        delays = [(item.log_time_ns - item.stamp_ns) / 1e6 for item in scene[topic]]
        assert least <= min(delays) < max(delays) <= most


def test_frames_are_pictures_of_the_size_they_say(scene: dict[str, list[Decoded]]) -> None:
    frame = cast(CameraFrame, scene["/camera/image"][0])
    pixels = cv2.imdecode(np.frombuffer(frame.data, np.uint8), cv2.IMREAD_COLOR)
    assert pixels is not None
    assert pixels.shape == (256, 512, 3)
    assert pixels.std() > 25


def test_the_scan_hits_what_the_truth_shows(scene: dict[str, list[Decoded]]) -> None:
    """Returns in front of the camera, projected into it, measure the distance of the box around them."""
    calibration = cast(CameraInfo, scene["/camera/calibration"][0])
    checked = 0
    for truth in cast(list[TruthBoxes], scene["/truth/detections"]):
        tree = TransformTree(
            next(cast(FrameTransforms, t).edges for t in scene["/tf"] if t.stamp_ns == truth.stamp_ns)
        )
        scan = next(cast(RangeScan, s) for s in scene["/scan"] if s.stamp_ns == truth.stamp_ns)
        camera_from_laser = tree.target_from_source("camera", scan.frame_id)
        assert camera_from_laser is not None
        points = transform_points(camera_from_laser, scan.points_m[np.isfinite(scan.points_m[:, 0])])
        pixels = project(points, calibration.intrinsics)
        for box in truth.items:
            x1, y1, x2, y2 = box.xyxy
            if box.label != "vehicle" or box.visible < 0.95 or box.distance_m > 22 or x1 < 1 or x2 > 511:
                continue
            middle = (x1 + x2) / 2
            inside = (
                (np.abs(pixels[:, 0] - middle) < (x2 - x1) / 5) & (pixels[:, 1] > y1) & (pixels[:, 1] < y2)
            )
            assert inside.any()
            nearest = np.linalg.norm(points[inside], axis=1).min()
            assert box.distance_m - 3.2 < nearest < box.distance_m + 0.5
            checked += 1
    assert checked >= 10


def test_control_is_the_motion_half_a_second_ahead(scene: dict[str, list[Decoded]]) -> None:
    states = {item.stamp_ns: cast(StatusReading, item).values for item in scene["/vehicle/state"]}
    compared = 0
    for control in cast(list[StatusReading], scene["/truth/control"]):
        later = states.get(control.stamp_ns + 500_000_000)
        if later is not None:
            assert control.values["curvature"] * later["speed"] == pytest.approx(later["yaw_rate"], abs=0.01)
            assert control.values["acceleration"] == pytest.approx(later["acceleration"], abs=0.25)
            compared += 1
    assert compared == 15


def test_speed_is_the_way_made(scene: dict[str, list[Decoded]]) -> None:
    places = [cast(FrameTransforms, item).edges["base_link"][1][:2, 3] for item in scene["/tf"]]
    way = sum(float(np.linalg.norm(b - a)) for a, b in pairwise(places))
    speeds = [cast(StatusReading, item).values["speed"] for item in scene["/vehicle/state"]]
    assert way == pytest.approx(np.mean(speeds) * 1.9, rel=0.02)


def test_the_seed_decides_everything(tmp_path: Path) -> None:
    a = write_scene(tmp_path / "a.mcap", seed=5, duration_s=0.4).read_bytes()
    forget_scenes()
    assert write_scene(tmp_path / "b.mcap", seed=5, duration_s=0.4).read_bytes() == a
    assert write_scene(tmp_path / "c.mcap", seed=6, duration_s=0.4).read_bytes() != a


def test_leaving_a_sensor_out_changes_no_other() -> None:
    whole = [row for row in scene_rows(duration_s=0.5) if not row.topic.startswith("/camera")]
    assert scene_rows(duration_s=0.5, camera=False) == whole


def test_a_silent_sensor_is_silent_for_that_time_only() -> None:
    rows = scene_rows(duration_s=1.0, camera=False, silent={"status": (0.25, 0.75)})
    stamps = [(row.stamp_ns - START_NS) / 1e9 for row in rows if row.topic == "/vehicle/state"]
    assert len(stamps) == 50
    assert not [t for t in stamps if 0.25 <= t < 0.75]


def test_a_hook_may_drop_and_double_messages() -> None:
    def hook(row: Row) -> list[Row]:
        return {"/scan": [], "/tf": [row, row]}.get(row.topic, [row])

    topics = [row.topic for row in scene_rows(duration_s=0.2, camera=False, mutate=hook)]
    assert (topics.count("/scan"), topics.count("/tf"), topics.count("/vehicle/state")) == (0, 4, 20)
