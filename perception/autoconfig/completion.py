"""The complete configuration of a run on a log: a file, what the log holds, and overrides."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from perception.autoconfig.choose_config import ConfigChoice, choose_config
from perception.autoconfig.class_words import class_words, dropped_classes, dropped_text, model_classes
from perception.autoconfig.given_config import GivenConfig, as_config
from perception.autoconfig.plugin_inputs import with_sensors_of_plugin
from perception.autoconfig.usual_range import far_reasons, left_open, say_usual_range
from perception.config import Config
from perception.config.fault_plan import parse_plan, plan_errors
from perception.config.schema import PluginConfig
from perception.errors import ConfigError
from perception.logs import Log


@dataclass(frozen=True, slots=True)
class Overrides:
    """Values that replace those of a configuration, as a command line gives them.

    Attributes:
        plugin: The plugin's name; None: as configured. Another one than the configured has no weights and
            options of that.
        checkpoint: The plugin's weights; None: as configured.
        options: Options of the plugin beside the configured ones, by key; those of a section that the
            configuration has are added to it.
        engine: Values of the section `engine` by key. They are taken as they are: `EngineConfig` checks them.
        auto: Values of the section `engine` for those of its keys that are `auto` otherwise.
        faults: Injected faults beside the configured ones, as `parse_plan` reads them.
    """

    plugin: str | None = None
    checkpoint: Path | None = None
    engine: Mapping[str, Any] = field(default_factory=dict)
    auto: Mapping[str, Any] = field(default_factory=dict)
    faults: tuple[str, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)

    def apply(self, config: Config) -> Config:
        """Return the configuration with these values.

        Raises:
            ConfigError: A fault is not one, or is of a sensor that is not configured.
        """
        configured = config.plugin
        if self.plugin not in (None, configured.name):
            configured = PluginConfig(name=self.plugin)
        plugin: dict[str, Any] = {} if self.checkpoint is None else {"checkpoint": self.checkpoint}
        if self.options:
            plugin["options"] = _merged(configured.options, self.options)
        engine = config.engine.model_copy(update=dict(self.engine))
        engine = engine.model_copy(
            update={key: value for key, value in self.auto.items() if getattr(engine, key) == "auto"}
        )
        faults = (*config.faults, *self.faults)
        if self.faults:
            if errors := plan_errors(self.faults, config.sensor_kinds(), "--fault"):
                raise ConfigError(errors)
            parse_plan(faults, sensors=config.sensor_kinds())
        plugin_section = configured.model_copy(update=plugin)
        return config.model_copy(update={"plugin": plugin_section, "engine": engine, "faults": faults})


def complete_config(
    log: Log,
    config: GivenConfig | None = None,
    overrides: Overrides | None = None,
    source: str | Path | None = None,
) -> ConfigChoice:
    """Return the complete configuration for a log.

    Args:
        log: An open log.
        config: A configuration, an earlier choice, or the path of a YAML file; None: all is found in the
            log, or is that of the host that recorded it.
        overrides: Values that replace those of the configuration. With another plugin, a `max_range_m` that
            an earlier call found for the configured one becomes that of the other.
        source: The file that `config` was read from, which an error names; known where `config` is a path.

    Raises:
        ConfigError: The configuration is wrong, does not fit the log, or is ambiguous; see `choose_config`.
        LogError: The log has no messages.
        TypeError: The log is not open, or the configuration is none.
    """
    if isinstance(log, str | Path):
        raise TypeError(f"expected an open log, found a path; open it with perception.open_log: {log}")
    config, file = as_config(config)
    source = file or source
    made_here = left_open(config) if config is not None and source is None else []
    if config is None and log.survey.made_by_host:
        from perception.sinks.host_recording import read_host_record  # here: it brings what writes outputs

        host = read_host_record(log)
        config = host.config if host is not None else None
    choice = choose_config(log, config, source)
    found = config is None or not config.sensors.model_fields_set
    choice = choice if overrides is None else replace(choice, config=overrides.apply(choice.config))
    choice = with_sensors_of_plugin(choice)
    if mapping := choice.config.truth.classes:
        words, classes = class_words(log, choice.config), model_classes(choice.config)
        if text := dropped_text(dropped_classes(words, mapping, classes)):
            choice = replace(choice, warnings=(*choice.warnings, text))
    if found:
        return say_usual_range(log, choice, list(choice.config.sensors.ranges))
    other_plugin = config is not None and choice.config.plugin.name != config.plugin.name
    said = say_usual_range(log, choice, made_here if other_plugin else ())
    before, after = choice.config.sensors.ranges, said.config.sensors.ranges
    kept = [name for name in after if after[name].max_range_m == before[name].max_range_m]
    return replace(said, reasons=(*said.reasons, *far_reasons(log, said.config, kept, ", as configured")))


def _merged(configured: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return options with others in their place; sections are merged key by key."""
    merged = dict(configured)
    for key, value in given.items():
        before = merged.get(key)
        both = isinstance(before, Mapping) and isinstance(value, Mapping)
        merged[key] = _merged(before, value) if both else value  # type: ignore[arg-type]
    return merged
