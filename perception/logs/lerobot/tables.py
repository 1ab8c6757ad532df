"""Columns of Parquet files, as lists and arrays. Needs pyarrow, which the extra `lerobot` installs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from perception.errors import LogError
from perception.installation import install_command

MOST_ROWS = 20_000_000
MOST_BYTES = 4 << 30
"""Of one table when it is unpacked."""


def read_table(path: Path, columns: Sequence[str]) -> dict[str, list[Any]]:
    """Return columns of a Parquet file by name, a value or a list for each row.

    Raises:
        LogError: It cannot be read, lacks a column, is too large, or pyarrow is missing.
    """
    parquet = _parquet(path)
    try:
        with parquet.ParquetFile(path) as file:
            meta = file.metadata
            size = sum(meta.row_group(index).total_byte_size for index in range(meta.num_row_groups))
            if meta.num_rows > MOST_ROWS or size > MOST_BYTES:
                raise LogError(f"a table of {meta.num_rows} rows and {size} bytes is too large: {path}")
            missing = [name for name in columns if name not in file.schema_arrow.names]
            if missing:
                raise LogError(f"expected the columns {', '.join(missing)[:200]}: {path}")
            table = file.read(columns=list(columns), use_threads=False)
    except LogError:
        raise
    except Exception as error:  # pyarrow has exceptions of its own for each kind of damage
        text = " ".join(str(error)[:200].split())
        raise LogError(f"expected a Parquet file ({text}): {path}") from None
    return {name: table.column(name).to_pylist() for name in columns}


def _parquet(path: Path) -> Any:
    try:
        from pyarrow import parquet
    except ImportError:
        command = install_command("lerobot")
        raise LogError(f"a LeRobot dataset needs the extra 'lerobot': {command}: {path}") from None
    return parquet
