"""The configuration file: its schema, read from safe YAML."""

from perception.config.config_file import error_line, load_config, parse_config, to_yaml
from perception.config.schema import Config, EngineConfig, PluginConfig, Role, TruthConfig
from perception.config.sensors import (
    CameraConfig,
    RangeConfig,
    SensorConfig,
    SensorsConfig,
    StampConfig,
    StatusConfig,
)
from perception.config.values import NonNegative, Number, Positive

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
    "SensorConfig",
    "SensorsConfig",
    "StampConfig",
    "StatusConfig",
    "TruthConfig",
    "error_line",
    "load_config",
    "parse_config",
    "to_yaml",
]
