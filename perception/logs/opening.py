"""Opening of logs: of a file or a folder, of a URL, of several files as one drive."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from perception.errors import LogError
from perception.logs.compressed_log import FORMAT as COMPRESSED
from perception.logs.drive import open_drive
from perception.logs.joined_path import JoinedPath, as_one
from perception.logs.readers import Log, log_readers, reader_of
from perception.logs.refusal import refusal
from perception.logs.wrapped_log import WrappedLog
from perception.remote import RemotePath, log_path
from perception.remote.fetched import NotInRangesError, copies


def open_log(path: str | Path | Sequence[str | Path]) -> Log:
    """Open a log for reading, in any format that is installed; also one behind a URL of `fsspec`.

    Several files, or a pattern in a list, are one drive: their messages come in the order of time.
    A damaged file opens: the parts that cannot be read are named by `MessageStream.damage`.

    Raises:
        LogError: The file does not exist, cannot be opened, or is not a log; one line that says what was
            expected, what was found and what to do.
        TypeError: That is no path.
    """
    if not isinstance(path, str | Path):
        if not isinstance(path, Iterable):
            found = type(path).__name__
            raise TypeError(f"expected the path of a log, found {found}; of an open log: log.path")
        path = as_one(path)
    path = log_path(path)
    if isinstance(path, JoinedPath):
        return open_drive(path, open_log)
    return _open_remote(path.fresh()) if isinstance(path, RemotePath) else _open_local(path)


def _open_local(path: Path) -> Log:
    reader = reader_of(path)
    if reader is None:
        raise refusal(path, _formats(), is_log)
    return reader.open(path)


def _open_remote(path: RemotePath) -> Log:
    """Open a log behind a URL: in ranges where its format and the server allow it, else as a local copy."""
    try:
        path.file.probe()
        if path.file.is_folder or not path.file.ranged:
            why = "it is a folder" if path.file.is_folder else "the server does not give parts of a file"
            return _open_copy(path, why)
        reader = reader_of(path)
        if reader is None:
            raise refusal(path, _formats(), is_log)
        if not getattr(reader, "READS_RANGES", False):
            return _open_copy(path, f"a {reader.FORMAT} is not read in ranges")
        try:
            return reader.open(path)
        except NotInRangesError as error:
            return _open_copy(path, str(error))
    except OSError as error:
        raise LogError(f"{error.strerror or error}: {path}") from None


def _formats() -> list[str]:
    return [reader.FORMAT for reader in log_readers().values() if reader.FORMAT != COMPRESSED]


def _open_copy(path: RemotePath, why: str) -> Log:
    """Open a remote log as a local copy. Raises OSError where it cannot be fetched, LogError."""
    copy, _ = copies.take(path.file)
    path.file.fetched_because = why
    try:
        return FetchedLog(path, _open_local(copy), lambda: copies.give_back(copy))
    except BaseException as error:
        copies.give_back(copy)
        if isinstance(error, LogError):
            raise LogError(str(error).replace(str(copy), str(path))) from None
        raise


class FetchedLog(WrappedLog):
    """A remote log that is read from a local copy."""

    def __init__(self, path: RemotePath, log: Log, give_back: Callable[[], None]) -> None:
        super().__init__(path, log)
        self._give_back = give_back
        self._is_closed = False

    def close(self) -> None:
        super().close()
        if not self._is_closed:
            self._is_closed = True
            self._give_back()


def is_log(path: Path) -> bool:
    """Return whether a reader takes the path, by a look at its first bytes or, of a folder, at its files."""
    return reader_of(path) is not None
