"""A SQLite file of a ROS 2 bag, opened for reading only and never changed, and queried within limits."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from perception.errors import LogError
from perception.logs.damage import Damage
from perception.logs.mcap.limits import Budget
from perception.logs.mcap.source import Source
from perception.logs.sqlite_pages import Pages

_STEPS_PER_ROW, _STEP = 60, 10_000  # instructions of SQLite


class Database:
    """A SQLite file, read by any number of threads, within limits."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.damage: list[Damage] = []
        self.is_proven = False  # the index of times has as many entries as there are rows
        self._lock = threading.Lock()
        try:
            self.size = path.stat().st_size
            self._connection = self._connect()
            self._check()
        except (sqlite3.Error, OSError, ValueError) as error:
            raise LogError(
                f"the SQLite database cannot be read ({error}); record or copy it again: {path}"
            ) from None
        self._source = Source(path, path.open("rb", buffering=0), self.size)
        self.pages = Pages(self._source)
        budget = Budget(self.size)
        self.rows = budget.records
        self._steps = budget.records * _STEPS_PER_ROW
        self._connection.set_progress_handler(self._count, _STEP)

    @property
    def is_cut(self) -> bool:
        """Whether the file is shorter than its header says, and nothing beside it holds the rest."""
        return self.pages.is_cut and not self.pending

    def query(self, text: str, *values: int) -> list[tuple[object, ...]]:
        """Return all rows of a query. Raises sqlite3.DatabaseError, LogError where the log is closed."""
        with self._lock:
            try:
                return self._connection.execute(text, values).fetchall()
            except sqlite3.ProgrammingError:
                raise LogError(
                    f"the log is closed; read it inside `with open_log(...)`: {self.path}"
                ) from None

    def scan(self, text: str, *values: int) -> Iterator[tuple[object, ...]]:
        """Yield the rows of a query, before the database is shared. Raises sqlite3.DatabaseError."""
        yield from self._connection.execute(text, values)

    def close(self) -> None:
        with self._lock:
            self._connection.close()
        self._source.close()
        if self._made is not None:
            with suppress(OSError):
                self._made.unlink()

    def _connect(self) -> sqlite3.Connection:
        uri = self.path.resolve().as_uri() + "?mode=ro"
        beside = [self.path.with_name(self.path.name + end) for end in ("-wal", "-journal")]
        self.pending = pending = [file.name for file in beside if file.exists() and file.stat().st_size]
        memory = self.path.with_name(self.path.name + "-shm")  # SQLite makes it, also where it only reads
        self._made = memory if pending and not memory.exists() else None
        if pending:  # what was written last may stand beside the file
            try:
                return self._configure(uri)
            except sqlite3.Error as error:
                reason = f"{pending[0]} cannot be applied ({error}): what it holds is not read"
                self.damage.append(
                    Damage(None, None, beside[0].stat().st_size if beside[0].exists() else 0, None, reason)
                )
        return self._configure(uri + "&immutable=1")

    def _configure(self, uri: str) -> sqlite3.Connection:
        connection = sqlite3.connect(uri, uri=True, check_same_thread=False, isolation_level=None)
        try:
            connection.text_factory = lambda data: data.decode("utf-8", "replace")
            connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, min(1 << 30, self.size + (1 << 20)))
            connection.execute("PRAGMA writable_schema=ON")  # else a file that was cut does not open
            connection.execute("PRAGMA trusted_schema=OFF")
            connection.execute("PRAGMA cell_size_check=ON")
            connection.execute("PRAGMA cache_size=-256")  # KiB: contents are read once, in order
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        except BaseException:
            connection.close()
            raise
        return connection

    def _check(self) -> None:
        """Check that the tables are those of a bag. Raises LogError."""
        for table in ("messages", "topics"):
            kind = self.query("SELECT type, sql FROM sqlite_master WHERE name = '" + table + "'")
            columns = self.query(f"SELECT name, hidden FROM pragma_table_xinfo('{table}')")
            plain = len(kind) == 1 and kind[0][0] == "table" and "VIRTUAL" not in str(kind[0][1])[:30].upper()
            if not plain or any(hidden for _, hidden in columns):
                raise LogError(
                    f"expected a ROS 2 bag, found a SQLite database without a plain table {table!r}; give "
                    f"a file that `ros2 bag record` wrote: {self.path}"
                )

    def _count(self) -> int:
        self._steps -= _STEP
        return int(self._steps < 0)  # 1 interrupts
