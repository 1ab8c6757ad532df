"""The ledger as a CSV file: a line for each message."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Callable, Mapping
from io import StringIO
from pathlib import Path
from time import monotonic
from types import TracebackType

from perception.errors import OutputError
from perception.output_file import OutputFile
from perception.path_guard import marked
from perception.text import csv_cell

FLUSH_BYTES = 1 << 16
FLUSH_S = 1.0
"""Lines reach the file when there are so many bytes of them, or after so long."""
COLUMNS = ("topic", "log_time_ns", "stamp_ns", "row", "count", "note")


class LedgerFile:
    """A listener of the ledger that writes a line for each message with its row.

    Messages that could not be read have no times: one line holds their count for each topic and row.

    Args:
        path: What to write.
        file_of: The name of the file that holds a message, by its topic and log time, where several files
            are one drive: a column `file` then; None: there is one file.
        drop_unread: As for `OutputFile`.

    Raises:
        OutputError: The file cannot be written.
    """

    is_ours = staticmethod(marked(",".join(COLUMNS).encode()))

    def __init__(
        self,
        path: Path,
        file_of: Callable[[str, int], str] | None = None,
        *,
        drop_unread: bool = False,
    ) -> None:
        self._path, self._drop_unread = path, drop_unread
        self._file_of = file_of
        self._written: Counter[tuple[str, str]] = Counter()
        self._file: OutputFile | None = None
        self._lines = StringIO(newline="")
        self._writer = csv.writer(self._lines)
        self._flushed_s = monotonic()

    def __enter__(self) -> LedgerFile:
        self._file = OutputFile(self._path, "ledger", drop_unread=self._drop_unread)
        self._line(COLUMNS if self._file_of is None else (*COLUMNS, "file"))
        return self

    def __call__(self, topic: str, log_time_ns: int, stamp_ns: int, row: str, note: str) -> None:
        """Write the line of a message."""
        self._written[topic, row] += 1
        file = () if self._file_of is None else (self._file_of(topic, log_time_ns),)
        self._line((topic, log_time_ns, stamp_ns, row, 1, note, *file))

    def add_unread(self, ledger: Mapping[str, Mapping[str, int]]) -> None:
        """Write the counts of messages that were not read, after the run."""
        for topic, rows in ledger.items():
            for row, number in rows.items():
                unseen = number - self._written[topic, row]
                if unseen:
                    file = () if self._file_of is None else ("",)
                    self._line((topic, "", "", row, unseen, "could not be read", *file))

    def _line(self, values: tuple[object, ...]) -> None:
        self._writer.writerow([csv_cell(value) for value in values])
        if self._lines.tell() > FLUSH_BYTES or monotonic() - self._flushed_s > FLUSH_S:
            self._flush()

    def _flush(self) -> None:
        data = self._lines.getvalue().encode()
        self._lines.seek(0)
        self._lines.truncate()
        self._flushed_s = monotonic()
        if self._file is not None:
            self._file.write(data)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is None:
            return
        file = self._file
        try:
            if not file.broken:
                self._flush()
        except OutputError:
            if error is None:  # else the first error matters more
                raise
        finally:
            self._file = None
            file.close()
