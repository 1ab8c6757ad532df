"""SQLite files of ROS 2 bags (`.db3`): the reader of one file.

The file is opened for reading only and never changed. Its pages have no checksums. The index of times counts
the rows; where it disagrees, or a page is found to be damaged, they are read from the pages themselves.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Sequence
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import numpy as np

from perception.logs.damage import Damage
from perception.logs.mcap.limits import Budget
from perception.logs.message_table import MessageTable, TableLog, Unreadable
from perception.logs.readers import Accounting
from perception.logs.ros2_messages import ZSTD, zstd_message
from perception.logs.sqlite_database import Database
from perception.logs.sqlite_pages import SalvagedRow
from perception.types import Channel, Schema

FORMAT = "ROS 2 bag (.db3)"
UNKNOWN_TOPIC = "(unknown topic)"
_MAGIC = b"SQLite format 3\0"

_MOST_AT_ONCE = 256  # messages that are read by one query
_BYTES_AT_ONCE = 1 << 19  # likewise: few take memory that was used before

FoundRow = tuple[int, object, object]  # number, topic, time


def reads(path: Path) -> bool:
    """Return whether a file starts as a SQLite database does."""
    try:
        if not path.is_file():
            return False
        with path.open("rb", buffering=0) as file:
            return file.read(len(_MAGIC)) == _MAGIC
    except (OSError, ValueError):
        return False


def open(path: Path) -> TableLog:
    """Open the SQLite file of a ROS 2 bag; a damaged one too.

    Raises:
        LogError: It cannot be opened, or is another database.
    """
    database = Database(path)
    try:
        table, rows = _table(database)
    except BaseException:
        database.close()
        raise
    return TableLog(
        path,
        table,
        Accounting("the index of times, by number" if database.is_proven else "", ""),
        lambda: DatabaseReading(database, table, rows),
        database.close,
    )


def _table(database: Database) -> tuple[MessageTable, list[int | SalvagedRow]]:
    """Return the table of a file, and the number of each row, or its place where SQLite does not find it."""
    channels = _channels(database)
    rows: list[int] = []
    topics: list[int] = []
    times: list[int] = []
    lost: Counter[str] = Counter()
    found, salvaged, missing = _rows(database)
    for number, topic, time_ns in found:
        if isinstance(topic, int) and isinstance(time_ns, int) and time_ns >= 0:
            rows.append(number)
            topics.append(topic)
            times.append(time_ns)
        else:
            lost[channels[topic].topic if topic in channels else UNKNOWN_TOPIC] += 1
    if bad := lost.total():
        database.damage.append(Damage(None, None, 0, bad, f"{bad} messages have no time or no topic"))
    lost += Counter({UNKNOWN_TOPIC: missing})
    ids = sorted({*channels, *topics})
    position = {topic: i for i, topic in enumerate(ids)}
    undeclared = [topic for topic in ids if topic not in channels]
    if undeclared:
        count = sum(topic not in channels for topic in topics)
        reason = f"{count} messages are on topics that nothing declares ({undeclared[:10]})"
        database.damage.append(Damage(None, None, 0, None, reason))
    table = MessageTable(
        channels=[channels.get(i) or Channel(i, f"(topic {i})", "", None) for i in ids],
        channel_of=np.array([position[topic] for topic in topics], np.int32),
        time_ns=np.array(times, np.int64),
        undeclared=frozenset(position[topic] for topic in undeclared),
        damage=database.damage,
        lost=lost,
        indexed=not database.damage,
        profile="ros2",
        library="rosbag2",
        size_bytes=database.size,
    )
    return table, [salvaged.get(number, number) for number in rows]


def _channels(database: Database) -> dict[int, Channel]:
    """Return the topics by their number, with the definitions that the file has."""
    definitions: dict[object, tuple[object, object]] = {}
    tables = {row[0] for row in database.query("SELECT name FROM sqlite_master WHERE type = 'table'")}
    try:
        if "message_definitions" in tables:
            text = "SELECT topic_type, encoding, encoded_message_definition FROM message_definitions"
            definitions = {name: (encoding, text) for name, encoding, text in database.scan(text)}
    except sqlite3.DatabaseError as error:
        reason = f"the definitions of messages cannot be read ({error})"
        database.damage.append(Damage(None, None, 0, None, reason))
    channels = {}
    try:
        query = "SELECT id, name, type, serialization_format FROM topics"
        for number, topic, name, encoding in database.scan(query):
            kind, definition = definitions.get(name, ("ros2msg", ""))
            schema = Schema(str(name), str(kind), str(definition or "").encode())
            if isinstance(number, int):
                channels[number] = Channel(number, str(topic), str(encoding), schema)
    except sqlite3.DatabaseError as error:
        reason = f"the topics cannot be read ({error})"
        database.damage.append(Damage(None, None, 0, None, reason))
    return channels


def _scan(database: Database) -> tuple[list[FoundRow], str]:
    """Return the rows that SQLite gives, and why there may be more."""
    rows: list[FoundRow] = []
    at, left = -1 << 62, database.rows
    try:
        for number, topic, time_ns in database.scan(
            "SELECT rowid, topic_id, timestamp FROM messages ORDER BY rowid"
        ):
            if not isinstance(number, int) or number < at:
                return rows, "rows are out of order"
            at, left = number + 1, left - 1
            if left < 0:
                return rows, "more rows than the limit (docs/limits.md)"
            rows.append((number, topic, time_ns))
    except sqlite3.DatabaseError as error:
        return rows, str(error)
    return rows, ""


def _rows(database: Database) -> tuple[list[FoundRow], dict[int, SalvagedRow], int]:
    """Return all rows by number, those that only the pages give, and how many are proven to be lost."""
    # SQLite fills a page that is cut with zeros, and gives content that was never recorded.
    rows, problem = ([], "cut off") if database.is_cut else _scan(database)
    count = _indexed_count(database)
    last = rows[-1][0] if rows else 0
    if not problem and (count == len(rows) or (count is None and last == len(rows))):
        database.is_proven = count is not None
        return rows, {}, 0
    salvaged: dict[int, SalvagedRow] = {}
    known = {row[0] for row in rows}
    for row in islice(database.pages.rows(), database.rows):
        if row.number not in known:
            salvaged.setdefault(row.number, row)
    rows += [(row.number, row.topic, row.time_ns) for row in salvaged.values()]
    rows.sort(key=lambda row: row[0])
    return rows, salvaged, _add_damage(database, rows, count, problem)


def _indexed_count(database: Database) -> int | None:
    """Return how many messages the index of times holds; None where it cannot be read."""
    try:
        counted = next(database.scan("SELECT count(*) FROM messages INDEXED BY timestamp_idx"))[0]
    except sqlite3.DatabaseError:
        return None
    return counted if isinstance(counted, int) else None


def _add_damage(database: Database, rows: list[FoundRow], count: int | None, problem: str) -> int:
    """Add the damage of the table of messages to that of the file; return how many rows are proven lost.

    Args:
        rows: Those that were found, by number.
        count: How many there were; None: not known.
        problem: Why the table could not be read to its end; empty: it could.
    """
    last = rows[-1][0] if rows else 0  # recorders number rows from 1
    lost = max(0, (last if count is None else count) - len(rows))
    gaps = [(a, b) for a, b in pairwise([(0, 0, None), *rows]) if b[0] != a[0] + 1]
    begin = gaps[0][0][2] if gaps else rows[-1][2] if rows else None
    is_inside = count is not None and lost == last - len(rows)  # nothing is missing behind the last row
    end = gaps[-1][1][2] if gaps and is_inside else None
    reason = f"the table of messages is damaged ({problem or 'rows are missing'})"
    if database.is_cut:
        reason = "the file is cut off"
    if count is None:
        reason += f"; how many followed row {last} is not known"
    known_lost = None if count is None and not lost else lost
    first, last_ns = (time_ns if isinstance(time_ns, int) else None for time_ns in (begin, end))
    database.damage.append(Damage(first, last_ns, 0, known_lost, reason))
    return lost


class DatabaseReading:
    """One pass over the messages of a file."""

    def __init__(self, database: Database, table: MessageTable, rows: list[int | SalvagedRow]) -> None:
        self.damage: list[Damage] = []
        self._database, self._table, self._rows = database, table, rows
        self._budget = Budget(database.size)
        self._order: Sequence[int] = ()
        self._at = 0
        self._at_once = 16
        self._ahead: dict[int, bytes] = {}

    def plan(self, rows: Sequence[int]) -> None:
        """Take the rows that will be fetched, in this order: several are read by one query."""
        self._order, self._at = rows, 0

    def fetch(self, row: int) -> bytes:
        """Return the content of a message. Raises Unreadable."""
        data = self._ahead.pop(row, None)
        if data is None and self._read_ahead(row):
            data = self._ahead.pop(row, None)
        return self._fetch_one(row) if data is None else data

    def _fetch_one(self, row: int) -> bytes:
        channel = self._table.channel_of[row]
        if channel in self._table.undeclared:
            raise Unreadable("no topic declares them")
        data = self._content(self._rows[row])
        if not self._budget.take(len(data)):
            raise Unreadable("the log holds more than the limit (docs/limits.md)")
        return zstd_message(data, self._table.channels[channel].encoding)

    def _read_ahead(self, row: int) -> bool:
        """Read the contents of the next rows by one query, where they stand close together in the file.

        Compressed messages, and what a query does not give, are left to be read one by one.
        """
        if self._at < len(self._order) and self._order[self._at] != row:
            return False  # a row of a group that is read one by one
        group = self._order[self._at : self._at + self._at_once]
        self._at += len(group)
        numbers = {self._rows[other]: other for other in group}
        whole = [number for number in numbers if isinstance(number, int)]
        if self._database.damage or len(whole) < 2 or max(whole) - min(whole) > 2 * len(whole):
            return False
        text = "SELECT rowid, data FROM messages WHERE rowid BETWEEN ? AND ?"
        try:
            found: Any = self._database.query(text, min(whole), max(whole))
        except sqlite3.DatabaseError:
            return False  # each row by itself names what cannot be read
        ahead = {
            numbers[number]: data
            for number, data in found
            if number in numbers and type(data) is bytes and not data.startswith(ZSTD)
        }
        size = sum(map(len, ahead.values()))
        if self._table.undeclared or not self._budget.take(size):
            return False
        self._at_once = max(2, min(_MOST_AT_ONCE, _BYTES_AT_ONCE * len(group) // (size + 1)))
        self._ahead = ahead
        return True

    def _content(self, row: int | SalvagedRow) -> bytes:
        if isinstance(row, SalvagedRow):
            salvaged = self._database.pages.content(row)
            if salvaged is None:
                raise Unreadable("the content is cut off")
            return salvaged
        try:
            found = self._database.query("SELECT data FROM messages WHERE rowid = ?", row)
        except sqlite3.DatabaseError as error:
            raise Unreadable(f"the content cannot be read ({error})") from None
        data = found[0][0] if found else None
        if not isinstance(data, bytes):
            raise Unreadable("the content is not a blob of bytes")
        return data
