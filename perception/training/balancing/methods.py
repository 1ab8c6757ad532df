"""The balancing methods by name."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from typing import Any

from perception.training.balancing.balancer import Balancer
from perception.training.balancing.dwa import DynamicWeightAverage
from perception.training.balancing.gradients import GradientBalancer
from perception.training.balancing.gradnorm import GradNorm
from perception.training.balancing.options import resolve_balancing
from perception.training.balancing.uncertainty import Uncertainty
from perception.types import LOSSES


def make_balancer(
    config: Mapping[str, Any], signed: Collection[str] = (), heads: Sequence[str] = LOSSES
) -> Balancer:
    """Make the balancer of a configuration: `method`, `weights`, and the options of the method.

    Args:
        config: As `resolve_balancing` takes it.
        signed: The heads whose loss may fall below 0 (`HeadLosses.signed`).
        heads: Names of the losses to balance.

    Raises:
        ConfigError: The method is not known, or a value is wrong.
        MissingExtraError: The method needs a package that is not installed.
    """
    chosen, weights = resolve_balancing(config)
    kinds: dict[str, Callable[..., Balancer]] = {
        "static": Balancer,
        "uncertainty": Uncertainty,
        "dwa": DynamicWeightAverage,
        "gradnorm": GradNorm,
    }
    kind = kinds.get(chosen.name) or partial(GradientBalancer, chosen.name)
    return kind(weights, signed, heads, **chosen.options)
