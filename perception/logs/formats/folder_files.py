"""The files of a folder that is a log: bounded reading of regular files, and their listing."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

FILE_BYTES = 256 << 20
"""The largest file that is read at once."""
MAX_ENTRIES = 2_000_000
"""Entries of a folder that are looked at."""


def read_file(path: Path, limit: int = FILE_BYTES) -> bytes:
    """Return the content of a regular file.

    Raises:
        OSError: It is missing or cannot be read.
        ValueError: It is no regular file (a pipe would block), or larger than `limit`.
    """
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    with os.fdopen(handle, "rb") as file:
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode):
            raise ValueError(f"{path.name} is no regular file")
        if status.st_size > limit:
            raise ValueError(
                f"{path.name} has {status.st_size} bytes: up to {limit} are taken (docs/limits.md)"
            )
        return file.read(status.st_size)


def read_start(path: Path, length: int = 4096) -> bytes:
    """Return the first bytes of a regular file; empty where there is none or it cannot be read."""
    try:
        if not path.is_file():
            return b""
        with path.open("rb", buffering=0) as file:
            return file.read(length)
    except (OSError, ValueError):
        return b""


def is_folder(path: Path) -> bool:
    """Return whether a path is a folder. Never raises."""
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False


def files_in(folder: Path, *suffixes: str) -> list[Path]:
    """Return the files of a folder by suffix, numbers in their names in the order of numbers.

    Files that start with a dot are left out: tools put notes about others there. Empty without a folder.
    """
    return sorted(_files(folder, suffixes), key=lambda path: natural_key(path.name))


def _files(folder: Path, suffixes: tuple[str, ...]) -> Iterator[Path]:
    try:
        with os.scandir(folder) as entries:
            for entry in islice(entries, MAX_ENTRIES):
                name = entry.name
                if not name.startswith(".") and (not suffixes or name.lower().endswith(suffixes)):
                    yield folder / name
    except OSError:
        return


def natural_key(name: str) -> list[tuple[int, str]]:
    """Return a key that sorts `2.png` before `10.png`."""
    parts = re.split(r"(\d{1,18})", name)
    return [(int(part), "") if i % 2 else (-1, part) for i, part in enumerate(parts)]


def total_size(folder: Path, most: int = MAX_ENTRIES) -> int:
    """Return the bytes of all files below a folder."""
    sizes = (
        os.lstat(os.path.join(root, name)).st_size for root, _, names in os.walk(folder) for name in names
    )
    return sum(islice(sizes, most))
