"""The usual outputs of a plugin, or of one of its cameras, against which the monitor compares a run."""

from __future__ import annotations

from collections.abc import Mapping

from perception.diagnosis.monitor.baseline import Baseline, subset_of
from perception.diagnosis.monitor.baseline_stats import SubsetStats
from perception.diagnosis.monitor.drift import ConfidenceDrift
from perception.diagnosis.monitor.limits import Limits
from perception.diagnosis.monitor.output_statistics import Statistics, StatisticsReader
from perception.types import Output


class UsualOutputs:
    """Hold the usual outputs of a plugin, or of one of its cameras.

    Args:
        stats: The checkpoint's, by subset of the sensors; None: those of the run's own first outputs.
        limits: When to raise an alarm.
    """

    def __init__(self, stats: Mapping[str, SubsetStats] | None, limits: Limits) -> None:
        self.baseline = Baseline(stats, limits)
        self.reader = StatisticsReader()
        self._unsure = ConfidenceDrift(limits)

    def confidence(self, output: Output, statistics: Statistics, elapsed_s: float) -> dict[str, str]:
        """Return the problem of detections that are altogether less sure than usual: one of both heads."""
        usual = None
        if output.detections is not None:
            usual = self.baseline.of(subset_of(output.detections.based_on))
        text = "" if usual is None else self._unsure.update(statistics, usual.quantiles, elapsed_s)
        return {"unsure": text} if text else {}
