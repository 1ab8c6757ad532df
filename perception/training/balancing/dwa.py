"""Weights by how fast each loss falls: dynamic weight average (Liu et al. 2019)."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence

import torch
from torch import Tensor

from perception.training.balancing.balancer import Balancer
from perception.training.balancing.rates import inverse_rate
from perception.types import LOSSES


class DynamicWeightAverage(Balancer):
    """Heads whose loss falls slower than the others' get more weight; the weights sum to their number.

    The rate of a head is its mean loss in the last period over that in the one before, and its weight goes
    by `exp(rate / temperature)`. A period takes the place of the paper's epoch.

    Args:
        weights: Fixed factors on the losses.
        signed: The heads whose loss may fall below 0; see `rates`.
        temperature: The higher, the more equal the weights.
        period: Steps.
    """

    sums: Tensor  # [3, heads]: of this period, means of the one before, means of the one before that
    counts: Tensor

    def __init__(
        self,
        weights: Mapping[str, float] | None = None,
        signed: Collection[str] = (),
        heads: Sequence[str] = LOSSES,
        temperature: float = 2.0,
        period: float = 100,
    ) -> None:
        super().__init__(weights, signed, heads)
        self.temperature, self.period = temperature, int(period)
        self.register_buffer("sums", torch.full((3, len(self.heads)), torch.nan, dtype=torch.float64))
        self.register_buffer("counts", torch.zeros(len(self.heads), dtype=torch.float64))
        self.register_buffer("seen", torch.zeros((), dtype=torch.int64))
        self.sums[0] = 0.0

    def observe(self, losses: Mapping[str, float]) -> None:
        super().observe(losses)
        for head, loss in losses.items():
            if math.isfinite(loss) and head not in self.idle:
                self.sums[0, self.heads.index(head)] += loss
                self.counts[self.heads.index(head)] += 1
        self.seen.add_(1)  # type: ignore[operator]
        if int(self.seen) % (self.period * self.parts) == 0:  # type: ignore[arg-type]
            self.sums[2] = self.sums[1]
            self.sums[1] = self.sums[0] / self.counts
            self.sums[0] = 0.0
            self.counts.zero_()

    def term(self, head: str, loss: Tensor, share: float) -> Tensor:
        return self._factors()[head] * loss

    def weights(self) -> dict[str, float]:
        factors = self._factors()
        return {head: factors[head] * weight for head, weight in super().weights().items()}

    def _factors(self) -> dict[str, float]:
        """Return the factor of each head; a head without a known rate counts as one with a constant loss."""
        last, before = self.sums[1].tolist(), self.sums[2].tolist()
        rates = [
            inverse_rate(now, then, head in self.signed)
            if math.isfinite(now) and math.isfinite(then)
            else 1.0
            for head, now, then in zip(self.heads, last, before, strict=True)
        ]
        powers = [math.exp((rate - max(rates)) / self.temperature) for rate in rates]
        return {head: len(self.heads) * p / sum(powers) for head, p in zip(self.heads, powers, strict=True)}
