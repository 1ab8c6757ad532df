"""Completes a configuration from the content of a log: sensors are chosen by schema, each with its reason."""

from perception.autoconfig.choose_config import ConfigChoice
from perception.autoconfig.completion import Overrides, complete_config
from perception.autoconfig.given_config import GivenConfig, as_config

__all__ = ["ConfigChoice", "GivenConfig", "Overrides", "as_config", "complete_config"]
