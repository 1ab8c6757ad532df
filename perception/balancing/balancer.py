"""What every method of balancing offers, and the methods by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from torch import Tensor, nn

from perception.errors import ConfigError

HEADS = ("class", "box", "distance", "control")


class Balancer(nn.Module):
    """Fixed weights: the sum of the losses, each times its weight.

    Args:
        weights: Head -> weight; 1 for those that are not named.
    """

    cuts = False
    """Whether it wants the shared maps as leaves of the graph."""

    def __init__(self, weights: Mapping[str, float] | None = None) -> None:
        super().__init__()
        self.fixed = dict(weights or {})

    def backward(self, losses: Mapping[str, Tensor], shared: Sequence[Tensor] = ()) -> None:
        """Add the gradients of the balanced losses to every parameter they rest on.

        Args:
            losses: By head; a head that a step leaves out is missing.
            shared: What all heads rest on: where methods that look at gradients meet them.
        """
        terms = [self.term(head, self.fixed.get(head, 1.0) * loss) for head, loss in losses.items()]
        if terms:
            sum(terms[1:], terms[0]).backward()  # type: ignore[no-untyped-call]

    def term(self, head: str, loss: Tensor) -> Tensor:
        """What a head adds to the whole."""
        return loss

    def observe(self, losses: Mapping[str, float]) -> None:
        """Told the losses of a step, over all processes, before `backward` of it."""

    def weights(self) -> dict[str, float]:
        """What each head weighs now."""
        return {head: self.fixed.get(head, 1.0) for head in HEADS}


def make_balancer(config: Mapping[str, Any]) -> Balancer:
    """The balancer of a configuration: `method`, `weights`, and what the method takes.

    Raises:
        ConfigError: The method is not known, or a value is wrong.
    """
    from perception.balancing.dwa import DynamicWeightAverage
    from perception.balancing.gradients import NAMES, GradientBalancer
    from perception.balancing.uncertainty import Uncertainty

    kinds: dict[str, Callable[[Mapping[str, float]], Balancer]] = {
        "static": Balancer,
        "uncertainty": Uncertainty,
        "dwa": DynamicWeightAverage,
        **{name: partial(GradientBalancer, name) for name in NAMES},
    }
    given = dict(config)
    method, weights = given.pop("method", "static"), given.pop("weights", {})
    faults = [f"balancing.{key}: unknown key; expected method, weights" for key in given]
    if method not in kinds:
        faults.append(f"balancing.method: expected one of {', '.join(kinds)}, found {method!r}")
    if not isinstance(weights, Mapping) or any(
        head not in HEADS or isinstance(w, bool) or not isinstance(w, int | float) or not w >= 0
        for head, w in weights.items()
    ):
        faults.append(
            f"balancing.weights: expected {', '.join(HEADS)} -> a number from 0, found {weights!r:.80}"
        )
    if faults:
        raise ConfigError(faults)
    return kinds[method](weights)
