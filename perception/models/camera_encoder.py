"""The camera branch: an image to maps of three strides and one pooled feature."""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

from torch import Tensor, nn

from perception.models.config import SMALL, ModelConfig
from perception.models.layers import Residual, conv_bn


class Pyramid(NamedTuple):
    """Maps of one branch, or of all fused, [B, D, H / stride, W / stride] for each of `ModelConfig.strides`,
    and `pooled` [B, D, 1, 1]. D may differ between them."""

    fine: Tensor
    middle: Tensor
    coarse: Tensor
    pooled: Tensor


class SmallBackbone(nn.Module):
    """A residual network in plain torch; most parameters at the coarsest stride, most time at the finest.

    Its layers carry the stride they work at in their names: `stage8`.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.strides = config.strides
        self.widths = tuple(config.widths)
        self.stem = _stem(config)
        for index, (stride, width) in enumerate(zip(self.strides, self.widths, strict=True)):
            if index:
                self.add_module(f"down{stride}", _halving(self.widths[index - 1], width))
            blocks = (Residual(width) for _ in range(config.blocks[index]))
            self.add_module(f"stage{stride}", nn.Sequential(*blocks))

    def forward(self, image: Tensor) -> list[Tensor]:
        x = self.stem(image.to(next(self.stem.parameters()).dtype))
        maps: list[Tensor] = []
        for stride in self.strides:
            if maps:
                x = self.get_submodule(f"down{stride}")(x)
            x = self.get_submodule(f"stage{stride}")(x)
            maps.append(x)
        return maps


def _stem(config: ModelConfig) -> nn.Sequential:
    """Return the layers from the image to the finest map."""
    first, steps = 4 if config.stem == "patch" else 2, config.stem_layers
    halved = [config.widths[0] >> (steps - 1 - index) for index in range(steps)]
    widths = [config.stem_width or width for width in halved[:-1]] + halved[-1:]
    layers: list[nn.Module] = [conv_bn(3, widths[0], 4, stride=first), nn.ReLU(inplace=True)]
    for narrow, wide in pairwise(widths):
        layers += _halving(narrow, wide)
    return nn.Sequential(*layers)


def _halving(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(conv_bn(inputs, outputs, 4, stride=2), nn.ReLU(inplace=True))


class CameraEncoder(nn.Module):
    """A backbone by name, and the mean over its last map.

    What every encoder has: `reads`, the fields of `normalise.Cleaned` that its `forward` takes, `widths`,
    the channels of its four outputs, and `maps`, which of those are maps and not a single [B, ., 1, 1].

    Args:
        pretrained: Start a torchvision backbone from its published weights.
    """

    reads = ("image",)
    maps = (True, True, True, False)

    def __init__(self, config: ModelConfig, pretrained: bool = False) -> None:
        super().__init__()
        self.backbone = _backbone(config, pretrained)
        widths: tuple[int, int, int] = self.backbone.widths  # type: ignore[assignment]
        self.widths = (*widths, widths[-1])

    def forward(self, image: Tensor) -> Pyramid:
        """Encode a normalised image [B, 3, H, W] to maps."""
        fine, middle, coarse = self.backbone(image)
        return Pyramid(fine, middle, coarse, coarse.mean((2, 3), keepdim=True))


def _backbone(config: ModelConfig, pretrained: bool) -> nn.Module:
    if config.backbone == SMALL:
        return SmallBackbone(config)
    # Importing torchvision costs seconds at start, so only a model that is built from it pays.
    from perception.models.torchvision_backbone import TorchvisionBackbone

    return TorchvisionBackbone(config.backbone, pretrained, config.strides)
