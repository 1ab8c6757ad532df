"""The frame in which positions are stated is found in the transforms, and the reason is said."""

from __future__ import annotations

from pathlib import Path

import pytest
from foxglove_schemas_protobuf.FrameTransforms_pb2 import FrameTransforms

from perception.autoconfig import complete_config
from perception.config import parse_config
from perception.logs import open_log
from tests.small_logs import SmallLog, foxglove_schema

Edges = tuple[tuple[str, str], ...]


def chosen(log: SmallLog, folder: Path, base: dict[str, object] | None = None) -> tuple[str | None, str]:
    with open_log(log.write(folder / "small.mcap")) as opened:
        choice = complete_config(opened, None if base is None else parse_config({"version": 1, **base}))
    (reason,) = (text for text in choice.reasons if text.startswith("base frame: "))
    return choice.config.base_frame, reason


def moving(log: SmallLog, parent: str, child: str) -> SmallLog:
    def make(i: int, stamp: int) -> bytes:
        message = FrameTransforms()
        edge = message.transforms.add(parent_frame_id=parent, child_frame_id=child)
        edge.timestamp.FromNanoseconds(stamp)
        edge.rotation.w, edge.translation.x = 1.0, 0.1 * i
        return message.SerializeToString()

    return log.stream("/tf_moving", foxglove_schema(FrameTransforms), "protobuf", make)


@pytest.mark.parametrize(
    ("edges", "frame"),
    [
        ((("base_link", "mast"), ("mast", "camera")), "base_link"),
        ((("base_footprint", "base_link"), ("base_link", "camera")), "base_link"),
        ((("husky/base_link", "husky/mast"), ("husky/mast", "camera")), "husky/base_link"),
        ((("lidar", "camera"), ("lidar", "ego_vehicle")), "ego_vehicle"),
        ((("rig", "mast"), ("mast", "camera")), "rig"),
    ],
)
def test_the_frame_of_the_vehicle(edges: Edges, frame: str, tmp_path: Path) -> None:
    log = SmallLog().image().calibration().transforms(edges=edges)
    found, reason = chosen(log, tmp_path)
    assert found == frame
    assert f"{frame}, in which positions are stated" in reason


def test_a_frame_above_one_that_moves_is_not_of_the_vehicle(tmp_path: Path) -> None:
    log = SmallLog().image().calibration().transforms(edges=(("rig", "camera"),))
    assert chosen(moving(log, "map", "rig"), tmp_path)[0] == "rig"


@pytest.mark.parametrize(("camera", "info"), [("camera", ""), ("", "camera"), ("camera", "camera")])
def test_the_camera_is_named_by_its_pictures_or_its_camera_info(
    tmp_path: Path, camera: str, info: str
) -> None:
    log = SmallLog().image(frame=camera).calibration(frame=info)
    assert chosen(log.transforms(edges=(("base_link", "camera"),)), tmp_path)[0] == "base_link"


def test_without_a_rig_positions_are_not_stated_and_the_cure_is_named(tmp_path: Path) -> None:
    assert chosen(SmallLog().image(), tmp_path)[0] is None
    found, reason = chosen(SmallLog().image().calibration(), tmp_path)
    assert found is None
    assert "no transforms place the camera's frame camera" in reason
    assert "base_frame" in reason


def test_a_configured_frame_is_taken_and_sensors_of_the_user_get_one(tmp_path: Path) -> None:
    log = SmallLog().image().calibration().transforms(edges=(("base_link", "camera"),))
    assert chosen(log, tmp_path, {"base_frame": "camera"})[0] == "camera"
    camera = {"topic": "/camera/image", "calibration": "/camera/calibration", "transforms": ["/tf"]}
    assert chosen(log, tmp_path, {"sensors": {"camera": camera}})[0] == "base_link"
