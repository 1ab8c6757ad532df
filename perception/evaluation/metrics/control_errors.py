"""The control head: errors by channel, with those of two baselines that use no sensor data."""

from __future__ import annotations

from collections import Counter
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from perception.evaluation.metrics.base import BaseMetric, Better, Estimate, Rules, count_states
from perception.evaluation.metrics.frame_columns import ControlColumns, control_columns
from perception.evaluation.metrics.rows import Rows, RowType
from perception.evaluation.metrics.uncertainty import likelihood_estimates
from perception.evaluation.metrics.weights import Weights, divide
from perception.types import Float64, Output, TruthFrame
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
        self.add(control_columns([(output, truth)]), np.array([bounded_ns(truth.stamp_ns)]))

    def add(self, control: ControlColumns, stamps_ns: NDArray[np.int64]) -> None:
        """Add frames with their stamps [F]."""
        count_states(self.frames, control.state)
        counts = np.flatnonzero(np.isfinite(control.true))
        for channel in dict.fromkeys(control.channel[counts].tolist()):
            name, of_channel = control.names[channel], counts[control.channel[counts] == channel]
            rows, known = self.channels.setdefault(name, Rows(_ROW)), np.isfinite(control.value[of_channel])
            if not known.all():
                self.missing[name] += int(np.count_nonzero(~known))
            of_channel = of_channel[known]
            new = rows.grow(len(of_channel))
            if len(of_channel):
                self.units.setdefault(name, control.unit[of_channel[0]])
            new["frame"], new["stamp_ns"] = control.frame[of_channel], stamps_ns[control.frame[of_channel]]
            new["frame"] += self.count
            new["predicted"], new["std"] = control.value[of_channel], control.std[of_channel]
            new["true"], new["measured"] = control.true[of_channel], control.measured[of_channel]
        self.count += len(control.state)

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
