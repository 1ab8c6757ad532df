"""The ledger as a CSV file: a line for each message."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import TextIO

from perception.errors import OutputError
from perception.path_guard import marked
from perception.text import csv_cell

COLUMNS = ("topic", "log_time_ns", "stamp_ns", "row", "count", "note")


class LedgerFile:
    """A listener of the ledger that writes a line for each message with its row.

    Messages that could not be read have no times: one line holds their count for each topic and row.

    Raises:
        OutputError: The file cannot be written.
    """

    is_ours = staticmethod(marked(",".join(COLUMNS).encode()))

    def __init__(self, path: Path) -> None:
        self._path = path
        self._written: Counter[tuple[str, str]] = Counter()
        self._file: TextIO | None = None

    def __enter__(self) -> LedgerFile:
        try:
            self._file = self._path.open("w", newline="", encoding="utf-8")
        except OSError as error:
            raise OutputError(f"the ledger cannot be written: {error.strerror}: {self._path}") from None
        self._writer = csv.writer(self._file)
        self._line(COLUMNS)
        return self

    def __call__(self, topic: str, log_time_ns: int, stamp_ns: int, row: str, note: str) -> None:
        """Write the line of a message."""
        self._written[topic, row] += 1
        self._line((topic, log_time_ns, stamp_ns, row, 1, note))

    def add_unread(self, ledger: Mapping[str, Mapping[str, int]]) -> None:
        """Write the counts of messages that were not read, after the run."""
        for topic, rows in ledger.items():
            for row, number in rows.items():
                unseen = number - self._written[topic, row]
                if unseen:
                    self._line((topic, "", "", row, unseen, "could not be read"))

    def _line(self, values: tuple[object, ...]) -> None:
        try:
            self._writer.writerow([csv_cell(value) for value in values])
        except OSError as error:
            raise OutputError(f"the ledger cannot be written: {error.strerror}: {self._path}") from None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            try:
                self._file.close()
            except OSError as close_error:
                if error is None:
                    raise OutputError(
                        f"the ledger cannot be written: {close_error.strerror}: {self._path}"
                    ) from None
