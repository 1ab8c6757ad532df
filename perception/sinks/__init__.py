"""Where outputs go: an MCAP log, JSON lines, a video."""

from perception.sinks.base import RunInfo, Sink
from perception.sinks.jsonl_sink import JsonlSink
from perception.sinks.mcap_sink import McapSink
from perception.sinks.stored import StoredOutput, read_outputs, read_run

__all__ = ["JsonlSink", "McapSink", "RunInfo", "Sink", "StoredOutput", "read_outputs", "read_run"]
