"""A log that is read through another one: the base of logs that were fetched or decompressed first."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Self

from perception.logs.query import ALL, Query
from perception.logs.readers import Accounting, Log, MessageStream
from perception.logs.survey import Survey
from perception.types import Channel


class WrappedLog:
    """An open log that answers as the log in it does, under a path of its own; see `perception.logs.Log`."""

    def __init__(self, path: Path, log: Log) -> None:
        self.path = path
        self._log = log

    @property
    def survey(self) -> Survey:
        return self._log.survey

    @property
    def channels(self) -> Mapping[str, Channel]:
        return self._log.channels

    @property
    def accounting(self) -> Accounting:
        return self._log.accounting

    def messages(self, query: Query = ALL) -> MessageStream:
        return self._log.messages(query)

    def close(self) -> None:
        self._log.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
