"""The error for a path that no reader takes: what was expected, what was found, what to do."""

from __future__ import annotations

import stat
from collections.abc import Callable, Sequence
from difflib import get_close_matches
from itertools import islice
from pathlib import Path

from perception.errors import LogError

_TEXT = bytes(range(0x20, 0x7F)) + b"\t\r\n"
_MOST_ENTRIES = 1000
_LEROBOT_1 = Path("meta_data", "info.json")
_KNOWN = (
    (b"\x28\xb5\x2f\xfd", "a zstd-compressed file; decompress it first: zstd -d FILE"),
    (b"\x1f\x8b", "a gzip-compressed file; decompress it first: gunzip FILE"),
    (b"BZh", "a bzip2-compressed file; decompress it first: bunzip2 FILE"),
    (b"\xfd7zXZ", "an xz-compressed file; decompress it first: unxz FILE"),
    (b"\x04\x22\x4d\x18", "an lz4-compressed file; decompress it first: unlz4 FILE"),
)
_KNOWN_OTHERS = (  # in small letters
    (b"pk\x03\x04", "a ZIP archive; unpack it first: unzip FILE"),
    (b"version https://git-lfs", "a Git LFS pointer; fetch the file that it stands for: git lfs pull"),
    (b"<!doctype html", "a web page; the download gave a page and not the file: repeat it, signed in"),
    (b"<html", "a web page; the download gave a page and not the file: repeat it, signed in"),
    (b"ulog\x01\x12\x35", "a ULog of PX4; convert it to a ROS bag: ulog2rosbag (of pyulog)"),
    (
        b"\xd4\xc3\xb2\xa1",
        "packets of a network (pcap); play them into the driver of the scanner, and record what it publishes",
    ),
)
_TAR_AT, _TAR = 257, b"ustar"
_TAR_SUFFIXES = (".tgz", ".tbz2", ".txz")


def refusal(path: Path, formats: Sequence[str], is_log: Callable[[Path], bool]) -> LogError:
    """Return the error for a path that holds no log of these formats.

    Args:
        is_log: Whether a path in a folder is one.
    """
    expected = f"expected a log ({', '.join(formats)}), found"
    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            if (path / _LEROBOT_1).is_file():
                return LogError(
                    "expected a LeRobot dataset of version 2 or 3, found one of version 1; convert it with "
                    f"lerobot's scripts, or give one of its videos: {path}"
                )
            logs = _logs_below(path, is_log)
            inside = f"give one log in it, for instance {logs[0]}" if logs else "give the path of a file"
            is_drive = len(logs) > 1 and (path / logs[0]).parent == path
            inside += ", or all as one drive with --as-one" if is_drive else ""
            return LogError(f"{expected} a directory; {inside}: {path}")
        if not stat.S_ISREG(status.st_mode):
            return LogError(
                f"expected a file, found a device or a pipe; save the log to a file first: {path}"
            )
        if status.st_size == 0:
            return LogError(f"{expected} an empty file; record or copy it again: {path}")
        with path.open("rb", buffering=0) as file:
            start = file.read(1024)
    except FileNotFoundError:
        return LogError(f"no such file{_meant(path)}: {path}")
    except (OSError, ValueError) as error:
        return LogError(f"cannot be opened ({getattr(error, 'strerror', None) or error}): {path}")
    if path.suffix in (".yaml", ".yml"):
        return LogError(f"expected a log, found a YAML file; a configuration is given by --config: {path}")
    return LogError(f"{expected} {_description(path, start)}: {path}")


def _meant(path: Path) -> str:
    """Return which file of the folder was perhaps meant, or that there is no folder."""
    if not path.parent.is_dir():
        return f", and no folder {path.parent}"
    near = get_close_matches(path.name, [entry.name for entry in _entries(path.parent)], n=1, cutoff=0.8)
    return f"; did you mean {path.with_name(near[0])}?" if near else ""


def _logs_below(path: Path, is_log: Callable[[Path], bool]) -> list[str]:
    """Return the logs of a folder, by their paths in it; those two folders below where it has none itself."""
    level = [path]
    for _ in range(3):
        items = [item for folder in level for item in _entries(folder)][:_MOST_ENTRIES]
        logs = [item for item in items if item.suffix == ".mcap" or is_log(item)]
        if logs:
            return [str(item.relative_to(path)) for item in logs]
        level = [item for item in items if item.is_dir()]
    return []


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(islice(folder.iterdir(), _MOST_ENTRIES))
    except OSError:
        return []


def _description(path: Path, start: bytes) -> str:
    is_packed = any(start.startswith(magic) for magic, _ in _KNOWN)
    if start[_TAR_AT:].startswith(_TAR) or (
        is_packed and (".tar" in path.suffixes[-2:-1] or path.suffix in _TAR_SUFFIXES)
    ):
        return "a tar archive; unpack it first: tar xf FILE"
    for magic, text in _KNOWN:
        if start.startswith(magic):
            return text
    for magic, text in _KNOWN_OTHERS:
        if start.lstrip().lower().startswith(magic):
            return text
    if not start.translate(None, _TEXT):
        return "a text file; give a log of one of these formats"
    return f"a file that starts with {start[:8].hex(' ')}; give a log of one of these formats"
