"""Random scenes and lively models: what the tests of the model, its checkpoints and its engines share."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import torch
from torch import nn

from perception.models import FusionModel, ModelConfig
from perception.models.tensors import Inputs
from perception.types import Quantity

SMALL = ModelConfig(
    classes=("vehicle", "pedestrian", "cyclist"),
    status=(Quantity("speed", "m/s"), Quantity("yaw_rate", "rad/s")),
    input_height=64,
    input_width=128,
    returns=48,
    steps=5,
    detections=20,
    widths=(8, 16, 16),
    blocks=(1, 1, 1),
    fused_width=16,
    range_width=16,
    splat_widths=(4, 8, 8),
    status_width=8,
)
SECOND: dict[str, object] = {"fusion": "concat", "stride": 8, "stem": "patch", "shared_tower": True}
FUSIONS = ("gated", "concat", "attention", "second", "split")
SUBSETS = [tuple(float(x) for x in bits) for bits in itertools.product((0, 1), repeat=3)]


def architecture(fusion: str) -> dict[str, object]:
    """Return the changes to a configuration for one of `FUSIONS`."""
    if fusion == "split":
        return {**SECOND, "split": 2, "tower_width": 24, "stem_width": 16}
    return SECOND if fusion == "second" else {"fusion": fusion}


def scene(
    config: ModelConfig, batch: int = 1, seed: int = 0, present: tuple[float, ...] = (1, 1, 1)
) -> Inputs:
    """A random batch of torch tensors, some returns invalid, some outside the image, some status unknown."""
    g = torch.Generator().manual_seed(seed)
    returns = torch.randn(batch, config.returns, 8, generator=g)
    returns[..., 0] = torch.rand(batch, config.returns, generator=g) * config.input_width
    returns[..., 1] = torch.rand(batch, config.returns, generator=g) * config.input_height
    returns[..., 4] = torch.rand(batch, config.returns, generator=g) * 30
    returns[..., 7] = (torch.rand(batch, config.returns, generator=g) < 0.8).float()
    valid = (torch.rand(batch, config.returns, generator=g) < 0.7).float()
    valid[:, 0] = 1
    status = torch.randn(batch, config.steps, len(config.status), generator=g)
    status[:, 0] = torch.nan
    size = (batch, 3, config.input_height, config.input_width)
    return Inputs(
        image=torch.randint(0, 256, size, dtype=torch.uint8, generator=g),
        returns=returns,
        returns_valid=valid,
        status=status,
        present=torch.tensor([present] * batch, dtype=torch.float32),
        age_s=torch.rand(batch, 3, generator=g) * 0.2,
    )


def numpy_scene(config: ModelConfig, batch: int = 1, seed: int = 0) -> Inputs:
    """The same as numpy arrays."""
    return Inputs(*(np.asarray(t) for t in scene(config, batch, seed)))


def lively_model(config: ModelConfig = SMALL, seed: int = 0, **changes: object) -> FusionModel:
    """A model in which nothing is at a neutral start, so that no property holds by accident."""
    if "fusion" in changes:
        changes |= architecture(str(changes["fusion"]))
    model = FusionModel(replace(config, **changes), seed=seed)
    g = torch.Generator().manual_seed(seed + 1)
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.normal_(0.0, 0.2, generator=g)
                module.running_var.uniform_(0.7, 1.5, generator=g)
                module.weight.uniform_(0.7, 1.3, generator=g)
                module.bias.normal_(0.1, 0.2, generator=g)
        for name, parameter in model.named_parameters():
            if ".age." in name or ".predict.weight" in name:
                parameter.normal_(0.0, 0.3, generator=g)
        calibration = model.decoder.calibration
        calibration.score_scale.uniform_(0.5, 2.0, generator=g)
        calibration.score_bias.normal_(0.0, 0.5, generator=g)
        for factor in (calibration.box_factor, calibration.distance_factor, calibration.control_factor):
            factor.uniform_(0.5, 2.0, generator=g)
        model.normaliser.control_mean.normal_(0.0, 1.0, generator=g)
        model.normaliser.control_std.uniform_(0.5, 2.0, generator=g)
        calibration.score_spread.normal_(0.0, 0.3, generator=g)
    return model.eval()


def assert_exports(model: FusionModel, inputs: Inputs) -> None:
    """The exported graph gives what the model gives."""
    with torch.no_grad():
        exported = torch.export.export(model, (inputs,)).module(check_guards=False)
        for one, other in zip(exported(inputs), model(inputs), strict=True):
            torch.testing.assert_close(one, other)
