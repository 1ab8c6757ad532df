"""`perception plugin new`: the package of a plugin that works, to start from."""

from __future__ import annotations

import keyword
import sys
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path

from perception.errors import ConfigError, OutputError
from perception.files import write_problem

_PLACES = {
    "pyproject.toml": "pyproject.toml",
    "README.md": "README.md",
    "plugin.yaml": "{name}/plugin.yaml",
    "__init__.py": "{name}/__init__.py",
    "core.py": "{name}/core.py",
    "test_plugin.py": "tests/test_{name}.py",
}
"""Template -> where it goes in the package's folder."""


def write_plugin(name: str, folder: Path) -> list[Path]:
    """Write the package of a plugin into a new folder; return its files.

    Args:
        name: Of the plugin and its package.
        folder: Where the folder NAME goes.

    Raises:
        ConfigError: The name cannot be that of a package, or is taken.
        OutputError: The folder is there already, or cannot be written.
    """
    if errors := name_errors(name):
        raise ConfigError(errors)
    root = folder / name
    words = {"PLUGIN_NAME": name, "PLUGIN_CLASS": "".join(part.title() for part in name.split("_"))}
    written = []
    try:
        root.mkdir(parents=True)
        for template, place in _PLACES.items():
            text = (files("perception_tools.plugin") / "template" / f"{template}.txt").read_text("utf-8")
            for word, value in words.items():
                text = text.replace(word, value)
            path = root / place.format(name=name)
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")
            written.append(path)
    except FileExistsError:
        raise OutputError(
            f"{root}: expected a new folder, found one; choose another name or --folder"
        ) from None
    except OSError as error:
        raise OutputError(f"{root}: cannot be written: {write_problem(root, error)}") from None
    return written


def name_errors(name: str) -> list[str]:
    """Return why a name cannot be that of a new plugin; empty where it can."""
    if not name.isascii() or not name.isidentifier() or name != name.lower() or keyword.iskeyword(name):
        return [f"NAME: expected a name of a Python package (a-z, 0-9, _), found {name!r}"]
    if name in sys.stdlib_module_names:
        return [f"NAME: {name} is a module of Python; choose another"]
    from perception.plugin import list_plugins

    if name in {plugin.name for plugin in list_plugins()} or find_spec(name) is not None:
        return [f"NAME: {name} is installed already; choose another"]
    return []
