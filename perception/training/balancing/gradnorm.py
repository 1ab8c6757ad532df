"""GradNorm: weights under which all heads learn at the same rate (Chen et al. 2018)."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence

import torch
from torch import Tensor

from perception.training.balancing.balancer import Balancer
from perception.training.balancing.rates import inverse_rate
from perception.training.balancing.shared_gradients import give_to, gradients_over, products
from perception.types import LOSSES

BETAS = (0.9, 0.999)
LEAST = 0.01
"""The least weight. The paper sets no limit; a head whose weight is 0 has no gradient to recover by."""


class GradNorm(Balancer):
    """Weights w of the heads' losses L, moved so that `G = |gradient of w L|` is the same for all heads, and
    larger for those that learn slower than the mean: `G = mean(G) r^alpha`, where r is what part of a head's
    loss is left, over the mean of all heads (equations 1 and 2).

    The weights follow `sum |G - mean(G) r^alpha|`, its right side held constant, by Adam (Kingma and Ba
    2015), and are then made to sum to what they did before, in all to the number of heads.

    Deviations: `r^alpha` is divided by its mean over the heads, without which no weights meet the definition
    unless alpha is 1. Gradients are taken over the shared maps instead of the last shared weights (`shared`):
    these are where all heads meet, at three strides, and no second backward pass is needed, since there G is
    w times the norm of the gradient of L. Rates of losses that may fall below 0: `rates`. A head that is
    missing in a step, or has no truth in it, keeps its weight. `LEAST` bounds the weights.

    Args:
        weights: Fixed factors on the losses.
        signed: The heads whose loss may fall below 0.
        alpha: How strongly heads that are behind are pulled; 0: all gradients are made equal.
        lr: Of the weights.
    """

    cuts = True

    weight: Tensor  # float64 [heads]
    initial: Tensor  # float64 [heads] each head's first loss; NaN: not seen yet
    moments: Tensor  # float64 [2, heads] Adam's
    updates: Tensor  # float64 [heads] how many its moments rest on

    def __init__(
        self,
        weights: Mapping[str, float] | None = None,
        signed: Collection[str] = (),
        heads: Sequence[str] = LOSSES,
        alpha: float = 1.5,
        lr: float = 0.025,
    ) -> None:
        super().__init__(weights, signed, heads)
        self.alpha, self.lr = alpha, lr
        self.register_buffer("weight", torch.ones(len(self.heads), dtype=torch.float64))
        self.register_buffer("initial", torch.full((len(self.heads),), torch.nan, dtype=torch.float64))
        self.register_buffer("moments", torch.zeros(2, len(self.heads), dtype=torch.float64))
        self.register_buffer("updates", torch.zeros(len(self.heads), dtype=torch.float64))
        self._losses: dict[str, float] = {}

    def observe(self, losses: Mapping[str, float]) -> None:
        super().observe(losses)
        self._losses = {
            head: loss for head, loss in losses.items() if math.isfinite(loss) and head not in self.idle
        }
        for head, loss in self._losses.items():
            if self.initial[self.heads.index(head)].isnan():
                self.initial[self.heads.index(head)] = loss

    def backward(
        self, losses: Mapping[str, Tensor], shared: Sequence[Tensor] = (), share: float = 1.0
    ) -> None:
        """Do what `Balancer.backward` does, then update the weights.

        The sum of the gradients is left in `.grad` of the shared maps, which must be leaves of the graph of
        the losses.
        """
        now = self.weights()
        rows = gradients_over(shared, {head: now[head] * loss for head, loss in losses.items()})
        if not rows:
            give_to(shared, None)
            return
        norms = products(list(rows.values()), self.total).diagonal().sqrt().tolist()
        give_to(shared, torch.stack(list(rows.values())).sum(0))
        self.follow({head: norm for head, norm in zip(rows, norms, strict=True) if norm})

    def follow(self, norms: Mapping[str, float]) -> None:
        """Move the weights of some heads.

        Args:
            norms: G of each.
        """
        heads = [head for head in norms if head in self._losses]
        if len(heads) < 2 or not all(math.isfinite(norms[head]) for head in heads):
            return
        at = [self.heads.index(head) for head in heads]
        norm = torch.tensor([norms[head] for head in heads], dtype=torch.float64, device=self.weight.device)
        weight = self.weight[at]
        wanted = self._behind(heads) ** self.alpha
        off = (norm - norm.mean() * wanted / wanted.mean()).sign()
        moved = weight - self.lr * self._adam(at, off * norm / weight / norm.mean())
        moved = moved.clamp(min=LEAST)
        self.weight[at] = moved * (weight.sum() / moved.sum())

    def weights(self) -> dict[str, float]:
        own = dict(zip(self.heads, self.weight.tolist(), strict=True))
        return {head: own[head] * weight for head, weight in super().weights().items()}

    def _behind(self, heads: Sequence[str]) -> Tensor:
        """Return r: the remaining part of each head's loss over the mean of these parts."""
        first = dict(zip(self.heads, self.initial.tolist(), strict=True))
        left = [inverse_rate(self._losses[head], first[head], head in self.signed) for head in heads]
        rates = torch.tensor(left, dtype=torch.float64, device=self.weight.device)
        return rates / rates.mean()

    def _adam(self, at: list[int], gradient: Tensor) -> Tensor:
        """Return the direction of Adam's step for some of the weights."""
        self.updates[at] += 1
        for row, beta, value in ((0, BETAS[0], gradient), (1, BETAS[1], gradient.square())):
            self.moments[row, at] = beta * self.moments[row, at] + (1 - beta) * value
        mean, square = (
            self.moments[row, at] / (1 - beta ** self.updates[at]) for row, beta in enumerate(BETAS)
        )
        return mean / (square.sqrt() + 1e-8)
