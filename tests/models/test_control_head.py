"""The control head: what it reads, how deep it is, and that the other heads are not told."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from perception.engines import open_fusion_backend
from perception.errors import ConfigError
from perception.models import FusionModel, ModelConfig
from perception.models.checkpoint import load_checkpoint, save_checkpoint
from perception.models.heads import DenseOutputs
from perception.models.tensors import Inputs
from tests.fusion_scenes import SMALL, SUBSETS, assert_exports, lively_model, numpy_scene, scene

READING = replace(SMALL, control_widths=(24, 12, 8), control_status=True)


def dense(model: FusionModel, inputs: Inputs) -> DenseOutputs:
    with torch.no_grad():
        return model.dense(inputs)


def others(said: DenseOutputs) -> list[Tensor]:
    return [said.heatmap, said.ltrb, said.ltrb_log_scale, said.distance_log, said.distance_log_scale]


def test_a_usual_head_is_not_spoken_of_in_a_checkpoint() -> None:
    assert not {"control_widths", "control_status"} & SMALL.to_dict().keys()
    assert ModelConfig.from_dict(SMALL.to_dict()) == SMALL
    assert ModelConfig.from_dict(READING.to_dict()) == READING


def test_it_has_the_layers_that_are_asked_for() -> None:
    head = FusionModel(READING).control_head
    outputs = [layer.out_features for layer in (head.hidden, *head.deeper, head.predict)]
    assert outputs == [24, 12, 8, 2 * len(READING.control)]
    assert not FusionModel(SMALL).control_head.deeper


@pytest.mark.parametrize("present", [subset for subset in SUBSETS if subset[2]])
def test_what_it_reads_of_the_status_reaches_no_other_head(present: tuple[float, ...]) -> None:
    model, inputs = lively_model(READING), scene(READING, 2, present=present)
    expected = dense(model, inputs)
    with torch.no_grad():
        model.control_head.hidden.weight[:, -READING.status_width :] = 0.0
    found = dense(model, inputs)
    assert not torch.equal(found.control, expected.control)
    for one, other in zip(others(found), others(expected), strict=True):
        assert torch.equal(one, other)


def test_it_hears_the_status_where_the_fusion_is_deaf_to_it() -> None:
    model, inputs = lively_model(READING), scene(READING, 2)
    with torch.no_grad():
        for fusion in model.fusion:
            fusion.project[2].project.weight.zero_()
            fusion.project[2].project.bias.zero_()
    other = inputs._replace(status=scene(READING, 2, seed=9).status)
    one, two = dense(model, inputs), dense(model, other)
    assert not torch.equal(one.control, two.control)
    for first, second in zip(others(one), others(two), strict=True):
        assert torch.equal(first, second)


@pytest.mark.parametrize("subset", SUBSETS)
def test_an_absent_status_tells_it_nothing(subset: tuple[float, ...]) -> None:
    model, inputs = lively_model(READING), scene(READING, 2, present=(*subset[:2], 0.0))
    wild = inputs._replace(status=torch.full_like(inputs.status, 7.0))
    assert torch.equal(dense(model, wild).control, dense(model, inputs).control)


def test_subsets_of_one_sample_are_as_if_the_others_were_absent() -> None:
    model, inputs = lively_model(READING), scene(READING, 2)
    subsets = torch.tensor(SUBSETS).bool()
    with torch.no_grad():
        for subset, found in zip(subsets, model.on_subsets(inputs, subsets), strict=True):
            expected = model(inputs._replace(present=inputs.present * subset))
            torch.testing.assert_close(found.control, expected.control)


def test_a_checkpoint_and_an_engine_say_what_the_model_says(tmp_path: Path) -> None:
    model, path = lively_model(READING), tmp_path / "a.safetensors"
    save_checkpoint(path, model)
    again, saved = load_checkpoint(path)
    assert again.config == saved.config == READING
    inputs = numpy_scene(READING)
    with torch.no_grad():
        expected = model(Inputs(*(torch.from_numpy(a) for a in inputs))).control.numpy()
    found = open_fusion_backend("torch", path, precision="fp32").run(inputs).control
    assert found == pytest.approx(expected, rel=1e-4, abs=1e-5)


@pytest.mark.slow
def test_it_exports() -> None:
    model, inputs = lively_model(READING), scene(READING, 1)
    assert_exports(model, inputs)


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        ({"control_widths": []}, "control_widths: expected 1 to 8 numbers"),
        ({"control_widths": 64}, "control_widths: expected a list, found 64"),
        ({"control_widths": [64, 4]}, "control_widths[1]: expected a whole number 8 to 1024"),
        ({"control_widths": [64, "a"]}, "control_widths[1]: expected a whole number 8 to 1024"),
        ({"control_status": "yes"}, "control_status: expected true or false, found 'yes'"),
    ],
)
def test_faults_are_named(given: dict[str, object], fault: str) -> None:
    with pytest.raises(ConfigError) as caught:
        ModelConfig.from_dict(SMALL.to_dict() | given)
    assert fault in str(caught.value)
