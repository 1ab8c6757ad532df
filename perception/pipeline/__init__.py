"""Replay: samples of a log through a plugin into sinks."""

from perception.pipeline.log_source import LogSource, Span
from perception.pipeline.opened_plugin import OpenedPlugin, context_of, open_plugin, resolve_device
from perception.pipeline.replay import replay
from perception.pipeline.replay_options import ReplayOptions
from perception.pipeline.replay_summary import Summary, Warned, add_warnings
from perception.pipeline.runner import Observer, Progress, Runner

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
