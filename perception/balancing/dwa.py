"""Weights by how fast each loss falls: dynamic weight average (Liu et al. 2019)."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from perception.balancing.balancer import HEADS, Balancer

TEMPERATURE = 2.0
PERIOD = 100
"""Steps whose mean loss counts as one of the paper's epochs."""


class DynamicWeightAverage(Balancer):
    """Heads whose loss falls slower than the others' get more weight; the weights sum to their number.

    The rate of a head is its mean loss in the last period over that in the one before. A deviation:
    likelihoods may be negative, so the rate is `exp` of the difference over the mean size of both.
    """

    sums: Tensor  # [3, heads]: of this period, means of the one before, means of the one before that
    counts: Tensor

    def __init__(self, weights: Mapping[str, float] | None = None) -> None:
        super().__init__(weights)
        self.register_buffer("sums", torch.full((3, len(HEADS)), torch.nan, dtype=torch.float64))
        self.register_buffer("counts", torch.zeros(len(HEADS), dtype=torch.float64))
        self.register_buffer("seen", torch.zeros((), dtype=torch.int64))
        self.sums[0] = 0.0

    def observe(self, losses: Mapping[str, float]) -> None:
        for head, loss in losses.items():
            if math.isfinite(loss):
                self.sums[0, HEADS.index(head)] += loss
                self.counts[HEADS.index(head)] += 1
        self.seen.add_(1)  # type: ignore[operator]
        if int(self.seen) % PERIOD == 0:  # type: ignore[arg-type]
            self.sums[2] = self.sums[1]
            self.sums[1] = self.sums[0] / self.counts
            self.sums[0] = 0.0
            self.counts.zero_()

    def term(self, head: str, loss: Tensor) -> Tensor:
        return self._factors()[head] * loss

    def weights(self) -> dict[str, float]:
        factors = self._factors()
        return {head: factors[head] * weight for head, weight in super().weights().items()}

    def _factors(self) -> dict[str, float]:
        last, before = self.sums[1].tolist(), self.sums[2].tolist()
        rates = [
            math.exp((a - b) / max((abs(a) + abs(b)) / 2, 1e-6))
            if math.isfinite(a) and math.isfinite(b)
            else 1.0
            for a, b in zip(last, before, strict=True)
        ]
        powers = [math.exp(rate / TEMPERATURE) for rate in rates]
        return {head: len(HEADS) * p / sum(powers) for head, p in zip(HEADS, powers, strict=True)}
