"""Local copies of remote files, for formats that are not read in ranges: bounded, shared, and given up."""

from __future__ import annotations

import errno
import shutil
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from perception.remote.remote_file import RemoteFile
from perception.remote.remote_path import RemotePath

MOST_BYTES = 64 << 30
"""The largest file that is fetched whole; never more than the free space of the disk less `SPARED_BYTES`."""

SPARED_BYTES = 1 << 30
MOST_FILES = 10_000
"""The most files of a folder, those of the folders in it included."""

_COPIES_AT_ONCE = 8

KEPT_BYTES = 2 << 30
"""Copies that nobody reads are kept up to this size, for a log that is opened again."""


class NotInRangesError(Exception):
    """A remote file cannot be read in ranges; the text says why. It is fetched whole."""


class FetchedCopies:
    """The local copies of this process, each in a folder of its own, by URL, size and tag."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._copies: dict[object, _LocalCopy] = {}

    def take(self, file: RemoteFile) -> tuple[Path, int]:
        """Return the local copy of a file or a folder, and its size; fetch it where there is none.

        Raises:
            OSError: It cannot be fetched, or is larger than the limit.
        """
        key = (file.url, file.size, file.tag)
        with self._lock:
            copy = self._copies.get(key) if file.tag else None
            if copy is None:
                copy = _LocalCopy(file)
                copy.is_known = bool(file.tag) and not file.has_changed()
                self._copies[key if copy.is_known else copy] = copy
            copy.readers += 1
            return copy.path, copy.size

    def give_back(self, path: Path) -> None:
        """Note that a reader of a copy is done; copies beyond `KEPT_BYTES` are removed."""
        with self._lock:
            for copy in self._copies.values():
                if copy.path == path:
                    copy.readers -= 1
            idle = [(key, copy) for key, copy in self._copies.items() if copy.readers <= 0]
            held = sum(copy.size for _, copy in idle)
            for key, copy in idle:
                if held > KEPT_BYTES or not copy.is_known:
                    held -= copy.size
                    self._copies.pop(key).remove()


class _LocalCopy:
    """A copy in a folder of its own.

    Attributes:
        is_known: It is what the server's tag stands for; another is of one reader alone.
    """

    is_known = False

    def __init__(self, file: RemoteFile) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="perception-remote-")
        self.readers = 0
        name = RemotePath(file.url).name or "log"
        self.path = Path(self._folder.name) / name
        free = shutil.disk_usage(self._folder.name).free - SPARED_BYTES
        most = max(0, min(MOST_BYTES, free))
        try:
            self.size = (
                _copy_folder(file, self.path, most) if file.is_folder else _copy_file(file, self.path, most)
            )
        except BaseException:
            self.remove()
            raise

    def remove(self) -> None:
        with suppress(OSError):
            self._folder.cleanup()


def _copy_file(file: RemoteFile, target: Path, most: int) -> int:
    if file.size is not None and file.size > most:
        raise OSError(errno.EFBIG, _too_large(file.size, most), file.url)
    file.copy_to(target, most)
    return target.stat().st_size


def _copy_folder(file: RemoteFile, target: Path, most: int) -> int:
    """Copy the files of a folder and of the folders in it, several at a time."""
    items = file.listing(MOST_FILES)
    total = sum(size for _, size in items)
    if total > most or len(items) > MOST_FILES:
        why = _too_large(total, most) if total > most else f"it has more than {MOST_FILES} files"
        raise OSError(errno.EFBIG, why, file.url)
    target.mkdir()

    def copy(name: str) -> None:
        place = target / name
        place.parent.mkdir(parents=True, exist_ok=True)
        RemoteFile(f"{file.url.rstrip('/')}/{name}").copy_to(place, most)

    with ThreadPoolExecutor(_COPIES_AT_ONCE, "copy") as pool:
        list(pool.map(copy, (name for name, _ in items)))
    return total


def _too_large(size: int, most: int) -> str:
    return (
        f"it must be fetched whole ({size >> 20} MiB), and at most {most >> 20} MiB are fetched to the "
        "temporary folder; download it and give the local copy, or convert it to MCAP with an index"
    )


copies = FetchedCopies()
"""The copies of this process."""


def local_path(path: Path) -> Path:
    """Return a path, or the local copy of a remote file, which is kept until the program ends.

    Raises:
        OSError: It cannot be fetched.
    """
    return copies.take(path.file)[0] if isinstance(path, RemotePath) else path
