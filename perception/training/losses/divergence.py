"""Kullback-Leibler divergences of distributions with a mean and a scale, in closed form, in nats.

`KL(target || predicted)`: 0 where both are the same; a prediction must cover what the target makes likely.
Against a target that is narrow it is the likelihood of the target's mean, but for a constant.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor


def laplace_kl(value: Tensor, log_scale: Tensor, target: Tensor, target_log_scale: Tensor) -> Tensor:
    """Return `KL(target || predicted)` of Laplace distributions (Gil, Alajaji and Linder 2013)."""
    apart, wide = (value - target).abs(), target_log_scale.exp()
    spread = wide * (-apart / wide).exp() + apart
    return log_scale - target_log_scale + spread * (-log_scale).exp() - 1


def gaussian_kl(value: Tensor, log_scale: Tensor, target: Tensor, target_log_scale: Tensor) -> Tensor:
    """Return `KL(target || predicted)` of normal distributions; scales are standard deviations."""
    spread = (2 * (target_log_scale - log_scale)).exp()
    apart = ((value - target) * (-log_scale).exp()).square()
    return log_scale - target_log_scale + (spread + apart - 1) / 2


def kl_of_truth(family: str, value: Tensor, log_scale: Tensor, target: Tensor, std: float) -> Tensor:
    """Return the divergence from truth with a standard deviation of its own, in the same family.

    Args:
        family: `laplace` or `gaussian`.
        std: Of the truth, in the unit of `target`.
    """
    scale = std / math.sqrt(2) if family == "laplace" else std
    wide = torch.full_like(target, math.log(scale))
    return (laplace_kl if family == "laplace" else gaussian_kl)(value, log_scale, target, wide)
