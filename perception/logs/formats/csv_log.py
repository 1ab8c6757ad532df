"""One table of text as a log: the first line names the columns, one of which is the time.

What a column is, is told by its name: `perception.logs.formats.column_rules`.
"""

from __future__ import annotations

from pathlib import Path

from perception.errors import LogError
from perception.logs.formats.streams import Findings, streams_log
from perception.logs.formats.table_streams import (
    ordered_by_time,
    require_time,
    table_streams,
    unread_time,
)
from perception.logs.formats.text_lines import text_lines, text_start
from perception.logs.formats.text_tables import looks_like_table, parse_table
from perception.logs.message_table import TableLog

FORMAT = "CSV table"

_SUFFIXES = (".csv", ".tsv", ".csv.gz", ".tsv.gz", ".csv.bz2", ".tsv.bz2")


def reads(path: Path) -> bool:
    """Return whether a file is called a table, and starts as one."""
    return path.name.lower().endswith(_SUFFIXES) and looks_like_table(text_start(path))


def open(path: Path) -> TableLog:
    """Open a table. Lines and cells that are damaged are counted.

    Raises:
        LogError: It has no names, no column of time, no time in it, or no line that can be read.
    """
    findings = Findings()
    try:
        table = parse_table(text_lines(path, findings), "/table/values", findings)
    except (OSError, ValueError) as error:
        raise LogError(
            f"cannot be read as a table ({getattr(error, 'strerror', None) or error}): {path}"
        ) from None
    ordered = ordered_by_time(table, path.name, "/table/values", findings)
    if ordered is None:
        raise require_time(table, path)
    if table.rows and not len(ordered[1]):
        raise unread_time(table, path)
    streams = table_streams(*ordered, "/table", "csv.Row", findings)
    return streams_log(path, list(streams), findings)
