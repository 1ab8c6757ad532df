"""Adaptation: a checkpoint learns from a log without labels. `adapt(AdaptOptions(...))` runs it.

Importing this package imports no torch; `adapt` is loaded on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from perception.training.adaptation.options import AdaptOptions
from perception.training.adaptation.report import AdaptReport

if TYPE_CHECKING:
    from perception.training.adaptation.adapt_run import adapt as adapt

__all__ = ["AdaptOptions", "AdaptReport", "adapt"]


def __getattr__(name: str) -> object:
    if name != "adapt":
        raise AttributeError(f"module 'perception.training.adaptation' has no attribute '{name}'")
    from perception.training.adaptation.adapt_run import adapt

    return adapt
