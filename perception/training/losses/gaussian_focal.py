"""The focal loss of heatmaps (Zhou et al. 2019, "Objects as Points", equation 1; after Law and Deng 2018)."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F


def gaussian_focal(logits: Tensor, heatmap: Tensor, alpha: float = 2.0, beta: float = 4.0) -> Tensor:
    """Return the focal loss of a heatmap whose peaks are 1, at every cell.

    Args:
        logits: Any shape.
        heatmap: The same, 0 to 1.
        alpha: Exponent that lowers the weight of cells that are already right.
        beta: Exponent that lowers the weight of false positives near a peak.
    """
    p = logits.sigmoid()
    hit = (1 - p) ** alpha * F.logsigmoid(logits)
    miss = (1 - heatmap) ** beta * p**alpha * F.logsigmoid(-logits)
    return -(heatmap == 1).to(p.dtype) * hit - (heatmap < 1).to(p.dtype) * miss
