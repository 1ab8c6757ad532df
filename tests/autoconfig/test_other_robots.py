"""A log of several robots whose frames have the same names: one of them is used, and the others are named."""

from __future__ import annotations

from pathlib import Path

from foxglove_schemas_protobuf.FrameTransforms_pb2 import FrameTransforms

from perception.autoconfig import ConfigChoice, complete_config
from perception.logs import open_log
from tests.small_logs import SmallLog, foxglove_schema


def choice_of(log: SmallLog, folder: Path) -> ConfigChoice:
    with open_log(log.write(folder / "small.mcap")) as opened:
        return complete_config(opened)


def robot(log: SmallLog, space: str, y: float = 0.0, moves: bool = False) -> SmallLog:
    """Add a camera, a scanner and the transforms of a robot; its camera sits `y` metres to the left."""

    def transforms(i: int, stamp: int) -> bytes:
        message = FrameTransforms()
        for child, side in (("camera", y + (0.1 * i if moves else 0.0)), ("laser", 0.0)):
            edge = message.transforms.add(parent_frame_id="base", child_frame_id=child)
            edge.timestamp.FromNanoseconds(stamp)
            edge.rotation.w, edge.translation.y = 1.0, side
        return bytes(message.SerializeToString())

    log.image(f"{space}/camera/image").calibration(f"{space}/camera/info").scan(f"{space}/scan")
    return log.stream(f"{space}/tf", foxglove_schema(FrameTransforms), "protobuf", transforms)


def others(choice: ConfigChoice) -> set[str]:
    return {item.topic for item in choice.unused if item.code == "other_robot"}


def test_of_two_robots_one_is_used(tmp_path: Path) -> None:
    choice = choice_of(robot(robot(SmallLog(), "/a"), "/b"), tmp_path)
    assert choice.config.sensors.cameras["camera"].transforms == ("/a/tf",)
    assert set(choice.config.roles()) == {"/a/camera/image", "/a/camera/info", "/a/scan", "/a/tf"}
    assert others(choice) == {"/b/camera/image", "/b/camera/info", "/b/scan", "/b/tf"}
    assert any("topics in /b are not used" in text and "'camera'" in text for text in choice.warnings)


def test_transforms_without_a_robots_camera_are_left_out(tmp_path: Path) -> None:
    log = robot(SmallLog(), "/b").transforms("/a/tf", edges=(("base", "camera"),))
    choice = choice_of(log, tmp_path)
    assert choice.config.sensors.cameras["camera"].transforms == ("/b/tf",)
    assert others(choice) == {"/a/tf"}


def test_a_robot_inside_the_namespace_of_another_is_one_where_its_mounts_differ(tmp_path: Path) -> None:
    inner = robot(SmallLog().transforms("/tf", edges=(("base", "laser"),)), "/b")
    assert others(choice_of(inner, tmp_path)) == set(), "the same transforms twice"
    choice = choice_of(robot(robot(SmallLog(), ""), "/b", y=0.5), tmp_path)
    assert set(choice.config.roles()) == {"/b/camera/image", "/b/camera/info", "/b/scan", "/b/tf"}
    assert others(choice) == {"/camera/image", "/camera/info", "/scan", "/tf"}


def test_what_moves_in_both_is_no_contradiction(tmp_path: Path) -> None:
    log = robot(robot(SmallLog(), "", moves=True), "/b", y=0.05, moves=True)
    assert others(choice_of(log, tmp_path)) == set()


def test_topics_of_transforms_for_other_frames_are_all_used(tmp_path: Path) -> None:
    log = SmallLog().image().calibration().scan().transforms("/front/tf", edges=(("base", "camera"),))
    choice = choice_of(log.transforms("/rear/tf", edges=(("base", "laser"),)), tmp_path)
    assert choice.config.sensors.cameras["camera"].transforms == ("/front/tf", "/rear/tf")
