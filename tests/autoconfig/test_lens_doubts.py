"""Camera infos whose lens lies far from the middle of the picture, and those of rectified pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from foxglove_schemas_protobuf.CameraCalibration_pb2 import CameraCalibration
from foxglove_schemas_protobuf.PointCloud_pb2 import PointCloud

from perception import parse_config
from perception.autoconfig import complete_config
from perception.logs import open_log
from tests.small_logs import SmallLog, foxglove_schema

FORWARD = {"x": -0.5, "y": 0.5, "z": -0.5, "w": 0.5}
LEVEL = {"x": 0.0, "y": 0.0, "z": 0.0, "w": 1.0}
BENT = [-0.37, 0.2, 0.001, 0.001, 0.0]


def warnings_of(folder: Path, topic: str, k: tuple[float, float], p: tuple[float, float], bent: bool) -> str:
    def info(i: int, stamp: int) -> bytes:
        message = CameraCalibration(frame_id="camera", width=1242, height=375, distortion_model="plumb_bob")
        message.K[:] = [960, 0, k[0], 0, 960, k[1], 0, 0, 1]
        message.P[:] = [721, 0, p[0], 45, 0, 721, p[1], 0.2, 0, 0, 1, 0.003]
        message.D[:] = BENT if bent else []
        message.timestamp.FromNanoseconds(stamp)
        return message.SerializeToString()

    log = SmallLog().image(topic, size=(1242, 375))
    log.stream("/camera_info", foxglove_schema(CameraCalibration), "protobuf", info, hz=1.0)
    with open_log(log.write(folder / "small.mcap")) as opened:
        choice = complete_config(opened)
        again = complete_config(
            opened, parse_config(choice.config.model_dump(mode="json", exclude_unset=True))
        )
    said = [text for text in choice.warnings if "middle of the lens" in text]
    assert [text for text in again.warnings if "middle of the lens" in text] == said
    return " ".join(said)


@pytest.mark.parametrize(
    ("topic", "k", "p", "bent", "word"),
    [
        ("/camera/image_raw", (696, 224), (610, 173), True, "set rectified: true"),  # KITTI's in a ROS bag
        ("/camera/image_rect", (696, 224), (610, 173), True, ""),
        ("/camera/image_raw", (610, 190), (610, 173), True, ""),
        ("/camera/image_raw", (696, 224), (610, 173), False, ""),
        ("/camera/image_raw", (1242, 375), (1242, 375), False, "perhaps of another size"),
        ("/camera/image_rect", (621, 187), (1242, 375), True, "perhaps of another size"),
    ],
)
def test_a_lens_far_from_the_middle_is_a_warning(
    tmp_path: Path, topic: str, k: tuple[float, float], p: tuple[float, float], bent: bool, word: str
) -> None:
    said = warnings_of(tmp_path, topic, k, p, bent)
    assert word in said
    assert bool(said) == bool(word)


@pytest.mark.parametrize(
    ("base", "turn", "is_said"),
    [
        ("base_link", LEVEL, True),
        ("base_link", FORWARD, False),
        ("rig_optical", LEVEL, False),
        ("base_link", {"z": 0.7071, "w": 0.7071}, True),  # as the frame of a camera to the left
        ("base_link", {"y": 0.2588, "w": 0.9659}, True),  # of one that looks 30 degrees down
        ("base_link", {"x": -0.6533, "y": 0.6533, "z": -0.2706, "w": 0.2706}, False),  # optical, 45 down
    ],
)
def test_a_frame_of_a_camera_that_is_not_optical_is_a_warning(
    tmp_path: Path, base: str, turn: dict[str, float], is_said: bool
) -> None:
    edge = {"parent_frame_id": base, "child_frame_id": "camera", "translation": {"x": 1.0}, "rotation": turn}
    log = SmallLog().image().calibration()
    log.json("/tf_static", lambda i: {"transforms": [edge]}, "foxglove.FrameTransforms", hz=1.0)
    with open_log(log.write(tmp_path / "small.mcap")) as opened:
        warnings = complete_config(opened).warnings
    assert any("looks straight up" in text for text in warnings) == is_said


@pytest.mark.parametrize(("turn", "is_said"), [(LEVEL, True), (FORWARD, False)])
def test_a_frame_of_a_depth_image_that_is_not_optical_is_a_warning(
    tmp_path: Path, turn: dict[str, float], is_said: bool
) -> None:
    def rig(i: int) -> dict[str, object]:
        turns = {"camera": FORWARD, "camera_link": turn}
        edges = [{"parent_frame_id": "base_link", "child_frame_id": f, "rotation": turns[f]} for f in turns]
        return {"transforms": [{**edge, "translation": {"x": 1.0}} for edge in edges]}

    log = SmallLog().image().calibration().raw_image("/depth/image_raw", "16UC1", frame="camera_link")
    log.calibration("/depth/camera_info", frame="camera_link")
    log.json("/tf_static", rig, "foxglove.FrameTransforms", hz=1.0)
    with open_log(log.write(tmp_path / "small.mcap")) as opened:
        warnings = complete_config(opened).warnings
    said = [text.split()[1] for text in warnings if "looks straight up" in text]
    assert said == ["/depth/image_raw"] * is_said


def cloud(points: np.ndarray, stamp: int) -> bytes:
    message = PointCloud(frame_id="laser", point_stride=12, data=points.astype("<f4").tobytes())
    message.timestamp.FromNanoseconds(stamp)
    for i, name in enumerate("xyz"):
        message.fields.add(name=name, offset=4 * i, type=7)
    return bytes(message.SerializeToString())


@pytest.mark.parametrize(("axis", "is_said"), [(2, True), (0, False)])
def test_a_cloud_of_a_depth_camera_in_a_frame_with_x_forward_is_a_warning(
    tmp_path: Path, axis: int, is_said: bool
) -> None:
    """As Gazebo writes it: z forward, in `camera_link`."""
    points = np.random.default_rng(0).uniform(-1, 1, (200, 3))
    points[:, axis] = 4.0
    log = SmallLog().image().calibration().transforms(edges=(("base_link", "camera"), ("base_link", "laser")))
    schema = foxglove_schema(PointCloud)
    log.stream("/points", schema, "protobuf", lambda i, stamp: cloud(points, stamp))
    with open_log(log.write(tmp_path / "small.mcap")) as opened:
        warnings = complete_config(opened).warnings
    assert [text.split()[1] for text in warnings if "looks straight up" in text] == ["/points"] * is_said
