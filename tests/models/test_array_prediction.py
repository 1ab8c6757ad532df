"""The model applied to arrays: any subset of them, what cannot be meant, the answer of the plugin."""

from __future__ import annotations

import math
import threading
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

import perception
from perception.align import align
from perception.errors import CheckpointError
from perception.logs import Query
from perception.models import FusionModel
from perception.models.checkpoint import Checkpoint
from perception.models.preprocess import BESIDE
from perception.models.pretrained import about_of
from perception.types import CameraFrame, Detections, Input, Sample, StatusReading
from tests.fusion_scenes import lively_model
from tests.short_logs import write_beginning

RGB = np.random.default_rng(0).integers(0, 256, (90, 160, 3), np.uint8)
POINTS = np.random.default_rng(1).uniform((2, -2, -1), (20, 2, 1), (40, 3))
K = np.array([[120.0, 0, 80], [0, 120, 45], [0, 0, 1]])
POSE = np.array([[0, -1, 0, 0.1], [0, 0, -1, 0.2], [1, 0, 0, 0.3], [0, 0, 0, 1.0]])


@pytest.fixture(scope="module")
def model() -> FusionModel:
    return lively_model()


@pytest.mark.parametrize(
    ("given", "based_on"),
    [
        ({}, ()),
        ({"image": RGB}, ("camera",)),
        ({"points": POINTS}, ("range",)),
        ({"status": {"speed": 3.1}}, ("status",)),
        ({"image": RGB, "points": POINTS, "status": {"speed": [2.9, 3.1]}}, ("camera", "range", "status")),
    ],
)
def test_any_of_the_sensors_may_be_missing(
    model: FusionModel, given: dict[str, Any], based_on: tuple[str, ...]
) -> None:
    output = model.predict(**given, min_score=0.0)
    assert output.control is not None
    assert output.control.based_on == based_on
    assert output.control.valid == bool(based_on)
    assert isinstance(output["class"], Detections)
    assert output["class"].valid == ("camera" in based_on)
    for item in output["class"].items:
        assert 0 <= item.xyxy[0] < item.xyxy[2] <= 160
        assert 0 <= item.xyxy[1] < item.xyxy[3] <= 90


def test_points_are_placed_by_the_intrinsics(model: FusionModel) -> None:
    apart = model.predict(RGB, POINTS, min_score=0.0)
    placed = model.predict(RGB, POINTS, intrinsics=K, camera_from_points=POSE, min_score=0.0)
    assert apart.detections != placed.detections


def _seen_together(path: Path) -> tuple[Sample, perception.Config]:
    """Return a sample of the yard with every sensor, its picture as pixels and its ages zero."""
    with perception.open_log(path) as log:
        config = perception.complete_config(log).config
        samples = align(log.messages(Query(topics=frozenset(config.roles()))), config)
        sample = next(s for s in samples if all(i.present for i in s.inputs) and s.rig.calibration)
    frame, scan, window = sample.camera.value, sample.range.value, sample.status.value
    assert frame is not None
    assert scan is not None
    pixels = cv2.imdecode(np.frombuffer(frame.data, np.uint8), cv2.IMREAD_COLOR)
    rgb = CameraFrame.from_array(np.asarray(pixels[..., ::-1], np.uint8), frame_id=frame.frame_id)
    rgb = replace(rgb, stamp_ns=frame.stamp_ns)
    values = {"camera": rgb, "range": scan, "status": window}
    inputs = {k: Input(k, "", v, sample.tick.stamp_ns, 0.0) for k, v in values.items()}
    return replace(sample, **inputs, cameras={}, ranges={}, statuses={}), config


