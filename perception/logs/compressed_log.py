"""Logs that are compressed as a whole (`.mcap.zst`, `.bag.gz`, `.db3.zstd`): the reader of `open_log`.

The file is decompressed into the temporary folder, and the log in it is read by the reader of its format.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory

from perception.errors import LogError
from perception.logs.damage import Damage
from perception.logs.mcap.limits import LONE_BYTES, LONE_RATIO
from perception.logs.query import ALL, Query
from perception.logs.readers import Log, LogReader, MessageStream, log_readers
from perception.logs.survey import Survey
from perception.logs.unpacked_file import UnpackedTooLarge, compression_of, plain_name, unpack_file
from perception.logs.wrapped_log import WrappedLog
from perception.types import Message

FORMAT = "compressed log"
_LOOK_BYTES = 1 << 16


def reads(path: Path) -> bool:
    """Return whether a file is compressed, and a log of another format is in it.

    Readers that unpack their own files (tables of text) are left to it: their limits are by the packed size.
    """
    try:
        kind = compression_of(path) if path.is_file() else ""
        if not kind or any(reader.reads(path) for reader in _others()):
            return False
        return _reader_of(path, kind) is not None
    except (OSError, ValueError):
        return False


def open(path: Path) -> UnpackedLog:
    """Open a compressed log. One that is cut off is read as far as it decompresses.

    Raises:
        LogError: It cannot be read, decompresses to more than the limit, or holds no log.
    """
    folder = TemporaryDirectory(prefix="perception-unpacked-")
    try:
        kind = compression_of(path)
        inner = Path(folder.name) / plain_name(path, kind)
        problem = unpack_file(path, inner, LONE_BYTES + LONE_RATIO * path.stat().st_size, kind)
        reader = next((reader for reader in _others() if reader.reads(inner)), None)
        if reader is None:
            raise LogError(
                f"expected a compressed log, found none in it ({problem or 'another file'}): {path}"
            )
        return UnpackedLog(path, kind, problem, reader.open(inner), folder)
    except UnpackedTooLarge:
        folder.cleanup()
        most = (LONE_BYTES + LONE_RATIO * path.stat().st_size) >> 20
        raise LogError(
            f"the {kind} file decompresses to more than {most} MiB, the limit for its size (docs/limits.md); "
            f"decompress it yourself if it is sound: {path}"
        ) from None
    except OSError as error:
        folder.cleanup()
        raise LogError(f"cannot be decompressed ({error.strerror or error}): {path}") from None
    except LogError as error:
        folder.cleanup()
        raise LogError(str(error).replace(folder.name + "/", "")) from None
    except BaseException:
        folder.cleanup()
        raise


def _others() -> Iterator[LogReader]:
    return (reader for reader in log_readers().values() if reader.FORMAT != FORMAT)


def _reader_of(path: Path, kind: str) -> LogReader | None:
    """Return the reader of what a compressed file begins with."""
    with TemporaryDirectory(prefix="perception-unpacked-") as folder:
        beginning = Path(folder) / plain_name(path, kind)
        with suppress(UnpackedTooLarge):
            unpack_file(path, beginning, _LOOK_BYTES, kind)
        return next((reader for reader in _others() if reader.reads(beginning)), None)


class UnpackedLog(WrappedLog):
    """A log that was decompressed into a temporary folder."""

    def __init__(
        self, path: Path, kind: str, problem: str, log: Log, folder: TemporaryDirectory[str]
    ) -> None:
        super().__init__(path, log)
        self._kind, self._folder = kind, folder
        self._damage = [Damage(None, None, 0, None, problem)] if problem else []

    @cached_property
    def survey(self) -> Survey:
        survey = self._log.survey
        packed = tuple(sorted({*survey.compression, self._kind} - {"none"}))
        size = self.path.stat().st_size
        damage = (*self._damage, *survey.damage)
        return replace(survey, compression=packed, size_bytes=size, damage=damage)

    def messages(self, query: Query = ALL) -> MessageStream:
        stream = super().messages(query)
        return UnpackedStream(stream, self._damage) if self._damage else stream

    def close(self) -> None:
        super().close()
        with suppress(OSError):
            self._folder.cleanup()


class UnpackedStream(Iterator[Message]):
    """The messages of a log, with damage that concerns the file around it."""

    def __init__(self, stream: MessageStream, damage: list[Damage]) -> None:
        self.account = stream.account
        self.damage = [*damage, *stream.damage]
        self._messages = self._run(stream, damage)

    def __iter__(self) -> Iterator[Message]:
        return self._messages

    def __next__(self) -> Message:
        return next(self._messages)

    def _run(self, stream: MessageStream, damage: list[Damage]) -> Iterator[Message]:
        yield from stream
        self.damage[:] = [*damage, *stream.damage]
