"""The top-down path over the fused maps, and the three heads.

The last layer of each head is called `predict`; an engine keeps it in float32 when it lowers the rest.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from perception.models.camera_encoder import Pyramid
from perception.models.config import ModelConfig
from perception.models.layers import as_weight, conv_bn, pointwise

LOG_LIMIT = 7.0
"""Predicted logarithms are clamped to +-7: from 0.0009 to 1100 of their unit."""

PRIOR = 0.01
"""The score an untrained class head gives everywhere, as in RetinaNet (Lin et al. 2017)."""


class DenseOutputs(NamedTuple):
    """The outputs of the heads at every cell, before decoding: the inputs of the losses.

    Scales are those of the loss family: Laplace b, or Gaussian sigma.
    """

    heatmap: Tensor  # [B, C, h, w] logits
    ltrb: Tensor  # [B, 4, h, w] from the cell's centre to left, top, right, bottom, input pixels
    ltrb_log_scale: Tensor  # [B, 4, h, w] log of input pixels
    distance_log: Tensor  # [B, 1, h, w] log of metres
    distance_log_scale: Tensor  # [B, 1, h, w] log of the scale of distance_log
    control: Tensor  # [B, A] standardised (`FusionModel.normaliser.standardise("control", ...)`)
    control_log_scale: Tensor  # [B, A] log of the scale of the standardised values
    fused: Pyramid  # what all heads share
    present: Tensor  # bool [B, 3] which inputs were used
    extra: tuple[Tensor, ...] = ()  # [B, N] of each of `extra_heads`, see `heads.ExtraHead`


class TopDown(nn.Module):
    """The top-down path from the coarse maps to the finest (Lin et al. 2017, FPN), after fusion."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.width = width = config.fused_width
        self.context = nn.Conv2d(width, width, 1)
        _, middle, coarse = config.strides
        self.names = f"smooth{coarse}", f"smooth{middle}"
        for name in self.names:
            self.add_module(name, conv_bn(width, width, 3))

    def forward(self, fused: Pyramid) -> tuple[Tensor, Tensor]:
        """Return the finest and the coarsest shared map, each [B, D, ., .]."""
        pooled = fused.pooled[:, : self.width]  # any further channels belong to the control head
        of_coarse, of_middle = map(self.get_submodule, self.names)
        coarse = of_coarse(fused.coarse + pointwise(self.context, pooled)).relu_()
        middle = of_middle(fused.middle + _double(coarse)).relu_()
        return fused.fine + _double(middle), coarse


class ClassHead(nn.Module):
    """The class head: [B, D, h, w] to logits [B, C, h, w] of the object centred in each cell."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.tower = _own_tower(config)
        self.predict = _per_cell(config, len(config.classes))
        nn.init.normal_(self.predict.weight, std=0.01)
        nn.init.constant_(self.predict.bias, math.log(PRIOR / (1 - PRIOR)))  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.predict(as_weight(_towered(self.tower, x), self.predict))
        return logits.float()


class BoxHead(nn.Module):
    """The box head: [B, D, h, w] to ten raw channels at each cell, which `FusionModel.heads` names."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.tower = _own_tower(config)
        self.predict = _per_cell(config, 10)
        nn.init.normal_(self.predict.weight, std=0.01)
        with torch.no_grad():  # at first 16 px +-4 to every side; distance at the mean, +-1/4
            side = math.log(16 / config.output_stride)
            start = torch.tensor([side] * 4 + [math.log(4)] * 4 + [0.0, math.log(0.25)])
            self.predict.bias.copy_(start)  # type: ignore[union-attr]

    def forward(self, x: Tensor) -> Tensor:
        raw: Tensor = self.predict(as_weight(_towered(self.tower, x), self.predict))
        return raw.float().clamp(-LOG_LIMIT, LOG_LIMIT)


