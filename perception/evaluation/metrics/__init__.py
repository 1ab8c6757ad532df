"""Metrics of outputs against truth: classes with `update`, `compute`, `merge` and `values`.

::

    suite = Suite(Rules(min_height_px=12))
    for output, truth in pairs:
        suite.update(output, truth)
    for result in suite.compute():
        print(result.head, result.metric, {name: str(value) for name, value in result.values.items()})

Needs numpy only.
"""

from perception.evaluation.metrics.base import GROUP, Metric, Result, Rules, Value, WeightedMetric
from perception.evaluation.metrics.box_errors import BoxErrors, DistanceErrors
from perception.evaluation.metrics.confusion import Confusion
from perception.evaluation.metrics.control_errors import ControlErrors
from perception.evaluation.metrics.detection_calibration import DetectionCalibration
from perception.evaluation.metrics.detection_metric import DetectionMetric
from perception.evaluation.metrics.frame import ScoredFrame, ScoredFrames
from perception.evaluation.metrics.joint_score import joint
from perception.evaluation.metrics.latency import Latency
from perception.evaluation.metrics.mean_average_precision import MeanAveragePrecision
from perception.evaluation.metrics.position_errors import PositionErrors
from perception.evaluation.metrics.precision_recall import PrecisionRecall
from perception.evaluation.metrics.suite import Suite, default_metrics, installed_metrics
from perception.evaluation.metrics.weights import DrawnWeights, Weights

__all__ = [
    "GROUP",
    "BoxErrors",
    "Confusion",
    "ControlErrors",
    "DetectionCalibration",
    "DetectionMetric",
    "DistanceErrors",
    "DrawnWeights",
    "Latency",
    "MeanAveragePrecision",
    "Metric",
    "PositionErrors",
    "PrecisionRecall",
    "Result",
    "Rules",
    "ScoredFrame",
    "ScoredFrames",
    "Suite",
    "Value",
    "WeightedMetric",
    "Weights",
    "default_metrics",
    "installed_metrics",
    "joint",
]
