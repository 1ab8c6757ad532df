"""Timing: how long each stage takes, and how often a frame is too late for a given rate."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Self

import numpy as np

from perception.evaluation.metrics.base import Result, Rules, Value, check_mergeable, supported
from perception.evaluation.metrics.rows import Rows

# A percentile rests on the frames beyond it: one at the least.
_PERCENTILES = {"p50": (50, 10), "p95": (95, 20), "p99": (99, 100)}
TOTAL = "total"


class Latency:
    """Milliseconds of each stage, and deadline misses.

    It sees clocks, which outputs do not carry; so it is told the times (`record`), not outputs.

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
        """Take in the stages of one frame, in ms. `total` is the whole of it."""
        for stage, ms in stages_ms.items():
            self.stages.setdefault(stage, Rows([("ms", "f4")])).grow(1)["ms"] = ms

    def compute(self) -> Result:
        """The result over all frames so far."""
        values: dict[str, Value] = {}
        for stage, rows in self.stages.items():
            ms = rows["ms"].astype(np.float64)
            for name, (percent, needed) in _PERCENTILES.items():
                found = float(np.percentile(ms, percent))
                values[f"{name}/{stage}"] = supported(found, len(ms), needed, "frames", "ms", "lower")
        total = self.stages[TOTAL]["ms"] if TOTAL in self.stages else np.empty(0)
        misses = int(np.count_nonzero(total > 1000.0 / self.rate_hz))
        share = misses / len(total) if len(total) else 0.0
        values["deadline_misses"] = supported(
            share, len(total), self.rules.min_support, "frames", "", "lower"
        )
        details = {"rate_hz": self.rate_hz, "misses": misses}
        return Result(self.name, self.head, values, details, {"scored": len(total)})

    def merge(self, other: Self) -> None:
        """Take in what another has seen.

        Raises:
            ValueError: The other has another rate or other rules.
        """
        check_mergeable(self, other)
        if self.rate_hz != other.rate_hz:
            raise ValueError(f"cannot merge: rates differ, {self.rate_hz} and {other.rate_hz} Hz")
        for stage, rows in other.stages.items():
            self.stages.setdefault(stage, Rows([("ms", "f4")])).extend(rows)
