"""A plugin-independent monitor: when a head should no longer be believed.

Any host may keep one beside its plugin::

    monitor = Monitor()                       # or Monitor(stats) with those of a checkpoint
    for verdict in monitor.update(sample, output).values():
        if not verdict.believed:
            print(verdict.head, *verdict.reasons)
"""

from __future__ import annotations

from perception.monitor.figures import FigureReader, Figures, figures_of
from perception.monitor.limits import Limits
from perception.monitor.monitor import Episode, Monitor, Verdict
from perception.monitor.reference import StatsCollector, SubsetStats, from_plain, to_plain
from perception.monitor.sink import HEALTH, MonitorSink

__all__ = [
    "HEALTH",
    "Episode",
    "FigureReader",
    "Figures",
    "Limits",
    "Monitor",
    "MonitorSink",
    "StatsCollector",
    "SubsetStats",
    "Verdict",
    "figures_of",
    "from_plain",
    "to_plain",
]
