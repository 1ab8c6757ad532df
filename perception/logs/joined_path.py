"""Several files that are one drive, where the path of a log is expected."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable, Sequence
from glob import glob, has_magic
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from perception.errors import LogError
from perception.logs.readers import reader_of
from perception.remote import RemotePath, log_path, shown_place, without_secrets

if TYPE_CHECKING:
    _Base = Path
else:
    _Base = type(Path())

_BETWEEN = " + "
_SUFFIXES = (".mcap", ".bag", ".db3")
_PACKED = (".zst", ".zstd", ".gz", ".bz2", ".xz", ".lz4")
_NUMBER = re.compile(r"(.*?)(\d+)$")


class JoinedPath(_Base):
    """The path of several files, which are read as one log. It prints as their paths with ` + ` between."""

    def __new__(cls, parts: Sequence[Path]) -> JoinedPath:
        return super().__new__(cls, _BETWEEN.join(map(str, parts)))

    def __init__(self, parts: Sequence[Path]) -> None:
        self._text = _BETWEEN.join(map(str, parts))
        if _Base.__init__ is not object.__init__:  # from Python 3.12 on
            super().__init__(self._text)  # type: ignore[call-arg]
        self.joined = tuple(parts)

    def __str__(self) -> str:
        return self._text

    def __repr__(self) -> str:
        return f"JoinedPath({list(self.joined)!r})"

    def __fspath__(self) -> str:
        return self._text

    def __reduce__(self) -> tuple[Any, ...]:
        return JoinedPath, (self.joined,)

    def __hash__(self) -> int:
        return hash(self.joined)

    def __eq__(self, other: object) -> bool:
        return self.joined == other.joined if isinstance(other, JoinedPath) else NotImplemented

    @property
    def name(self) -> str:
        """The first file's name and how many follow."""
        return f"{self.joined[0].name} and {len(self.joined) - 1} more"

    @property
    def stem(self) -> str:
        """Return the common beginning of the names of the files."""
        stems = [plain_stem(path) for path in self.joined]
        same = takewhile(lambda letters: len(set(letters)) == 1, zip(*stems, strict=False))
        return "".join(letters[0] for letters in same).rstrip("_-. ") or stems[0]

    @property
    def suffix(self) -> str:
        return self.joined[0].suffix

    @property
    def parent(self) -> Path:  # type: ignore[override]
        return self.joined[0].parent

    def resolve(self, strict: bool = False) -> JoinedPath:
        return JoinedPath([path.resolve(strict) for path in self.joined])

    def stat(self, *, follow_symlinks: bool = True) -> os.stat_result:
        sizes = [path.stat().st_size for path in self.joined]
        return os.stat_result((stat.S_IFREG | 0o444, 0, 0, 1, 0, 0, sum(sizes), 0, 0, 0))

    def exists(self, *, follow_symlinks: bool = True) -> bool:
        return all(path.exists() for path in self.joined)

    def is_file(self, *, follow_symlinks: bool = True) -> bool:
        return self.exists()

    def is_dir(self, *, follow_symlinks: bool = True) -> bool:
        return False


def as_one(paths: Iterable[str | Path]) -> Path:
    """Return the path that stands for several files as one drive.

    Args:
        paths: Files, patterns, and folders, of which all logs are taken. Those of a folder and of a
            pattern come in the order of the numbers in their names, others as they are given.

    Raises:
        LogError: A pattern or a folder holds no log, a file is named twice, or there is none.
    """
    parts: list[Path] = []
    for item in paths:
        parts += _expanded(log_path(item))
    if not parts:
        raise LogError("expected the files of one drive, found none; name at least one")
    if len(parts) != len(set(parts)):
        raise LogError(f"a file is named twice: {_BETWEEN.join(map(str, parts))}")
    return parts[0] if len(parts) == 1 else JoinedPath(parts)


def parts_of(path: Path) -> list[Path]:
    """Return the files that a path stands for."""
    return list(path.joined) if isinstance(path, JoinedPath) else [path]


def named_log(path: Path) -> str:
    """Return a log as the user named it, without the secrets of URLs, for what others may read."""
    return _BETWEEN.join(
        without_secrets(part.url) if isinstance(part, RemotePath) else str(part) for part in parts_of(path)
    )


def recorded_place(path: Path) -> str:
    """Return where a log lies, to be stored in a record."""
    return _BETWEEN.join(map(shown_place, parts_of(path)))


def recorded_path(text: str) -> Path:
    """Return the path of a log that a record names."""
    if _BETWEEN not in text or Path(text).exists():
        return log_path(text)
    return JoinedPath([log_path(part) for part in text.split(_BETWEEN)])


def plain_stem(path: Path) -> str:
    """Return a file's name without the suffixes of its format and of its compression."""
    name = path.name
    for suffix in _PACKED:
        name = name.removesuffix(suffix)
    return name.rpartition(".")[0] or name


def numbered(path: Path) -> tuple[str, int] | None:
    """Return what stands before the counter at the end of a file's name, and the counter, if there is one.

    The last part of a date is no counter.
    """
    match = _NUMBER.fullmatch(plain_stem(path))
    if match is None or len(match[2]) > 6 or re.search(r"\d[-:T]$", match[1]):
        return None
    return match[1], int(match[2])


def _expanded(path: Path) -> list[Path]:
    if isinstance(path, RemotePath):
        return [path]
    if path.is_dir() and not (path / "metadata.yaml").exists():
        found = [item for item in path.iterdir() if item.is_file() and _is_segment(item)]
        kind = "a folder with logs"
        if not found and reader_of(path) is not None:  # the segment of a recorder that makes folders
            return [path]
        found = found or [item for item in path.iterdir() if reader_of(item) is not None]
    elif has_magic(str(path)) and not path.exists():
        matched = map(Path, glob(str(path), recursive=True))
        found = [item for item in matched if not item.is_dir() or reader_of(item) is not None]
        kind = "a pattern of logs"
    else:
        return [path]
    if not found:
        raise LogError(f"expected {kind}, found no log: {path}")
    return sorted(found, key=_natural)


def _is_segment(path: Path) -> bool:
    name = path.name
    for suffix in _PACKED:
        name = name.removesuffix(suffix)
    return name.endswith(_SUFFIXES)


def _natural(path: Path) -> list[tuple[int, str]]:
    parts = re.split(r"(\d+)", path.name)
    return [(int(part), "") if part.isdigit() else (0, part) for part in parts]
