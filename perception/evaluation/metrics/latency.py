"""Timing: the duration of each stage, and the share of frames that miss a deadline."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Self

import numpy as np

from perception.evaluation.metrics.base import Estimate, Result, Rules, check_mergeable
from perception.evaluation.metrics.rows import Rows
from perception.types import Float64

# A percentile rests on the frames beyond it: one at the least.
_PERCENTILES = {"p50": (50, 10), "p95": (95, 20), "p99": (99, 100)}
TOTAL = "total"


class Latency:
    """The durations of each stage in milliseconds, and the deadline misses.

    Outputs do not carry durations, so it takes those (`record`), not outputs.

    Args:
        rate_hz: A frame whose `total` stage takes longer than 1 / rate misses its deadline.

    Values: `p50/<stage>`, `p95/<stage>`, `p99/<stage>` in ms (undefined below 10, 20, 100 frames), and
    `deadline_misses`, the share of frames. Details: `rate_hz`, `misses`.
    """

    name: ClassVar[str] = "latency"
    head: ClassVar[str] = "timing"

    def __init__(self, rules: Rules | None = None, rate_hz: float = 10.0) -> None:
        if not rate_hz > 0:
            raise ValueError(f"rate_hz: expected more than 0, found {rate_hz}")
        self.rules = rules if rules is not None else Rules()
        self.rate_hz = rate_hz
        self.stages: dict[str, Rows] = {}

    def record(self, stages_ms: Mapping[str, float]) -> None:
        """Add the stages of one frame, in ms. `total` is the whole frame."""
        for stage, ms in stages_ms.items():
            self.stages.setdefault(stage, Rows([("ms", "f4")])).grow(1)["ms"] = ms

    def record_frames(self, stages_ms: Mapping[str, Float64]) -> None:
        """Add the durations of each stage in the frames that have it, in ms."""
        for stage, ms in stages_ms.items():
            self.stages.setdefault(stage, Rows([("ms", "f4")])).grow(len(ms))["ms"] = ms

    def compute(self) -> Result:
        """Return the result over all frames so far."""
        estimates: dict[str, Estimate] = {}
        for stage, rows in self.stages.items():
            ms = rows["ms"].astype(np.float64)
            for name, (percent, needed) in _PERCENTILES.items():
                percentile = np.array([np.percentile(ms, percent)])
                estimates[f"{name}/{stage}"] = Estimate(percentile, len(ms), needed, "frames", "ms", "lower")
        total = self.stages[TOTAL]["ms"] if TOTAL in self.stages else np.empty(0)
        misses = int(np.count_nonzero(total > 1000.0 / self.rate_hz))
        share, needed = np.array([misses / max(len(total), 1)]), self.rules.min_support
        estimates["deadline_misses"] = Estimate(share, len(total), needed, "frames", "", "lower")
        values = {name: estimate.value() for name, estimate in estimates.items()}
        details = {"rate_hz": self.rate_hz, "misses": misses}
        return Result(self.name, self.head, values, details, {"scored": len(total)})

    def merge(self, other: Self) -> None:
        """Add the frames of another metric.

        Raises:
            ValueError: The other has another rate or other rules.
        """
        check_mergeable(self, other)
        if self.rate_hz != other.rate_hz:
            raise ValueError(f"cannot merge: rates differ, {self.rate_hz} and {other.rate_hz} Hz")
        for stage, rows in other.stages.items():
            self.stages.setdefault(stage, Rows([("ms", "f4")])).extend(rows)
