"""A folder of tables, local or behind a URL, and the exchange of one recording's partitions.

A run writes its files beside the tables (`.staging`; for a URL on the local disk). Where it has finished they
take the places of the earlier ones: the row of `runs` goes first and is put back last, so a recording whose
row is there is whole, and one without it is not. A run that is killed leaves its staging, which the next run
removes.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from io import FileIO
from pathlib import Path, PurePosixPath
from typing import Any

from perception.errors import OutputError
from perception.files import make_file
from perception.remote import is_remote, log_path
from perception.sinks.tables.schema import FILE, PARTITION, RUNS, load_pyarrow

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

STAGING = ".staging"


class TablesFolder:
    """The tables of many recordings: `TABLE/recording=NAME/data.parquet`.

    Args:
        place: A local folder, or a URL that fsspec knows.

    Raises:
        OutputError: The URL is of a kind that is not known here.
    """

    def __init__(self, place: str | Path) -> None:
        self.place = log_path(place)
        self.remote = is_remote(self.place)
        if self.remote:
            self._fs, self._root = _file_system(str(self.place))
        else:
            self._root = os.path.abspath(self.place)

    def __str__(self) -> str:
        return str(self.place)

    @property
    def file_system(self) -> Any:
        """The fsspec file system; None: the local disk."""
        return self._fs if self.remote else None

    def path_of(self, table: str, recording: str) -> str:
        """Return where the partition of a recording lies."""
        return str(PurePosixPath(self._root, table, f"{PARTITION}{recording}", FILE))

    def tables(self) -> list[str]:
        """Return the names of the tables that are there."""
        return sorted(name for name in self._listed(self._root) if not name.startswith("."))

    def recordings(self, table: str = RUNS) -> list[str]:
        """Return the recordings that a table has, in order of their names."""
        if self.remote:  # one request, whatever their number
            folders = [PurePosixPath(file).parent.name for file in self._fs.glob(self.path_of(table, "*"))]
        else:
            listed = self._listed(str(PurePosixPath(self._root, table)))
            folders = [name for name in listed if os.path.isfile(os.path.join(self._root, table, name, FILE))]
        return sorted(name.removeprefix(PARTITION) for name in folders if name.startswith(PARTITION))

    def receipts(self, table: str, recording: str) -> set[str]:
        """Return the receipts of the rows of a partition, from the end of its file; empty without rows."""
        metadata = self.open(table, recording).metadata
        place = metadata.schema.names.index("receipt")
        groups = [metadata.row_group(k).column(place).statistics for k in range(metadata.num_row_groups)]
        if all(group is not None and group.has_min_max for group in groups):
            return {text for group in groups for text in (group.min, group.max)}
        return set(self.read(table, recording, ["receipt"]).column("receipt").unique().to_pylist())

    def has(self, recording: str) -> bool:
        """Return whether the tables of a recording are there, all of them: its run is put last."""
        return self._exists(self.path_of(RUNS, recording))

    def read(self, table: str, recording: str, columns: list[str] | None = None) -> Any:
        """Return a partition as a `pyarrow.Table`.

        Raises:
            OSError, ValueError: It is not there, or no Parquet file.
        """
        pq = load_pyarrow("reading tables").parquet
        path = self.path_of(table, recording)
        return pq.ParquetFile(path, filesystem=self.file_system).read(columns)

    def open(self, table: str, recording: str) -> Any:
        """Return a partition as a `pyarrow.parquet.ParquetFile`, to read it part by part."""
        pq = load_pyarrow("reading tables").parquet
        return pq.ParquetFile(self.path_of(table, recording), filesystem=self.file_system)

    @contextlib.contextmanager
    def staging(self) -> Iterator[Path]:
        """Yield a folder for the files of a run, which is removed afterwards.

        Raises:
            OutputError: It cannot be made.
        """
        if self.remote:
            with tempfile.TemporaryDirectory(prefix="perception-tables-") as name:
                yield Path(name)
            return
        home = Path(self._root, STAGING)
        folder = home / secrets.token_hex(8)
        try:
            Path(self._root).mkdir(parents=True, exist_ok=True)
            with _alone(self._root):
                home.mkdir(exist_ok=True)
                _remove_left_behind(home)
                folder.mkdir()
                lock = make_file(folder / "lock")
        except OSError as error:
            raise OutputError(f"--tables: {_reason(error)}: {self}") from error
        try:
            yield folder
        finally:
            with _alone(self._root):
                shutil.rmtree(folder, ignore_errors=True)
                lock.close()
                with contextlib.suppress(OSError):
                    home.rmdir()  # unless another run has files there

    def put(self, recording: str, files: Mapping[str, Path]) -> None:
        """Replace the partitions of a recording, in every table, by these files.

        Raises:
            OutputError: A file cannot be put in its place. The recording is then not whole.
        """
        try:
            with contextlib.nullcontext() if self.remote else _alone(self._root):
                self._remove(RUNS, recording)
                for table in self.tables():
                    if table not in files and table != RUNS:
                        self._remove(table, recording)
                for table in sorted(files, key=lambda name: name == RUNS):
                    self._put(files[table], self.path_of(table, recording))
        except Exception as error:
            if not isinstance(error, OSError) and not self.remote:
                raise
            reason = _reason(error) if isinstance(error, OSError) else str(error)
            raise OutputError(f"--tables: recording '{recording}' is not whole: {reason}: {self}") from error

    def _put(self, file: Path, path: str) -> None:
        if self.remote:
            self._fs.makedirs(str(PurePosixPath(path).parent), exist_ok=True)
            self._fs.put_file(str(file), path)
            return
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        with open(file, "rb") as written:
            os.fsync(written.fileno())
        os.replace(file, path)

    def _remove(self, table: str, recording: str) -> None:
        path = self.path_of(table, recording)
        if not self._exists(path):
            return
        if self.remote:
            self._fs.rm_file(path)
            return
        os.unlink(path)
        with contextlib.suppress(OSError):
            os.rmdir(os.path.dirname(path))

    def _exists(self, path: str) -> bool:
        return bool(self._fs.exists(path)) if self.remote else os.path.isfile(path)

    def _listed(self, path: str) -> list[str]:
        try:
            if self.remote:
                self._fs.invalidate_cache()
                items = self._fs.ls(path, detail=True)
                return [PurePosixPath(item["name"]).name for item in items if item["type"] == "directory"]
            return [item.name for item in os.scandir(path) if item.is_dir()]
        except OSError:
            return []


def _file_system(url: str) -> tuple[Any, str]:
    import fsspec

    try:
        file_system, root = fsspec.core.url_to_fs(url)
    except (ValueError, ImportError) as error:
        raise OutputError(f"--tables: {error}: {url}") from None
    return file_system, root


def _remove_left_behind(home: Path) -> None:
    """Remove the staging of runs that were killed: nobody holds its lock."""
    for folder in home.iterdir():
        if not folder.is_dir():
            continue
        with contextlib.suppress(OSError):
            lock: FileIO = make_file(folder / "lock")  # of a living run: EBUSY
            shutil.rmtree(folder, ignore_errors=True)
            lock.close()


@contextlib.contextmanager
def _alone(root: str) -> Iterator[None]:
    """Hold the lock of a local folder, under which its files are exchanged. Where there are no locks, nobody
    waits."""
    descriptor = os.open(root, os.O_RDONLY)
    try:
        if fcntl is not None:
            with contextlib.suppress(OSError):
                fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _reason(error: OSError) -> str:
    return (error.strerror or str(error)).lower()
