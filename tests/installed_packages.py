"""Packages with an entry point, installed for a test."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from perception.logs import log_readers, readers


def install(folder: Path, package: str, group: str, point: str) -> None:
    """Install a package with one entry point, `NAME = MODULE`."""
    info = folder / f"{package}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[{group}]\n{point}\n")


@contextmanager
def package_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Give a folder of installed packages; log readers are looked up anew in it, and after it."""
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)
    _forget_readers()
    yield folder
    _forget_readers()


def _forget_readers() -> None:
    log_readers.cache_clear()
    readers._reader_places.cache_clear()
