"""Opening a log: `open_log`, and the `Log` it gives."""

from __future__ import annotations

import threading
import zlib
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from types import TracebackType

from perception.errors import LogError
from perception.logs.mcap.contents import Contents
from perception.logs.mcap.index import read_contents
from perception.logs.mcap.records import Malformed
from perception.logs.mcap.source import Source, open_source
from perception.logs.mcap.stream import MessageStream
from perception.logs.query import Query
from perception.logs.survey import Survey, survey_log
from perception.types import Channel

_ALL = Query()


def open_log(path: str | Path) -> Log:
    """Open an MCAP file for reading.

    A damaged file opens: what cannot be read is named by `MessageStream.damage`.

    Raises:
        LogError: the file does not exist, cannot be opened, or is not an MCAP log; one line that says
            what was expected, what was found and what to do.
    """
    source, (profile, library), first = open_source(Path(path))
    try:
        contents = read_contents(source, first)
    except Malformed as error:
        source.close()
        raise LogError(f"{error}: {path}") from None
    except BaseException:
        source.close()
        raise
    return Log(source, contents, profile, library)


class Log:
    """An open log. A context manager; made by `open_log`."""

    def __init__(self, source: Source, contents: Contents, profile: str, library: str) -> None:
        self.path = source.path
        self.profile = profile
        self.library = library
        self._source = source
        self._contents = contents
        self._lock = threading.RLock()
        self._data_crc_held: bool | None = None

    @cached_property
    def survey(self) -> Survey:
        """What the log holds: channels, counts, times, metadata."""
        with self._lock:
            return survey_log(self._source, self._contents, self.profile, self.library)

    @property
    def channels(self) -> Mapping[str, Channel]:
        """The channels by topic. Where a topic has several, messages carry their own."""
        return self.survey.channels

    def messages(self, query: Query = _ALL) -> MessageStream:
        """The messages of a query, in arrival order."""
        return MessageStream(self._source, self._contents, query, self._data_crc_holds)

    def _data_crc_holds(self) -> bool:
        """Whether the CRC of the whole data section holds; true where there is none. Read once."""
        with self._lock:
            if self._data_crc_held is None:
                self._data_crc_held = _check_data(self._source, self._contents.data_end)
            return self._data_crc_held

    def close(self) -> None:
        self._source.close()

    def __enter__(self) -> Log:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _check_data(source: Source, data_end: tuple[int, int] | None) -> bool:
    if data_end is None or not data_end[1]:
        return True
    end, expected = data_end
    crc = at = 0
    try:
        while at < end:
            piece = source.read(at, min(1 << 20, end - at))
            if not piece:
                return False
            crc = zlib.crc32(piece, crc)
            at += len(piece)
    except Malformed:
        return False
    return crc == expected
