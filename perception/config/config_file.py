"""A configuration from YAML and back; every error of a file with its path and the nearest valid name."""

from __future__ import annotations

import reprlib
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from perception.config.conflicts import conflicts
from perception.config.safe_yaml import read_config_yaml
from perception.config.schema import Config
from perception.config.sensors import SensorsConfig
from perception.errors import ConfigError
from perception.text import did_you_mean
from perception.types import SENSORS


def load_config(path: str | Path) -> Config:
    """Read a configuration from a YAML file.

    Raises:
        ConfigError: The file cannot be read, or has errors: all of them, each with its path.
    """
    return parse_config(read_config_yaml(Path(path)), str(path))


def parse_config(data: object, source: str = "") -> Config:
    """Check a configuration in a mapping, as YAML gives it.

    Raises:
        ConfigError: It has errors: all of them, each with its path and the nearest valid name.
    """
    if not isinstance(data, Mapping):
        found = "an empty file" if data is None else type(data).__name__
        raise ConfigError([f"expected a mapping that starts with 'version: 1', found {found}"], source)
    try:
        return Config.model_validate(data)
    except ValidationError as error:
        # Contradictions are looked for in the raw mapping: pydantic checks them only once all else is
        # right, and all errors are reported at once.
        lines = {error_line(detail) for detail in error.errors() if detail["loc"]} | set(conflicts(data))
        raise ConfigError(sorted(lines), source) from None


def to_yaml(config: Config) -> str:
    """Return the configuration as YAML, without the values that are at their default."""
    data = config.model_dump(mode="json", exclude_defaults=True)
    data = {"version": config.version, "reference": config.reference, **data}
    return yaml.safe_dump(data, sort_keys=False, default_flow_style=None, width=100, allow_unicode=True)


def error_line(detail: Any, root: Any = Config) -> str:
    """Return one line for an error of pydantic: its path, what was expected, the nearest valid name."""
    location = _without_tags(detail["loc"]) if root is Config else detail["loc"]
    path = ".".join(str(part) for part in location)
    kind, found = detail["type"], detail["input"]
    if kind == "extra_forbidden":
        key = str(detail["loc"][-1])
        hint = did_you_mean(key, _known_keys(root, detail["loc"][:-1]))
        if not hint and key in root.model_fields:
            hint = f"; {key} stands outside, beside {next(iter(root.model_fields))}"
        return f"{path}: unknown key{hint}"
    if kind == "missing":
        return f"{path}: missing"
    if kind in ("union_tag_not_found", "union_tag_invalid"):
        return _kind_error(path, detail)
    if kind in ("model_type", "model_attributes_type", "dict_type"):
        return f"{path}: expected {{key: value, ...}}, found {reprlib.repr(found)}"
    text = detail["msg"].removeprefix("Value error, ")
    if kind == "string_type" and isinstance(found, bool | int | float | date):
        return f"{path}: expected text, found {reprlib.repr(found)}; put it in quotes"
    if kind == "value_error":
        return f"{path}: {text}"
    if kind == "literal_error" and isinstance(found, str):
        words = [word.strip("'") for word in detail["ctx"]["expected"].replace(" or ", ", ").split(", ")]
        return f"{path}: {text}, found {found!r}{did_you_mean(found, words)}"
    return f"{path}: {text}, found {reprlib.repr(found)}"


def _kind_error(path: str, detail: Any) -> str:
    """Return the line for a named sensor whose kind is missing or wrong."""
    found = detail.get("ctx", {}).get("tag")
    if found is not None:
        hint = did_you_mean(found, SENSORS)
        return f"{path}.kind: expected one of {', '.join(SENSORS)}, found {found!r}{hint}"
    hint = did_you_mean(detail["loc"][-1], SENSORS, ", or ")
    return f"{path}.kind: missing; expected one of {', '.join(SENSORS)} for a sensor of that name{hint}"


def _without_tags(location: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return a place in the configuration without the kind that pydantic puts behind a sensor's name."""
    tagged = len(location) > 2 and location[0] == "sensors" and location[1] not in SENSORS
    return (*location[:2], *location[3:]) if tagged and location[2] in SENSORS else location


def _known_keys(model: Any, location: tuple[Any, ...]) -> list[str]:
    """Return the keys allowed at a place in the configuration."""
    for part in location:
        if model is SensorsConfig and part not in SENSORS:
            continue  # the name of a sensor: its kind comes next
        annotation = model.model_fields[part].annotation if part in model.model_fields else None
        options = [annotation, *getattr(annotation, "__args__", ())]
        model = next((o for o in options if isinstance(o, type) and issubclass(o, BaseModel)), None)
        if model is None:
            return []
    return list(model.model_fields)
