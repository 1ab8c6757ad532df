"""A plugin-independent monitor: when a head should no longer be believed.

Any host may keep one beside its plugin::

    monitor = Monitor()                       # or Monitor(stats) with those of a checkpoint
    for verdict in monitor.update(sample, output).values():
        if not verdict.believed:
            print(verdict.head, *verdict.reasons)
"""

from __future__ import annotations

from perception.diagnosis.monitor.figures import FigureReader, Figures, figures_of
from perception.diagnosis.monitor.limits import Limits
from perception.diagnosis.monitor.monitor import Episode, Monitor, Verdict
from perception.diagnosis.monitor.reference import StatsCollector, SubsetStats, from_plain, to_plain
from perception.diagnosis.monitor.sink import HEALTH, MonitorSink

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
