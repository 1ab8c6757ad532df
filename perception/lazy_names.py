"""Packages that load their names on first use, so that importing them imports little."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from importlib import import_module


def lazy_names(
    package: str, homes: Mapping[str, str]
) -> tuple[Callable[[str], object], Callable[[], list[str]]]:
    """Return `__getattr__` and `__dir__` of a package::

        __getattr__, __dir__ = lazy_names(__name__, {"draw": "render"})

    Args:
        package: The full name of the package; its `__all__` is what `dir` lists.
        homes: Name -> the module that has it, below the package.
    """

    def get(name: str) -> object:
        if name not in homes:
            raise AttributeError(f"module '{package}' has no attribute '{name}'")
        return getattr(import_module(f"{package}.{homes[name]}"), name)

    return get, lambda: sorted(sys.modules[package].__all__)
