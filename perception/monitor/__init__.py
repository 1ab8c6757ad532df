"""A plugin-independent monitor: when a head should no longer be believed."""

from __future__ import annotations

from perception.monitor.figures import Figures, figures_of
from perception.monitor.reference import StatsCollector, SubsetStats, from_plain, to_plain

__all__ = ["Figures", "StatsCollector", "SubsetStats", "figures_of", "from_plain", "to_plain"]
