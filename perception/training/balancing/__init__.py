"""Balancing of the losses of the heads: fixed weights, adaptive weights, or combined gradients.

Names and options can be checked without torch (`resolve_balancing`); the rest is loaded on first use.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from perception.training.balancing.balancer import Balancer as Balancer
    from perception.training.balancing.methods import make_balancer as make_balancer
    from perception.training.balancing.options import resolve_balancing as resolve_balancing

_HOMES = {"Balancer": "balancer", "make_balancer": "methods", "resolve_balancing": "options"}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'perception.training.balancing' has no attribute '{name}'")
    return getattr(import_module(f"perception.training.balancing.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
