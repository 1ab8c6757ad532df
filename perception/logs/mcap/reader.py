"""The MCAP format: the reader that `perception.logs.open_log` finds, and the open log."""

from __future__ import annotations

import threading
import zlib
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path

from perception.errors import LogError
from perception.logs.mcap.contents import Contents
from perception.logs.mcap.examine import settle
from perception.logs.mcap.open_source import cut_in_header, open_source
from perception.logs.mcap.read_contents import read_contents
from perception.logs.mcap.records import MAGIC, Malformed
from perception.logs.mcap.remote_source import RemoteSource
from perception.logs.mcap.source import Source
from perception.logs.mcap.stream import McapStream
from perception.logs.mcap.summary_tally import arrival_times, tally_by_summary
from perception.logs.mcap.survey import survey_log
from perception.logs.mcap.walk import Walk
from perception.logs.query import ALL, Query
from perception.logs.readers import Accounting
from perception.logs.survey import Survey
from perception.remote.fetched import NotInRangesError
from perception.types import Channel

FORMAT = "MCAP"
READS_RANGES = True
"""`open` takes a remote file, and raises `NotInRangesError` for one that must be fetched whole."""


def reads(path: Path) -> bool:
    """Return whether a file starts as an MCAP log does; one that is cut off inside its first bytes counts."""
    try:
        if not path.is_file():
            return False
        with path.open("rb", buffering=0) as file:
            start = file.read(len(MAGIC))
    except (OSError, ValueError):
        return False
    return bool(start) and MAGIC.startswith(start)


def open(path: Path) -> McapLog:
    """Open an MCAP file for reading; a damaged one too.

    Raises:
        LogError: The file cannot be opened, or is cut off inside its header.
    """
    source, (profile, library), first = open_source(path)
    try:
        contents, walk = read_contents(source, first)
        if source.is_remote:
            contents.tally = tally_by_summary(source, contents)
            if contents.tally is None:
                raise NotInRangesError("its index does not agree with its statistics")
        if first == len(MAGIC) and not contents.blocks and not contents.registry.channels:
            raise cut_in_header(source)
    except Malformed as error:
        source.close()
        raise LogError(f"{error}: {path}") from None
    except BaseException:
        source.close()
        raise
    return McapLog(source, contents, walk, profile, library)


class McapLog:
    """An open MCAP file. A context manager; see `perception.logs.Log`."""

    def __init__(self, source: Source, contents: Contents, walk: Walk, profile: str, library: str) -> None:
        self.path = source.path
        self.profile = profile
        self.library = library
        self._source = source
        self._contents = contents
        self._walk = walk
        self._lock = threading.RLock()
        self._data_crc_held: bool | None = None

    @cached_property
    def survey(self) -> Survey:
        """Channels, counts, times, metadata."""
        with self._lock:
            settle(self._source, self._contents, self._walk)
            return survey_log(self._source, self._contents, self.profile, self.library)

    @property
    def channels(self) -> Mapping[str, Channel]:
        """The channels by topic. Where a topic has several, messages carry their own."""
        return self.survey.channels

    @property
    def accounting(self) -> Accounting:
        """Return what proves the counts (a sound summary, the message indexes) and the content (CRCs)."""
        summary = self._contents.summary
        counts = "statistics and message indexes" if summary.sound and summary.statistics else ""
        if counts and self._source.is_remote:
            counts = "statistics and the chunk index, whose CRC holds"
        if any(block.kind == "chunk" for block in self._contents.blocks):
            return Accounting(counts, "the CRC of each chunk that has one")
        whole = (
            self._contents.data_end is not None and self._contents.data_end[1] and not self._source.is_remote
        )
        return Accounting(counts, "the CRC of the whole" if whole else "")

    @property
    def bytes_fetched(self) -> int | None:
        """The bytes that were fetched of a remote file so far; None: it is local."""
        return self._source.bytes_read if isinstance(self._source, RemoteSource) else None

    def arrival_times(self, topics: frozenset[str], count: int) -> list[int] | None:
        """Return the first `count` log times of topics by the message indexes of a remote file; None of a
        local one."""
        if not self._source.is_remote:
            return None
        channels = self._contents.registry.channels.items()
        keys = frozenset(key for key, channel in channels if channel.topic in topics)
        return arrival_times(self._source, self._contents, keys, count)

    def messages(self, query: Query = ALL) -> McapStream:
        """Return the messages of a query, in arrival order."""
        return McapStream(self._source, self._contents, self._walk, query, self._data_crc_holds)

    def look(self, query: Query, most_bytes: int) -> McapStream:
        """Return the first messages of a query: of a remote file those for which at most `most_bytes` need to
        have been fetched, and the first chunk in any case. The account of the stream means nothing."""
        most = most_bytes if self._source.is_remote else None
        return McapStream(self._source, self._contents, self._walk, query, self._data_crc_holds, most)

    def _data_crc_holds(self) -> bool:
        """Return whether the CRC of the data section holds; true where there is none. Computed once."""
        with self._lock:
            if self._data_crc_held is None:
                self._data_crc_held = _check_data(self._source, self._contents.data_end)
            return self._data_crc_held

    def close(self) -> None:
        self._source.close()

    def __enter__(self) -> McapLog:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _check_data(source: Source, data_end: tuple[int, int] | None) -> bool:
    if data_end is None or not data_end[1] or source.is_remote:
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
