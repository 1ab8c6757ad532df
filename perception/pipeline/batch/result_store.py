"""Where the results of a batch go: a folder of this machine, or one behind a URL. Files appear whole."""

from __future__ import annotations

import os
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Protocol

from perception.errors import OutputError
from perception.files import file_sha256, read_regular, write_whole
from perception.remote import RemotePath
from perception.remote.remote_folder import RemoteFolder

try:
    import fcntl
except ImportError:  # Windows: what a killed process has left behind stays
    fcntl = None  # type: ignore[assignment]

STAGING = ".partial"
"""The folder of a local store in which results are made, each in a folder of its own."""

_TRIES = 100

MAX_BYTES = 64 << 20
"""The largest receipt that is read."""


class ResultStore(Protocol):
    """The files of a batch by name; a name may have folders (`tables/control/part.parquet`).

    Raises:
        OSError: From every method but `staging`.
    """

    def path(self, name: str) -> Path:
        """Return the path of a result."""

    def make(self) -> None:
        """Make the folder."""

    def names(self) -> set[str]:
        """Return the names of all files."""

    def read_receipts(self, names: Iterable[str]) -> Mapping[str, bytes]:
        """Return the bytes of the files that are there."""

    def stamp(self, name: str) -> dict[str, Any]:
        """Return what changes when a file does, without reading it: its size, and its time or tag."""

    def unchanged(self, name: str, before: Mapping[str, Any]) -> bool:
        """Return whether a file is what its identity says."""

    def put(self, staged: Path, name: str) -> None:
        """Move a finished local file to its place, where it replaces another."""

    def write(self, data: bytes, name: str) -> None:
        """Write a small file whole."""

    def remove(self, name: str) -> None:
        """Remove a file."""

    def staging(self, recording: str) -> Any:
        """Return the context of a local folder in which the results of a recording are made.

        What an earlier attempt has left there is removed first, unless it is still running.

        Raises:
            OutputError: It cannot be made.
        """

    def clean(self, recordings: Iterable[str]) -> None:
        """Remove what killed attempts at recordings have left."""


def store_at(folder: Path) -> ResultStore:
    """Return the store of a folder.

    Raises:
        OSError: The protocol of a URL cannot be used here.
    """
    return RemoteStore(folder.url) if isinstance(folder, RemotePath) else LocalStore(folder)


