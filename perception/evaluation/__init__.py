"""Metrics over whole logs: as sinks of a replay, or from stored outputs; by sensor subset; as a report."""

from perception.evaluation.moments import Moment, Moments
from perception.evaluation.report import SCHEMA, Report, by_head, json_schema
from perception.evaluation.run import EvaluateOptions, Evaluation
from perception.evaluation.sink import METRICS, MetricSink
from perception.evaluation.stored import Scored, stored_pairs, stored_times
from perception.evaluation.subsets import SUBSETS, SubsetSink, SubsetsPlugin, subset_name

__all__ = [
    "METRICS",
    "SCHEMA",
    "SUBSETS",
    "EvaluateOptions",
    "Evaluation",
    "MetricSink",
    "Moment",
    "Moments",
    "Report",
    "Scored",
    "SubsetSink",
    "SubsetsPlugin",
    "by_head",
    "json_schema",
    "stored_pairs",
    "stored_times",
    "subset_name",
]
