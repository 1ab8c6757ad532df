"""A monitor of any plugin: which heads should not be believed at a tick, and why.

A host keeps one beside its plugin::

    monitor = Monitor()                       # or Monitor(stats) with those of a checkpoint
    for health in monitor.update(sample, output).values():
        if not health.believed:
            print(health.head, *health.reasons)
"""

from __future__ import annotations

from perception.diagnosis.monitor.baseline_stats import StatsCollector, SubsetStats, from_plain, to_plain
from perception.diagnosis.monitor.doubt_record import Episode, HeadHealth
from perception.diagnosis.monitor.limits import Limits
from perception.diagnosis.monitor.monitor import Monitor
from perception.diagnosis.monitor.monitor_sink import MonitorSink
from perception.diagnosis.monitor.output_statistics import Statistics, StatisticsReader
from perception.sinks.mcap_sink import HEALTH

__all__ = [
    "HEALTH",
    "Episode",
    "HeadHealth",
    "Limits",
    "Monitor",
    "MonitorSink",
    "Statistics",
    "StatisticsReader",
    "StatsCollector",
    "SubsetStats",
    "from_plain",
    "to_plain",
]
