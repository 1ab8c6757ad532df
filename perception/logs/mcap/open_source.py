"""Opening of an MCAP file, local or remote, and the check of its first bytes."""

from __future__ import annotations

from pathlib import Path

from perception.errors import LogError
from perception.logs.mcap.records import HEAD, MAGIC, Malformed, Op, parse_header
from perception.logs.mcap.remote_source import RemoteSource
from perception.logs.mcap.source import Source
from perception.remote import RemotePath

_HEADER_WINDOW = 1 << 16


def open_source(path: Path) -> tuple[Source, tuple[str, str], int]:
    """Open a file and check that it starts as an MCAP log does.

    Returns the source, (profile, library) of its header, and where the first record after it starts.

    Raises:
        LogError: one line: what was expected, what was found, what to do.
    """
    try:
        source = _source(path)
    except (OSError, ValueError) as error:
        raise LogError(f"cannot be opened ({getattr(error, 'strerror', None) or error}): {path}") from None
    try:
        return source, *_read_header(source)
    except (LogError, Malformed) as error:
        source.close()
        raise error if isinstance(error, LogError) else LogError(f"{error}: {path}") from None


def _source(path: Path) -> Source:
    if isinstance(path, RemotePath):
        return RemoteSource(path, path.file)
    return Source(path, path.open("rb", buffering=0), path.stat().st_size)


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
