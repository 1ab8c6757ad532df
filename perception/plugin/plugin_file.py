"""A plugin as a class in a file, without a package: `FILE.py:Class`."""

from __future__ import annotations

import importlib.util
import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from perception.errors import PluginError
from perception.plugin.contract import Plugin
from perception.plugin.discovery import METHODS
from perception.plugin.failures import plugin_code
from perception.plugin.manifest import API_VERSION, Manifest, checked_manifest, read_manifest_file
from perception.types import SENSORS


class PluginFile(NamedTuple):
    """A class in a file.

    Attributes:
        path: The file.
        factory: The class; called with a manifest, it returns the plugin.
        manifest: As declared; its `heads` are empty where nothing declares them.
    """

    path: Path
    factory: Callable[[Manifest], Plugin]
    manifest: Manifest


def load_plugin_file(text: str) -> PluginFile:
    """Import a plugin's class from a file. The code of the file runs.

    Its manifest is the mapping `manifest` of the class (`manifest = {"inputs": ["camera"], "heads":
    ["class", "box"]}`), else `plugin.yaml` beside the file. Without either it takes all kinds of sensors, and
    its heads are not declared.

    Args:
        text: `FILE.py:Class`; `FILE.py` alone where the file defines one plugin.

    Raises:
        PluginError: There is no such file or class, it does not load, or its manifest is wrong.
    """
    path, name = _parts(text)
    module = _module_of(path)
    factory = _class_of(path, module, name)
    declared = vars(factory).get("manifest") if isinstance(factory, type) else None
    label = _snake(factory.__name__)
    values: dict[str, Any] = {"api": API_VERSION, "inputs": list(SENSORS), "heads": []}
    if isinstance(declared, Mapping):
        values |= declared
    elif (beside := path.with_name("plugin.yaml")).is_file():
        values |= read_manifest_file(beside)
        label = str(values.get("name", label))
    values |= {"name": label, "factory": f"{path.stem}:{factory.__name__}"}
    return PluginFile(path, factory, checked_manifest(label, values, heads_needed=False))


def _parts(text: str) -> tuple[Path, str]:
    file, colon, name = text.rpartition(":")
    if not colon or not file.endswith(".py"):
        file, name = text, ""
    path = Path(file)
    if path.suffix != ".py" or not path.is_file():
        raise PluginError(f"expected FILE.py:Class, found no such file: {text}")
    return path, name


def _module_of(path: Path) -> Any:
    """Import the file under a name of its own; modules beside it can be imported by it."""
    if not (path.parent / "__init__.py").is_file():
        sys.path.insert(0, str(path.parent.resolve()))
    else:  # a module of a package: its relative imports work
        sys.path.insert(0, str(path.parent.parent.resolve()))
        with plugin_code(f"{path} does not load"):
            return importlib.import_module(f"{path.parent.resolve().name}.{path.stem}")
    spec = importlib.util.spec_from_file_location(f"plugin_file_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise PluginError(f"expected a Python file, found {path}")
    module = importlib.util.module_from_spec(spec)
    sys.modules[module.__name__] = module  # dataclasses look their module up
    with plugin_code(f"{path} does not load"):
        spec.loader.exec_module(module)
    return module


def _class_of(path: Path, module: Any, name: str) -> Any:
    """Return the class of that name; without a name, the only one with the methods of a plugin."""
    if name:
        if not hasattr(module, name):
            raise PluginError(
                f"{path}: expected a class {name}, found {_names(_plugins_in(module)) or 'none'}"
            )
        return getattr(module, name)
    found = _plugins_in(module)
    if len(found) != 1:
        raise PluginError(
            f"{path}: expected one class with the methods {', '.join(METHODS)}, found "
            f"{_names(found) or 'none'}; name one: {path}:CLASS"
        )
    return found[0]


def _plugins_in(module: Any) -> list[type]:
    own = [value for value in vars(module).values() if isinstance(value, type)]
    own = [kind for kind in own if kind.__module__ == module.__name__]
    return [kind for kind in own if all(callable(getattr(kind, method, None)) for method in METHODS)]


def _names(kinds: list[type]) -> str:
    return ", ".join(kind.__name__ for kind in kinds)


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