def test_the_arrays_of_a_sample_give_the_answer_of_the_plugin(tmp_path: Path) -> None:
    sample, config = _seen_together(write_beginning(tmp_path / "yard.mcap", 0.5))
    how = {"device": "cpu", "backend": "torch", "precision": "fp32"}
    with perception.open_plugin(
        "fusion", config, **how, options={"min_score": 0.3}, base_frame=None
    ) as plugin:
        expected = plugin(sample)
    frame, scan, window = sample.camera.value, sample.range.value, sample.status.value
    assert frame is not None
    assert scan is not None
    assert window is not None
    assert scan.intensity is not None
    assert expected.detections.items
    arrays: dict[str, Any] = {
        "image": np.frombuffer(frame.data, np.uint8).reshape(frame.height, frame.width, 3),
        "points": scan.points_m,
        "status": dict(zip(window.names, window.values.T.tolist(), strict=True)),
        "intrinsics": sample.rig.calibration.intrinsics,
        "camera_from_points": sample.rig.camera_from(scan.frame_id, scan.stamp_ns),
    }
    model = FusionModel.from_pretrained()
    output = model.predict(**arrays, intensity=scan.intensity, radial_speed_m_s=scan.radial_speed_m_s)
    compare = partial(pytest.approx, rel=1e-4)  # the backend folds batch norms
    for found, wanted in zip(output.detections.items, expected.detections.items, strict=True):
        assert found.label == wanted.label
        assert [found.score, *found.xyxy] == compare([wanted.score, *wanted.xyxy])
        assert found.distance_m == compare(wanted.distance_m)
    assert output.control is not None
    assert expected.control is not None
    curvature = expected.control["curvature"]
    assert output.control["curvature"].value == compare(curvature.value)
    assert output.control["curvature"].std == compare(curvature.std)
    dark = model.predict(**arrays).control
    assert dark is not None
    assert dark["curvature"].value != compare(curvature.value)


def test_a_model_in_training_stays_in_training_and_learns_nothing() -> None:
    model = lively_model()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    model.train()
    frozen = [module for module in model.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    for module in frozen:
        module.eval()
    modes = [module.training for module in model.modules()]
    model.predict(RGB)
    assert [module.training for module in model.modules()] == modes
    for name, tensor in model.state_dict().items():
        torch.testing.assert_close(tensor, before[name], rtol=0, atol=0, equal_nan=True)


def test_threads_that_predict_with_a_model_in_training_teach_it_nothing() -> None:
    model = lively_model()
    expected = model.predict(RGB, POINTS)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    model.train()
    outputs = []

    def predict() -> None:
        outputs.extend(model.predict(RGB, POINTS) for _ in range(5))

    threads = [threading.Thread(target=predict) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(module.training for module in model.modules())
    assert outputs == [expected] * 15
    for name, tensor in model.state_dict().items():
        torch.testing.assert_close(tensor, before[name], rtol=0, atol=0, equal_nan=True)


def test_a_reading_is_a_status(model: FusionModel) -> None:
    reading = StatusReading.of(speed=3.1, yaw_rate=0.1)
    assert model.predict(status=reading) == model.predict(status={"speed": 3.1, "yaw_rate": 0.1})


@pytest.mark.parametrize(
    ("given", "code", "words"),
    [
        ({"points": POINTS * 1000}, "range_absent", "none of 40 returns is finite and within 30 m"),
        ({"points": np.full((3, 3), np.nan)}, "range_absent", "none of 3 returns is finite"),
        ({"points": np.zeros((0, 3))}, "range_absent", "without returns"),
        ({"status": {"speed": math.nan}}, "status_absent", "no value in the window is known"),
        ({"image": np.repeat(RGB, 2, 0)}, "camera_absent", "image too large: 160 x 180 pixels"),
        ({"points": POINTS, "intrinsics": K, "camera_from_points": POSE}, "intrinsics", "no image"),
    ],
)
def test_what_is_given_and_not_used_is_named(
    model: FusionModel, given: dict[str, Any], code: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("perception.models.preprocess.pixels.MAX_PIXELS", RGB.size // 3)
    assert not model.predict(RGB, POINTS, {"speed": 1.0}).warnings
    output = model.predict(**given)
    assert list(output.warnings) == [code]
    assert words in output.warnings[code]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"camera_from_points": POSE}, "intrinsics: expected with camera_from_points"),
        ({"intrinsics": K}, "camera_from_points: expected with intrinsics and points"),
        ({"intrinsics": K * np.nan, "camera_from_points": POSE}, "intrinsics: expected focal lengths"),
        ({"intrinsics": K * 0, "camera_from_points": POSE}, "intrinsics: expected focal lengths"),
        ({"intrinsics": K.T, "camera_from_points": POSE}, "intrinsics: expected focal lengths"),
        ({"intrinsics": K, "camera_from_points": POSE.T}, "it may be transposed"),
        ({"intrinsics": K, "camera_from_points": POSE * np.nan}, "camera_from_points: expected a rotation"),
        (
            {"intrinsics": K, "camera_from_points": POSE[:3, :3]},
            r"camera_from_points \[4, 4\], found \[3, 3\]",
        ),
        ({"min_score": 30}, "min_score: expected a number from 0 to 1, found 30"),
        ({"min_score": math.nan}, "min_score: expected a number from 0 to 1"),
        ({"status": [3.1]}, "status: expected values by channel"),
        ({"status": 3.1}, "status: expected values by channel"),
        ({"status": StatusReading}, "status: expected values by channel"),
        (
            {"status": {"speed": "fast"}},
            "status: speed: expected a number or a list of numbers, found 'fast'",
        ),
        ({"status": {"speed": [[1.0, 2.0], [3.0, 4.0]]}}, "status: speed: expected a number or a list"),
        ({"intensity": np.zeros(3)}, r"intensity: expected \[40\], found \[3\]"),
        ({"points": None, "intensity": np.zeros(3)}, "points: expected with intensity"),
    ],
)
def test_what_cannot_be_meant_is_an_error(model: FusionModel, given: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        model.predict(**{"image": RGB, "points": POINTS, **given})


def test_wrong_arrays_say_what_was_expected(model: FusionModel) -> None:
    with pytest.raises(ValueError, match=r"rgb: expected uint8 \[H, W, 3\], found float64 \[4, 4, 3\]"):
        model.predict(np.zeros((4, 4, 3)))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"points_m: expected numbers \[N, 3\], found float64 \[5, 2\]"):
        model.predict(points=np.zeros((5, 2)))
    with pytest.raises(ValueError, match="status: expected channels of speed, yaw_rate; found sped"):
        model.predict(status={"sped": 1.0})
    with pytest.raises(ValueError, match=r"intrinsics \[3, 3\]"):
        model.predict(RGB, intrinsics=np.zeros((2, 2)))


