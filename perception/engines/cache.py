"""Where exported models are kept, so that each is made once. No torch.

A folder under the user's cache (`XDG_CACHE_HOME`, else `~/.cache`) for each combination of what the export
depends on: weights, backend, precision, rows, the code and the versions of what made it, and the processor.
What is in the folder is complete: it is written beside it and put in its place in one step. Deleting any of
it is safe.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from perception.engines.processor import processor
from perception.files import sources_sha256, turn

SOURCES = ("models/*.py", "engines/*.py")
"""The code in this package that decides what a graph computes: another decode is another export."""


def cache_root() -> Path:
    """The project's folder in the user's cache."""
    base = os.environ.get("XDG_CACHE_HOME") or ""
    root = Path(base) if os.path.isabs(base) else Path.home() / ".cache"  # a relative one is to be ignored
    return root / "perception"


def export_folder(
    backend: str,
    weights_sha256: str,
    precision: str,
    rows: int,
    packages: tuple[str, ...],
    **others: str,
) -> tuple[Path, Mapping[str, str]]:
    """The folder of one export, there or not yet, and the key that it is named for."""
    key = {
        "code": sources_sha256(Path(__file__).parents[1], SOURCES),
        "backend": backend,
        "weights_sha256": weights_sha256,
        "precision": precision,
        "rows": str(rows),
        "processor": processor().name,
        "instructions": processor().instructions,
        **others,
        **{f"version.{name}": _version(name) for name in ("perception-fusion", "torch", *packages)},
    }
    digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()
    return cache_root() / "exports" / f"{backend}-{weights_sha256[:12]}-{precision}-{digest[:12]}", key


def ensure(folder: Path, key: Mapping[str, str], make: Callable[[Path], None]) -> None:
    """Fill the folder, if it is not there, by what `make` writes into the one it is given.

    Of several that do so at once one makes it and the others wait; where the file system has no locks, all
    make it, one wins, and all find the same.

    Raises:
        OSError: It cannot be written.
    """
    if folder.is_dir():
        return
    folder.parent.mkdir(parents=True, exist_ok=True)
    with turn(folder.with_name(f".{folder.name}.lock")):
        if not folder.is_dir():
            _make(folder, key, make)


def _make(folder: Path, key: Mapping[str, str], make: Callable[[Path], None]) -> None:
    beside = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
    try:
        make(beside)
        (beside / "key.json").write_text(json.dumps(key, indent=2), encoding="utf-8")
        try:
            beside.rename(folder)
        except OSError:
            if not folder.is_dir():  # else another process was faster
                raise
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "none"
