"""The model for programs: loaded by name, saved and loaded again, applied to arrays."""

from __future__ import annotations

import doctest
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

import perception.models.fusion_model
import perception.types.messages
import perception.types.outputs
from perception.errors import CheckpointError, NoPluginError
from perception.models import FusionModel
from perception.models.checkpoint import Checkpoint, load_checkpoint
from perception.types import CameraFrame, Control, ControlChannel, Detections, RangeScan, StatusReading
from tests.fusion_scenes import lively_model

RGB = np.random.default_rng(0).integers(0, 256, (90, 160, 3), np.uint8)
POINTS = np.random.default_rng(1).uniform((2, -2, -1), (20, 2, 1), (40, 3))


@pytest.fixture(scope="module")
def model() -> FusionModel:
    return lively_model()


@pytest.mark.parametrize(
    "module", [perception.types.messages, perception.types.outputs, perception.models.fusion_model]
)
def test_the_examples_in_the_documentation_hold(module: Any) -> None:
    results = doctest.testmod(module, extraglobs={"np": np})
    assert results.attempted > 0
    assert results.failed == 0


def test_a_saved_model_is_loaded_as_it_was(model: FusionModel, tmp_path: Path) -> None:
    about = Checkpoint(model.config, trained_on=({"log": "yard.mcap"},))
    saved = model.save_pretrained(tmp_path / "mine", about)
    again = FusionModel.from_pretrained(tmp_path / "mine")
    assert again.about.sha256 == saved.sha256
    assert again.about.trained_on == ({"log": "yard.mcap"},)
    for name, tensor in model.state_dict().items():
        torch.testing.assert_close(again.state_dict()[name], tensor, rtol=0, atol=0, equal_nan=True)
    again.save_pretrained(tmp_path / "twin")  # its metadata go with it
    first, second = ((tmp_path / name / "model.safetensors").read_bytes() for name in ("mine", "twin"))
    assert first == second
    assert load_checkpoint(tmp_path / "mine" / "model.safetensors")[1] == saved


def test_the_folder_has_the_layout_of_the_hub(model: FusionModel, tmp_path: Path) -> None:
    model.save_pretrained(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "README.md",
        "config.json",
        "model.safetensors",
    ]
    config = json.loads((tmp_path / "config.json").read_text())
    assert config["architectures"] == ["FusionModel"]
    assert config["classes"] == list(model.config.classes)
    _, front, text = (tmp_path / "README.md").read_text().split("---\n", 2)
    assert yaml.safe_load(front)["library_name"] == "perception-fusion"
    assert "untrained" in text


@pytest.mark.parametrize("source", ["nothing/here", Path("nothing")])
def test_what_is_not_there_is_named(source: str | Path) -> None:
    with pytest.raises(CheckpointError, match=r"expected a checkpoint, a folder with model\.safetensors"):
        FusionModel.from_pretrained(source)
    with pytest.raises(NoPluginError, match="did you mean 'fusion'"):
        FusionModel.from_pretrained("fusoin")


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
    intrinsics = np.array([[120.0, 0, 80], [0, 120, 45], [0, 0, 1]])
    camera_from_points = np.array([[0, -1, 0, 0], [0, 0, -1, 0], [1, 0, 0, 0], [0, 0, 0, 1.0]])
    apart = model.predict(RGB, POINTS, min_score=0.0)
    placed = model.predict(
        RGB, POINTS, intrinsics=intrinsics, camera_from_points=camera_from_points, min_score=0.0
    )
    assert apart.detections != placed.detections


def test_a_model_in_training_stays_in_training_and_learns_nothing(model: FusionModel) -> None:
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    model.train()
    model.predict(RGB)
    assert model.training
    model.eval()
    for name, tensor in model.state_dict().items():
        torch.testing.assert_close(tensor, before[name], rtol=0, atol=0, equal_nan=True)


def test_wrong_arrays_say_what_was_expected(model: FusionModel) -> None:
    with pytest.raises(ValueError, match=r"rgb: expected uint8 \[H, W, 3\], found float64 \[4, 4, 3\]"):
        model.predict(np.zeros((4, 4, 3)))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"points_m: expected numbers \[N, 3\], found float64 \[5, 2\]"):
        model.predict(points=np.zeros((5, 2)))
    with pytest.raises(ValueError, match="status: expected channels of speed, yaw_rate; found sped"):
        model.predict(status={"sped": 1.0})
    with pytest.raises(ValueError, match=r"intrinsics \[3, 3\]"):
        model.predict(RGB, intrinsics=np.zeros((2, 2)))
    with pytest.raises(ValueError, match=r"expected numbers by name, .*; found none"):
        StatusReading.of()
    with pytest.raises(ValueError, match=r"intensity: expected \[2\], found \[3\]"):
        RangeScan.from_array(np.zeros((2, 3)), intensity=np.zeros(3))


def test_messages_of_arrays_carry_times_and_names() -> None:
    frame = CameraFrame.from_array(RGB[:, ::2], stamp_ns=5, log_time_ns=7, topic="/front", frame_id="front")
    assert (frame.stamp_ns, frame.log_time_ns, frame.topic, frame.frame_id, frame.step) == (
        5,
        7,
        "/front",
        "front",
        240,
    )
    assert bytes(frame.data) == RGB[:, ::2].tobytes()
    assert RangeScan.from_array(POINTS, stamp_ns=3).log_time_ns == 3
    assert RangeScan.from_array(POINTS).points_m.dtype == np.float32


def test_a_channel_that_is_not_there_is_named() -> None:
    control = Control(True, ("camera",), channels=(ControlChannel("curvature", "1/m", 0.1, 0.2),))
    assert control["curvature"].std == 0.2
    with pytest.raises(KeyError, match="no channel is called 'steering'; there are curvature"):
        control["steering"]
