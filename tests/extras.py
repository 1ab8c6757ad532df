"""Tests that need a package of an extra are skipped without it. Collecting them does not import it."""

from __future__ import annotations

from importlib.util import find_spec

import pytest


def needs(extra: str, *packages: str) -> None:
    """Skip the module that calls this, if a package of an extra is not installed."""
    if missing := [name for name in packages if find_spec(name) is None]:
        pytest.skip(f"needs the extra '{extra}': {', '.join(missing)} is missing", allow_module_level=True)
