"""Streaming scores: truth is matched with the newest output that exists by then."""

from perception.evaluation.streaming.latencies import CURVE_MS, parse_latencies
from perception.evaluation.streaming.output_store import OutputStore
from perception.evaluation.streaming.scores import Streaming, add_streaming_scores
from perception.evaluation.streaming.truths import truths_of
from perception.evaluation.streaming.worker import work

__all__ = [
    "CURVE_MS",
    "OutputStore",
    "Streaming",
    "add_streaming_scores",
    "parse_latencies",
    "truths_of",
    "work",
]
