from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perception.align.frame_track import MAX_FRAMES
from perception.align.rig_track import RigTrack
from perception.align.rig_tracks import RigTracks
from perception.config import CameraConfig
from perception.geometry import pose_matrix
from perception.types import (
    CameraFrame,
    CameraInfo,
    FrameTransform,
    FrameTransforms,
    RangeScan,
)
from tests.align.rig_build import camera_info, rig_config
from tests.align.rig_build import image as rig_image

MS = 1_000_000
CAMERA = CameraConfig(topic="/camera", calibration="/info", transforms=("/tf",))
K = np.array([[100.0, 0, 32], [0, 100.0, 24], [0, 0, 1]])


def yawed(angle: float, x: float = 0.0) -> np.ndarray:
    return pose_matrix((x, 0, 0), (0, 0, float(np.sin(angle / 2)), float(np.cos(angle / 2))))


def tf(
    at_ms: float, child: str, pose: np.ndarray, parent: str = "base", topic: str = "/tf"
) -> FrameTransforms:
    stamp = round(at_ms * MS)
    return FrameTransforms(topic, stamp, stamp, (FrameTransform(parent, child, pose, stamp),))


def info(at_ms: float = 0.0, focal: float = 100.0, frame: str = "cam") -> CameraInfo:
    k = K.copy()
    k[0, 0] = k[1, 1] = focal
    return CameraInfo("/info", round(at_ms * MS), round(at_ms * MS), frame, 64, 48, k, np.zeros(0))


def image(at_ms: float, width: int = 64, height: int = 48, frame: str = "cam") -> CameraFrame:
    return CameraFrame("/camera", round(at_ms * MS), round(at_ms * MS), frame, b"", "jpeg", width, height)


def scan(at_ms: float, frame: str = "lidar") -> RangeScan:
    return RangeScan.from_array(np.ones((1, 3)), stamp_ns=round(at_ms * MS), frame_id=frame)


def track(*messages: object, camera: CameraConfig = CAMERA) -> RigTrack:
    found = RigTrack(camera)
    for message in messages:
        found.learn(message)  # type: ignore[arg-type]
    return found


@given(order=st.permutations(range(6)), at_ms=st.integers(0, 500))
def test_a_camera_that_turns_is_where_it_is_at_the_moment_of_the_image(order: list[int], at_ms: int) -> None:
    turns = [tf(100 * i, "cam", yawed(0.05 * i)) for i in order]
    rig, issues = track(info(), tf(0, "lidar", np.eye(4)), *turns).at(0, image(at_ms), scan(at_ms))
    assert issues == ()
    np.testing.assert_allclose(rig.camera_from("lidar"), np.linalg.inv(yawed(at_ms * 0.0005)), atol=1e-9)


def test_a_scanner_that_turns_is_where_it_was_at_its_own_stamp() -> None:
    """The moving scanner at the moment of the scan, the moving camera at that of the image."""
    messages = [tf(100 * i, "cam", yawed(0.05 * i)) for i in range(6)]
    messages += [tf(100 * i, "lidar", yawed(-0.1 * i, x=1.0)) for i in range(6)]
    rig, _ = track(info(), *messages).at(0, image(300), scan(250))
    expected = np.linalg.inv(yawed(0.15)) @ yawed(-0.25, x=1.0)
    np.testing.assert_allclose(rig.camera_from("lidar"), expected, atol=1e-9)
    same = track(info(), *messages).at(0, image(300), scan(300)).rig
    np.testing.assert_allclose(
        same.camera_from("lidar"), np.linalg.inv(yawed(0.15)) @ yawed(-0.3, x=1.0), atol=1e-9
    )


def test_a_vehicle_that_drives_does_not_move_its_scanner_off_its_camera() -> None:
    messages = [tf(100 * i, "base", yawed(0.3 * i, x=float(i)), parent="map") for i in range(6)]
    fixed = [tf(0, "cam", yawed(0.2)), tf(0, "lidar", yawed(0.0, x=1.0))]
    rig, _ = track(info(), *messages, *fixed).at(0, image(300), scan(250))
    np.testing.assert_allclose(
        rig.camera_from("lidar"), np.linalg.inv(yawed(0.2)) @ yawed(0.0, x=1.0), atol=1e-9
    )
    np.testing.assert_allclose(
        rig.camera_from("map"), np.linalg.inv(yawed(0.9, x=3.0) @ yawed(0.2)), atol=1e-9
    )


def test_motion_goes_on_for_a_while_and_is_then_held_and_named() -> None:
    turns = [tf(100 * i, "cam", yawed(0.05 * i)) for i in range(3)]
    known = track(info(), tf(0, "lidar", np.eye(4)), *turns)
    ahead = known.at(0, image(350), scan(350))
    np.testing.assert_allclose(ahead.rig.camera_from("lidar"), np.linalg.inv(yawed(0.175)), atol=1e-9)
    assert ahead.issues == ()
    late = known.at(0, image(900), scan(900))
    np.testing.assert_allclose(late.rig.camera_from("lidar"), np.linalg.inv(yawed(0.1)), atol=1e-9)
    [issue] = late.issues
    assert issue.code == "held_transform"
    assert "'cam'" in issue.text
    assert "700 ms" in issue.text


def test_static_transforms_never_move() -> None:
    corrected = [
        tf(0, "cam", yawed(0.1), topic="/ns/tf_static"),
        tf(5000, "cam", yawed(0.2), topic="/ns/tf_static"),
    ]
    found = track(info(), tf(0, "lidar", np.eye(4)), *corrected)
    for at_ms in (0, 2500, 10_000):
        rig, issues = found.at(0, image(at_ms), scan(at_ms))
        np.testing.assert_allclose(rig.camera_from("lidar"), np.linalg.inv(yawed(0.2)))
        assert issues == ()


