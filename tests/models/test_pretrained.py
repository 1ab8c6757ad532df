"""The model for programs: loaded by name, saved and loaded again; messages made of arrays."""

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
from perception.models.checkpoint import Checkpoint, load_checkpoint, read_metadata
from perception.models.pretrained import weights_file
from perception.plugin import own_weights
from perception.types import CameraFrame, Control, ControlChannel, RangeScan, StatusReading
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
    assert read_metadata(tmp_path / "mine") == saved


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
    with pytest.raises(NoPluginError, match="did you mean fusion"):
        FusionModel.from_pretrained("fusoin")


def test_wrong_values_of_messages_say_what_was_expected() -> None:
    with pytest.raises(ValueError, match=r"expected numbers by name, .*; found none"):
        StatusReading.of()
    with pytest.raises(ValueError, match=r"intensity: expected \[2\], found \[3\]"):
        RangeScan.from_array(np.zeros((2, 3)), intensity=np.zeros(3))


def test_a_folder_called_as_a_plugin_hides_its_weights_only_if_it_holds_some(
    model: FusionModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("street", "elsewhere"):
        (tmp_path / name).mkdir()
    assert weights_file("street") == own_weights("street")
    for source in (Path("street"), "elsewhere"):
        with pytest.raises(CheckpointError, match=f"{source}: expected a checkpoint, a folder with"):
            weights_file(source)
    model.save_pretrained("street")
    assert weights_file("street") == Path("street/model.safetensors")


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
