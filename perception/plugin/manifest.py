"""The manifest of a plugin: `plugin.yaml` in its package, read as data."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any
from zipimport import zipimporter

from perception.config.safe_yaml import parse_yaml, read_yaml
from perception.errors import PluginError
from perception.text import did_you_mean
from perception.types import SENSORS, head_specs

API_VERSION = 1
OWN_WEIGHTS = "weights/default.safetensors"


@dataclass(frozen=True, slots=True)
class Manifest:
    """The properties of a plugin.

    Attributes:
        api: The version of the contract; `API_VERSION`.
        name: The entry point's name.
        factory: `module:callable`; called with this manifest, it returns the plugin.
        inputs: The kinds of sensors that it uses: camera, range, status.
        most: Kind -> how many sensors of it the plugin takes at most; of a kind that is not in it, any
            number. Further ones are left out of a run, and named.
        heads: Which of class, box, control it gives.
        preroll_s: Seconds of log before a start that determine the plugin's state; 0 for a plugin without
            state, None: from the beginning.
        max_batch: The largest batch that `step` takes.
        description: One line.
        weights: Where its own weights are, if it has any, from its package.
        options: Default values of its options, for the plugin to read: `fusion` and `street` take them where
            `Context.options` has none.
        caution: What to know of its own weights before they run on a recorded log, one that is not
            simulated; a warning there.
        max_range_m: How far returns are used where neither a configuration nor weights say it; None: as far
            as a configuration's default.
    """

    api: int
    name: str
    factory: str
    inputs: tuple[str, ...]
    heads: tuple[str, ...]
    preroll_s: float | None = 0.0
    max_batch: int = 1
    description: str = ""
    weights: str = OWN_WEIGHTS
    options: Mapping[str, Any] = field(default_factory=dict)
    caution: str = ""
    max_range_m: float | None = None
    most: Mapping[str, int] = field(default_factory=dict)


def read_manifest(point: EntryPoint) -> Manifest:
    """Read the manifest of an entry point.

    Raises:
        PluginError: There is none, or it is wrong; all errors are named.
    """
    path = package_folder(point) / "plugin.yaml"
    try:
        data = read_yaml(path) if (zipped := _zipped(point, path)) is None else parse_yaml(zipped)
    except FileNotFoundError:
        raise PluginError(
            f"plugin '{point.name}' has no manifest: expected {path.name} as package data of {point.value}"
        ) from None
    except OSError as error:
        cause = error.strerror or error
        raise PluginError(f"the manifest of plugin '{point.name}' cannot be read: {cause}") from None
    except ValueError as error:
        raise PluginError(f"the manifest of plugin '{point.name}' {error}") from None
    return checked_manifest(point.name, data)


def _zipped(point: EntryPoint, path: Path) -> bytes | None:
    """Return the bytes of a file of a package in an archive (`zipimport`); None: the package is none."""
    spec = importlib.util.find_spec(point.value.partition(":")[0].split(".")[0])
    loader = spec.loader if spec is not None else None
    if not isinstance(loader, zipimporter):
        return None
    try:
        return loader.get_data(str(path))
    except OSError:
        raise FileNotFoundError(str(path)) from None


def package_folder(point: EntryPoint) -> Path:
    """Return the folder of an entry point's package, which may lie in an archive. Nothing is imported.

    Raises:
        PluginError: The package is not installed.
    """
    top, *below = point.value.partition(":")[0].split(".")
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError) as error:
        raise PluginError(f"plugin '{point.name}': package {top} cannot be found: {error}") from error
    if spec is None or not spec.submodule_search_locations:
        raise PluginError(
            f"plugin '{point.name}': its entry point names {point.value}, which is not an installed package"
        )
    return Path(next(iter(spec.submodule_search_locations)), *below)


def read_manifest_file(path: Path) -> dict[str, object]:
    """Return the values of a manifest's file, unchecked.

    Raises:
        PluginError: It cannot be read, or is no mapping.
    """
    try:
        data = read_yaml(path)
    except OSError as error:
        raise PluginError(f"{path}: cannot be read: {error.strerror or error}") from None
    except ValueError as error:
        raise PluginError(f"{path} {error}") from None
    if not isinstance(data, dict):
        raise PluginError(f"{path}: expected a mapping, found {type(data).__name__}")
    return data


def checked_manifest(name: str, data: object, *, heads_needed: bool = True) -> Manifest:
    """Return the manifest of these values.

    Args:
        name: Of the plugin.
        data: As `plugin.yaml` has them.
        heads_needed: Whether it must name a head.

    Raises:
        PluginError: It is wrong; all errors are named.
    """
    if not isinstance(data, dict):
        raise PluginError(f"the manifest of plugin '{name}' is not a mapping")
    known = set(Manifest.__dataclass_fields__)
    unknown = sorted(set(data) - known, key=str)
    errors = [f"{key}: unknown{did_you_mean(key, known)}" for key in unknown]
    errors += [f"{key}: missing" for key in ("api", "factory", "inputs", "heads") if key not in data]
    if "api" in data and (isinstance(data["api"], bool) or data["api"] != API_VERSION):
        errors.append(f"api: {data['api']!r} is not supported; this host speaks {API_VERSION}")
    if data.get("name", name) != name:
        errors.append(f"name: {data['name']!r} differs from the entry point's {name!r}")
    if "factory" in data and not (isinstance(data["factory"], str) and data["factory"].count(":") == 1):
        errors.append(f"factory: expected 'module:callable', found {data['factory']!r}")
    errors += _list_errors(data, heads_needed)
    if not isinstance(data.get("options", {}), dict):
        errors.append(f"options: expected a mapping, found {data['options']!r}")
    errors += _number_errors(data) + _count_errors(data.get("inputs"))
    if errors:
        raise PluginError(f"the manifest of plugin '{name}' is wrong: " + "; ".join(errors))
    return Manifest(
        api=data["api"],
        name=name,
        factory=data["factory"],
        inputs=tuple(data["inputs"]),
        heads=tuple(data["heads"]),
        preroll_s=_number(data.get("preroll_s", 0.0)),
        max_batch=data.get("max_batch", 1),
        weights=str(data.get("weights", OWN_WEIGHTS)),
        options=data.get("options", {}),
        caution=" ".join(str(data.get("caution", "")).split()),
        max_range_m=_number(data.get("max_range_m")),
        most=_counts(data["inputs"]),
        description=str(data.get("description", "")),
    )


def _list_errors(data: Mapping[str, Any], heads_needed: bool) -> list[str]:
    """Return the errors of the sensors and heads that a manifest names."""
    errors = []
    for key, allowed in (("inputs", SENSORS), ("heads", tuple(head_specs()))):
        values = data.get(key, [])
        values = list(values) if key == "inputs" and isinstance(values, dict) else values
        if not isinstance(values, list) or any(value not in allowed for value in values):
            errors.append(f"{key}: expected a list of {', '.join(allowed)}, found {values!r}")
        elif len(set(values)) != len(values):
            errors.append(f"{key}: names something twice: {values!r}")
        elif key == "heads" and key in data and not values and heads_needed:
            errors.append(f"heads: expected at least one of {', '.join(head_specs())}")
    return errors


def _number_errors(data: Mapping[str, Any]) -> list[str]:
    """Return the errors of a manifest's numbers."""
    errors = []
    preroll = data.get("preroll_s", 0.0)
    if preroll is not None and not (
        isinstance(preroll, int | float) and not isinstance(preroll, bool) and 0 <= preroll < float("inf")
    ):
        errors.append(f"preroll_s: expected seconds or null, found {preroll!r}")
    batch = data.get("max_batch", 1)
    if isinstance(batch, bool) or not isinstance(batch, int) or batch < 1:
        errors.append(f"max_batch: expected a whole number from 1, found {batch!r}")
    farthest = data.get("max_range_m")
    if farthest is not None and not (
        isinstance(farthest, int | float) and not isinstance(farthest, bool) and 0 < farthest <= 1e6
    ):
        errors.append(f"max_range_m: expected metres or null, found {farthest!r}")
    return errors


def _counts(inputs: Any) -> dict[str, int]:
    """Return how many sensors of each kind a plugin takes, of the kinds that say it."""
    return (
        {kind: most for kind, most in inputs.items() if most is not None} if isinstance(inputs, dict) else {}
    )


def _count_errors(inputs: Any) -> list[str]:
    """Return the errors of the numbers of sensors that a manifest states."""
    return [
        f"inputs: expected how many sensors of the kind {kind} it takes, or null for any, found {most!r}"
        for kind, most in (inputs.items() if isinstance(inputs, dict) else ())
        if most is not None and (isinstance(most, bool) or not isinstance(most, int) or most < 1)
    ]


def _number(value: float | None) -> float | None:
    return None if value is None else float(value)
