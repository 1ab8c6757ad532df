"""The recording that a partition holds: its name, and by what a later run knows it again."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from perception.errors import ConfigError
from perception.sinks.tables.folder import TablesFolder
from perception.sinks.tables.schema import RUNS

_LOOKS_LIKE_A_VALUE = re.compile(r"[-+.\d][-+._:\dTZeE ]*|true|false|null|none|nan|inf", re.IGNORECASE)


_IDENTITY = ("log_path", "log_bytes", "log_start_ns", "log_end_ns")


@dataclass(frozen=True, slots=True)
class Recording:
    """One recording of a folder of tables.

    Attributes:
        name: The value of the column `recording`.
        log: The log as the user names it.
        log_path: Where it is: an absolute path or a URL.
        log_bytes, log_start_ns, log_end_ns: Its size, and the log times of its first and last message.
        log_digest: The hash or the tag of its content; empty: not known.
        sensor_start_ns: The log time from which seconds count.
        light: The light condition that its metadata state.
        settings: What else decides the outputs, as text; part of the receipt.
        replay_options: The options of the command that replays it as the run did, as a shell takes them.
    """

    name: str
    log: str
    log_path: str
    log_bytes: int = 0
    log_start_ns: int = 0
    log_end_ns: int = 0
    log_digest: str = ""
    sensor_start_ns: int = 0
    light: str = ""
    settings: str = ""
    replay_options: str = ""

    def is_of(self, run: dict[str, object]) -> bool:
        """Return whether a row of `runs` is of this recording: by its place, or of a copy by its content."""
        if run["log_path"] == self.log_path:
            return True
        return all(run[name] == getattr(self, name) for name in _IDENTITY[1:])


def partition_name(text: str) -> str:
    """Return a name that every reader takes for a text, and that is a folder everywhere.

    Letters, digits and `._-` stay; where others are replaced a hash of the whole name keeps it different
    from others. A name that a reader would take for a number or a date gets a prefix.
    """
    name = "".join(letter if letter.isalnum() or letter in "._-" else "_" for letter in text)[:120]
    if name != text:
        name = f"{name}-{hashlib.sha256(text.encode('utf-8', 'surrogateescape')).hexdigest()[:8]}"
    return f"log_{name}" if _LOOKS_LIKE_A_VALUE.fullmatch(name) else name


def names_of(log: Path) -> tuple[str, ...]:
    """Return the names that a log may have, shortest first; the last one belongs to this path alone."""
    place = os.fsencode(log.resolve())
    return log.stem, log.name, f"{log.name}-{hashlib.sha256(place).hexdigest()[:12]}"


def free_name(folder: TablesFolder, recording: Recording, names: Iterable[str]) -> str:
    """Return the first of the names whose partition is free, or is of the same recording.

    Raises:
        ConfigError: All of them are of other recordings.
    """
    for text in names:
        name = partition_name(text)
        try:
            rows = folder.read(RUNS, name, list(_IDENTITY)).to_pylist()
        except (OSError, ValueError, KeyError):
            return name
        if not rows or recording.is_of(rows[0]):
            return name
    raise ConfigError([f"--tables: every name for {recording.log} is that of another recording in {folder}"])
