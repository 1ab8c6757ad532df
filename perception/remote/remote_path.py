"""A URL where a path is expected: it prints as the user spelled it, and asks the server, not the disk."""

from __future__ import annotations

import io
import os
import re
import stat
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any

from perception.remote.remote_file import SMALLEST, RemoteFile
from perception.remote.url_secrets import without_secrets

if TYPE_CHECKING:
    _Base = Path
else:
    _Base = type(Path())

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/+[^/].*", re.DOTALL)

_begun: dict[str, Future[RemoteFile]] = {}


def begin_to_open(text: str | os.PathLike[str]) -> None:
    """Open a remote file beside other work, for the next `RemotePath.fresh` of its URL.

    The packages of its protocol are imported, its end and its start are read. What fails is raised where the
    file is used.
    """
    path = log_path(text)
    if isinstance(path, RemotePath):
        future = _begun[path.url] = Future()
        Thread(target=_open_into, args=(path.url, future), name="remote-open", daemon=True).start()


def _open_into(url: str, future: Future[RemoteFile]) -> None:
    try:
        file = RemoteFile(url)
        file.probe()
    except BaseException as error:
        future.set_exception(error)
        return
    if file.ranged:
        with suppress(OSError):
            file.read(0, SMALLEST)
    future.set_result(file)


def log_path(text: str | os.PathLike[str]) -> Path:
    """Return the path of a log: a `RemotePath` for a URL, the local path for `file://`."""
    if isinstance(text, RemotePath) or (isinstance(text, Path) and type(text) is not _Base):
        return text
    place = os.fspath(text)
    if not _URL.fullmatch(place):
        return Path(place)
    protocol, _, rest = place.partition(":")
    if protocol.lower() == "file":
        return Path("/" + rest.lstrip("/"))
    url = place if rest.startswith("//") else f"{protocol}://{rest.lstrip('/')}"  # `Path` drops a slash
    return RemotePath(url)


def is_remote(path: object) -> bool:
    """Return whether a path is a URL, also one that was made a plain `Path`."""
    return isinstance(path, RemotePath) or (isinstance(path, Path) and bool(_URL.fullmatch(str(path))))


def shown_place(path: Path) -> str:
    """Return where a file lies, for a record: the absolute path, or the URL without its secrets."""
    return without_secrets(path.url) if isinstance(path, RemotePath) else os.path.abspath(path)


class RemotePath(_Base):
    """The path of a file behind a URL, for reading. Raises OSError as `RemoteFile` does."""

    def __new__(cls, url: str) -> RemotePath:
        return super().__new__(cls, url)

    def __init__(self, url: str) -> None:
        if _Base.__init__ is not object.__init__:  # from Python 3.12 on
            super().__init__(url)  # type: ignore[call-arg]
        self.url = url
        self._file: RemoteFile | None = None
        self._begun: Future[RemoteFile] | None = None

    @property
    def file(self) -> RemoteFile:
        """The file, opened on first use."""
        if self._file is None:
            self._file = RemoteFile(self.url) if self._begun is None else self._begun.result()
        return self._file

    def fresh(self) -> RemotePath:
        """Return the same path without what is known of the file, which may have changed: with what was begun
        since (`begin_to_open`)."""
        path = RemotePath(self.url)
        path._begun = _begun.pop(self.url, None)
        return path

    def __str__(self) -> str:
        return self.url

    def __repr__(self) -> str:
        return f"RemotePath({without_secrets(self.url)!r})"

    def __fspath__(self) -> str:
        return self.url

    def __reduce__(self) -> tuple[Any, ...]:
        return RemotePath, (self.url,)

    def __hash__(self) -> int:
        return hash(self.url)

    def __eq__(self, other: object) -> bool:
        return self.url == other.url if isinstance(other, RemotePath) else NotImplemented

    @property
    def name(self) -> str:
        """The last part of the path in the URL, without its query."""
        ends = "?#" if self.url.lower().startswith("http") else "?"  # a key of an object store may have a #
        return re.split(f"[{ends}]", self.url, maxsplit=1)[0].rstrip("/").rpartition("/")[2]

    @property
    def stem(self) -> str:
        return Path(self.name).stem

    @property
    def suffix(self) -> str:
        return Path(self.name).suffix

    @property
    def parent(self) -> Path:  # type: ignore[override]
        """A path that does not exist: nothing lies beside a URL."""
        return Path(self.url.rpartition("/")[0])

    def with_name(self, name: str) -> Path:  # type: ignore[override]
        return self.parent / name

    def resolve(self, strict: bool = False) -> RemotePath:
        return self

    def absolute(self) -> RemotePath:
        return self

    def stat(self, *, follow_symlinks: bool = True) -> os.stat_result:
        file = self.file
        kind = stat.S_IFDIR if file.is_folder else stat.S_IFREG
        return os.stat_result((kind | 0o444, 0, 0, 1, 0, 0, file.size or 0, 0, 0, 0))

    def exists(self, *, follow_symlinks: bool = True) -> bool:
        try:
            return self.file is not None
        except OSError:
            return False

    def is_file(self, *, follow_symlinks: bool = True) -> bool:
        return self.exists() and not self.file.is_folder

    def is_dir(self, *, follow_symlinks: bool = True) -> bool:
        return self.exists() and self.file.is_folder

    def glob(self, *args: Any, **how: Any) -> Iterator[Path]:  # type: ignore[override]
        return iter(())

    def iterdir(self) -> Iterator[Path]:  # type: ignore[override]
        return iter(())

    def open(self, mode: str = "r", *args: Any, **how: Any) -> Any:
        if mode != "rb":
            raise OSError(f"a file behind a URL is read only, as bytes: {self.url}")
        return RemoteStream(self.file)


class RemoteStream(io.RawIOBase):
    """The bytes of a remote file as a file, read in ranges."""

    def __init__(self, file: RemoteFile) -> None:
        super().__init__()
        self._file, self._at = file, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._file.size or 0}[whence]
        self._at = max(0, base + offset)
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: Any) -> int:
        data = self._file.read(self._at, len(buffer))
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)
