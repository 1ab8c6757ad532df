"""Tests of whole logs: reproducibility, injected faults, cleanup after interruption."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from perception.errors import OutputError
from perception.logs import decode, open_log
from perception.logs.perception_proto import decode_truth
from perception.simulation import Failure, Order, Scenario, generate, generate_many
from perception.types import (
    CameraFrame,
    CameraInfo,
    FrameTransforms,
    RangeScan,
    StatusReading,
    TruthBoxes,
)
from tests.forked_python import ForkedPython

pytestmark = [pytest.mark.sim, pytest.mark.usefixtures("drawing")]
DURATION_S = 0.5


@pytest.fixture(scope="module")
def made(drawing: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("synthetic") / "one.mcap"
    generate(path, 5, Scenario(), DURATION_S, ground_px=512)
    return path


def messages(path: Path) -> dict[str, list]:
    found: dict[str, list] = {}
    with open_log(path) as log:
        for message in log.messages():
            found.setdefault(message.topic, []).append(decode(message))
    return found


def test_several_processes_generate_the_requested_logs_and_the_same_seed_gives_the_same_bytes(
    made: Path, tmp_path: Path
) -> None:
    heard: list[tuple[int, int, int]] = []
    orders = [
        Order(tmp_path / "5.mcap", 5, Scenario(), DURATION_S, 512),
        Order(tmp_path / "6.mcap", 6, Scenario(), 0.1, 256),
    ]
    generate_many(orders, 2, lambda order, done, total: heard.append((order.seed, done, total)))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["5.mcap", "6.mcap"]
    assert {(seed, done) for seed, done, total in heard if done == total} == {(5, 5), (6, 1)}
    assert (tmp_path / "5.mcap").read_bytes() == made.read_bytes()
    assert messages(tmp_path / "6.mcap")["/truth/control"][0] != messages(made)["/truth/control"][0]


def test_a_log_contains_every_sensor_the_rig_and_the_truth(made: Path) -> None:
    found = messages(made)
    kinds = {topic: type(rows[0]) for topic, rows in found.items()}
    assert kinds["/camera/image"] is CameraFrame
    assert kinds["/scan"] is RangeScan
    assert kinds["/vehicle/state"] is StatusReading
    assert kinds["/camera/calibration"] is CameraInfo
    assert kinds["/tf"] is FrameTransforms
    assert kinds["/truth/detections"] is TruthBoxes
    assert len(found["/camera/image"]) == pytest.approx(5, abs=1)
    assert len(found["/scan"]) == pytest.approx(10, abs=1)
    assert len(found["/vehicle/state"]) == pytest.approx(50, abs=1)
    assert set(found["/vehicle/state"][0].values) >= {"speed", "yaw_rate", "acceleration"}
    assert found["/camera/calibration"][0].log_time_ns <= found["/camera/image"][0].log_time_ns


def test_truth_has_the_stamps_of_the_frames(made: Path) -> None:
    found = messages(made)
    assert [t.stamp_ns for t in found["/truth/detections"]] == [f.stamp_ns for f in found["/camera/image"]]
    assert [t.stamp_ns for t in found["/truth/control"]] == [f.stamp_ns for f in found["/camera/image"]]


def test_camera_info_and_transforms_project_scan_points_onto_objects(made: Path) -> None:
    """Range and camera agree when only the messages are used."""
    from perception.geometry import TransformTree, project, transform_points

    found = messages(made)
    rig = found["/camera/calibration"][0]
    camera_from_lidar = TransformTree(found["/tf"][0].edges).target_from_source(rig.frame_id, "lidar")
    assert camera_from_lidar is not None
    agreeing = 0
    for frame, truth in zip(found["/camera/image"], found["/truth/detections"], strict=True):
        scan = min(found["/scan"], key=lambda s: abs(s.stamp_ns - frame.stamp_ns))
        points = transform_points(camera_from_lidar, scan.points_m[np.isfinite(scan.points_m).all(axis=1)])
        pixels = project(points, rig.intrinsics)
        for box in truth.items:
            x1, y1, x2, y2 = box.xyxy
            inside = (pixels[:, 0] > x1) & (pixels[:, 0] < x2) & (pixels[:, 1] > y1) & (pixels[:, 1] < y2)
            if box.visible > 0.9 and inside.any():
                nearest = np.linalg.norm(points[inside], axis=1).min()
                agreeing += abs(nearest - box.distance_m) < 3.5
    assert agreeing >= 5


def test_injected_faults_change_the_messages_as_configured(made: Path, tmp_path: Path) -> None:
    scenario = Scenario(
        failures=(
            Failure(sensor="camera", kind="frozen", start_s=0.0, end_s=0.3),
            Failure(sensor="range", kind="silent", start_s=0.1, end_s=0.4),
            Failure(sensor="status", kind="biased", start_s=0.2, end_s=1.0),
            Failure(sensor="camera", kind="biased", start_s=0.35, end_s=1.0),
        )
    )
    faulty = tmp_path / "faulty.mcap"
    generate(faulty, 5, scenario, DURATION_S, ground_px=512)
    before, after = messages(made), messages(faulty)
    start = before["/camera/calibration"][0].stamp_ns
    frozen = [bytes(f.data) for f in after["/camera/image"] if f.stamp_ns < start + 0.3e9]
    assert len(frozen) >= 3
    assert len(set(frozen)) == 1
    assert not [s for s in after["/scan"] if start + 0.1e9 <= s.stamp_ns < start + 0.4e9]
    assert len(before["/scan"]) - len(after["/scan"]) == pytest.approx(6, abs=1)
    late = [k for k, s in enumerate(after["/vehicle/state"]) if s.stamp_ns > start + 0.2e9]
    gain = [
        after["/vehicle/state"][k].values["speed"] / before["/vehicle/state"][k].values["speed"] for k in late
    ]
    assert np.median(gain) == pytest.approx(1.25, abs=0.03)
    bright = [
        cv2.imdecode(np.frombuffer(log["/camera/image"][-1].data, np.uint8), 0).mean()
        for log in (before, after)
    ]
    assert bright[1] > bright[0] + 30
    # The truth is that of the world, whatever the sensors say of it.
    assert [t.items for t in after["/truth/detections"]] == [t.items for t in before["/truth/detections"]]


def test_a_frozen_sensor_repeats_what_it_sent(made: Path, tmp_path: Path) -> None:
    kinds = {"/camera/image": "camera", "/scan": "range", "/vehicle/state": "status"}
    failures = tuple(Failure(sensor=s, kind="frozen", start_s=0.2, end_s=0.6) for s in kinds.values())
    generate(tmp_path / "frozen.mcap", 5, Scenario(failures=failures), DURATION_S, ground_px=512)
    before, after = messages(made), messages(tmp_path / "frozen.mcap")
    start = before["/camera/calibration"][0].stamp_ns
    for topic in kinds:
        whole = zip(before[topic], after[topic], strict=True)
        others = [pair for pair in whole if not 0.2e9 <= pair[0].stamp_ns - start < 0.6e9]
        stuck = [m for m in after[topic] if 0.2e9 <= m.stamp_ns - start < 0.6e9]
        assert len(stuck) > 2
        assert {content(m) for m in stuck} == {content(stuck[0])}, topic
        if topic != "/camera/image":  # its noise is drawn for the pictures that it takes
            assert all(content(a) == content(b) for a, b in others), topic


def content(message: Any) -> bytes:
    """Return what a message says beside its stamp."""
    if hasattr(message, "data"):
        return bytes(message.data)
    return message.points_m.tobytes() if hasattr(message, "points_m") else repr(message.values).encode()


def test_an_unwritable_path_is_named(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="does not exist"):
        generate(tmp_path / "missing" / "one.mcap", 5, Scenario(), 0.5, ground_px=256)


def test_an_unwritable_path_fails_before_the_simulation(tmp_path: Path) -> None:
    def worked(done: int, total: int) -> None:
        raise AssertionError("no frame may be rendered")

    (tmp_path / "folder.mcap").mkdir()
    for path in (tmp_path / "missing" / "one.mcap", tmp_path / "folder.mcap"):
        with pytest.raises(OutputError):
            generate(path, 5, Scenario(), 0.5, worked, ground_px=256)
    assert [p.name for p in tmp_path.iterdir()] == ["folder.mcap"]


def test_sigterm_removes_partial_files_and_processes(tmp_path: Path, forked_python: ForkedPython) -> None:
    program = (
        "import sys; from pathlib import Path; from perception.simulation import *\n"
        "with terminable():\n"
        "  orders = [Order(Path(sys.argv[1]) / f'{s}.mcap', s, Scenario(), 2.0, 256) for s in (1, 2)]\n"
        "  generate_many(orders, 2, lambda *a: print('frame', flush=True))\n"
    )
    out = tmp_path / "out"
    out.mkdir()
    process = forked_python.start(out, program=program, start_new_session=True)
    assert process.stdout is not None
    assert process.stdout.readline().strip() == "frame"
    assert [p for p in out.iterdir() if p.name.endswith(".partial")]
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=60) == 128 + signal.SIGTERM
    process.stdout.close()
    assert list(out.iterdir()) == []
    deadline = time.monotonic() + 10
    while _alive(process.pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not _alive(process.pid)


def _alive(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def test_truth_boxes_lie_within_the_image(made: Path) -> None:
    with open_log(made) as log:
        for message in log.messages():
            if message.topic != "/truth/detections":
                continue
            for box in decode_truth(message.data)[2]:
                x1, y1, x2, y2 = box.xyxy
                assert 0 <= x1 < x2 <= 512
                assert 0 <= y1 < y2 <= 256
                assert box.visible >= 0.1
                assert box.label in {"person", "vehicle", "cyclist", "cone", "barrel"}
