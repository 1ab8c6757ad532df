"""Batches: the same work on many recordings, each done exactly once, on one machine or on several."""

from perception.pipeline.batch.attempt import JobEvent
from perception.pipeline.batch.convert_recording import ConvertRecording, convert_totals
from perception.pipeline.batch.process_pool import run_in_processes
from perception.pipeline.batch.ray_cluster import ray_address, run_on_ray
from perception.pipeline.batch.replay_recording import ReplayRecording, replay_recordings, replay_totals
from perception.pipeline.batch.run_batch import BatchResult, LogResult, run_batch
from perception.pipeline.batch.shards import Shard, parse_shard
from perception.pipeline.batch.spans import in_spans, joined_account, parse_length

__all__ = [
    "BatchResult",
    "ConvertRecording",
    "JobEvent",
    "LogResult",
    "ReplayRecording",
    "Shard",
    "convert_totals",
    "in_spans",
    "joined_account",
    "parse_length",
    "parse_shard",
    "ray_address",
    "replay_recordings",
    "replay_totals",
    "run_batch",
    "run_in_processes",
    "run_on_ray",
]
