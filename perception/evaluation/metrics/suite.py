"""All metrics at once: a frame is read and matched once for all of them."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import entry_points
from typing import Any, Self

from perception.errors import PluginError
from perception.evaluation.metrics.base import GROUP, Metric, Result, Rules
from perception.evaluation.metrics.box_errors import BoxErrors, DistanceErrors
from perception.evaluation.metrics.confusion import Confusion
from perception.evaluation.metrics.control_errors import ControlErrors
from perception.evaluation.metrics.detection_calibration import DetectionCalibration
from perception.evaluation.metrics.detection_metric import DetectionMetric
from perception.evaluation.metrics.frame import ScoredFrame
from perception.evaluation.metrics.joint import joint
from perception.evaluation.metrics.mean_average_precision import MeanAveragePrecision
from perception.evaluation.metrics.precision_recall import PrecisionRecall
from perception.types import Output, TruthFrame


class Suite:
    """Several metrics under the same rules, used as one.

    Args:
        rules: The ground rules.
        metrics: None: this package's own over outputs, one of each.
        guests: Metrics of other packages. One that raises is dropped, and named in `faults`; the rest go on.
    """

    def __init__(
        self,
        rules: Rules | None = None,
        metrics: Sequence[Metric] | None = None,
        guests: Sequence[Metric] = (),
    ) -> None:
        self.rules = rules if rules is not None else Rules()
        self.metrics: list[Metric] = list(metrics) if metrics is not None else own_metrics(self.rules)
        self.guests = list(guests)
        self.faults: dict[str, str] = {}

    def update(self, output: Output, truth: TruthFrame) -> ScoredFrame:
        """Take one frame into every metric; returns it as it was scored."""
        frame = ScoredFrame(output, truth, self.rules)
        for metric in self.metrics:
            if isinstance(metric, DetectionMetric) and metric.rules == self.rules:
                metric.add(frame)
            else:
                metric.update(output, truth)
        for guest in list(self.guests):
            try:
                guest.update(output, truth)
            except Exception as error:
                self._drop(guest, error)
        return frame

    def compute(self) -> list[Result]:
        """The result of each metric, of each guest, and the joint score last."""
        results = [metric.compute() for metric in self.metrics]
        shown = []
        for guest in list(self.guests):
            try:
                shown.append(_checked(guest.compute()))
            except Exception as error:
                self._drop(guest, error)
        return [*results, *shown, joint(results)]

    def merge(self, other: Self) -> None:
        """Take in what another suite of the same metrics and rules has seen.

        Raises:
            ValueError: Metrics or rules differ.
        """
        mine, theirs = [*self.metrics, *self.guests], [*other.metrics, *other.guests]
        if [metric.name for metric in mine] != [metric.name for metric in theirs]:
            raise ValueError("cannot merge: the metrics differ")
        for metric, like in zip(mine, theirs, strict=True):
            metric.merge(like)

    def _drop(self, guest: Metric, error: Exception) -> None:
        self.guests.remove(guest)
        self.faults[guest.name] = f"{type(error).__name__}: {' '.join(str(error).split())}"


def _checked(result: Result) -> Result:
    if not isinstance(result, Result):
        raise TypeError(f"compute returned {type(result).__name__}, expected perception.metrics.Result")
    return result


def own_metrics(rules: Rules) -> list[Metric]:
    """One of each metric over outputs that this package brings."""
    return [
        PrecisionRecall(rules),
        Confusion(rules),
        DetectionCalibration(rules),
        MeanAveragePrecision(rules),
        BoxErrors(rules),
        DistanceErrors(rules),
        ControlErrors(rules),
    ]


def installed_metrics(rules: Rules) -> list[Metric]:
    """The metrics that other packages bring through the entry-point group `perception.metrics`, by name.

    Raises:
        PluginError: One does not load, or is not a metric; it names the entry point and its package.
    """
    found: list[Metric] = []
    for point in sorted(entry_points(group=GROUP), key=lambda point: point.name):
        origin = f"metric '{point.name}' of {point.dist.name if point.dist is not None else point.value}"
        try:
            metric: Any = point.load()(rules)
        except Exception as error:
            raise PluginError(f"{origin} does not load: {type(error).__name__}: {error}") from error
        if not isinstance(metric, Metric):
            expected = "name, head, update, compute and merge"
            raise PluginError(f"{origin}: expected {expected}, found {type(metric).__name__}")
        found.append(metric)
    return found
