"""Destinations of outputs: an MCAP log, JSON lines, a video; other packages add their own by entry point."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perception.lazy_names import lazy_names
from perception.sinks.jsonl_sink import JsonlSink
from perception.sinks.mcap_sink import McapSink, ScoredMcapSink
from perception.sinks.output_log import StoredOutput, read_outputs, read_receipt, read_run
from perception.sinks.protocol import (
    Level,
    OutputSink,
    ShowsOneCamera,
    Sink,
    TakesInputs,
    TakesReceipt,
    TakesRemarks,
    TakesValues,
    ignores_truth,
    make_sink,
    own_files,
)
from perception.sinks.run_info import RunInfo

if TYPE_CHECKING:
    from perception.sinks.render import draw as draw
    from perception.sinks.video import VideoSink as VideoSink

_HOMES = {"VideoSink": "video", "draw": "render"}

__all__ = [
    "JsonlSink",
    "Level",
    "McapSink",
    "OutputSink",
    "RunInfo",
    "ScoredMcapSink",
    "ShowsOneCamera",
    "Sink",
    "StoredOutput",
    "TakesInputs",
    "TakesReceipt",
    "TakesRemarks",
    "TakesValues",
    "VideoSink",
    "draw",
    "ignores_truth",
    "make_sink",
    "own_files",
    "read_outputs",
    "read_receipt",
    "read_run",
]
__getattr__, __dir__ = lazy_names(__name__, _HOMES)