class LocalStore:
    """A folder of this machine, or of a file system that several machines share."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def path(self, name: str) -> Path:
        return self._folder / name

    def make(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)

    def names(self) -> set[str]:
        files = (path for path in self._folder.rglob("*") if path.is_file())
        return {path.relative_to(self._folder).as_posix() for path in files}

    def read_receipts(self, names: Iterable[str]) -> Mapping[str, bytes]:
        found = {}
        for name in names:
            with suppress(OSError):
                found[name] = read_regular(self.path(name), MAX_BYTES)
        return found

    def stamp(self, name: str) -> dict[str, Any]:
        status = self.path(name).stat()
        return {"bytes": status.st_size, "mtime_ns": status.st_mtime_ns}

    def unchanged(self, name: str, before: Mapping[str, Any]) -> bool:
        return file_unchanged(self.path(name), before)

    def put(self, staged: Path, name: str) -> None:
        place = self.path(name)
        with open(staged, "rb") as file:
            os.fsync(file.fileno())

        def move() -> None:
            place.parent.mkdir(parents=True, exist_ok=True)
            os.replace(staged, place)

        _beside_others(move)

    def write(self, data: bytes, name: str) -> None:
        write_whole(self.path(name), data)

    def remove(self, name: str) -> None:
        place = self.path(name)
        place.unlink(missing_ok=True)
        for folder in place.parents:
            if folder == self._folder:
                return
            with suppress(OSError):  # other files are there
                folder.rmdir()

    @contextmanager
    def staging(self, recording: str) -> Iterator[Path]:
        self.clean([recording])
        folder = self._folder / STAGING / f"{recording}~{secrets.token_hex(8)}"
        try:
            _beside_others(lambda: folder.mkdir(parents=True))
            lock = _locked(folder)
        except OSError as error:
            reason = error.strerror or error
            raise OutputError(f"no folder for unfinished results: {reason}: {folder}") from None
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            if lock is not None:
                os.close(lock)
            with suppress(OSError):
                folder.parent.rmdir()

    def clean(self, recordings: Iterable[str]) -> None:
        wanted = set(recordings)
        with suppress(OSError):
            for folder in list((self._folder / STAGING).iterdir()):
                if folder.name.rpartition("~")[0] in wanted:
                    _remove_unlocked(folder)
            (self._folder / STAGING).rmdir()


class RemoteStore:
    """A folder behind a URL. Results are made in the temporary folder of this machine."""

    def __init__(self, url: str) -> None:
        self._folder = RemoteFolder(url)

    def path(self, name: str) -> Path:
        return self._folder.path(name)

    def make(self) -> None:
        self._folder.make()

    def names(self) -> set[str]:
        return self._folder.names()

    def read_receipts(self, names: Iterable[str]) -> Mapping[str, bytes]:
        return self._folder.read_all(list(names))

    def stamp(self, name: str) -> dict[str, Any]:
        return dict(self._folder.info(name))

    def unchanged(self, name: str, before: Mapping[str, Any]) -> bool:
        return self.stamp(name) == {key: before[key] for key in ("bytes", "tag")}

    def put(self, staged: Path, name: str) -> None:
        self._folder.put(staged, name)

    def write(self, data: bytes, name: str) -> None:
        self._folder.write(data, name)

    def remove(self, name: str) -> None:
        with suppress(FileNotFoundError):
            self._folder.remove(name)

    @contextmanager
    def staging(self, recording: str) -> Iterator[Path]:
        try:
            folder = tempfile.TemporaryDirectory(prefix="perception-partial-")
        except OSError as error:
            raise OutputError(f"no temporary folder for results: {error.strerror or error}") from None
        with folder as name:
            yield Path(name)

    def clean(self, recordings: Iterable[str]) -> None:
        pass


def file_identity(path: Path) -> dict[str, Any]:
    """Return what changes when a file does: size, time and hash; of a remote one what the server says."""
    if isinstance(path, RemotePath):
        return {"bytes": path.file.size, "tag": path.file.tag}
    stat = path.stat()
    return {"bytes": stat.st_size, "mtime_ns": stat.st_mtime_ns, "sha256": file_sha256(path)}


def file_unchanged(path: Path, before: Mapping[str, Any]) -> bool:
    """Return whether a file is what its identity says. A local one of another time is read and compared."""
    if isinstance(path, RemotePath):
        return bool(path.file.tag) and file_identity(path) == {key: before[key] for key in ("bytes", "tag")}
    stat = path.stat()
    if stat.st_size != before["bytes"]:
        return False
    if path.is_dir():  # whose time does not tell of its files
        return bool(before["sha256"] == file_sha256(path))
    return bool(stat.st_mtime_ns == before["mtime_ns"] or before["sha256"] == file_sha256(path))


def _beside_others(make: Callable[[], None]) -> None:
    """Make something in a folder that another process may remove meanwhile, because it is empty."""
    for _ in range(_TRIES):
        try:
            make()
        except FileNotFoundError:
            continue
        return
    make()


def _locked(folder: Path) -> int | None:
    """Return a descriptor that holds a lock on a folder as long as this process lives; None without locks."""
    if fcntl is None:
        return None
    descriptor = os.open(folder, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
    with suppress(OSError):  # a file system without locks
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return descriptor


def _remove_unlocked(folder: Path) -> None:
    """Remove the folder of an attempt that has ended."""
    if fcntl is None:
        return
    descriptor = os.open(folder, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(folder, ignore_errors=True)
    except OSError:
        return  # it is running, or nobody can tell
    finally:
        os.close(descriptor)
