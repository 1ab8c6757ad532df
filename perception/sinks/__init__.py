"""Where outputs go: an MCAP log, JSON lines, a video."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perception.sinks.base import RunInfo, Sink
from perception.sinks.jsonl_sink import JsonlSink
from perception.sinks.mcap_sink import McapSink
from perception.sinks.stored import StoredOutput, read_outputs, read_run

if TYPE_CHECKING:
    from perception.sinks.video import VideoSink as VideoSink

__all__ = [
    "JsonlSink",
    "McapSink",
    "RunInfo",
    "Sink",
    "StoredOutput",
    "VideoSink",
    "read_outputs",
    "read_run",
]


def __getattr__(name: str) -> object:
    """Drawing needs OpenCV: it is loaded on first use."""
    if name != "VideoSink":
        raise AttributeError(f"module 'perception.sinks' has no attribute '{name}'")
    from perception.sinks.video import VideoSink

    return VideoSink
