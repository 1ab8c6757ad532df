"""The configuration file: its schema, read from safe YAML."""

from perception.config.schema import (
    CameraConfig,
    Config,
    EngineConfig,
    NonNegative,
    Number,
    PluginConfig,
    Positive,
    RangeConfig,
    Role,
    StampConfig,
    TruthConfig,
    error_line,
    load_config,
    parse_config,
    to_yaml,
)

__all__ = [
    "CameraConfig",
    "Config",
    "EngineConfig",
    "NonNegative",
    "Number",
    "PluginConfig",
    "Positive",
    "RangeConfig",
    "Role",
    "StampConfig",
    "TruthConfig",
    "error_line",
    "load_config",
    "parse_config",
    "to_yaml",
]
