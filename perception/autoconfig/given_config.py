"""The configuration that a caller gives: itself, the choice that holds it, or its file."""

from __future__ import annotations

from pathlib import Path

from perception.autoconfig.choose_config import ConfigChoice
from perception.config import Config, load_config

GivenConfig = Config | ConfigChoice | str | Path


def as_config(given: GivenConfig | None) -> tuple[Config | None, Path | None]:
    """Return the configuration and the file that it was read from; None for what is not given.

    Raises:
        ConfigError: The file cannot be read, or has errors.
        TypeError: That is no configuration.
    """
    if given is None or isinstance(given, Config):
        return given, None
    if isinstance(given, ConfigChoice):
        return given.config, None
    if isinstance(given, str | Path):
        return load_config(given), Path(given)
    found = type(given).__name__
    raise TypeError(f"config: expected a Config or its file, found {found}; parse_config reads mappings")