def test_a_rig_that_rests_is_one_object() -> None:
    """What was computed of it holds for all frames, however often its transforms come."""
    found = RigTrack(CAMERA)
    rigs = []
    for i in range(20):
        for message in (info(100 * i), tf(100 * i, "cam", yawed(0.1)), tf(100 * i, "lidar", np.eye(4))):
            found.learn(message)
        rigs.append(found.at(0, image(100 * i), scan(100 * i + 7)).rig)
    assert all(rig is rigs[0] for rig in rigs)


def test_the_picture_keeps_its_shape_while_no_image_comes() -> None:
    found = track(info(), image(0, 32, 24), image(200, 16, 12))
    sizes = []
    for at_ms in (-10, 0, 100, 250):
        calibration = found.at(at_ms * MS).rig.calibration
        assert calibration is not None
        sizes.append((calibration.width, calibration.intrinsics[0, 0]))
    assert sizes == [(64, 100.0), (32, 50.0), (32, 50.0), (16, 25.0)]


def test_intrinsics_change_with_their_stamp() -> None:
    found = track(info(0, 100.0), info(100, 100.0), info(200, 150.0), info(300, 150.0))
    for at_ms, focal in ((-50, 100.0), (150, 100.0), (200, 150.0), (900, 150.0)):
        calibration = found.at(0, image(at_ms)).rig.calibration
        assert calibration is not None
        assert calibration.intrinsics[0, 0] == focal


def test_what_cannot_be_placed_is_named() -> None:
    silent = CameraConfig(topic="/camera")

    def issue(found: RigTrack, frame: str = "lidar") -> tuple[str, str]:
        [issue] = found.at(0, image(0), scan(0, frame)).issues
        return issue.code, issue.text

    lidar = tf(0, "lidar", np.eye(4))
    for found, code, words in (
        (track(camera=silent), "no_camera_info", "sensors.camera.calibration"),
        (track(lidar), "no_camera_info", "/info"),
        (track(info(frame="depth"), lidar), "other_camera", "'depth'"),
        (track(info()), "no_transform", "there are none"),
        (track(info(), lidar), "no_transform", "'cam'"),
    ):
        assert issue(found)[0] == code
        assert words in issue(found)[1]
    assert "names no frame" in issue(track(info(), lidar), "")[1]
    unnamed = track(info(frame=""), lidar).at(0, replace(image(0), frame_id=""), scan(0)).issues
    assert "neither the pictures nor the camera info name a frame" in unnamed[0].text
    unknown = CameraInfo("/info", 0, 0, "cam", 64, 48, K, np.array([0.1]), "mystery")
    code, text = issue(track(unknown, lidar, tf(0, "cam", np.eye(4))))
    assert (code, "'mystery'" in text) == ("unknown_lens", True)
    assert RigTrack(None).at(0, None, scan(0)).issues == ()


def test_after_a_break_the_last_known_rig_holds() -> None:
    found = track(
        info(), tf(0, "lidar", np.eye(4)), *[tf(10_000 + 100 * i, "cam", yawed(0.1 * i)) for i in range(3)]
    )
    found.begin_anew()
    rig, issues = found.at(0, image(0), scan(0))
    np.testing.assert_allclose(rig.camera_from("lidar"), np.linalg.inv(yawed(0.2)), atol=1e-9)
    assert issues == ()


@pytest.mark.parametrize("size", [(64, 48), (32, 24)])
def test_after_a_break_every_camera_has_its_last_camera_info_picture_and_pose(size: tuple[int, int]) -> None:
    found = RigTracks(rig_config().sensors)
    for i in range(3):
        found.learn(tf(10_000 + 100 * i, "front", yawed(0.1 * i)))
    for name in ("front", "left"):
        for at_s, focal in ((0, 40.0), (10, 60.0)):
            found.learn(replace(camera_info(name, focal), stamp_ns=at_s * 1000 * MS))
            found.learn(rig_image(name, 1000 * at_s, (64, 48) if at_s == 0 else size))
    found.begin_anew()
    front_from_base = found.at(0)["front"].rig.camera_from("base")
    np.testing.assert_allclose(front_from_base, np.linalg.inv(yawed(0.2)), atol=1e-9)
    for placing in found.at(0).values():
        assert placing.rig.calibration is not None
        assert placing.rig.calibration.intrinsics[0, 0] == 60.0 * size[0] / 64


def test_frames_are_bounded_and_cycles_end() -> None:
    found = track(info(), tf(0, "base", yawed(0.1), parent="cam"), tf(0, "cam", yawed(0.1)))
    frames = [FrameTransform("base", f"f{i}", np.eye(4), 0) for i in range(MAX_FRAMES + 10)]
    found.learn(FrameTransforms("/tf", 0, 0, tuple(frames)))
    assert len(found.frames._frames) == MAX_FRAMES
    found.at(0, image(0), scan(0, "base"))


@settings(max_examples=10)
@given(seed=st.integers(0, 2**32 - 1))
def test_memory_does_not_grow(seed: int) -> None:
    rng = random.Random(seed)
    found = RigTrack(CAMERA)
    for i in range(800):
        found.learn(info(i, rng.choice([100.0, 150.0])))
        found.learn(image(i, rng.choice([32, 64])))
    assert len(found._infos._values) <= 256
    assert len(found._shapes._values) <= 256
