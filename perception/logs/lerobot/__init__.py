"""LeRobot datasets, versions 2.0 to 3.0: the reader that `perception.logs.open_log` finds.

A dataset is a folder with `meta/info.json`, Parquet tables and MP4 files; one of its Parquet files alone is
the episodes in it. Its episodes follow each other with a pause, which begins plugins anew.

Source: huggingface/lerobot, `lerobot/datasets` (dataset versions 2.1 and 3.0).
"""

from __future__ import annotations

from pathlib import Path

from perception.logs.lerobot.dataset import FORMAT, open_dataset, root_of
from perception.logs.message_table import TableLog

__all__ = ["FORMAT", "open", "reads"]


def reads(path: Path) -> bool:
    """Return whether a path is a dataset, or a Parquet file in the `data` of one."""
    try:
        return root_of(path) is not None
    except OSError:
        return False


def open(path: Path) -> TableLog:
    """Open a dataset.

    Raises:
        LogError: Its description cannot be read, its version is unknown, or the extra `lerobot` is missing.
    """
    return open_dataset(path)
