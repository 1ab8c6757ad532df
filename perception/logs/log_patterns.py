"""Patterns of logs: `drives/**/*.mcap` on this machine, `s3://bucket/drives/**/*.mcap` in a store."""

from __future__ import annotations

from collections.abc import Iterable
from glob import glob, has_magic
from pathlib import Path

from perception.errors import LogError
from perception.logs.readers import reader_of
from perception.remote import RemotePath, is_remote, log_path
from perception.remote.remote_folder import remote_glob


def find_logs(paths: Iterable[Path], without: Path | None = None) -> list[Path]:
    """Return the logs that paths and patterns name: first the paths, then what patterns find, in the order
    of `matched_logs`.

    Args:
        paths: Logs, and patterns with `*`, `?`, `[...]` and `**`. What exists under a name is no pattern.
        without: A folder of results: what a pattern finds in it is left out.

    Raises:
        LogError: A pattern matches no file, or a store cannot be asked.
    """
    paths = list(paths)
    logs = [path for path in paths if not is_pattern(path)]
    known = {path.resolve() for path in logs}
    for path in paths:
        if not is_pattern(path):
            continue
        matched = matched_logs(path)
        own = [item for item in matched if without is None or not _lies_in(item, without)]
        if not own and matched:
            text = f"all {len(matched)} files that it matches lie in the folder of results, and are not read"
            raise LogError(f"expected a pattern of logs: {text}; name another folder for those: {path}")
        if not own:
            raise LogError(f"expected a pattern of logs, found no file that it matches: {path}")
        logs += [item for item in own if item.resolve() not in known]
        known.update(item.resolve() for item in own)
    return logs


def repeated(paths: Iterable[str | Path]) -> list[str]:
    """Return the paths that name a log which an earlier one of them names, under any name."""
    known: set[Path] = set()
    again = []
    for path in paths:
        place = log_path(path).resolve()
        again += [str(path)] if place in known else []
        known.add(place)
    return again


def is_pattern(path: Path) -> bool:
    """Return whether a path is a pattern of several."""
    text = str(path)
    if isinstance(path, RemotePath):
        # In an address of the web, `?` begins the query, and `[` stands in addresses of hosts.
        return "*" in text if text.startswith(("http://", "https://")) else has_magic(text)
    return has_magic(text) and not path.exists()


def matched_logs(path: Path) -> list[Path]:
    """Return the logs that a pattern matches, in the order of their paths, folder by folder: what is in `a`
    comes before what is in `a-b`.

    Raises:
        LogError: A store cannot be asked.
    """
    if isinstance(path, RemotePath):
        try:
            return sorted(remote_glob(path.url), key=lambda found: str(found).split("/"))
        except OSError as error:
            raise LogError(f"{error.strerror or error}: {path}") from None
    names = (log_path(name) for name in sorted(glob(str(path), recursive=True), key=_parts))
    in_any_folder = "**" in str(path)  # then the folders in a log would match, too
    return [
        name
        for name in names
        if not name.is_dir()
        or (name / "metadata.yaml").exists()
        or not (in_any_folder or reader_of(name) is None)
    ]


def _parts(path: str) -> tuple[str, ...]:
    return Path(path).parts


def _lies_in(path: Path, folder: Path) -> bool:
    if is_remote(path) != is_remote(folder):
        return False
    if isinstance(path, RemotePath) and isinstance(folder, RemotePath):
        return path.url.startswith(folder.url.rstrip("/") + "/")
    return path.resolve().is_relative_to(folder.resolve())
