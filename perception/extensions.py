"""Extensions of other packages by entry point: refuse names that two packages use, and missing methods."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import EntryPoint
from typing import Any

from perception.errors import PluginError
from perception.installation import NAME, entry_points


def extension_points(group: str, own: Mapping[str, str]) -> dict[str, EntryPoint]:
    """Return the entry points of a group by name.

    Args:
        group: The group.
        own: The places of the project's own by name, which are there without its metadata, too.

    Raises:
        PluginError: Packages name different things alike; the order of folders would choose between them.
    """
    found = {name: EntryPoint(name, value, group) for name, value in own.items()}
    for point in entry_points(group=group):
        if point.name in own and _package(point) == NAME:
            continue  # metadata of another version of this package may be older than its code
        known = found.setdefault(point.name, point)
        if known.value != point.value:
            raise PluginError(
                f"{group}: '{point.name}' is {known.value} of {_package(known)} and {point.value} of "
                f"{_package(point)}; uninstall one of them"
            )
    return found


def missing_methods(extension: Any, names: tuple[str, ...]) -> str:
    """Return the names of the methods that an extension has not, separated by commas."""
    return ", ".join(name for name in names if not callable(getattr(extension, name, None)))


def _package(point: EntryPoint) -> str:
    return point.dist.name if point.dist is not None else NAME
