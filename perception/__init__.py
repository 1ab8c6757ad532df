"""Fuse camera, range and status into detections and control; replay logs losslessly through it.

The names below are loaded on first use, so that listing, auditing and converting logs never import torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from perception.align import Aligner as Aligner
    from perception.api import evaluate as evaluate
    from perception.api import find as find
    from perception.api import replay as replay
    from perception.api import stream as stream
    from perception.autoconfig import complete_config as complete_config
    from perception.config import Config as Config
    from perception.config import load_config as load_config
    from perception.config import parse_config as parse_config
    from perception.errors import PerceptionError as PerceptionError
    from perception.logs import open_log as open_log
    from perception.models import FusionModel as FusionModel
    from perception.pipeline import ReplayOptions as ReplayOptions
    from perception.pipeline import context_of as context_of
    from perception.pipeline import open_plugin as open_plugin
    from perception.plugin import Context as Context
    from perception.plugin import Plugin as Plugin
    from perception.plugin import list_plugins as list_plugins
    from perception.plugin import load_plugin as load_plugin
    from perception.results import Answer as Answer
    from perception.results import ReplayResult as ReplayResult
    from perception.types import CameraFrame as CameraFrame
    from perception.types import CameraInfo as CameraInfo
    from perception.types import FrameTransforms as FrameTransforms
    from perception.types import Output as Output
    from perception.types import RangeScan as RangeScan
    from perception.types import Sample as Sample
    from perception.types import StatusReading as StatusReading

__version__ = "0.1.0"

_HOMES = {
    "Aligner": "perception.align",
    "Answer": "perception.results",
    "CameraFrame": "perception.types",
    "CameraInfo": "perception.types",
    "Config": "perception.config",
    "Context": "perception.plugin",
    "FrameTransforms": "perception.types",
    "FusionModel": "perception.models",
    "Output": "perception.types",
    "PerceptionError": "perception.errors",
    "Plugin": "perception.plugin",
    "RangeScan": "perception.types",
    "ReplayOptions": "perception.pipeline",
    "ReplayResult": "perception.results",
    "Sample": "perception.types",
    "StatusReading": "perception.types",
    "complete_config": "perception.autoconfig",
    "context_of": "perception.pipeline",
    "evaluate": "perception.api",
    "find": "perception.api",
    "list_plugins": "perception.plugin",
    "load_config": "perception.config",
    "load_plugin": "perception.plugin",
    "open_log": "perception.logs",
    "open_plugin": "perception.pipeline",
    "parse_config": "perception.config",
    "replay": "perception.api",
    "stream": "perception.api",
}

__all__ = ["__version__", *sorted(_HOMES)]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'perception' has no attribute '{name}'")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
