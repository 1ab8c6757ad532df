"""Methods that look at the gradients of the heads where these meet: over the shared maps, not all weights.

After Sener and Koltun 2018: the gradients with regard to the shared representation bound those with regard to
its weights, and cost one backward pass of the heads each. The aggregators are those of TorchJD (extra
`train`): PCGrad (Yu et al. 2020), CAGrad (Liu et al. 2021), UPGrad (Quinton and Rey 2024), MGDA (Desideri
2012), NashMTL (Navon et al. 2022).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from perception.balancing.balancer import Balancer
from perception.errors import MissingExtraError

NAMES = {"pcgrad": "PCGrad", "cagrad": "CAGrad", "upgrad": "UPGrad", "mgda": "MGDA", "nash": "NashMTL"}


class GradientBalancer(Balancer):
    """Combines the heads' gradients over the shared maps by one of `NAMES`.

    The heads' own parameters get the gradients of their own losses. A head whose gradient is nothing, because
    the batch has no truth for it, takes no part.

    Raises:
        MissingExtraError: TorchJD, or what a method of it needs, is not installed.
    """

    cuts = True

    def __init__(self, method: str, weights: Mapping[str, float] | None = None) -> None:
        super().__init__(weights)
        self.method = method
        self.aggregator(4)

    def aggregator(self, heads: int) -> Any:
        """A new one for so many heads: nothing is remembered from step to step."""
        try:
            from torchjd import aggregation

            kind = getattr(aggregation, NAMES[self.method])
            options: dict[str, dict[str, Any]] = {"cagrad": {"c": 0.5}, "nash": {"n_tasks": heads}}
            return kind(**options.get(self.method, {}))
        except ImportError:
            raise MissingExtraError(f"balancing by {self.method}", "train") from None

    def backward(self, losses: Mapping[str, Tensor], shared: Sequence[Tensor] = ()) -> None:
        """As `Balancer.backward`; the combined gradient is left in `.grad` of the shared maps.

        Args:
            losses: By head.
            shared: Leaves of the graph of the losses.
        """
        rows = []
        for head, loss in losses.items():
            for leaf in shared:
                leaf.grad = None
            (self.fixed.get(head, 1.0) * loss).backward(retain_graph=True)  # type: ignore[no-untyped-call]
            rows.append(torch.cat([_gradient(leaf).flatten() for leaf in shared]).float())
        rows = [row for row in rows if bool(row.any())]
        if rows:
            combined = self.aggregator(len(rows))(torch.stack(rows)) if len(rows) > 1 else rows[0]
        else:
            combined = torch.zeros(sum(leaf.numel() for leaf in shared), device=shared[0].device)
        for leaf, part in zip(shared, torch.split(combined, [leaf.numel() for leaf in shared]), strict=True):
            leaf.grad = part.view_as(leaf).to(leaf.dtype)


def _gradient(leaf: Tensor) -> Tensor:
    return leaf.grad if leaf.grad is not None else torch.zeros_like(leaf)
