"""The configuration file: its schema, read from safe YAML."""

from perception.config.schema import (
    Config,
    EngineConfig,
    NonNegative,
    Number,
    PluginConfig,
    Positive,
    Role,
    TruthConfig,
    error_line,
    load_config,
    parse_config,
    to_yaml,
)

__all__ = [
    "Config",
    "EngineConfig",
    "NonNegative",
    "Number",
    "PluginConfig",
    "Positive",
    "Role",
    "TruthConfig",
    "error_line",
    "load_config",
    "parse_config",
    "to_yaml",
]
