"""The tables of a folder as DuckDB reads them: only the rows of runs that were finished."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from perception.errors import LogError, MissingExtraError
from perception.evaluation.find.condition_sql import text_sql
from perception.sinks.tables import RUNS, TablesFolder, table_specs
from perception.sinks.tables.schema import VERSION

_SQL_TYPES = {
    "string": "varchar",
    "int64": "bigint",
    "double": "double",
    "bool": "boolean",
    "list<string>": "varchar[]",
    "list<double>": "double[]",
}


class TableDatabase:
    """A database over the files of a folder of tables; a context manager.

    Raises:
        MissingExtraError: DuckDB is not installed.
        LogError: The folder has no recording, or tables of another version.
    """

    def __init__(self, folder: TablesFolder) -> None:
        try:
            import duckdb
        except ImportError:
            raise MissingExtraError("finding moments", "tables") from None
        self._folder, self._error = folder, duckdb.Error
        self._tables = set(folder.tables())
        self._connection = duckdb.connect(":memory:")
        if folder.remote:
            self._connection.register_filesystem(folder.file_system)
        if RUNS not in self._tables or not folder.recordings():
            raise LogError(
                f"expected a folder that `replay --tables` made, found no table '{RUNS}': {folder}"
            )
        columns = "recording, receipt, schema_version, log, log_path, frames, replay_options"
        self.runs = self.rows(f"select {columns} from {self._files(RUNS)} order by recording")
        self._connection.execute(
            f"create temp table runs_done as select recording, receipt from {self._files(RUNS)}"
        )
        for run in self.runs:
            if run["schema_version"] != VERSION:
                text = f"expected tables of version {VERSION}, found {run['schema_version']}"
                raise LogError(f"{text} in {run['recording']}; replay the logs again: {folder}")

    def __enter__(self) -> TableDatabase:
        return self

    def __exit__(self, *error: object) -> None:
        self._connection.close()

    def source(self, table: str) -> str:
        """Return the SQL of a table: its files, or no row where it has none."""
        if table not in self._tables:
            columns = (f"null::{_SQL_TYPES[kind]} as {name}" for name, kind in table_specs()[table].columns)
            return f"(select null::varchar as recording, {', '.join(columns)} where false)"
        return f"(select x.* from {self._files(table)} x join runs_done using (recording, receipt))"

    def left_out(self, tables: Iterable[str]) -> list[str]:
        """Return the recordings that have rows of no finished run, with the reason."""
        done = {(run["recording"], run["receipt"]) for run in self.runs}
        texts = [
            f"{row['recording']}: {table} is not of a finished run; replay it again"
            for table in sorted({"ticks", *tables} & self._tables)
            for row in self.rows(f"select distinct recording, receipt from {self._files(table)}")
            if (row["recording"], row["receipt"]) not in done
        ]
        return sorted(texts)

    def _files(self, table: str) -> str:
        files = self._folder.path_of(table, "*")
        if self._folder.remote:
            files = self._folder.file_system.unstrip_protocol(files)
        hive = "hive_partitioning = true, hive_types = {'recording': varchar}"
        return f"read_parquet({text_sql(files)}, {hive})"

    def rows(self, sql: str) -> list[dict[str, Any]]:
        """Return the rows of a query.

        Raises:
            LogError: A file is damaged, or no table.
        """
        try:
            cursor = self._connection.execute(sql)
            names = [column[0] for column in cursor.description]
            return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
        except self._error as error:
            reason = str(error).splitlines()[0]
            raise LogError(f"the tables cannot be read: {reason}: {self._folder}") from None

    def channels(self) -> dict[str, list[str]]:
        """Return the channels of `status`, `control` and every further head."""
        tables = [name for name in self._tables if name in ("status", "control")]
        tables += [row["head"] for row in self.rows(f"select distinct head from {self.source('heads')}")]
        known = [name for name in dict.fromkeys(tables) if name in self._tables and name != "detections"]
        return {name: self.texts(name, "channel") for name in known}

    def texts(self, table: str, column: str) -> list[str]:
        """Return the different values of a column, in order."""
        if table not in self._tables:
            return []
        rows = self.rows(f"select distinct {column} as text from {self.source(table)} order by 1")
        return [row["text"] for row in rows if row["text"] is not None]
