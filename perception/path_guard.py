"""The check that what is about to be written harms no file that is read, and replaces no file of the user.

Every command collects the paths that it reads and those that it is to write, and calls `check_paths` before
it writes anything. An existing file may be replaced where it is an earlier output of the same kind, which its
writer recognises by a mark in the file, or where the user says so (`--force`). A file that is read is never
replaced.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from perception.errors import ConfigError, OutputError
from perception.files import is_being_written, is_stream, same_file
from perception.remote import is_remote
from perception.text import visible_line

_LOOKED_AT = 1 << 16
"""Bytes at each end of a file in which a mark is looked for."""


@dataclass(frozen=True, slots=True)
class Read:
    """A file, or a folder with all that is in it, that is read.

    Attributes:
        role: What it is, for errors: "the log".
    """

    role: str
    path: Path


@dataclass(frozen=True, slots=True)
class Write:
    """A file that is about to be written.

    Attributes:
        option: The option that names it, for errors: "--ledger".
        is_ours: Returns whether an existing file is an earlier output of this kind; None: nothing is.
    """

    option: str
    path: Path
    is_ours: Callable[[Path], bool] | None = None


def check_paths(reads: Iterable[Read], writes: Sequence[Write], *, force: bool = False) -> None:
    """Check the paths of a command before it writes anything.

    Files are compared by identity, so symbolic links, hard links, relative spellings, and the case of letters
    on a file system that ignores it, make no difference. Pipes and character devices may be named by any
    number of options.

    Args:
        reads: All that is read. A path that does not exist is left to its reader.
        writes: All that is written.
        force: Replace files that are not earlier outputs, too; never files that are read.

    Raises:
        ConfigError: Two of the files to write are one.
        OutputError: A file to write is read, exists and is not an earlier output, or cannot be a file there.
    """
    if twice := list(_twice(writes)):
        raise ConfigError(twice, head="two options name the same file")
    known = [read for read in reads if not is_remote(read.path) and read.path.exists()]
    errors = [error for write in writes if (error := _error(write, known, force))]
    if errors:
        raise OutputError("\n".join(map(visible_line, errors)))


def marked(start: bytes = b"", within: bytes = b"", end: bytes = b"") -> Callable[[Path], bool]:
    """Return a function that recognises files by their first and last bytes, and others near either end."""

    def is_ours(path: Path) -> bool:
        """Return whether an existing file has the marks of an earlier output."""
        with path.open("rb") as file:
            head = file.read(_LOOKED_AT)
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - _LOOKED_AT))
            tail = file.read()
        return head.startswith(start) and tail.endswith(end) and (within in head or within in tail)

    return is_ours


def _twice(writes: Sequence[Write]) -> Iterator[str]:
    options: dict[str, Write] = {}
    for write in writes:
        if is_stream(write.path):
            continue
        other = options.setdefault(_identity(write.path), write)
        if other is not write:
            same = other.option == write.option
            names = f"two {write.option}" if same else f"{other.option} and {write.option}"
            yield f"{names} name the same file, name another: {write.path}"


def _error(write: Write, reads: Sequence[Read], force: bool) -> str:
    """Return why a file must not be written; empty: it may be."""
    path, option = write.path, write.option
    try:
        if is_remote(path):
            return f"{option}: files are written to this machine, found a URL; name a local file: {path}"
        if is_stream(path):
            return ""
        if path.is_dir():
            return f"{option}: expected a file to write, found a folder: {path}"
        if path.parent.exists() and not path.parent.is_dir():
            return f"{option}: {path.parent} is a file, not a folder: {path}"
        if not path.parent.is_dir():
            return f"{option}: the folder {path.parent} does not exist, make it first: {path}"
        if not path.exists():
            return ""
        for read in reads:
            if same_file(path, read.path):
                return f"{option} would replace {read.role}, which is read; name another file: {path}"
        if not path.is_file():
            return f"{option}: expected a file to write, found something else: {path}"
        if path.stat().st_size == 0 or (write.is_ours is not None and write.is_ours(path)):
            return ""
        for read in reads:
            if read.path.is_dir() and path.resolve().is_relative_to(read.path.resolve()):
                return f"{option} would replace a file of {read.role}; name another file: {path}"
    except OSError as error:
        return f"{option}: {(error.strerror or str(error)).lower()}: {path}"
    if is_being_written(path):
        return f"{option}: another program is writing it, name another file: {path}"
    if force:
        return ""
    return (
        f"{option} would replace a file that is no earlier output of this command; name another file, or add "
        f"--force: {path}"
    )


def _identity(path: Path) -> str:
    """Return what two paths to one file have in common, also before that file exists."""
    try:
        status = path.stat()
        return f"{status.st_dev}:{status.st_ino}"
    except OSError:
        return os.path.normcase(path.resolve())
