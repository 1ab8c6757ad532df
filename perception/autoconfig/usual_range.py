"""Choose `max_range_m` where nobody configured it: the range of the plugin, or of its weights' training.

A section whose `max_range_m` was found so does not count it among the values that were given
(`model_fields_set`): with another plugin, the range of that plugin takes its place.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from pydantic import ValidationError

from perception.autoconfig.choose_config import ConfigChoice
from perception.autoconfig.range_choice import far_returns
from perception.config import Config, RangeConfig
from perception.config.schema import PluginConfig
from perception.errors import CheckpointError, PluginError
from perception.logs import Log
from perception.models.checkpoint import read_metadata
from perception.plugin import installed_manifest, own_weights

_LIMIT = "max_range_m"
_DEFAULT_M: float = RangeConfig.model_fields[_LIMIT].default


def left_open(config: Config) -> list[str]:
    """Return the range sensors whose `max_range_m` nobody configured."""
    return [name for name, part in config.sensors.ranges.items() if _LIMIT not in part.model_fields_set]


def with_usual_range(config: Config, names: Collection[str]) -> tuple[Config, str]:
    """Return a configuration whose plugin's usual range is the `max_range_m` of some range sensors, and why.

    Where the plugin or its weights cannot be read, opening it says what is wrong: the range stays.
    """
    if not names:
        return config, ""
    try:
        limit_m, origin = _usual_range(config.plugin)
        changed = {name: _found(config.sensors.ranges[name], limit_m) for name in names}
    except (CheckpointError, PluginError, ValidationError):
        return config, ""
    config = config.model_copy(update={"sensors": config.sensors.replaced(changed)})
    return config, f"range: {_LIMIT} {limit_m:g}{origin}"


def say_usual_range(log: Log, choice: ConfigChoice, names: Collection[str]) -> ConfigChoice:
    """Return a choice with the usual range of its plugin for some range sensors, which its reasons name."""
    before = choice.config.sensors.ranges
    names = [name for name in names if name in before]  # a plugin may take fewer
    config, reason = with_usual_range(choice.config, names)
    after = config.sensors.ranges
    changed = [name for name in names if after[name].max_range_m != before[name].max_range_m]
    if not changed:
        return replace(choice, config=config)
    reasons = tuple(text for text in choice.reasons if not text.startswith(f"range: {_LIMIT}"))
    return replace(choice, config=config, reasons=(*reasons, reason, *far_reasons(log, config, changed)))


def far_reasons(log: Log, config: Config, names: Collection[str], origin: str = "") -> list[str]:
    """Return which share of the returns of range sensors lies beyond their `max_range_m`."""
    sections = {name: config.sensors.ranges[name] for name in names}
    return [
        f"{name}: {_LIMIT} {section.max_range_m:g}{origin}: {far}"
        for name, section in sections.items()
        if (far := far_returns(log, section.topic, section.max_range_m))
    ]


def _found(section: RangeConfig, limit_m: float) -> RangeConfig:
    """Return a section with a range that nobody configured."""
    values = dict(RangeConfig.model_validate({**section.model_dump(), _LIMIT: limit_m}))
    return RangeConfig.model_construct(section.model_fields_set - {_LIMIT}, **values)


def _usual_range(plugin: PluginConfig) -> tuple[float, str]:
    """Return how far a plugin uses returns, and why."""
    usual_m = installed_manifest(plugin.name).max_range_m
    if usual_m is not None:
        return usual_m, f", as far as the plugin {plugin.name} uses returns"
    path = plugin.checkpoint or own_weights(plugin.name)
    if path is None:
        return _DEFAULT_M, ""
    trained_m: float = read_metadata(path).preprocess.get(_LIMIT, _DEFAULT_M)
    return trained_m, f", which {path.name} was trained with"
