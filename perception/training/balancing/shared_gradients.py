"""The gradients of the heads over the shared maps, which stand for those over the shared weights.

After Sener and Koltun 2018: the gradients with regard to the shared representation bound those with regard to
its weights, and cost one backward pass of the heads each.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor


def gradients_over(shared: Sequence[Tensor], terms: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return each term's gradient over the shared maps, flat, float32; zeros for a term independent of them.

    The heads' own parameters get the gradients of their own terms.

    Args:
        shared: Leaves of the graph of the terms; their `.grad` is overwritten.
        terms: By head.
    """
    rows = {}
    for head, term in terms.items():
        for leaf in shared:
            leaf.grad = None
        term.backward(retain_graph=True)  # type: ignore[no-untyped-call]
        rows[head] = torch.cat([_gradient(leaf).flatten() for leaf in shared]).float()
    return rows


def products(rows: Sequence[Tensor], total: Callable[[Tensor], Tensor]) -> Tensor:
    """Return the scalar products of all pairs of gradients, float64 [heads, heads], on the CPU.

    Where several processes each hold the maps of their part of a batch, `total` sums over them: the products
    are those of the whole batch, and all processes see the same.
    """
    matrix = torch.stack(list(rows))
    gramian: Tensor = total(matrix @ matrix.T)
    return gramian.double().cpu()


def give_to(shared: Sequence[Tensor], combined: Tensor | None) -> None:
    """Write a flat gradient into `.grad` of the shared maps; None: zeros."""
    if combined is None:
        combined = torch.zeros(sum(leaf.numel() for leaf in shared), device=shared[0].device)
    for leaf, part in zip(shared, torch.split(combined, [leaf.numel() for leaf in shared]), strict=True):
        leaf.grad = part.view_as(leaf).to(leaf.dtype)


def _gradient(leaf: Tensor) -> Tensor:
    return leaf.grad if leaf.grad is not None else torch.zeros_like(leaf)
