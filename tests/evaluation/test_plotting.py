"""Drawings are files that appear whole."""

from __future__ import annotations

from pathlib import Path

import pytest

from perception.errors import OutputError
from perception.evaluation.plotting import drawing
from tests.extras import needs

needs("eval", "matplotlib")


def test_a_full_disk_leaves_the_earlier_drawing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    path = tmp_path / "plots.svg"
    path.write_text("the earlier one")
    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OutputError, match=r"is full .no space left"), drawing(path, 2, 2):
        pass
    assert path.read_text() == "the earlier one"
    assert list(tmp_path.iterdir()) == [path]
