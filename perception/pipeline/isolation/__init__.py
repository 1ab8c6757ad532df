"""A plugin in a process of its own: its crash, hang or leak costs its outputs only."""

from perception.pipeline.isolation.isolated_plugin import IsolatedPlugin, IsolationLimits

__all__ = ["IsolatedPlugin", "IsolationLimits"]
