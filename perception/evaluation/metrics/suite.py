"""A set of metrics that share their frames: each frame is read and matched once for all metrics."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from importlib.metadata import entry_points
from typing import Any, Self

import numpy as np

from perception.errors import PluginError
from perception.evaluation.metrics.base import GROUP, Metric, Result, Rules, Value, WeightedMetric
from perception.evaluation.metrics.control_errors import ControlErrors
from perception.evaluation.metrics.detection_metric import DetectionMetric
from perception.evaluation.metrics.frame import ScoredFrame, ScoredFrames
from perception.evaluation.metrics.frame_columns import columns_of
from perception.evaluation.metrics.joint_score import joint
from perception.evaluation.metrics.weights import Weights
from perception.types import Float64, Output, TruthFrame, extra_specs, head_specs, load_named


class Suite:
    """Several metrics under the same rules, used as one.

    Args:
        rules: What counts as truth, and how much of it is enough.
        metrics: None: one of each of this package's metrics over outputs.
        guests: Metrics of other packages. One that raises is dropped, and named in `errors`; the rest go on.
    """

    def __init__(
        self,
        rules: Rules | None = None,
        metrics: Sequence[Metric] | None = None,
        guests: Sequence[Metric] = (),
    ) -> None:
        self.rules = rules if rules is not None else Rules()
        self.metrics: list[Metric] = list(metrics) if metrics is not None else default_metrics(self.rules)
        self.guests = list(guests)
        self.errors: dict[str, str] = {}
        self._extra = frozenset(spec.name for spec in extra_specs())
        self._seen: set[str] = set()

    def update(self, output: Output, truth: TruthFrame) -> ScoredFrame:
        """Add one frame to every metric, and return the scored frame."""
        frame = ScoredFrame(output, truth, self.rules)
        self.add(frame)
        self._update_others(output, truth)
        return frame

    def update_all(self, pairs: Sequence[tuple[Output, TruthFrame]]) -> ScoredFrames:
        """Add several frames to every metric, and return the scored frames."""
        frames = ScoredFrames(columns_of(pairs), self.rules)
        self.add(frames)
        for output, truth in pairs:
            self._update_others(output, truth)
        return frames

    def _update_others(self, output: Output, truth: TruthFrame) -> None:
        """Add one frame to the metrics that take one at a time."""
        self._seen.update(output.extra)
        for metric in self.metrics:
            if not self._takes_columns(metric):
                metric.update(output, truth)
        for guest in list(self.guests):
            try:
                guest.update(output, truth)
            except Exception as error:
                self._drop(guest, error)

    @property
    def takes_columns(self) -> bool:
        """Return whether every metric takes many frames at once, as `add` gives them."""
        return not self.guests and all(self._takes_columns(metric) for metric in self.metrics)

    def add(self, frames: ScoredFrames) -> None:
        """Add frames to the metrics that take many at once."""
        for metric in self.metrics:
            if isinstance(metric, DetectionMetric) and metric.rules == self.rules:
                metric.add(frames)
            elif type(metric) is ControlErrors:
                metric.add(frames.columns.control, frames.stamp_ns)

    def _takes_columns(self, metric: Metric) -> bool:
        own = isinstance(metric, DetectionMetric) and metric.rules == self.rules
        return own or type(metric) is ControlErrors

    def compute(self) -> list[Result]:
        """Return the result of each metric and each guest, with the joint score last."""
        results = [_checked(metric.compute()) for metric in self.metrics if self._offered(metric)]
        guest_results = []
        for guest in list(self.guests):
            try:
                guest_results.append(_checked(guest.compute()))
            except Exception as error:
                self._drop(guest, error)
        return [*results, *guest_results, joint(results)]

    def values(self, weights: Weights, metrics: Collection[Metric]) -> dict[str, Float64]:
        """Return the values of some of the metrics by name, under each of D draws, [D]. Those that have no
        `values`, and guests that raise in it, have none."""
        values: dict[str, Float64] = {}
        for metric in metrics:
            if isinstance(metric, WeightedMetric) and callable(metric.values):
                try:
                    values |= _checked_values(metric, weights)
                except Exception as error:
                    if metric not in self.guests:
                        raise
                    self._note(metric, error)
        return values

    def merge(self, other: Self) -> None:
        """Add the frames of another suite of the same metrics and rules, after its own.

        Raises:
            ValueError: Metrics or rules differ.
        """
        metrics, others = [*self.metrics, *self.guests], [*other.metrics, *other.guests]
        if [metric.name for metric in metrics] != [metric.name for metric in others]:
            raise ValueError("cannot merge: the metrics differ")
        for metric, added in zip(metrics, others, strict=True):
            metric.merge(added)
        self._seen |= other._seen

    def _offered(self, metric: Metric) -> bool:
        """Return whether any output had the metric's head; class, box and control are always measured."""
        return metric.head not in self._extra or metric.head in self._seen

    def _drop(self, guest: Metric, error: Exception) -> None:
        self.guests.remove(guest)
        self._note(guest, error)

    def _note(self, guest: Metric, error: Exception) -> None:
        self.errors[guest.name] = f"{type(error).__name__}: {' '.join(str(error).split())}"


def _checked(result: Result) -> Result:
    """Return the result of a metric of another package; a value that is no finite number is undefined."""
    if not isinstance(result, Result):
        raise TypeError(f"compute returned {type(result).__name__}, expected perception.metrics.Result")
    return replace(result, values={name: _finite(value) for name, value in result.values.items()})


def _finite(value: Value) -> Value:
    if value.value is None or np.isfinite(value.value):
        return value
    return replace(value, value=None, why=f"not a number: {value.value}")


def _checked_values(metric: WeightedMetric, weights: Weights) -> dict[str, Float64]:
    values = {name: np.asarray(drawn, np.float64) for name, drawn in metric.values(weights).items()}
    for name, drawn in values.items():
        if drawn.shape != (len(weights),):
            raise ValueError(f"values: expected {len(weights)} of '{name}', found shape {drawn.shape}")
    return values


def default_metrics(rules: Rules) -> list[Metric]:
    """Return one of each metric of each registered head."""
    return [load_named(name)(rules) for spec in head_specs().values() for name in spec.metrics]


def installed_metrics(rules: Rules) -> list[Metric]:
    """Return the metrics of other packages, from the entry-point group `perception.metrics`, by name.

    Raises:
        PluginError: One does not load, or is not a metric; it names the entry point and its package.
    """
    metrics: list[Metric] = []
    for point in sorted(entry_points(group=GROUP), key=lambda point: point.name):
        origin = f"metric '{point.name}' of {point.dist.name if point.dist is not None else point.value}"
        try:
            metric: Any = point.load()(rules)
        except Exception as error:
            raise PluginError(f"{origin} does not load: {type(error).__name__}: {error}") from error
        if not isinstance(metric, Metric):
            expected = "name, head, update, compute and merge"
            raise PluginError(f"{origin}: expected {expected}, found {type(metric).__name__}")
        metrics.append(metric)
    return metrics
