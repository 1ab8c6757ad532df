"""The fusion model: three encoders, one shared representation, three heads, the decode in the graph.

Importing this package imports no torch; the names that need it are loaded on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from perception.lazy_names import lazy_names

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
__getattr__, __dir__ = lazy_names(__name__, _HOMES)
