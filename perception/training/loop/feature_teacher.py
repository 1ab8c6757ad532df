"""Learning the features of a network that was trained on ImageNet (after Romero et al. 2015, "FitNets").

A linear map of the camera's features at each stride is compared with the teacher's of the same picture. So
the body takes over from a million pictures what a few thousand labelled ones cannot teach it.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from perception.errors import ConfigError
from perception.models import FusionModel
from perception.training.loop.lite0 import MAPS, load_lite0


class FeatureTeacher(nn.Module):
    """The loss towards the features of EfficientNet-Lite0. Only the linear maps are its parameters.

    Args:
        model: The student, on its device.
        weight: Of the loss.

    Raises:
        ConfigError: The student and the teacher have no stride in common.
        MissingExtraError: The extra `pretrained` is not installed.
    """

    def __init__(self, model: FusionModel, weight: float) -> None:
        super().__init__()
        widths = dict(zip(model.config.strides, model.branches()[0].widths, strict=False))
        self.weight, self.strides = weight, [stride for stride in widths if stride in MAPS]
        if not self.strides:
            raise ConfigError([f"transfer.features: expected a model with maps of the strides {list(MAPS)}"])
        device = next(model.parameters()).device
        self.map = nn.ModuleDict(
            {str(stride): nn.Conv2d(widths[stride], MAPS[stride][1], 1) for stride in self.strides}
        ).to(device)
        for layer in self.map.values():  # at first the student explains nothing: the loss is 1
            assert isinstance(layer, nn.Conv2d)
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
        # In a list, so that the frozen network is no part of the state that a run saves.
        self._network = [load_lite0().to(device).to(memory_format=torch.channels_last)]
        self._levels = [model.config.strides.index(stride) for stride in self.strides]

    def forward(self, image: Tensor, present: Tensor, features: Sequence[Tensor]) -> Tensor:
        """Return the loss of a batch: the part of the variance of the teacher's features, channel by channel,
        that the student's do not explain; about 1 where they explain nothing.

        Args:
            image: uint8 [B, 3, H, W], as the student sees it.
            present: bool [B], whether the picture is present.
            features: The student's maps, fine to coarse.
        """
        if not present.any():
            return features[0].sum() * 0.0
        with torch.no_grad():
            true = self._network[0](image[present])
        losses = []
        for stride, level in zip(self.strides, self._levels, strict=True):
            target = F.batch_norm(true[stride].float(), None, None, training=True)
            said = self.map[str(stride)](features[level][present])
            losses.append(F.mse_loss(said.float(), target))
        mean: Tensor = torch.stack(losses).mean()
        return self.weight * mean
