"""What outputs are worth beside the truth: small classes with `update`, `compute` and `merge`.

::

    suite = Suite(Rules(min_height_px=12))
    for output, truth in pairs:
        suite.update(output, truth)
    for result in suite.compute():
        print(result.head, result.metric, {name: str(value) for name, value in result.values.items()})

Everything here needs numpy only.
"""

from perception.metrics.base import GROUP, Metric, Result, Rules, Value
from perception.metrics.box_errors import BoxErrors, DistanceErrors
from perception.metrics.confusion import Confusion
from perception.metrics.control_errors import ControlErrors
from perception.metrics.detection_calibration import DetectionCalibration
from perception.metrics.detection_metric import DetectionMetric
from perception.metrics.frame import ScoredFrame
from perception.metrics.joint import joint
from perception.metrics.latency import Latency
from perception.metrics.mean_average_precision import MeanAveragePrecision
from perception.metrics.precision_recall import PrecisionRecall
from perception.metrics.suite import Suite, installed_metrics, own_metrics

__all__ = [
    "GROUP",
    "BoxErrors",
    "Confusion",
    "ControlErrors",
    "DetectionCalibration",
    "DetectionMetric",
    "DistanceErrors",
    "Latency",
    "MeanAveragePrecision",
    "Metric",
    "PrecisionRecall",
    "Result",
    "Rules",
    "ScoredFrame",
    "Suite",
    "Value",
    "installed_metrics",
    "joint",
    "own_metrics",
]
