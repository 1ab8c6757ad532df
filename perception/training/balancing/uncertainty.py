"""Weights learned as the tasks' own uncertainty (Kendall et al. 2018)."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import torch
from torch import Tensor, nn

from perception.training.balancing.balancer import Balancer
from perception.types import LOSSES


class Uncertainty(Balancer):
    """Each loss is divided by a learned variance, whose logarithm is added: `exp(-s) loss + s`.

    A deviation: the paper's factor 1/2 of regressions is left out, since the losses here are likelihoods that
    have scales of their own. A head without truth in a batch leaves its variance as it is.
    """

    def __init__(
        self,
        weights: Mapping[str, float] | None = None,
        signed: Collection[str] = (),
        heads: Sequence[str] = LOSSES,
    ) -> None:
        super().__init__(weights, signed, heads)
        self.log_variance = nn.ParameterDict({head: nn.Parameter(torch.zeros(())) for head in self.heads})

    def term(self, head: str, loss: Tensor, share: float) -> Tensor:
        s = self.log_variance[head]
        weighed: Tensor = (-s).exp() * loss
        return weighed if head in self.idle else weighed + share * s

    def weights(self) -> dict[str, float]:
        return {
            head: float((-self.log_variance[head].detach()).exp()) * weight
            for head, weight in super().weights().items()
        }
