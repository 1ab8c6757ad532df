"""A file that is written piece by piece, as logs and tables of rows are."""

from __future__ import annotations

from pathlib import Path

from perception.errors import OutputError
from perception.files import make_file, write_problem


class OutputFile:
    """An unbuffered file whose errors are `OutputError`s; after the first it takes nothing more, and raises
    the same error again.

    Args:
        path: The file; an existing one is replaced. A pipe or a device will do.
        noun: What it is, for errors.
        drop_unread: Drop what goes into a pipe that nobody reads any more (`| head`), for there are other
            outputs; else that is an error like any other, whose cause is a BrokenPipeError.

    Raises:
        OutputError: From every method; names the path.
    """

    def __init__(self, path: Path, noun: str = "file", *, drop_unread: bool = False) -> None:
        self.path, self._drop_unread = path, drop_unread
        self.failure = ""
        """The error that ended the writing; empty: there was none."""
        self._position = 0
        try:
            self._raw = make_file(path)
        except OSError as error:
            raise OutputError(f"cannot make a {noun} here: {write_problem(path, error)}: {path}") from error

    def write(self, data: bytes) -> int:
        """Write all of the data."""
        if self.broken:
            raise OutputError(self.failure)
        left = memoryview(data)
        try:
            while left:
                left = left[self._raw.write(left) or 0 :]
        except OSError as error:
            if self._drop_unread and isinstance(error, BrokenPipeError):
                return len(data)
            stopped = f"writing stopped after {self._position} bytes"
            self.failure = f"{stopped}: {write_problem(self.path, error)}: {self.path}"
            raise OutputError(self.failure) from error
        self._position += len(data)
        return len(data)

    @property
    def broken(self) -> bool:
        """Return whether an error has ended the writing."""
        return bool(self.failure)

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
            self.failure = f"closing failed: {write_problem(self.path, error)}: {self.path}"
            raise OutputError(self.failure) from error
