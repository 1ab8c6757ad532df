"""Balancing of the losses of the heads: fixed weights, adaptive weights, or combined gradients.

Names and options can be checked without torch (`resolve_balancing`); the rest is loaded on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from perception.lazy_names import lazy_names

if TYPE_CHECKING:
    from perception.training.balancing.balancer import Balancer as Balancer
    from perception.training.balancing.methods import make_balancer as make_balancer
    from perception.training.balancing.options import resolve_balancing as resolve_balancing

_HOMES = {"Balancer": "balancer", "make_balancer": "methods", "resolve_balancing": "options"}

__all__ = sorted(_HOMES)
__getattr__, __dir__ = lazy_names(__name__, _HOMES)
