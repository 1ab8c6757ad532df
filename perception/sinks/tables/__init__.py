"""Outputs as tables: Parquet, one table per head, one row per item, one partition per recording."""

from perception.sinks.tables.folder import TablesFolder
from perception.sinks.tables.recording import Recording, free_name, partition_name
from perception.sinks.tables.schema import RUNS, VERSION, TableSpec, table_specs
from perception.sinks.tables.sink import MATCH_COLUMNS, TablesSink

__all__ = [
    "MATCH_COLUMNS",
    "RUNS",
    "VERSION",
    "Recording",
    "TableSpec",
    "TablesFolder",
    "TablesSink",
    "free_name",
    "partition_name",
    "table_specs",
]