@pytest.mark.parametrize("share", [(1, 0.5), (0.5, 1)])
def test_a_picture_of_another_shape_is_answered_as_one_with_grey_beside_it(
    share: tuple[float, float],
) -> None:
    model = lively_model()
    whole = 2 * model.config.input_width, 2 * model.config.input_height
    width, height = int(share[0] * whole[0]), int(share[1] * whole[1])
    image = np.random.default_rng(2).integers(0, 256, (height, width, 3), np.uint8)
    beside = (whole[0] - width) // 2, (whole[1] - height) // 2
    padding = ((beside[1], beside[1]), (beside[0], beside[0]), (0, 0))
    k = np.array([[30.0, 0, width / 2], [0, 30, height / 2], [0, 0, 1]])  # every point is in the picture
    moved = k + np.array([[0, 0, beside[0]], [0, 0, beside[1]], [0, 0, 0]])
    give = partial(model.predict, points=POINTS, camera_from_points=POSE, min_score=0.0)
    padded = give(np.pad(image, padding, constant_values=BESIDE), intrinsics=moved)
    model.about = Checkpoint(
        config=model.config, preprocess={**about_of(model).preprocess, "stretch": [1, 1]}
    )
    output = give(image, intrinsics=k)
    found, expected = output["class"], padded["class"]
    assert isinstance(found, Detections)
    assert isinstance(expected, Detections)
    shifted = [np.subtract(item.xyxy, beside * 2) for item in expected.items]
    inside = [np.clip(box, 0, [width, height] * 2) for box in shifted]
    seen = [box for box in inside if box[0] < box[2] and box[1] < box[3]]
    np.testing.assert_allclose([item.xyxy for item in found.items], seen, atol=0.05)
    assert output.control is not None
    assert padded.control is not None
    assert output.control["curvature"].value == pytest.approx(padded.control["curvature"].value, abs=1e-5)


def test_weights_with_wrong_limits_say_so() -> None:
    model = lively_model()
    model.about = Checkpoint(config=model.config, preprocess={"stretch": None})
    with pytest.raises(CheckpointError, match="stretch must be one number"):
        model.predict(RGB)
