"""The fusion model: three encoders, one shared representation, three heads, the decode in the graph.

Importing this package imports no torch; the names that need it are loaded on first use.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from perception.models.config import ModelConfig as ModelConfig
    from perception.models.fusion_model import FusionModel as FusionModel
    from perception.models.heads import DenseOutputs as DenseOutputs
    from perception.models.stats import ChannelStats as ChannelStats
    from perception.models.stats import InputStats as InputStats
    from perception.models.stats import default_stats as default_stats

_HOMES = {
    "ModelConfig": "config",
    "DenseOutputs": "heads",
    "FusionModel": "fusion_model",
    "ChannelStats": "stats",
    "InputStats": "stats",
    "default_stats": "stats",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'perception.models' has no attribute '{name}'")
    return getattr(import_module(f"perception.models.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
