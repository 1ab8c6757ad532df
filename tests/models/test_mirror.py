"""A mirrored scene gives mirrored answers, from a model that is made mirror-symmetric.

Every feature is given a meaning under the mirror: channels come in pairs that change places (as an edge
facing left and one facing right do), some inputs and outputs change sign (bearing, yaw rate, curvature),
left and right sides of a box change places. Averaging each weight with its mirror image then makes every
layer commute with the mirror; whatever remains unequal is the fault of the architecture: an off-centre
downsampling, a splat that is half a cell aside, a flattening that forgets about places. The same test with
the weights left as they are must fail, and does.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import NamedTuple

import pytest
import torch
from torch import Tensor, nn

from perception.models import FusionModel
from perception.models.heads import ControlHead, DenseOutputs
from perception.models.tensors import RETURN_CHANNELS, Inputs
from tests.fusion_scenes import FUSIONS, SMALL, lively_model, scene


class Meaning(NamedTuple):
    """What the mirror does to a vector: x[i] becomes sign[i] * x[place[i]]."""

    place: Tensor
    sign: Tensor

    def of(self, x: Tensor, dim: int) -> Tensor:
        shape = [1] * x.dim()
        shape[dim] = -1
        return x.index_select(dim, self.place) * self.sign.view(shape)


def plain(n: int) -> Meaning:
    return Meaning(torch.arange(n), torch.ones(n))


def pairs(n: int) -> Meaning:
    return Meaning(torch.arange(n) ^ 1, torch.ones(n))


def signed(*signs: float) -> Meaning:
    return Meaning(torch.arange(len(signs)), torch.tensor(signs))


def beside(*parts: Meaning) -> Meaning:
    ends = [sum(len(p.place) for p in parts[:i]) for i in range(len(parts))]
    return Meaning(
        torch.cat([p.place + end for p, end in zip(parts, ends, strict=True)]),
        torch.cat([p.sign for p in parts]),
    )


RETURNS = signed(*(-1.0 if name in ("u", "bearing") else 1.0 for name in RETURN_CHANNELS))
STATUS = signed(1.0, -1.0)  # speed, yaw rate
CONTROL = signed(-1.0, 1.0)  # curvature, acceleration
BOX = Meaning(torch.tensor([2, 1, 0, 3, 6, 5, 4, 7, 8, 9]), torch.ones(10))


def places(channels: int) -> Meaning:
    """[channels, rows, columns] flattened: channels in pairs, columns in reverse."""
    rows, columns = ControlHead.places
    index = torch.arange(channels * rows * columns).view(channels, rows, columns)
    return Meaning(index[torch.arange(channels) ^ 1].flip(2).flatten(), torch.ones(index.numel()))


def meanings(model: FusionModel, name: str, weight: Tensor) -> tuple[Meaning, Meaning]:
    """What the mirror does to the outputs and to the inputs of a layer."""
    outputs, inputs = pairs(weight.shape[0]), pairs(weight.shape[1])
    config = model.config
    if name == "camera.backbone.stem.0.0":
        inputs = plain(3)
    elif name == "range.returns.0":
        inputs = beside(RETURNS, plain(1))
    elif name.startswith("range.mix"):
        inputs = beside(pairs(weight.shape[1] - 1), plain(1))
    elif name == "status.from_input":
        inputs = beside(STATUS, plain(2))
    elif ".gate." in name or name == "class_head.predict":
        outputs = plain(weight.shape[0])
    elif name == "box_head.predict":
        outputs = BOX
    elif name == "control_head.predict":
        outputs = beside(CONTROL, plain(2))
    elif name == "control_head.hidden":
        inputs = beside(places(32), pairs(weight.shape[1] - 32 * math.prod(ControlHead.places)))
    elif name.endswith(".age"):
        inputs, outputs = plain(3), (pairs if config.fusion == "concat" else plain)(weight.shape[0])
    return outputs, inputs


@torch.no_grad()
def make_symmetric(model: FusionModel) -> None:
    for name, module in model.named_modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            weight = (
                module.weight.transpose(0, 1) if isinstance(module, nn.ConvTranspose2d) else module.weight
            )
            outputs, inputs = meanings(model, name, weight)
            image = outputs.of(inputs.of(weight, 1), 0)
            weight.copy_((weight + (image.flip(3) if image.dim() == 4 else image)) / 2)
            if module.bias is not None:
                module.bias.copy_((module.bias + outputs.of(module.bias, 0)) / 2)
        elif isinstance(module, nn.BatchNorm2d):
            for values in (module.weight, module.bias, module.running_mean, module.running_var):
                values.copy_((values + pairs(len(values)).of(values, 0)) / 2)
        elif hasattr(module, "null"):
            module.null.copy_((module.null + pairs(module.width).of(module.null, 1)) / 2)
    model.normaliser.control_mean[0] = 0.0  # a mean curvature would lean to one side
    factor = model.decoder.calibration.box_factor
    factor.copy_((factor + Meaning(torch.tensor([2, 1, 0, 3]), torch.ones(4)).of(factor, 1)) / 2)


def mirrored(inputs: Inputs, width: int) -> Inputs:
    returns = RETURNS.of(inputs.returns, 2)
    returns[..., 0] += width
    return inputs._replace(image=inputs.image.flip(3), returns=returns, status=STATUS.of(inputs.status, 2))


def mirrored_dense(dense: DenseOutputs) -> dict[str, Tensor]:
    sides = Meaning(torch.tensor([2, 1, 0, 3]), torch.ones(4))
    return {
        "heatmap": dense.heatmap.flip(3),
        "ltrb": sides.of(dense.ltrb.flip(3), 1),
        "ltrb_log_scale": sides.of(dense.ltrb_log_scale.flip(3), 1),
        "distance_log": dense.distance_log.flip(3),
        "distance_log_scale": dense.distance_log_scale.flip(3),
        "control": CONTROL.of(dense.control, 1),
        "control_log_scale": dense.control_log_scale,
    }


@pytest.mark.parametrize("present", [(1, 1, 1), (1, 0, 0), (0, 1, 1), (0, 0, 1)])
@pytest.mark.parametrize("fusion", FUSIONS)
@pytest.mark.parametrize("control_status", [False, True])
def test_a_mirrored_scene_gives_mirrored_maps(
    fusion: str, present: tuple[float, ...], control_status: bool
) -> None:
    config = replace(SMALL, control_widths=(24, 16) if control_status else (128,))
    model = lively_model(config, fusion=fusion, control_status=control_status)
    make_symmetric(model)
    inputs = scene(model.config, batch=2, seed=3, present=present)
    with torch.inference_mode():
        expected = mirrored_dense(model.dense(inputs))
        found = model.dense(mirrored(inputs, model.config.input_width))
    for name, values in expected.items():
        torch.testing.assert_close(
            getattr(found, name), values, rtol=1e-3, atol=1e-4, msg=lambda t, n=name: f"{n}: {t}"
        )
    assert not torch.allclose(
        found.ltrb[:, 0], found.ltrb[:, 2], rtol=1e-2
    )  # not symmetric for want of sides


def test_a_mirrored_scene_gives_mirrored_boxes() -> None:
    model = lively_model(detections=5)
    make_symmetric(model)
    inputs = scene(model.config, seed=8)
    with torch.no_grad():  # logits of mean 0 and std 1: scores far apart
        heat = model.dense(inputs).heatmap
        model.class_head.predict.bias -= heat.mean((0, 2, 3))
        model.class_head.predict.weight /= heat.std()
        model.class_head.predict.bias /= heat.std()
    width = model.config.input_width
    with torch.inference_mode():
        expected, found = model(inputs), model(mirrored(inputs, width))
    assert (expected.scores.diff() < -1e-4).all()  # else their order says nothing
    torch.testing.assert_close(found.scores, expected.scores, rtol=1e-3, atol=1e-5)
    assert torch.equal(found.labels, expected.labels)
    x1, y1, x2, y2 = expected.boxes.unbind(-1)
    torch.testing.assert_close(
        found.boxes, torch.stack([width - x2, y1, width - x1, y2], -1), rtol=1e-3, atol=1e-2
    )
    torch.testing.assert_close(found.box_std, expected.box_std[..., [2, 1, 0, 3]], rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(found.distance_m, expected.distance_m, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(found.control, CONTROL.of(expected.control, 1), rtol=1e-3, atol=1e-4)


def test_a_model_that_is_not_symmetric_does_not() -> None:
    model = lively_model()
    inputs = scene(model.config, seed=3)
    with torch.inference_mode():
        expected = mirrored_dense(model.dense(inputs))
        found = model.dense(mirrored(inputs, model.config.input_width))
    for name, values in expected.items():
        assert not torch.allclose(getattr(found, name), values, rtol=1e-3, atol=1e-4), name
