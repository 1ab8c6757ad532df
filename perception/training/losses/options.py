"""The losses of each head by name, with their options and limits. No torch.

::

    losses:
      class: {name: focal, alpha: 0.25, gamma: 2}
      box: {name: giou, weight: 2, scale_weight: 0.1}
      distance: laplace
      control: {name: l1, scale_weight: 0.1}
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from perception.config.named_options import Choice, Option, Table, choose, expected
from perception.errors import ConfigError

_SCALE = Option(0.1)
"""What the likelihood with detached means weighs, which teaches scales beside losses that have none."""

CLASS: Table = {
    "gaussian_focal": {"alpha": Option(2.0), "beta": Option(4.0)},
    "focal": {"alpha": Option(0.25, 0.0, 1.0), "gamma": Option(2.0)},
    "cross_entropy": {"positive_weight": Option(1.0, 1e-3)},
}
BOX: Table = {
    "giou": {"weight": Option(2.0), "scale_weight": _SCALE},
    "smooth_l1": {"weight": Option(2.0), "beta": Option(1 / 9, 1e-6), "scale_weight": _SCALE},
    "mse": {"weight": Option(2.0), "scale_weight": _SCALE},
}
VALUE: Table = {
    "laplace": {},
    "gaussian": {},
    "beta_nll": {"beta": Option(0.5, 0.0, 1.0)},
    "l1": {"scale_weight": _SCALE},
    "mse": {"scale_weight": _SCALE},
    "kl": {"std": Option(0.05, 1e-4, 100.0)},
}
"""Of distance and of control."""

FAMILIES = {"laplace": "laplace", "gaussian": "gaussian", "beta_nll": "gaussian"}
"""Losses that are likelihoods of one family of distributions."""

_OLDER = {"giou_weight": "weight", "scale_weight": "scale_weight"}
"""Keys of the section itself that mean an option of the box loss."""


def resolve_losses(config: Mapping[str, Any] | None = None, family: str = "laplace") -> dict[str, Choice]:
    """The loss of each head, options filled in.

    Args:
        config: Head -> a name, or `{name: ..., options}`. `giou_weight` and `scale_weight` are taken as
            options of the box loss. Heads that are not named: `gaussian_focal`, `giou`, the likelihood of the
            family.
        family: Of the model, `laplace` or `gaussian`: what its scales mean.

    Raises:
        ConfigError: Names, options or values are wrong, or a likelihood is not that of the model's family:
            all of it, with the nearest valid names.
    """
    tables = {
        "class": (CLASS, "gaussian_focal"),
        "box": (BOX, "giou"),
        "distance": (VALUE, family),
        "control": (VALUE, family),
    }
    faults: list[str] = []
    given = dict(config or {})
    given = _with_older_keys(given, faults)
    faults += [f"losses.{key}: unknown key; {expected(key, tables)}" for key in given if key not in tables]
    chosen = {
        head: choose(f"losses.{head}", given.get(head), table, default, faults)
        for head, (table, default) in tables.items()
    }
    for head, choice in chosen.items():
        wanted = FAMILIES.get(choice.name, family)
        if wanted != family:
            faults.append(
                f"losses.{head}: {choice.name} is the likelihood of a {wanted} model, and this one is "
                f"{family}; set model.loss_family: {wanted}, or losses.{head}: {family}"
            )
    if faults:
        raise ConfigError(faults)
    return chosen


def _with_older_keys(given: dict[str, Any], faults: list[str]) -> dict[str, Any]:
    """The section with `giou_weight` and `scale_weight` moved to the box loss."""
    older = {key: given.pop(key) for key in _OLDER if key in given}
    box = given.get("box")
    if isinstance(box, Mapping):
        box = {_OLDER.get(str(key), key): value for key, value in box.items()}
    if older and (box is None or isinstance(box, str | Mapping)):
        box = {"name": box or "giou"} if not isinstance(box, Mapping) else box
        for key, value in older.items():
            if _OLDER[key] in box:
                faults.append(f"losses.{key}: given again as losses.box.{_OLDER[key]}; leave one out")
            box = {_OLDER[key]: value, **box}
    return given if box is None else {**given, "box": box}
