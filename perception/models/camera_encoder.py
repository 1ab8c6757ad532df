"""The camera branch: an image to maps at strides 4, 8 and 16 and one pooled feature."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor, nn

from perception.models.config import SMALL, ModelConfig
from perception.models.layers import Residual, conv_bn


class Pyramid(NamedTuple):
    """Maps of one branch, or of all fused: [B, D, H/4, W/4], [B, D, H/8, W/8], [B, D, H/16, W/16], and
    `pooled` [B, D, 1, 1]. D may differ between them."""

    s4: Tensor
    s8: Tensor
    s16: Tensor
    pooled: Tensor


class SmallBackbone(nn.Module):
    """A residual network in plain torch; most parameters at stride 16, most time at stride 4."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        w4, w8, w16 = self.widths = tuple(config.widths)
        self.stem = nn.Sequential(
            conv_bn(3, w4 // 2, 4, stride=2),
            nn.ReLU(inplace=True),
            conv_bn(w4 // 2, w4, 4, stride=2),
            nn.ReLU(inplace=True),
        )
        n4, n8, n16 = config.blocks
        self.stage4 = nn.Sequential(*(Residual(w4) for _ in range(n4)))
        self.down8 = nn.Sequential(conv_bn(w4, w8, 4, stride=2), nn.ReLU(inplace=True))
        self.stage8 = nn.Sequential(*(Residual(w8) for _ in range(n8)))
        self.down16 = nn.Sequential(conv_bn(w8, w16, 4, stride=2), nn.ReLU(inplace=True))
        self.stage16 = nn.Sequential(*(Residual(w16) for _ in range(n16)))

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        s4 = self.stage4(self.stem(image.to(next(self.stem.parameters()).dtype)))
        s8 = self.stage8(self.down8(s4))
        return s4, s8, self.stage16(self.down16(s8))


class CameraEncoder(nn.Module):
    """A backbone by name, and the mean over its last map.

    What every encoder has: `reads`, the fields of `fusion_model.Cleaned` that its `forward` takes, `widths`,
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
        s4, s8, s16 = self.backbone(image)
        return Pyramid(s4, s8, s16, s16.mean((2, 3), keepdim=True))


def _backbone(config: ModelConfig, pretrained: bool) -> nn.Module:
    if config.backbone == SMALL:
        return SmallBackbone(config)
    # Importing torchvision costs seconds at start, so only a model that is built from it pays.
    from perception.models.torchvision_backbone import TorchvisionBackbone

    return TorchvisionBackbone(config.backbone, pretrained)
