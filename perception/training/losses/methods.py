"""The losses of each head by name: their functions, their options and limits. No torch.

::

    losses:
      class: {name: focal, alpha: 0.25, gamma: 2}
      box: {name: giou, weight: 2, scale_weight: 0.1}
      distance: laplace
      control: {name: l1, scale_weight: 0.1}
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from perception.config.named_options import Choice, Option, choose, expected_keys
from perception.errors import ConfigError
from perception.types import load_named, loss_parts

WEIGHTS = ("weight", "scale_weight")
"""Options that weigh the terms of a loss; `HeadLosses` takes them, the function does not."""


@dataclass(frozen=True, slots=True)
class LossMethod:
    """A loss that a configuration can name.

    Attributes:
        function: Import name; called with the outputs of its head, the targets, and the options.
        options: The options that a user may set, with their limits.
        family: The family of distributions whose likelihood it is; empty: of none, or of either.
        signed: Whether it may fall below 0, as the logarithm of a likelihood does.
    """

    function: str
    options: Mapping[str, Option] = field(default_factory=dict)
    family: str = ""
    signed: bool = False


LossTable = Mapping[str, LossMethod]

_HERE = "perception.training.losses"
_SCALE = {"scale_weight": Option(0.1)}
"""Weight of the likelihood (means detached) that trains the scales beside a loss without scales."""
_BOX = {"weight": Option(2.0), **_SCALE}

CLASS: LossTable = {
    "gaussian_focal": LossMethod(
        f"{_HERE}.gaussian_focal:gaussian_focal", {"alpha": Option(2.0), "beta": Option(4.0)}
    ),
    "focal": LossMethod(f"{_HERE}.focal:focal", {"alpha": Option(0.25, 0.0, 1.0), "gamma": Option(2.0)}),
    "cross_entropy": LossMethod(
        f"{_HERE}.cross_entropy:cross_entropy", {"positive_weight": Option(1.0, 1e-3)}
    ),
}
BOX: LossTable = {
    "giou": LossMethod(f"{_HERE}.giou:giou_loss", _BOX),
    "smooth_l1": LossMethod(
        f"{_HERE}.box_sides:smooth_l1_sides", {"weight": Option(2.0), "beta": Option(1 / 9, 1e-6), **_SCALE}
    ),
    "mse": LossMethod(f"{_HERE}.box_sides:squared_sides", _BOX),
}
VALUE: LossTable = {
    "laplace": LossMethod(f"{_HERE}.likelihoods:laplace_nll", {}, "laplace", signed=True),
    "gaussian": LossMethod(f"{_HERE}.likelihoods:gaussian_nll", {}, "gaussian", signed=True),
    "beta_nll": LossMethod(
        f"{_HERE}.beta_nll:beta_nll", {"beta": Option(0.5, 0.0, 1.0)}, "gaussian", signed=True
    ),
    "l1": LossMethod(f"{_HERE}.likelihoods:absolute", _SCALE, signed=True),
    "mse": LossMethod(f"{_HERE}.likelihoods:squared", _SCALE, signed=True),
    "kl": LossMethod(f"{_HERE}.divergence:kl_of_truth", {"std": Option(0.05, 1e-4, 100.0)}),
}
"""The methods for distance and for control."""

_OLDER = {"giou_weight": "weight", "scale_weight": "scale_weight"}
"""Keys of the section itself that mean an option of the box loss."""


def loss_table(part: str) -> LossTable:
    """Return the methods that a loss can be chosen from, by the name it has in a configuration."""
    table: LossTable = load_named(loss_parts()[part].methods)
    return table


def resolve_losses(
    config: Mapping[str, Any] | None = None, family: str = "laplace", extra_heads: tuple[str, ...] = ()
) -> dict[str, Choice]:
    """Return the loss of each head, options filled in.

    Args:
        config: Head -> a name, or `{name: ..., options}`. `giou_weight` and `scale_weight` are taken as
            options of the box loss. A head without an entry has the default of its specification, else the
            likelihood of the family.
        family: The distribution of the model's scales, `laplace` or `gaussian`.
        extra_heads: The heads that the model has beside the project's own.

    Raises:
        ConfigError: Names, options or values are wrong, or a likelihood is not of the model's family; lists
            all errors, with the nearest valid names.
    """
    parts = loss_parts(extra_heads)
    errors: list[str] = []
    section = _with_older_keys(dict(config or {}), errors)
    errors += [
        f"losses.{key}: unknown key; {expected_keys(key, parts)}" for key in section if key not in parts
    ]
    chosen = {}
    for name, part in parts.items():
        table: LossTable = load_named(part.methods)
        options = {method: entry.options for method, entry in table.items()}
        choice = choose(f"losses.{name}", section.get(name), options, part.default or family, errors)
        wanted = table[choice.name].family or family
        if wanted != family:
            errors.append(
                f"losses.{name}: {choice.name} is the likelihood of a {wanted} model, and this one is "
                f"{family}; set model.loss_family: {wanted}, or losses.{name}: {family}"
            )
        chosen[name] = choice
    if errors:
        raise ConfigError(errors)
    return chosen


def _with_older_keys(section: dict[str, Any], errors: list[str]) -> dict[str, Any]:
    """Return the section with `giou_weight` and `scale_weight` moved to the box loss."""
    older = {key: section.pop(key) for key in _OLDER if key in section}
    box = section.get("box")
    if isinstance(box, Mapping):
        box = {_OLDER.get(str(key), key): value for key, value in box.items()}
    if older and (box is None or isinstance(box, str | Mapping)):
        box = {"name": box or "giou"} if not isinstance(box, Mapping) else box
        for key, value in older.items():
            if _OLDER[key] in box:
                errors.append(f"losses.{key}: given again as losses.box.{_OLDER[key]}; leave one out")
            box = {_OLDER[key]: value, **box}
    return section if box is None else {**section, "box": box}
