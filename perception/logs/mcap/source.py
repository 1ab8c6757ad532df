"""The bytes of one file, read at offsets."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import BinaryIO

from perception.errors import LogError
from perception.logs.mcap.records import HEAD, MAGIC, Malformed, Op, parse_header

_HEADER_WINDOW = 1 << 16
_WINDOW = 1 << 14  # small reads are served from one window of this many bytes


class Source:
    """A file of fixed size, read at offsets by any number of threads."""

    def __init__(self, path: Path, file: BinaryIO, size: int) -> None:
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
            if self._file.closed:
                raise LogError(f"the log is closed; read it inside `with open_log(...)`: {self.path}")
            try:
                self._file.seek(offset)
                return self._file.read(min(length, self.size - offset))
            except OSError as error:
                raise Malformed(f"cannot be read from the disk ({error.strerror or error})") from error

    def peek(self, offset: int, length: int) -> bytes:
        """Like `read`, for many small reads going forward; not for two threads at once."""
        start = offset - self._window_at
        if start < 0 or start + length > len(self._window):
            self._window, self._window_at, start = self.read(offset, max(length, _WINDOW)), offset, 0
        return self._window[start : start + length]

    def close(self) -> None:
        with self._lock:
            self._file.close()


def open_source(path: Path) -> tuple[Source, tuple[str, str], int]:
    """Open a file and check that it starts as an MCAP log does.

    Returns the source, (profile, library) of its header, and where the first record after it starts.

    Raises:
        LogError: one line: what was expected, what was found, what to do.
    """
    try:
        file, size = path.open("rb", buffering=0), path.stat().st_size
    except (OSError, ValueError) as error:
        raise LogError(f"cannot be opened ({getattr(error, 'strerror', None) or error}): {path}") from None
    source = Source(path, file, size)
    try:
        return source, *_read_header(source)
    except (LogError, Malformed) as error:
        source.close()
        raise error if isinstance(error, LogError) else LogError(f"{error}: {path}") from None


def _read_header(source: Source) -> tuple[tuple[str, str], int]:
    start = source.read(0, _HEADER_WINDOW)
    if not start.startswith(MAGIC):
        actual = f"one cut off after {len(start)} bytes" if MAGIC.startswith(start) else "another file"
        raise LogError(f"expected an MCAP log, found {actual}; record or copy it again: {source.path}")
    body = len(MAGIC) + HEAD.size
    opcode, length = HEAD.unpack(start[len(MAGIC) : body].ljust(HEAD.size, b"\0"))
    try:
        profile, library, used = parse_header(start[body:])
    except Malformed:
        profile, library, used = "", "", 0
    if used and used == length:
        return (profile, library), body + used
    for after in (body + length, body + used):
        if opcode == Op.HEADER and (after == source.size or (used and _leads_on(source, after))):
            return (profile, library), after
    return ("", ""), len(MAGIC)  # the walk of the file reports the damage and goes on behind it


def _leads_on(source: Source, at: int) -> bool:
    """Return whether a record may begin here."""
    head = source.read(at, HEAD.size)
    if len(head) < HEAD.size:
        return 0 < len(head) < HEAD.size
    opcode, length = HEAD.unpack(head)
    return bool(0 < opcode < 16 and at + length <= source.size)


def cut_in_header(source: Source) -> LogError:
    """Return the error for a short file without a header and without anything else."""
    return LogError(
        f"expected an MCAP log, found one cut off inside its header ({source.size} bytes), without any "
        f"message; record or copy it again: {source.path}"
    )
