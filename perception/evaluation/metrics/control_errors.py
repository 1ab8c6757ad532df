"""The control head: errors by channel, beside two baselines that look at nothing."""

from __future__ import annotations

from collections import Counter
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from perception.evaluation.metrics.base import Result, Rules, Value, check_mergeable, counted, supported
from perception.evaluation.metrics.box_errors import likelihood_values
from perception.evaluation.metrics.rows import Rows, RowType
from perception.types import Output, TruthFrame

_ROW: RowType = [("stamp_ns", "i8"), ("said", "f8"), ("std", "f8"), ("true", "f8"), ("measured", "f8")]


class ControlErrors:
    """For each channel that truth knows, over the frames where both are numbers.

    Values, each `/<channel>`, in the channel's unit where they have one: `MAE`, `RMSE`, `bias` (said - true),
    `R2` (1 - squared error / squared deviation of truth from its mean; undefined where truth never
    changes), `NLL` (nats), `coverage80`; `MAE_mean`: of always saying the mean of truth on these same
    frames; `MAE_persistence`: of saying the last measured value, over the frames that have one.
    Details: `missing`: channel -> frames in which a valid head did not say a number.
    """

    name: ClassVar[str] = "control_errors"
    head: ClassVar[str] = "control"

    def __init__(self, rules: Rules | None = None) -> None:
        self.rules = rules if rules is not None else Rules()
        self.frames: Counter[str] = Counter()
        self.channels: dict[str, Rows] = {}
        self.units: dict[str, str] = {}
        self.missing: Counter[str] = Counter()

    def update(self, output: Output, truth: TruthFrame) -> None:
        """Take one frame in."""
        control = output.control
        if control is None:
            self.frames["no_head"] += 1
        elif truth.control is None:
            self.frames["no_truth"] += 1
        elif not control.valid:
            self.frames["invalid"] += 1
        else:
            self.frames["scored"] += 1
            said = {channel.name: channel for channel in control.channels}
            measured = truth.measured or {}
            for name, true in truth.control.items():
                if not np.isfinite(true):
                    continue
                channel = said.get(name)
                rows = self.channels.setdefault(name, Rows(_ROW))
                if channel is None or not np.isfinite(channel.value):
                    self.missing[name] += 1
                    continue
                self.units.setdefault(name, channel.unit)
                rows.grow(1)[0] = (
                    truth.stamp_ns,
                    channel.value,
                    channel.std,
                    true,
                    measured.get(name, np.nan),
                )

    def compute(self) -> Result:
        """The result over all frames so far."""
        values: dict[str, Value] = {}
        for name, rows in self.channels.items():
            values |= self._channel(name, rows)
        return Result(self.name, self.head, values, {"missing": dict(self.missing)}, counted(self.frames))

    def merge(self, other: Self) -> None:
        """Take in what another has seen.

        Raises:
            ValueError: The other is of another kind, or was made under other rules.
        """
        check_mergeable(self, other)
        self.frames.update(other.frames)
        self.missing.update(other.missing)
        for name, rows in other.channels.items():
            self.channels.setdefault(name, Rows(_ROW)).extend(rows)
        for name, unit in other.units.items():
            self.units.setdefault(name, unit)

    def _channel(self, name: str, rows: Rows) -> dict[str, Value]:
        error, true, measured = rows["said"] - rows["true"], rows["true"], rows["measured"]
        count, unit = len(rows), self.units.get(name, "")

        def value(number: float, better: str = "lower", unit: str = unit, support: int = count) -> Value:
            return supported(number, support, self.rules.min_support, "frames", unit, better)  # type: ignore[arg-type]

        deviation = true - true.mean() if count else true
        known = np.isfinite(measured)
        values = {
            f"MAE/{name}": value(_mean(np.abs(error))),
            f"RMSE/{name}": value(float(np.sqrt(_mean(error**2)))),
            f"bias/{name}": value(_mean(error), ""),
            f"R2/{name}": _r2(error, deviation, value(0.0, "higher", "")),
            f"MAE_mean/{name}": value(_mean(np.abs(deviation))),
            f"MAE_persistence/{name}": value(
                _mean(np.abs(measured - true)[known]), support=int(np.count_nonzero(known))
            ),
        }
        return values | likelihood_values("", error, rows["std"], self.rules, f"/{name}")


def _r2(error: NDArray[np.float64], deviation: NDArray[np.float64], like: Value) -> Value:
    if not like.defined:
        return like
    spread = float(np.sum(deviation**2))
    if not spread > 0:
        return Value(None, like.support, "", "higher", "truth never changes")
    return Value(1.0 - float(np.sum(error**2)) / spread, like.support, "", "higher")


def _mean(values: NDArray[np.float64]) -> float:
    return float(values.mean()) if values.size else 0.0
