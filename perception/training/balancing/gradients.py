"""Methods that combine the gradients of the heads over the shared maps (`shared`).

The aggregators are those of TorchJD (extra `train`): PCGrad (Yu et al. 2020), CAGrad (Liu et al. 2021),
UPGrad (Quinton and Rey 2024), MGDA (Desideri 2012), NashMTL (Navon et al. 2022).
"""

from __future__ import annotations

import warnings
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from perception.errors import MissingExtraError
from perception.training.balancing.balancer import Balancer
from perception.training.balancing.shared_gradients import give_to, gradients_over, products
from perception.types import LOSSES

NAMES = {"pcgrad": "PCGrad", "cagrad": "CAGrad", "upgrad": "UPGrad", "mgda": "MGDA", "nash": "NashMTL"}

NOTHING = 1e-7
"""CAGrad stops where the best combination of gradients is shorter than this part of them. TorchJD's own 1e-4
is reached as soon as one head's gradient is small."""


class GradientBalancer(Balancer):
    """Combines the heads' gradients over the shared maps by one of `NAMES`.

    The heads' own parameters get the gradients of their own losses. A head whose gradient is nothing, because
    the batch has no truth for it, takes no part. Of NashMTL the norm is not cut at 1, as its authors' program
    does: the result is as long as the gradients are. Where more than two heads nearly rule each other out its
    solver may not settle, and a head then loses in that step.

    Args:
        method: A name in `NAMES`.
        weights: Fixed factors on the losses.
        signed: Not used.
        heads: The names of the losses.
        **options: Arguments of the aggregator (`c` of CAGrad).

    Raises:
        MissingExtraError: TorchJD, or a package that one of its methods needs, is not installed.
    """

    cuts = True

    def __init__(
        self,
        method: str,
        weights: Mapping[str, float] | None = None,
        signed: Collection[str] = (),
        heads: Sequence[str] = LOSSES,
        **options: float,
    ) -> None:
        super().__init__(weights, signed, heads)
        self.method, self.options = method, options
        self.aggregator(4)

    def aggregator(self, heads: int) -> Any:
        """Return a new aggregator for a number of heads; no state is kept from step to step."""
        try:
            from torchjd import aggregation

            kind = getattr(aggregation, NAMES[self.method])
            more = {"nash": {"n_tasks": heads, "max_norm": 0.0}, "cagrad": {"norm_eps": NOTHING}}
            return kind(**self.options, **more.get(self.method, {}))
        except ImportError:
            raise MissingExtraError(f"balancing by {self.method}", "train") from None

    def backward(
        self, losses: Mapping[str, Tensor], shared: Sequence[Tensor] = (), share: float = 1.0
    ) -> None:
        """Do what `Balancer.backward` does; leave the combined gradient in `.grad` of the shared maps.

        These must be leaves of the graph of the losses.
        """
        terms = {head: self.fixed.get(head, 1.0) * loss for head, loss in losses.items()}
        rows = list(gradients_over(shared, terms).values())
        give_to(shared, self.combine(rows) if rows else None)

    def combine(self, rows: Sequence[Tensor]) -> Tensor:
        """Combine several gradients into one.

        All these methods weigh the gradients by their scalar products alone, a matrix of one row and one
        column for each head. Processes with parts of one batch need to exchange nothing else.

        Aggregators treat gradients below an absolute size as zero, and gradients over maps are small: they
        are divided by the largest norm, combined, and scaled back. NashMTL gets unit vectors: its solver
        diverges on gradients of unlike size, and its solution is the same. Gradients that are not finite
        are added up, so that the optimiser step detects them.
        """
        gramian = products(rows, self.total)
        if not bool(gramian.isfinite().all()):
            return torch.stack(list(rows)).sum(0)
        sizes = gramian.diagonal().sqrt()
        weights = torch.zeros_like(sizes)
        nonzero = sizes > 0
        if int(nonzero.sum()) == 1:
            weights[nonzero] = 1.0
        elif bool(nonzero.any()):
            weights[nonzero] = self._weights(gramian[nonzero][:, nonzero], sizes[nonzero])
        return weights.to(rows[0]) @ torch.stack(list(rows))

    def _weights(self, gramian: Tensor, sizes: Tensor) -> Tensor:
        """Return the weight of each gradient in the combined one; their norms `sizes` are all above 0."""
        unit = sizes if self.method == "nash" else sizes.max().expand_as(sizes)
        values, vectors = torch.linalg.eigh(gramian / torch.outer(unit, unit))
        stand_ins = (vectors * values.clamp(min=0).sqrt()).float()  # rows with the same products
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the solvers warn at every step, which is of no use to a user
            weights: Tensor = self.aggregator(len(sizes)).weighting(stand_ins)
        return weights.to(sizes) / unit * unit.mean()
