"""Samples of a log through a plugin into sinks."""

from perception.pipeline.device import resolve_device
from perception.pipeline.opened_plugin import OpenedPlugin, context_of, open_plugin
from perception.pipeline.options import ReplayOptions
from perception.pipeline.replay import replay
from perception.pipeline.run import Observer, Progress, Runner
from perception.pipeline.source import LogSource, Span
from perception.pipeline.summary import Summary, Warned, add_warnings

__all__ = [
    "LogSource",
    "Observer",
    "OpenedPlugin",
    "Progress",
    "ReplayOptions",
    "Runner",
    "Span",
    "Summary",
    "Warned",
    "add_warnings",
    "context_of",
    "open_plugin",
    "replay",
    "resolve_device",
]
