"""The control head: errors by channel, with those of two baselines that use no sensor data."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any, ClassVar, Self

import numpy as np

from perception.evaluation.metrics.base import BaseMetric, Better, Estimate, Rules
from perception.evaluation.metrics.rows import Rows, RowType
from perception.evaluation.metrics.uncertainty import likelihood_estimates
from perception.evaluation.metrics.weights import Weights, divide
from perception.types import Control, Float64, Output, TruthFrame
from perception.types.times import bounded_ns

_ROW: RowType = [("stamp_ns", "i8"), ("frame", "i4")]
_ROW += [(name, "f8") for name in ("predicted", "std", "true", "measured")]


class ControlErrors(BaseMetric):
    """The errors of each channel of the truth, over the frames where output and truth are both numbers.

    Values, each `/<channel>`, in the channel's unit where they have one: `MAE`, `RMSE`, `bias` (mean error),
    `R2` (1 - squared error / squared deviation of truth from its mean; undefined where truth never
    changes), `NLL` (nats), `coverage80`; `MAE_mean`: of always saying the mean of truth on these same
    frames; `MAE_persistence`: of saying the last measured value, over the frames that have one.
    Details: `missing`: channel -> frames in which a valid head did not give a number.
    """

    name: ClassVar[str] = "control_errors"
    head: ClassVar[str] = "control"

    def __init__(self, rules: Rules | None = None) -> None:
        super().__init__(rules)
        self.channels: dict[str, Rows] = {}
        self.units: dict[str, str] = {}
        self.missing: Counter[str] = Counter()

    def update(self, output: Output, truth: TruthFrame) -> None:
        """Add one frame."""
        control = output.control
        if control is None:
            self.frames["no_head"] += 1
        elif truth.control is None:
            self.frames["no_truth"] += 1
        elif not control.valid:
            self.frames["invalid"] += 1
        else:
            self.frames["scored"] += 1
            self._add(control, truth, truth.control)
        self.count += 1

    def _add(self, control: Control, truth: TruthFrame, values: Mapping[str, float]) -> None:
        channels, measured = {channel.name: channel for channel in control.channels}, truth.measured or {}
        for name, true in values.items():
            if not np.isfinite(true):
                continue
            channel = channels.get(name)
            rows = self.channels.setdefault(name, Rows(_ROW))
            if channel is None or not np.isfinite(channel.value):
                self.missing[name] += 1
                continue
            self.units.setdefault(name, channel.unit)
            predicted = (channel.value, channel.std)
            times = (bounded_ns(truth.stamp_ns), self.count)
            rows.grow(1)[0] = (*times, *predicted, true, measured.get(name, np.nan))

    def _merge(self, other: Self) -> None:
        self.missing.update(other.missing)
        for name, rows in other.channels.items():
            self.channels.setdefault(name, Rows(_ROW)).extend(rows)["frame"] += self.count
        self.units = {**other.units, **self.units}

    def _estimates(self, weights: Weights) -> dict[str, Estimate]:
        estimates: dict[str, Estimate] = {}
        for name, rows in self.channels.items():
            estimates |= self._channel(name, rows, weights)
        return estimates

    def _channel(self, name: str, rows: Rows, weights: Weights) -> dict[str, Estimate]:
        frame, true, measured = rows["frame"], rows["true"], rows["measured"]
        error, count, unit = rows["predicted"] - true, len(rows), self.units.get(name, "")

        def estimate(
            values: Float64, better: Better = "lower", unit: str = unit, support: int = count, why: str = ""
        ) -> Estimate:
            return Estimate(values, support, self.rules.min_support, "frames", unit, better, why)

        squares = weights.sum(frame, error**2)
        # About a fixed centre, so that nothing cancels: truth may vary little about a large mean.
        centre = float(true.mean()) if count else 0.0
        off_centre = weights.mean(frame, true) - centre
        deviation = weights.sum(frame, (true - centre) ** 2) - weights.total(frame) * off_centre**2
        known = np.isfinite(measured)
        persistence = weights.mean(frame[known], np.abs(measured - true)[known])
        constant = "" if deviation[0] > 0 else "truth never changes"
        return {
            f"MAE/{name}": estimate(weights.mean(frame, np.abs(error))),
            f"RMSE/{name}": estimate(np.sqrt(weights.mean(frame, error**2))),
            f"bias/{name}": estimate(weights.mean(frame, error), ""),
            f"R2/{name}": estimate(1.0 - divide(squares, deviation), "higher", "", why=constant),
            f"MAE_mean/{name}": estimate(weights.mean_deviation(frame, true)),
            f"MAE_persistence/{name}": estimate(persistence, support=int(np.count_nonzero(known))),
            **likelihood_estimates("", weights, frame, error, rows["std"], self.rules, f"/{name}"),
        }

    def _details(self) -> dict[str, Any]:
        return {"missing": dict(self.missing)}
