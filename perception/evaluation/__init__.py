"""Evaluation of logs: scores by head, ablations, slices, gates, comparisons and reports.

`evaluate_logs` is the whole of it in one call; `Evaluation` scores logs that the caller opens.
"""

from perception.evaluation.ablation.fault_ablation import SEVERITIES, FaultAblation, parse_fault_names
from perception.evaluation.ablation.memoised_plugin import MemoisedPlugin
from perception.evaluation.ablation.sensor_subsets import SUBSETS, SubsetSink, SubsetsPlugin, subset_name
from perception.evaluation.agreement.reference import Reference
from perception.evaluation.agreement.tolerances import Tolerances, parse_tolerances
from perception.evaluation.evaluate_logs import evaluate_logs
from perception.evaluation.evaluate_options import EvaluateOptions
from perception.evaluation.evaluate_tables import evaluate_tables
from perception.evaluation.evaluation import Evaluation
from perception.evaluation.gates import judge, junit_xml, parse_gates
from perception.evaluation.head_scores import SCORES, frames_of, scores_of
from perception.evaluation.log_record import LogRecord
from perception.evaluation.metric_sink import METRICS, MetricSink
from perception.evaluation.report.schema import SCHEMA, EvaluationReport, json_schema
from perception.evaluation.report.value_schema import by_head
from perception.evaluation.resampling import Resampler, Resampling
from perception.evaluation.slices.slice_definitions import parse_slices
from perception.evaluation.stored_outputs import stored_pairs, stored_times
from perception.evaluation.streaming import CURVE_MS, OutputStore, Streaming, truths_of, work
from perception.evaluation.worst_frames import Moment

__all__ = [
    "CURVE_MS",
    "METRICS",
    "SCHEMA",
    "SCORES",
    "SEVERITIES",
    "SUBSETS",
    "EvaluateOptions",
    "Evaluation",
    "EvaluationReport",
    "FaultAblation",
    "LogRecord",
    "MemoisedPlugin",
    "MetricSink",
    "Moment",
    "OutputStore",
    "Reference",
    "Resampler",
    "Resampling",
    "Streaming",
    "SubsetSink",
    "SubsetsPlugin",
    "Tolerances",
    "by_head",
    "evaluate_logs",
    "evaluate_tables",
    "frames_of",
    "json_schema",
    "judge",
    "junit_xml",
    "parse_fault_names",
    "parse_gates",
    "parse_slices",
    "parse_tolerances",
    "scores_of",
    "stored_pairs",
    "stored_times",
    "subset_name",
    "truths_of",
    "work",
]
