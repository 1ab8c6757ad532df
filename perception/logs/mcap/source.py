"""The bytes of one file, read at offsets."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import BinaryIO

from perception.errors import LogError
from perception.logs.mcap.records import Malformed

_WINDOW = 1 << 14  # small reads are served from one window of this many bytes


class Source:
    """A file of fixed size, read at offsets by any number of threads."""

    is_remote = False
    bytes_read = 0
    """Bytes of a remote file that were fetched so far."""

    def __init__(self, path: Path, file: BinaryIO | None, size: int) -> None:
        self.path = path
        self.size = size
        self._file = file
        self._lock = threading.Lock()
        self._window = b""
        self._window_at = 0

    def read(self, offset: int, length: int) -> bytes:
        """Return the bytes from `offset`; fewer where the file ends.

        Raises:
            LogError: the log has been closed.
            Malformed: the disk cannot be read there.
        """
        if length <= 0 or offset >= self.size:
            return b""
        with self._lock:
            if self._file is None or self._file.closed:
                raise LogError(f"the log is closed; read it inside `with open_log(...)`: {self.path}")
            try:
                self._file.seek(offset)
                return self._file.read(min(length, self.size - offset))
            except OSError as error:
                raise Malformed(f"cannot be read from the disk ({error.strerror or error})") from error

    def peek(self, offset: int, length: int) -> bytes:
        """Return the same as `read`, through a window: for many small reads going forward, in one thread."""
        start = offset - self._window_at
        if start < 0 or start + length > len(self._window):
            self._window, self._window_at, start = self.read(offset, max(length, _WINDOW)), offset, 0
        return self._window[start : start + length]

    def fetched_after(self, offset: int, length: int) -> int:
        """Return what will have been fetched of a remote file after a range is read."""
        return 0

    def ahead(self, spans: Sequence[tuple[int, int]]) -> Source:
        """Return the source for one reading of these ranges (offset, length) in this order."""
        return self

    def fetch_all(self, spans: Iterable[tuple[int, int]]) -> None:
        """Prepare reads of several ranges: a remote file fetches them at once."""

    def close(self) -> None:
        with self._lock:
            if self._file is not None:
                self._file.close()
