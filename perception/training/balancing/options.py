"""The methods of balancing by name, with their options and limits. No torch.

::

    balancing: {method: gradnorm, alpha: 1.5, weights: {box: 2}}
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from perception.config.named_options import Choice, Option, Table, choose, expected_keys
from perception.errors import ConfigError
from perception.types import loss_parts

METHODS: Table = {
    "static": {},
    "uncertainty": {},
    "dwa": {"temperature": Option(2.0, 1e-3), "period": Option(100, 1, whole=True)},
    "gradnorm": {"alpha": Option(1.5), "lr": Option(0.025)},
    "pcgrad": {},
    "cagrad": {"c": Option(0.5)},
    "upgrad": {},
    "mgda": {},
    "nash": {},
}


def resolve_balancing(config: Mapping[str, Any] | None = None) -> tuple[Choice, dict[str, float]]:
    """Return the method with its options filled in, and the configured fixed weights.

    Args:
        config: `method`, the options of the method, and `weights`: head -> factor on its loss.

    Raises:
        ConfigError: Names, options or values are wrong: all of them, with the nearest valid names.
    """
    options = dict(config or {})
    weights, errors = options.pop("weights", None), []
    method = options.pop("method", "static")
    if "name" in options:
        errors.append("balancing.name: unknown key, did you mean method?")
        options = {}
    if not isinstance(method, str):
        errors.append(f"balancing.method: expected one of {', '.join(METHODS)}, found {method!r:.60}")
        method = "static"
        options = {}
    wrong: list[str] = []
    beside = ("method", "weights")
    chosen = choose("balancing", {"name": method, **options}, METHODS, "static", wrong, beside)
    errors += [error.replace("balancing:", "balancing.method:", 1) for error in wrong]
    if weights is not None and not isinstance(weights, Mapping):
        errors.append(f"balancing.weights: expected head -> a number from 0, found {weights!r:.60}")
        weights = None
    parts = loss_parts()
    for head, weight in (weights or {}).items():
        if head not in parts:
            errors.append(f"balancing.weights.{head}: no head is called so; {expected_keys(head, parts)}")
        elif text := Option(1.0).error(weight):
            errors.append(f"balancing.weights.{head}: {text}")
    if errors:
        raise ConfigError(errors)
    return chosen, dict(weights or {})
