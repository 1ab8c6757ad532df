"""Metrics over whole logs: as sinks of a replay, or from stored outputs; by sensor subset; as a report."""

from perception.evaluation.agreement.reference import Reference, Tolerances, parse_tolerances
from perception.evaluation.faulted import SEVERITIES, FaultAblation, chosen_faults
from perception.evaluation.gates import judge, parse_gates
from perception.evaluation.junit import junit_xml
from perception.evaluation.moments import Moment, Moments
from perception.evaluation.options import EvaluateOptions
from perception.evaluation.parts import chosen_slices
from perception.evaluation.recall import RecallingPlugin
from perception.evaluation.record import LogRecord
from perception.evaluation.report.schema import SCHEMA, Report, by_head, json_schema
from perception.evaluation.resampling import Resampler, Resampling
from perception.evaluation.run import Evaluation
from perception.evaluation.scores import SCORES, frames_of, scores_of
from perception.evaluation.sink import METRICS, MetricSink
from perception.evaluation.stored import Scored, stored_pairs, stored_times
from perception.evaluation.streaming import CURVE_MS, OutputStore, Streaming, truths_of, work
from perception.evaluation.subsets import SUBSETS, SubsetSink, SubsetsPlugin, subset_name

__all__ = [
    "CURVE_MS",
    "METRICS",
    "SCHEMA",
    "SCORES",
    "SEVERITIES",
    "SUBSETS",
    "EvaluateOptions",
    "Evaluation",
    "FaultAblation",
    "LogRecord",
    "MetricSink",
    "Moment",
    "Moments",
    "OutputStore",
    "RecallingPlugin",
    "Reference",
    "Report",
    "Resampler",
    "Resampling",
    "Scored",
    "Streaming",
    "SubsetSink",
    "SubsetsPlugin",
    "Tolerances",
    "by_head",
    "chosen_faults",
    "chosen_slices",
    "frames_of",
    "json_schema",
    "judge",
    "junit_xml",
    "parse_gates",
    "parse_tolerances",
    "scores_of",
    "stored_pairs",
    "stored_times",
    "subset_name",
    "truths_of",
    "work",
]
