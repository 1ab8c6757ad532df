"""Completes a configuration from the content of a log: sensors are chosen by schema, each with its reason."""

from perception.autoconfig.choose_config import ConfigChoice
from perception.autoconfig.completion import Overrides, complete_config

__all__ = ["ConfigChoice", "Overrides", "complete_config"]
