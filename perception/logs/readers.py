"""Log formats: the protocol of an open log and of a reader, and the installed readers.

A reader is found by the entry-point group `perception.log_readers`; the entry point names an object with the
methods of `LogReader`. Readers are asked in the order of their names.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Protocol

from perception.errors import LogError
from perception.extensions import extension_points, missing_methods
from perception.logs.damage import Damage, ReadAccount
from perception.logs.query import ALL, Query
from perception.logs.survey import Survey
from perception.types import Channel, Message

GROUP = "perception.log_readers"
_BUILT_IN = {  # other packages add theirs by entry point
    "carmen": "perception.logs.formats.carmen",
    "comma2k19": "perception.logs.formats.comma2k19",
    "csv": "perception.logs.formats.csv_log",
    "donkey_tub": "perception.logs.formats.donkey_tub",
    "kitti_object": "perception.logs.formats.kitti_object",
    "kitti_odometry": "perception.logs.formats.kitti_odometry",
    "kitti_raw": "perception.logs.formats.kitti_raw",
    "lerobot": "perception.logs.lerobot",
    "compressed": "perception.logs.compressed_log",
    "mcap": "perception.logs.mcap.reader",
    "ros1": "perception.logs.ros1_bag",
    "ros2": "perception.logs.ros2_bag",
    "ros2_sqlite": "perception.logs.sqlite_bag",
    "still_pictures": "perception.logs.formats.picture_folder",  # late: other formats hold pictures
    "video": "perception.logs.video_log",
}
_ASKED_FIRST = ("mcap", "ros1", "ros2_sqlite", "ros2")
"""Readers whose files begin so that no other one takes them."""


class Accounting(NamedTuple):
    """The proofs that a log holds of its own content; an empty text where it has none."""

    counts: str  # what proves the number of messages
    content: str  # what proves the bytes of a message


class MessageStream(Protocol):
    """The messages of one query in arrival order: by log time, equal times in file order.

    It may be iterated in another thread than the one that made it, and it may be abandoned: the account then
    covers the part that was read.

    Attributes:
        account: The outcome of every message record; complete when the stream is exhausted.
        damage: The parts of the log that could not be read, as far as they are known.
    """

    account: ReadAccount
    damage: list[Damage]

    def __iter__(self) -> Iterator[Message]: ...
    def __next__(self) -> Message: ...


class Log(Protocol):
    """An open log. A context manager; made by `open_log`."""

    path: Path

    @property
    def survey(self) -> Survey:
        """Channels, counts, times, metadata."""

    @property
    def channels(self) -> Mapping[str, Channel]:
        """The channels by topic. Where a topic has several, messages carry their own."""

    @property
    def accounting(self) -> Accounting:
        """What proves that nothing is missing."""

    def messages(self, query: Query = ALL) -> MessageStream:
        """Return the messages of a query, in arrival order."""

    def close(self) -> None:
        """Close the file."""

    def __enter__(self) -> Log: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class LogReader(Protocol):
    """A log format. A module will do."""

    FORMAT: str
    """Its name in errors: `MCAP`."""

    def reads(self, path: Path) -> bool:
        """Return whether the path holds a log of this format, by a look at its first bytes. Never raises."""

    def open(self, path: Path) -> Log:
        """Open the log, a damaged one too. Raises LogError where nothing of it can be read."""


@lru_cache(maxsize=1)
def log_readers() -> Mapping[str, LogReader]:
    """Return the installed readers by name. Raises LogError where one does not load."""
    return {name: _load(name, value) for name, value in _reader_places().items()}


def reader_of(path: Path) -> LogReader | None:
    """Return the reader that takes a path, by a look at its first bytes or, of a folder, at its files.

    Without readers of other packages those of robots' recorders are asked first: then no other one is
    imported for their logs.

    Raises:
        LogError: A reader does not load.
        PluginError: Packages name different readers alike.
    """
    if _reader_places().items() == _BUILT_IN.items():
        for name in _ASKED_FIRST:
            if (reader := _load(name, _BUILT_IN[name])).reads(path):
                return reader
    return next((reader for reader in log_readers().values() if reader.reads(path)), None)


@lru_cache(maxsize=1)  # the metadata of all packages are read for it, and each file of a folder asks
def _reader_places() -> Mapping[str, str]:
    """Return the place of each installed reader by name."""
    points = extension_points(GROUP, _BUILT_IN)
    return {name: points[name].value for name in sorted(points)}


def _load(name: str, value: str) -> LogReader:
    module, _, attribute = value.partition(":")
    try:
        loaded = import_module(module)
        reader: LogReader = getattr(loaded, attribute) if attribute else loaded
    except Exception as error:
        raise LogError(f"the log reader '{name}' does not load: {value}: {error}; uninstall it") from error
    if missing := missing_methods(reader, ("reads", "open")):
        raise LogError(f"the log reader '{name}' ({value}) has no {missing}; uninstall it")
    return reader
