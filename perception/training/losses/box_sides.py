"""The four sides of boxes around one point, each compared as a part of the true box's width or height.

So a small box weighs as much as a large one (Girshick 2015, "Fast R-CNN", divides offsets by the proposal's
size to the same end); the four sides are summed, as there.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def smooth_l1_sides(ltrb: Tensor, target: Tensor, beta: float = 1 / 9) -> Tensor:
    """Return the smooth L1 loss (Girshick 2015) of the sides: [B, 4, ...] to [B, 1, ...].

    Args:
        ltrb, target: Distances from the point to left, top, right and bottom.
        beta: Errors below this part of the box count squared.
    """
    size = _sizes(target)
    return F.smooth_l1_loss(ltrb / size, target / size, reduction="none", beta=beta).sum(1, keepdim=True)


def squared_sides(ltrb: Tensor, target: Tensor) -> Tensor:
    """Return the squared error of the sides: [B, 4, ...] to [B, 1, ...]."""
    return ((ltrb - target) / _sizes(target)).square().sum(1, keepdim=True)


def _sizes(ltrb: Tensor) -> Tensor:
    """Return [B, 4, ...]: width, height, width, height."""
    left, top, right, bottom = torch.split(ltrb, 1, dim=1)
    width, height = (left + right).clamp(min=1.0), (top + bottom).clamp(min=1.0)
    return torch.cat([width, height, width, height], 1)
