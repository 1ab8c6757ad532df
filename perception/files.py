"""Files: creating them while other programs may create the same, and hashes."""

from __future__ import annotations

import contextlib
import errno
import functools
import hashlib
import os
import stat
from collections.abc import Iterator
from io import FileIO
from pathlib import Path

from perception.errors import OutputError

try:
    import fcntl
except ImportError:  # Windows: two writers of one file do not notice each other
    fcntl = None  # type: ignore[assignment]


def make_file(path: str | Path) -> FileIO:
    """Open an unbuffered file for writing. An existing file is replaced unless another program writes it.

    The lock ends when the file is closed, or with the program. Pipes and devices are not locked.

    Raises:
        OSError: The file cannot be opened; `EBUSY` where another program is writing it.
    """
    file = FileIO(os.open(path, os.O_WRONLY | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o666), "wb")
    try:
        if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            _claim(file)
            file.truncate(0)
    except BaseException:
        file.close()
        raise
    return file


@contextlib.contextmanager
def turn(path: Path) -> Iterator[None]:
    """Hold a lock between processes: blocks with the same path run one at a time.

    Args:
        path: The lock file; it is created, and stays. On a file system without locks nobody waits.

    Raises:
        OSError: The file cannot be created.
    """
    with open(path, "ab") as file:
        if fcntl is not None:
            with contextlib.suppress(OSError):
                fcntl.flock(file.fileno(), fcntl.LOCK_EX)
        yield


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, in hexadecimal.

    Raises:
        OSError: The file cannot be read.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@functools.cache
def sources_sha256(root: Path, patterns: tuple[str, ...]) -> str:
    """Return a SHA-256 over the names and contents of source files, in hexadecimal.

    Args:
        root: The folder that names are relative to.
        patterns: Which files below it, as `Path.glob` takes them (`models/*.py`, `logs/**/*.py`).
    """
    digest = hashlib.sha256()
    for path in sorted({path for pattern in patterns for path in root.glob(pattern)}):
        data = path.read_bytes()
        digest.update(f"{path.relative_to(root).as_posix()} {len(data)}\n".encode() + data)
    return digest.hexdigest()


def _claim(file: FileIO) -> None:
    if fcntl is None:
        return
    try:
        fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise OSError(errno.EBUSY, "another program is writing it, name another file") from None
    except OSError:
        return  # a file system without locks


class OutputFile:
    """An unbuffered file whose errors are `OutputError`s; after the first it takes nothing more.

    Args:
        path: The file; an existing one is replaced. A pipe or a device will do.
        noun: What it is, for errors.

    Raises:
        OutputError: From every method; names the path.
    """

    def __init__(self, path: Path, noun: str = "file") -> None:
        self.path = path
        self.broken = False
        self._noun = noun
        self._position = 0
        try:
            self._raw = make_file(path)
        except OSError as error:
            raise OutputError(f"cannot make a {noun} here: {_reason(path, error)}: {path}") from error

    def write(self, data: bytes) -> int:
        """Write all of the data."""
        if self.broken:
            raise OutputError(f"this {self._noun} is broken: {self.path}")
        left = memoryview(data)
        try:
            while left:
                left = left[self._raw.write(left) or 0 :]
        except OSError as error:
            self.broken = True
            stopped = f"writing stopped after {self._position} bytes"
            raise OutputError(f"{stopped}: {_reason(self.path, error)}: {self.path}") from error
        self._position += len(data)
        return len(data)

    def tell(self) -> int:
        """Return the number of bytes written."""
        return self._position

    def flush(self) -> None:
        """Do nothing: the file has no buffer."""

    def close(self) -> None:
        """Close the file."""
        try:
            self._raw.close()
        except OSError as error:  # a network disk may report only now that it is full
            self.broken = True
            raise OutputError(f"closing failed: {_reason(self.path, error)}: {self.path}") from error


def _reason(path: Path, error: OSError) -> str:
    if isinstance(error, FileNotFoundError):
        return f"the folder {path.parent} does not exist, make it first"
    if isinstance(error, IsADirectoryError):
        return "it is a folder, name a file"
    if isinstance(error, PermissionError):
        return "no permission to write, choose another place"
    if isinstance(error, NotADirectoryError):
        return f"{path.parent} is a file, not a folder"
    return (error.strerror or str(error)).lower()
