"""Discovery of installed plugins by entry point."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import EntryPoint
from pathlib import Path

from perception.errors import NoPluginError, PluginError
from perception.installation import entry_points
from perception.plugin.contract import Plugin
from perception.plugin.failures import plugin_code
from perception.plugin.manifest import Manifest, package_folder, read_manifest
from perception.text import did_you_mean

GROUP = "perception.plugins"
METHODS = ("open", "prepare", "step", "reset", "close", "describe")
"""The methods of the plugin contract."""

_registered: dict[str, tuple[Manifest, Callable[[Manifest], Plugin]]] = {}


@dataclass(frozen=True, slots=True)
class Installed:
    """An installed plugin: its manifest, or the error that makes it unusable."""

    name: str
    distribution: str
    version: str
    manifest: Manifest | None
    error: str = ""


def list_plugins() -> list[Installed]:
    """Return all installed plugins by name, without importing any of them."""
    found = []
    for point in sorted(entry_points(group=GROUP), key=lambda p: p.name):
        distribution = point.dist
        label = (distribution.name, distribution.version) if distribution is not None else ("", "")
        try:
            found.append(Installed(point.name, *label, read_manifest(point)))
        except PluginError as error:
            found.append(Installed(point.name, *label, None, str(error)))
    return found


def register_plugin(manifest: Manifest, factory: Callable[[Manifest], Plugin]) -> None:
    """Make a plugin known by its name in this program, as an installed one is, or in place of one.

    Args:
        manifest: Its properties.
        factory: Called with the manifest, returns the plugin.
    """
    _registered[manifest.name] = manifest, factory


def load_plugin(name: str) -> Plugin:
    """Load a plugin by name. It is not open yet.

    Raises:
        NoPluginError: No plugin of that name is installed.
        PluginError: Its manifest is wrong, or it does not load.
    """
    manifest = installed_manifest(name)
    module_name, _, attribute = manifest.factory.partition(":")
    with plugin_code(f"plugin '{name}' does not load: {manifest.factory}"):
        factory = _registered[name][1] if name in _registered else None
        factory = factory or getattr(importlib.import_module(module_name), attribute)
    with plugin_code(f"plugin '{name}' cannot be made"):
        plugin: Plugin = factory(manifest)
        missing = [method for method in METHODS if not callable(getattr(plugin, method, None))]
    if missing:
        raise PluginError(
            f"plugin '{name}': {type(plugin).__name__} has no {', '.join(missing)}; "
            "inherit from perception.Plugin to get the defaults"
        )
    return plugin


def _entry_point(name: str) -> EntryPoint:
    points = [point for point in entry_points(group=GROUP) if point.name == name]
    if len(points) == 1:
        return points[0]
    if points:
        packages = ", ".join(sorted(point.dist.name if point.dist else "?" for point in points))
        raise PluginError(
            f"{len(points)} plugins are called '{name}', from {packages}: uninstall all but one"
        )
    names = sorted({point.name for point in entry_points(group=GROUP)})
    hint = did_you_mean(name, names, "; ")
    raise NoPluginError(f"no plugin '{name}' is installed{hint} (installed: {', '.join(names) or 'none'})")


def plugin_folder(name: str) -> Path:
    """Return the folder of a plugin's package, without importing it.

    Raises:
        PluginError: No such plugin is installed.
    """
    return package_folder(_entry_point(name))


def installed_manifest(name: str) -> Manifest:
    """Return the manifest of a plugin that is installed or registered, without importing it.

    Raises:
        PluginError: No such plugin is installed, or its manifest is wrong.
    """
    return _registered[name][0] if name in _registered else read_manifest(_entry_point(name))


def own_weights(name: str) -> Path | None:
    """Return the weights that come with a plugin, where its manifest says; None where there are none. The
    plugin is not imported.

    Raises:
        PluginError: No such plugin is installed, or its manifest is wrong.
    """
    if name in _registered:
        return None
    path = Path(os.path.normpath(plugin_folder(name) / installed_manifest(name).weights))
    return path if path.is_file() else None
