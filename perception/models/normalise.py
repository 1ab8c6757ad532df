"""The statistics as buffers, so that they travel with the weights and into every exported graph."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from perception.models.config import ModelConfig
from perception.models.stats import GROUPS, ChannelStats, InputStats, channel_names

LIMIT = 10.0
"""Normalised inputs are clamped to this many standard deviations: one outlier must not dominate the rest."""


class Cleaned(NamedTuple):
    """Inputs without absent, invalid or unknown values: all are finite."""

    image: Tensor  # [B, 3, H, W] normalised, 0 where absent
    normalised: Tensor  # [B, M, 8] returns normalised, 0 where invalid
    returns: Tensor  # [B, M, 8] in their units, 0 where invalid
    valid: Tensor  # [B, M] 0 or 1
    status: Tensor  # [B, T, S] normalised, 0 (the mean) where unknown
    known: Tensor  # [B, T, S] 0 or 1
    present: Tensor  # bool [B, 3]
    age: Tensor  # [B, 3] log(1 + age / 50 ms), 0 where absent


class Normaliser(nn.Module):
    """Mean, std, minimum and maximum of each group of channels; NaN where the extremes are unknown."""

    def __init__(self, config: ModelConfig, stats: InputStats) -> None:
        super().__init__()
        self.names = channel_names(config)
        for group in GROUPS:
            for key in ("mean", "std", "minimum", "maximum"):
                self.register_buffer(f"{group}_{key}", torch.zeros(len(self.names[group])))
        self.set(stats)

    def set(self, stats: InputStats) -> None:
        """Set new statistics.

        Raises:
            ValueError: Their channels are not the model's.
        """
        for group in GROUPS:
            channels, names = getattr(stats, group), self.names[group]
            if set(channels) != set(names):
                raise ValueError(
                    f"statistics of {group}: expected the channels {names}, found {tuple(channels)}"
                )
            for key in ("mean", "std", "minimum", "maximum"):
                values = [getattr(channels[name], key) for name in names]
                plain = [math.nan if value is None else value for value in values]
                self.get_buffer(f"{group}_{key}").copy_(torch.tensor(plain, dtype=torch.float32))

    def get(self) -> InputStats:
        """Return the statistics as plain numbers."""
        groups: dict[str, dict[str, ChannelStats]] = {}
        for group in GROUPS:
            columns = [
                self.get_buffer(f"{group}_{key}").tolist() for key in ("mean", "std", "minimum", "maximum")
            ]
            rows = zip(self.names[group], *columns, strict=True)
            groups[group] = {name: ChannelStats(m, s, _known(a), _known(b)) for name, m, s, a, b in rows}
        return InputStats(**groups)

    def image(self, image: Tensor, present: Tensor) -> Tensor:
        """Return uint8 [B, 3, H, W] as float, normalised; 0 where `present` [B] is false.

        Bytes are always finite, so that a factor of 0 is enough.
        """
        here = present.to(torch.float32)[:, None, None, None]
        scale = here / self.get_buffer("image_std")[:, None, None]
        return image.float().mul_(scale).sub_(self.get_buffer("image_mean")[:, None, None] * scale)

    def channels(self, group: str, values: Tensor) -> Tensor:
        """Return the channels [..., n] of a group, normalised and clamped."""
        mean, std = self.get_buffer(f"{group}_mean"), self.get_buffer(f"{group}_std")
        return ((values - mean) / std).clamp(-LIMIT, LIMIT)

    def standardise(self, group: str, targets: Tensor) -> Tensor:
        """Return targets [..., n] in physical units as the heads regress them."""
        return (targets - self.get_buffer(f"{group}_mean")) / self.get_buffer(f"{group}_std")


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value
