"""What a user sets: the schema of the configuration file, read from YAML that cannot run code."""

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
