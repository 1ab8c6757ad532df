"""Fuse camera, range and status into detections and control; replay logs losslessly through it.

The names below are loaded on first use, so that listing, auditing and converting logs never import torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from perception.align import Aligner as Aligner
    from perception.align import align as align
    from perception.config import Config as Config
    from perception.config import load_config as load_config
    from perception.config import parse_config as parse_config
    from perception.errors import PerceptionError as PerceptionError
    from perception.logs import open_log as open_log
    from perception.pipeline import ReplayOptions as ReplayOptions
    from perception.pipeline import context_of as context_of
    from perception.pipeline import replay as replay
    from perception.plugin import Context as Context
    from perception.plugin import Plugin as Plugin
    from perception.plugin import list_plugins as list_plugins
    from perception.plugin import load_plugin as load_plugin

__version__ = "0.1.0"

_HOMES = {
    "Aligner": "perception.align",
    "align": "perception.align",
    "Config": "perception.config",
    "load_config": "perception.config",
    "parse_config": "perception.config",
    "PerceptionError": "perception.errors",
    "open_log": "perception.logs",
    "ReplayOptions": "perception.pipeline",
    "context_of": "perception.pipeline",
    "replay": "perception.pipeline",
    "Context": "perception.plugin",
    "Plugin": "perception.plugin",
    "list_plugins": "perception.plugin",
    "load_plugin": "perception.plugin",
}

__all__ = ["__version__", *sorted(_HOMES)]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'perception' has no attribute '{name}'")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
