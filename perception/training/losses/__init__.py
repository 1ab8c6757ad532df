"""The losses of the heads, chosen by name, and the dense targets that they need.

Names and options can be checked without torch (`resolve_losses`); the rest is loaded on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from perception.lazy_names import lazy_names

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
__getattr__, __dir__ = lazy_names(__name__, _HOMES)
