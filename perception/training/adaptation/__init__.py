"""Adaptation: a checkpoint learns from a log without labels. `adapt(AdaptOptions(...))` runs it.

Importing this package imports no torch; `adapt` is loaded on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from perception.lazy_names import lazy_names
from perception.training.adaptation.options import AdaptOptions
from perception.training.adaptation.report import AdaptReport

if TYPE_CHECKING:
    from perception.training.adaptation.adapt_run import adapt as adapt

__all__ = ["AdaptOptions", "AdaptReport", "adapt"]
__getattr__, __dir__ = lazy_names(__name__, {"adapt": "adapt_run"})
