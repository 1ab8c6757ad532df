"""Generalised intersection over union (Rezatofighi et al. 2019) of boxes around one point."""

from __future__ import annotations

import torch
from torch import Tensor


def giou_loss(ltrb: Tensor, target: Tensor) -> Tensor:
    """Return 1 - GIoU of boxes around one point, 0 to 2: [B, 4, ...] to [B, 1, ...]."""
    inner, outer = torch.minimum(ltrb, target), torch.maximum(ltrb, target)
    overlap = _area(inner)
    union = (_area(ltrb) + _area(target) - overlap).clamp(min=1e-6)
    hull = _area(outer).clamp(min=1e-6)
    return 1 - overlap / union + (hull - union) / hull


def _area(ltrb: Tensor) -> Tensor:
    """Return the area of boxes that hold their point: all sides at 0 or more."""
    left, top, right, bottom = torch.split(ltrb.clamp(min=0), 1, dim=1)
    area: Tensor = (left + right) * (top + bottom)
    return area
