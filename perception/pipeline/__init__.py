"""Samples of a log through a plugin into sinks."""

from perception.pipeline.device import resolve_device
from perception.pipeline.opening import context_of
from perception.pipeline.options import ReplayOptions
from perception.pipeline.replay import replay
from perception.pipeline.run import Observer, Progress, Runner
from perception.pipeline.source import LogSource, Span
from perception.pipeline.summary import EXIT_CODES, Summary, Warned, add_warnings

__all__ = [
    "EXIT_CODES",
    "LogSource",
    "Observer",
    "Progress",
    "ReplayOptions",
    "Runner",
    "Span",
    "Summary",
    "Warned",
    "add_warnings",
    "context_of",
    "replay",
    "resolve_device",
]
