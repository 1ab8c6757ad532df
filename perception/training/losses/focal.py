"""The focal loss (Lin et al. 2017, "Focal Loss for Dense Object Detection", equation 5)."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F


def focal(logits: Tensor, heatmap: Tensor, alpha: float = 0.25, gamma: float = 2.0) -> Tensor:
    """Return the focal loss at every cell.

    A deviation: the labels are the heatmap's values, not 0 or 1 alone, so that an object has one peak and no
    plateau. With labels 0 and 1 it is the paper's; between, `p_t = p y + (1 - p)(1 - y)`, and the
    cross-entropy is that of both.

    Args:
        logits: Any shape.
        heatmap: The same, 0 to 1.
        alpha: Weight of the positive term, 0 to 1; the negative term weighs `1 - alpha`.
        gamma: Exponent that lowers the weight of cells that are already right.
    """
    p = logits.sigmoid()
    right = p * heatmap + (1 - p) * (1 - heatmap)
    balance = alpha * heatmap + (1 - alpha) * (1 - heatmap)
    cross_entropy = F.binary_cross_entropy_with_logits(logits, heatmap, reduction="none")
    return balance * (1 - right) ** gamma * cross_entropy
