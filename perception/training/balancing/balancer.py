"""The interface of balancing methods, and fixed weights."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

from torch import Tensor, nn

from perception.types import LOSSES


class Balancer(nn.Module):
    """Fixed weights: the sum of the losses, each times its weight.

    Args:
        weights: Head -> weight; 1 for those that are not named.
        signed: The heads whose loss may fall below 0, as the logarithm of a likelihood does.
        heads: Names of the losses to balance.
    """

    cuts = False
    """Whether the method needs the shared maps as leaves of the graph."""

    def __init__(
        self,
        weights: Mapping[str, float] | None = None,
        signed: Collection[str] = (),
        heads: Sequence[str] = LOSSES,
    ) -> None:
        super().__init__()
        self.heads = tuple(heads)
        self.fixed = dict(weights or {})
        self.signed = frozenset(signed)
        self.idle: frozenset[str] = frozenset()
        self.total: Callable[[Tensor], Tensor] = lambda value: value
        """Sums a value over all processes that share a batch."""
        self.parts = 1
        """How many parts of a step's batch are observed one after the other."""

    def backward(
        self, losses: Mapping[str, Tensor], shared: Sequence[Tensor] = (), share: float = 1.0
    ) -> None:
        """Add the gradients of the balanced losses to every parameter that they depend on.

        Args:
            losses: By head; a head that a step leaves out is missing.
            shared: The maps that all heads read; gradient methods combine the gradients over them.
            share: The fraction of the step's losses that these are, where a batch is computed in parts or by
                several processes.
        """
        terms = [self.term(head, self.fixed.get(head, 1.0) * loss, share) for head, loss in losses.items()]
        if terms:
            sum(terms[1:], terms[0]).backward()  # type: ignore[no-untyped-call]

    def term(self, head: str, loss: Tensor, share: float) -> Tensor:
        """Return the term that a head adds to the sum."""
        return loss

    def observe(self, losses: Mapping[str, float]) -> None:
        """Record the losses of a step, over all processes, before its `backward`. A loss of exactly 0 means
        that the batch has no truth for the head."""
        self.idle = frozenset(head for head, loss in losses.items() if loss == 0)

    def weights(self) -> dict[str, float]:
        """Return the current weight of each head."""
        return {head: self.fixed.get(head, 1.0) for head in self.heads}