class FrameHead(nn.Module):
    """A perceptron over the coarse map, pooled to a few places, and the pooled features.

    Args:
        config: Of the model; `control_widths` are the units of the hidden layers.
        outputs: N, the width of the last layer.
    """

    places = (2, 4)  # divides every map: `ModelConfig` has the sizes checked

    def __init__(self, config: ModelConfig, outputs: int) -> None:
        super().__init__()
        pooled = config.fused_width + (config.status_width if config.control_status else 0)
        self.reduce = nn.Conv2d(config.fused_width, 32, 1)
        self.hidden = nn.Linear(32 * math.prod(self.places) + pooled, config.control_widths[0])
        self.deeper = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(config.control_widths))
        self.predict = nn.Linear(config.control_widths[-1], outputs)
        nn.init.normal_(self.predict.weight, std=0.01)
        nn.init.zeros_(self.predict.bias)

    def read(self, coarse: Tensor, pooled: Tensor) -> Tensor:
        """Return the features that the perceptron takes, [B, F]."""
        rows, columns = (size // places for size, places in zip(coarse.shape[2:], self.places, strict=True))
        places = F.avg_pool2d(self.reduce(coarse).relu_(), (rows, columns))
        return torch.cat([places.flatten(1), pooled.flatten(1)], 1)

    def raw(self, reading: Tensor) -> Tensor:
        """Return the outputs of the last layer in float32, [B, N]."""
        hidden = self.hidden(reading).relu_()
        for layer in self.deeper:
            hidden = layer(hidden).relu_()
        outputs: Tensor = self.predict(as_weight(hidden, self.predict))
        return outputs.float()


class ControlHead(FrameHead):
    """Values of the control channels and the logarithms of their scales."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config, 2 * len(config.control))

    def forward(self, coarse: Tensor, pooled: Tensor) -> tuple[Tensor, Tensor]:
        """Return standardised values and the logarithms of their scales, each [B, A]."""
        return self.answer(self.read(coarse, pooled))

    def answer(self, reading: Tensor) -> tuple[Tensor, Tensor]:
        """Return the values and logarithms of the features that `read` gave."""
        value, log_scale = self.raw(reading).chunk(2, 1)
        return value, log_scale.clamp(-LOG_LIMIT, LOG_LIMIT)


class ExtraHead(FrameHead):
    """The network of a further head (`HeadSpec.module`): a subclass defines what its outputs mean.

    It is called with the `ModelConfig` and the `HeadSpec`. `forward` returns the input of the head's losses,
    [B, N]; `decode` turns that into values and standard deviations of the head's channels, in the graph.
    """

    def forward(self, coarse: Tensor, pooled: Tensor) -> Tensor:
        """Return the outputs of the last layer, [B, N]."""
        return self.raw(self.read(coarse, pooled))

    def decode(self, raw: Tensor) -> tuple[Tensor, Tensor]:
        """Return the values of the channels and their standard deviations, above 0, each [B, A]."""
        raise NotImplementedError(f"{type(self).__name__} needs a method `decode`")


class PartsConvolution(nn.ConvTranspose2d):
    """A transposed convolution that gives each cell `parts` x `parts` outputs, from its features alone.

    It is computed as a 1x1 convolution whose channels are then laid out in the plane: with a transposed one
    the whole model takes OpenVINO 2 to 3 % longer.
    """

    def __init__(self, inputs: int, outputs: int, parts: int) -> None:
        super().__init__(inputs, outputs, parts, stride=parts)
        self.parts = parts

    def forward(self, x: Tensor) -> Tensor:  # type: ignore[override]
        weight = self.weight.permute(1, 2, 3, 0).flatten(0, 2)[..., None, None]
        assert self.bias is not None
        return F.pixel_shuffle(F.conv2d(x, weight, self.bias.repeat_interleave(self.parts**2)), self.parts)


def _per_cell(config: ModelConfig, outputs: int) -> nn.Conv2d | nn.ConvTranspose2d:
    """Return a head's last layer, from the features of a cell to the outputs of its parts."""
    if config.split == 1:
        return nn.Conv2d(config.tower_channels, outputs, 1)
    return PartsConvolution(config.tower_channels, outputs, config.split)


def _own_tower(config: ModelConfig) -> nn.Module | None:
    return None if config.shared_tower else conv_bn(config.fused_width, config.tower_channels, 3)


def _towered(tower: nn.Module | None, x: Tensor) -> Tensor:
    """Return the features of a head's own tower; `x` as it is where the heads share one."""
    return x if tower is None else tower(x).relu_()


def _double(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2.0, mode="nearest")
