"""The cache of exported models, each of which is made once. No torch.

A folder under the user's cache (`XDG_CACHE_HOME`, else `~/.cache`) for each combination of what the export
depends on: weights, backend, precision, the code and the versions of what made it, and the processor.
A folder is complete: it is written under another name and renamed. Deleting any of them is safe. What lies in
it is code that will run: the cache must be the user's alone, and each file must have the hash that was taken
when it was made.
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

from perception.caches import cache_root, private_folder, sources_sha256
from perception.engines.processor import processor
from perception.files import file_sha256, read_regular, turn

SOURCES = ("models/*.py", "engines/*.py")
"""The code in this package that decides what a graph computes: another decode is another export."""
SUMS = "sha256.json"
"""The hashes of the files of an export."""


def export_folder(
    backend: str, weights_sha256: str, precision: str, packages: tuple[str, ...]
) -> tuple[Path, Mapping[str, str]]:
    """Return the folder of one export, which may not exist yet, and the key that it is named for."""
    key = {
        "code": sources_sha256(Path(__file__).parents[1], SOURCES),
        "backend": backend,
        "weights_sha256": weights_sha256,
        "precision": precision,
        "processor": processor().name,
        "instructions": processor().instructions,
        **{f"version.{name}": _version(name) for name in ("perception-fusion", "torch", *packages)},
    }
    digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()
    return cache_root() / "exports" / f"{backend}-{weights_sha256[:12]}-{precision}-{digest[:12]}", key


def ensure(folder: Path, key: Mapping[str, str], make: Callable[[Path], None]) -> None:
    """Make the folder if it does not exist or was changed, with what `make` writes into the path it is called
    with.

    Of several callers at once one makes it and the others wait; where the file system has no locks, each
    makes it, and the first is kept.

    Raises:
        UntrustedFolderError: Another user could have written to the cache.
        OSError: It cannot be written.
    """
    if folder.is_relative_to(cache_root()):
        private_folder(cache_root())
    private_folder(folder.parent)
    if _intact(folder):
        return
    with turn(folder.with_name(f".{folder.name}.lock")):
        if not _intact(folder):
            if folder.is_dir() and not folder.is_symlink():
                shutil.rmtree(folder)
            _make(folder, key, make)


def _intact(folder: Path) -> bool:
    """Return whether the files of an export are as they were made. A missing one is left to its loader."""
    try:
        known = json.loads(read_regular(folder / SUMS, 1 << 20))
        return all(
            file_sha256(folder / name) == digest
            for name, digest in known.items()
            if os.path.lexists(folder / name)
        )
    except (OSError, ValueError, AttributeError):
        return False


def _make(folder: Path, key: Mapping[str, str], make: Callable[[Path], None]) -> None:
    beside = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
    try:
        make(beside)
        (beside / "key.json").write_text(json.dumps(key, indent=2), encoding="utf-8")
        sums = {path.name: file_sha256(path) for path in sorted(beside.iterdir()) if path.is_file()}
        (beside / SUMS).write_text(json.dumps(sums, indent=2), encoding="utf-8")
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
