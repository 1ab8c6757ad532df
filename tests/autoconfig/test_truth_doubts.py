"""Boxes that a detector found and scenes of a map are no truth, unless the user says so."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from perception.autoconfig import ConfigChoice, complete_config
from perception.autoconfig.truth_doubts import why_no_truth
from perception.logs import open_log
from perception.logs.perception_proto import SCHEMAS, encode_truth
from perception.types import Schema, TruthBox
from tests.small_logs import SmallLog

DEFINITION = b"""std_msgs/Header header
Detection2D[] detections
================================================================================
MSG: vision_msgs/Detection2D
Hypothesis[] results
BoundingBox2D bbox
================================================================================
MSG: vision_msgs/Hypothesis
float64 score
================================================================================
MSG: vision_msgs/BoundingBox2D
geometry_msgs/Pose2D center
float64 size_x
float64 size_y
"""


def detections(score: float) -> bytes:
    """Return a vision_msgs/Detection2DArray of one box in CDR."""
    header = np.array([1, 0, 1], "<i4").tobytes() + bytes(4)  # a stamp, and an empty frame
    counts = np.array([1, 1], "<u4").tobytes()
    return b"\0\1\0\0" + header + counts + np.array([score, 32, 24, 0, 10, 10], "<f8").tobytes()


def choice_of(log: SmallLog, folder: Path) -> ConfigChoice:
    with open_log(log.write(folder / "small.mcap")) as opened:
        return complete_config(opened)


@pytest.mark.parametrize(
    ("topic", "score", "taken"),
    [
        ("/yolo/boxes", 0.4, False),
        ("/yolo/boxes", 87.5, False),  # in percent
        ("/yolo/boxes", 1.0, True),
        ("/boxes", 0.0, True),
        ("/labels", 0.4, True),
    ],
)
def test_boxes_with_scores_are_those_of_a_detector(
    tmp_path: Path, topic: str, score: float, taken: bool
) -> None:
    schema = Schema("vision_msgs/msg/Detection2DArray", "ros2msg", DEFINITION)
    log = SmallLog().image().stream(topic, schema, "cdr", lambda i, stamp: detections(score))
    choice = choice_of(log, tmp_path)
    assert choice.config.truth.boxes == (topic if taken else None)
    if not taken:
        (item,) = [item for item in choice.unused if item.topic == topic]
        assert item.code == "no_truth"
        assert f"have scores ({score:.2g})" in item.reason
        assert any(topic in text and "truth.boxes" in text for text in choice.warnings)


@pytest.mark.parametrize(("frame", "is_said"), [("camera", False), ("", False), ("rear_camera", True)])
def test_boxes_of_the_frame_of_no_camera_are_a_warning(tmp_path: Path, frame: str, is_said: bool) -> None:
    log = SmallLog().image(frame="camera")
    boxes = [TruthBox("car", (1.0, 2.0, 3.0, 4.0), 5.0, 1.0, "1")]
    schema = SCHEMAS["perception.Detections"]
    log.stream("/boxes", schema, "protobuf", lambda i, stamp: encode_truth(stamp, frame, boxes))
    choice = choice_of(log, tmp_path)
    assert choice.config.truth.boxes == "/boxes"
    assert any("of the frame 'rear_camera'" in text for text in choice.warnings) == is_said


def scene(cubes: int, entities: int = 1, **metadata: str) -> dict[str, object]:
    pose = {"position": {"x": 5, "y": 0, "z": 0}, "orientation": {"x": 0, "y": 0, "z": 0, "w": 1}}
    cube = {"pose": pose, "size": {"x": 1, "y": 1, "z": 1}}
    entity = {"frame_id": "base", "id": "one", "cubes": [cube] * cubes}
    entity["metadata"] = [{"key": key, "value": value} for key, value in metadata.items()]
    return {"deletions": [], "entities": [entity] * entities}


def test_scenes_without_cuboids_are_no_truth(tmp_path: Path) -> None:
    log = SmallLog().image().calibration().transforms()
    log.json("/drivable_area", lambda i: scene(0), "foxglove.SceneUpdate")
    choice = choice_of(log, tmp_path)
    assert choice.config.truth.boxes is None
    assert any("/drivable_area is not used: its scenes hold no cuboids" in text for text in choice.warnings)
    log.json("/markers", lambda i: scene(1), "foxglove.SceneUpdate")
    assert choice_of(log, tmp_path).config.truth.boxes == "/markers"


@pytest.mark.parametrize(("score", "is_detected"), [("0.83", True), ("1.0", False), ("high", False)])
def test_cuboids_with_scores_are_those_of_a_detector(tmp_path: Path, score: str, is_detected: bool) -> None:
    log = SmallLog().json("/boxes", lambda i: scene(1, score=score, label="car"), "foxglove.SceneUpdate")
    with open_log(log.write(tmp_path / "small.mcap")) as opened:
        assert bool(why_no_truth(opened, "/boxes")) == is_detected


def test_scenes_that_begin_without_objects_may_be_truth(tmp_path: Path) -> None:
    log = SmallLog().json("/boxes", lambda i: scene(1, int(i > 10)), "foxglove.SceneUpdate")
    with open_log(log.write(tmp_path / "small.mcap")) as opened:
        assert why_no_truth(opened, "/boxes") == ""
