"""The bytes of one file, and the refusal of files that are not logs."""

from __future__ import annotations

import stat
import threading
from pathlib import Path
from typing import BinaryIO

from perception.errors import LogError
from perception.logs.mcap.records import HEAD, HEADER, MAGIC, Malformed, parse_header

_WINDOW = 1 << 14  # small reads are served from one window of this many bytes
_TEXT = bytes(range(0x20, 0x7F)) + b"\t\r\n"


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
        """The bytes from `offset`; fewer where the file ends.

        Raises:
            LogError: the log has been closed.
            Malformed: the disk does not give them.
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
        status = path.stat()
    except FileNotFoundError:
        raise LogError(f"no such file; give the path of an MCAP log: {path}") from None
    except (OSError, ValueError) as error:
        raise LogError(f"cannot be opened ({getattr(error, 'strerror', None) or error}): {path}") from None
    if stat.S_ISDIR(status.st_mode):
        raise LogError(_directory(path))
    if not stat.S_ISREG(status.st_mode):
        raise LogError(f"expected a file, found a device or a pipe; save the log to a file first: {path}")
    if status.st_size == 0:
        raise LogError(f"expected an MCAP log, found an empty file; record or copy it again: {path}")
    try:
        file = path.open("rb", buffering=0)
    except OSError as error:
        raise LogError(f"cannot be opened ({error.strerror or error}): {path}") from None
    source = Source(path, file, status.st_size)
    try:
        return source, *_read_header(source)
    except (LogError, Malformed) as error:
        source.close()
        raise error if isinstance(error, LogError) else LogError(f"{error}: {path}") from None


def _directory(path: Path) -> str:
    logs = sorted(item.name for item in path.glob("*.mcap"))
    inside = f"; give one file in it, for instance {logs[0]}" if logs else "; give the path of a file"
    return f"expected an MCAP log, found a directory{inside}: {path}"


def _read_header(source: Source) -> tuple[tuple[str, str], int]:
    start = source.read(0, 1 << 16)
    if not start.startswith(MAGIC):
        raise LogError(f"{_foreign(start)}: {source.path}")
    at = len(MAGIC)
    truncated = LogError(
        f"expected an MCAP log, found one cut off inside its header ({source.size} bytes), without any "
        f"message; record or copy it again: {source.path}"
    )
    if len(start) < at + HEAD.size:
        raise truncated
    opcode, length = HEAD.unpack_from(start, at)
    body = at + HEAD.size
    try:
        profile, library, used = parse_header(start[body:])
    except Malformed:
        if opcode == HEADER and body + length < source.size:
            return ("", ""), body + length
        if source.size <= len(start):
            raise truncated from None
        return ("", ""), at  # damaged: what walks the file says so, and looks for what follows
    if opcode != HEADER:
        return ("", ""), at
    after = start[body + used : body + used + HEAD.size]
    inner_leads_on = len(after) == HEAD.size and 0 < after[0] < 16 and HEAD.unpack(after)[1] <= source.size
    fits = used <= length and body + length <= source.size and (used == length or not inner_leads_on)
    return (profile, library), body + (length if fits else used)


def _foreign(start: bytes) -> str:
    """What a file without the magic of MCAP is, and what to do about it."""
    wanted = "expected an MCAP log, found "
    if MAGIC.startswith(start[: len(MAGIC)]):
        return f"{wanted}one cut off after {len(start)} bytes; record or copy it again"
    convert = "convert it first: rosbags-convert --src {} --dst log --dst-storage mcap"
    if start.startswith(b"#ROSBAG"):
        return f"{wanted}a ROS 1 bag; {convert.format('FILE.bag')}"
    if start.startswith(b"SQLite format 3\0"):
        return f"{wanted}a SQLite database, as ROS 2 bags are stored in; {convert.format('FOLDER')}"
    for magic, name, tool in ((b"\x28\xb5\x2f\xfd", "zstd", "zstd -d"), (b"\x1f\x8b", "gzip", "gunzip")):
        if start.startswith(magic):
            return f"{wanted}a {name}-compressed file; decompress it first: {tool} FILE"
    if not start[:1024].translate(None, _TEXT):
        return f"{wanted}a text file; give a file recorded as MCAP"
    return f"{wanted}a file that starts with {start[:8].hex(' ')}; give a file recorded as MCAP"
