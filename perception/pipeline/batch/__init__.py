"""Batches: the same work on many recordings, each done exactly once, on one machine or on several."""

from perception.pipeline.batch.attempt import JobEvent
from perception.pipeline.batch.convert_recording import ConvertRecording, convert_totals
from perception.pipeline.batch.process_pool import run_in_processes
from perception.pipeline.batch.replay_recording import replay_recordings, replay_totals
from perception.pipeline.batch.run_batch import BatchResult, LogResult, run_batch
from perception.pipeline.batch.shards import Shard, parse_shard

__all__ = [
    "BatchResult",
    "ConvertRecording",
    "JobEvent",
    "LogResult",
    "Shard",
    "convert_totals",
    "parse_shard",
    "replay_recordings",
    "replay_totals",
    "run_batch",
    "run_in_processes",
]
