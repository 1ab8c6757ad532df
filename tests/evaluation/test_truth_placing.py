"""Truth and returns in the pixels of the recorded picture, from the file to scores and training targets."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from foxglove_schemas_protobuf.SceneUpdate_pb2 import SceneUpdate

from perception.autoconfig import complete_config
from perception.config import Config
from perception.evaluation import EvaluateOptions, Evaluation, EvaluationReport
from perception.evaluation.metrics import Rules
from perception.logs import open_log
from perception.logs.perception_proto import SCHEMAS, encode_truth
from perception.models.config import ModelConfig
from perception.models.preprocess import InputSpec
from perception.pipeline import Summary, replay
from perception.plugin import API_VERSION, Context, Manifest, Plugin, Prepared
from perception.sinks import McapSink
from perception.training.data.cache_spec import CacheSpec
from perception.training.data.sample_cache import cached_log
from perception.types import SENSORS, Detection, Detections, Output, Quantity, Reset, TruthBox
from tests.small_logs import SmallLog, foxglove_schema

BOX = (32 - 25 / 9, 24 - 25 / 9, 32 + 25 / 9, 24 + 25 / 9)
"""A cube of 1 m, 5 m ahead, in a picture of 64x48 with a focal length of 25 pixels."""


class Seer(Plugin):
    """Sees one vehicle, always at the same place of the picture."""

    def __init__(self) -> None:
        self.manifest = Manifest(API_VERSION, "seer", "-:-", SENSORS, ("class", "box"), 0.0, 4)

    def open(self, context: Context) -> None:
        pass

    def prepare(self, sample: object) -> Prepared:
        return Prepared(sample)  # type: ignore[arg-type]

    def step(self, prepared: Sequence[Prepared]) -> list[Output]:
        item = Detection("vehicle", 0.9, BOX, (1.0,) * 4, 5.0, 0.1)
        found = Detections(True, ("camera",), items=(item,))
        return [Output(p.sample.tick, found, None) for p in prepared]

    def reset(self, reason: Reset) -> None:
        pass

    def describe(self) -> dict[str, str]:
        return {"classes": "vehicle"}

    def close(self) -> None:
        pass


def scenes(
    frame: str = "camera", bad: float | None = None, z: float = 5.0, label: str = "vehicle"
) -> SmallLog:
    """A log of 20 pictures of 64x48, a camera info of 128x96, and a cube of 1 m at 5 m."""

    def scene(i: int, stamp: int) -> bytes:
        message = SceneUpdate()
        for name, x in (("a", 0.0), *((("b", bad),) if bad is not None else ())):
            entity = message.entities.add(id=name, frame_id=frame)
            entity.timestamp.FromNanoseconds(stamp)
            entity.metadata.add(key="class", value=label)
            cube = entity.cubes.add()
            cube.pose.position.x, cube.pose.position.z, cube.pose.orientation.w = x, z, 1.0
            cube.size.x = cube.size.y = cube.size.z = 1.0
        return message.SerializeToString()

    log = SmallLog().image(delay_s=0.01).scan().transforms().calibration(size=(128, 96))
    return log.stream("/annotations", foxglove_schema(SceneUpdate), "protobuf", scene)


def config_of(path: Path, **camera: object) -> Config:
    with open_log(path) as log:
        config = complete_config(log).config
    assert config.sensors.camera is not None
    section = config.sensors.camera.model_copy(update=camera)
    sensors = config.sensors.model_copy(update={"camera": section})
    truth = config.truth.model_copy(update={"boxes": "/annotations"})
    return config.model_copy(update={"sensors": sensors, "truth": truth})


def scored(path: Path, stored: Path | None = None) -> EvaluationReport:
    evaluation = Evaluation(EvaluateOptions(rules=Rules(min_support=1, min_height_px=1.0)))
    with open_log(path) as log:
        if stored is None:
            evaluation.replay(log, config_of(path), Seer)
        else:
            with open_log(stored) as outputs:
                evaluation.score(outputs, log, config_of(path))
    return evaluation.report()


def replayed(path: Path, output: Path | None = None, **camera: object) -> Summary:
    with open_log(path) as log:
        return replay(log, config_of(path, **camera), Seer(), [McapSink(output)] if output else [])


def mean_average_precision(report: EvaluationReport) -> float | None:
    return report.heads["box"]["mean_average_precision"].values["mAP"].value


def test_a_plugin_that_sees_what_is_there_gets_full_marks_in_a_scaled_picture(tmp_path: Path) -> None:
    path = scenes().write(tmp_path / "half.mcap")
    assert mean_average_precision(scored(path)) == 1.0
    summary = replayed(path, tmp_path / "out.mcap")
    assert [warned.code for warned in summary.warnings] == []
    assert mean_average_precision(scored(path, tmp_path / "out.mcap")) == 1.0


def test_training_targets_are_in_pixels_of_the_same_picture(tmp_path: Path) -> None:
    path = scenes().write(tmp_path / "half.mcap")
    model = ModelConfig(status=(Quantity("speed", "m/s"),))
    spec = CacheSpec(model, InputSpec(width=128, height=48, status=("speed",)), config_of(path))
    truth = cached_log(path, spec, tmp_path / "cache").sample(0, 0).truth
    assert truth.source_size.tolist() == [64, 48]
    assert truth.boxes[0].tolist() == pytest.approx([BOX[0] * 2, BOX[1], BOX[2] * 2, BOX[3]])


def test_truth_that_cannot_be_placed_names_the_missing_transform(tmp_path: Path) -> None:
    path = scenes(frame="map").write(tmp_path / "map.mcap")
    replayed(path, tmp_path / "out.mcap")
    for report in (scored(path), scored(path, tmp_path / "out.mcap")):
        warnings = {w["code"]: w for w in report.warnings}
        assert warnings["no_truth"]["count"] == 20
        assert "no transforms connect 'map' with the camera's frame 'camera'" in warnings["no_truth"]["text"]
        assert "truth_no_transform" not in warnings  # the same reason is not predicted twice
        assert "configure it" not in warnings["no_truth"]["text"]


def test_truth_beside_the_pictures_is_too_far(tmp_path: Path) -> None:
    log = scenes()
    log.rows = [row for row in log.rows if row[1] != "/camera/image"]
    path = log.image(start_s=0.55, hz=1.0, seconds=1.0).write(tmp_path / "late.mcap")
    report = scored(path)
    assert mean_average_precision(report) == 1.0
    path = log.image(start_s=2.0, hz=10.0, seconds=0.5).write(tmp_path / "later.mcap")
    codes = {w["code"] for w in scored(path).warnings}
    assert "truth_too_far" in codes


def test_one_bad_box_is_ignored_alone_and_counted(tmp_path: Path) -> None:
    path = scenes(bad=float("nan")).write(tmp_path / "nan.mcap")
    report = scored(path)
    assert mean_average_precision(report) == 1.0
    warnings = {w["code"]: w for w in report.warnings}
    assert warnings["ignored_elements"]["count"] == 20
    assert "/annotations" in warnings["ignored_elements"]["text"]


def test_replay_says_why_returns_are_not_placed(tmp_path: Path) -> None:
    path = scenes().write(tmp_path / "half.mcap")
    for camera, code in (
        ({"calibration": None}, "range_no_camera_info"),
        ({"transforms": ()}, "range_no_transform"),
    ):
        warnings = {w.code: w for w in replayed(path, **camera).warnings}
        assert warnings[code].count == 20
        assert "not placed in the image" in warnings[code].text
    other = SmallLog().image(frame="colour", delay_s=0.01).scan().transforms().calibration()
    path = other.write(tmp_path / "other.mcap")
    named = {"calibration": "/camera/calibration", "transforms": ("/tf",)}
    [warned] = [w for w in replayed(path, **named).warnings if w.code.startswith("range")]
    assert (warned.code, warned.count) == ("range_other_camera", 20)
    accepted = replayed(path, **named, calibration_frame="camera")
    assert not [w for w in accepted.warnings if w.code.startswith("range")]


@pytest.mark.parametrize(("z", "classes"), [(-5.0, {}), (5.0, {"Car": "vehicle"})])
def test_truth_without_a_single_box_is_named(tmp_path: Path, z: float, classes: dict[str, str]) -> None:
    """The cube is behind a camera, or its label is none of those that the configuration lists."""
    path = scenes(z=z, label="vehicle" if not classes else "truck").write(tmp_path / "behind.mcap")
    config = config_of(path)
    config = config.model_copy(update={"truth": config.truth.model_copy(update={"classes": classes})})
    evaluation = Evaluation(EvaluateOptions(rules=Rules(min_support=1)))
    with open_log(path) as log:
        evaluation.replay(log, config, Seer)
    [warning] = [w for w in evaluation.report().warnings if w["code"] == "empty_truth"]
    assert warning["count"] == 20


@pytest.mark.parametrize(("scale", "count"), [(1.0, 0), (10.0, 20), (1 / 64, 20)])
def test_truth_in_other_pixels_is_named(tmp_path: Path, scale: float, count: int) -> None:
    box = (20 * scale, 15 * scale, 40 * scale, 30 * scale)
    truth = [TruthBox("vehicle", (box[0], box[1], box[2], box[3]), 5.0, 1.0, "1")]
    log = (
        SmallLog()
        .image(delay_s=0.01)
        .stream(
            "/annotations",
            SCHEMAS["perception.Detections"],
            "protobuf",
            lambda i, s: encode_truth(s, "camera", truth),
        )
    )
    warnings = [w for w in scored(log.write(tmp_path / "log.mcap")).warnings if w["code"] == "truth_outside"]
    assert [w["count"] for w in warnings] == ([count] if count else [])
    assert all("pixels of the recorded pictures (64x48)" in w["text"] for w in warnings)
