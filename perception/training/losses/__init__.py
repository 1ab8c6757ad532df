"""The losses of the heads, chosen by name, and the dense targets that they need.

Names and options can be checked without torch (`resolve_losses`); the rest is loaded on first use.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from perception.training.losses.head_losses import HeadLosses as HeadLosses
    from perception.training.losses.methods import LossMethod as LossMethod
    from perception.training.losses.methods import resolve_losses as resolve_losses
    from perception.training.losses.targets import DenseTruth as DenseTruth
    from perception.training.losses.targets import Targets as Targets
    from perception.training.losses.targets import make_targets as make_targets

_HOMES = {
    "HeadLosses": "head_losses",
    "LossMethod": "methods",
    "Targets": "targets",
    "DenseTruth": "targets",
    "make_targets": "targets",
    "resolve_losses": "methods",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'perception.training.losses' has no attribute '{name}'")
    return getattr(import_module(f"perception.training.losses.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
