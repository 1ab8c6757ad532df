"""One scripted log for all tests of evaluation."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.evaluation.oracle import Truth
from tests.scripted_scene import write_scene


@pytest.fixture(scope="session")
def street(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six seconds of a street with its truth."""
    path = tmp_path_factory.mktemp("street") / "street.mcap"
    return write_scene(path, seed=3, duration_s=6.0, scan_hz=5.0, status_hz=20.0)


@pytest.fixture(scope="session")
def truth(street: Path) -> Truth:
    return Truth(street)
