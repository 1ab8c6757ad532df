"""The cross-entropy of each class against all else, with the heatmap as the probability to be matched."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F


def cross_entropy(logits: Tensor, heatmap: Tensor, positive_weight: float = 1.0) -> Tensor:
    """Return the binary cross-entropy at every cell: least where the score is the heatmap's value.

    Its least value is the entropy of the heatmap, above 0 where that lies between 0 and 1.

    Args:
        logits: Any shape.
        heatmap: The same, 0 to 1.
        positive_weight: Weight of the positive term; the negative term weighs 1.
    """
    hit = positive_weight * heatmap * F.logsigmoid(logits)
    return -hit - (1 - heatmap) * F.logsigmoid(-logits)
