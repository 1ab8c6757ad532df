"""Receipts of a batch: files beside the results that say which recordings are done, and from what.

A receipt is put last, when all results lie in their places. A recording without one is not done.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from perception.errors import OutputError
from perception.logs.joined_path import JoinedPath, named_log, parts_of
from perception.path_guard import marked
from perception.pipeline.batch.recording_job import RecordingJob
from perception.pipeline.batch.result_store import MAX_BYTES, ResultStore, file_identity, file_unchanged
from perception.remote import RemotePath, is_remote, log_path
from perception.remote.url_secrets import HIDDEN
from perception.types import Status

DONE: tuple[Status, ...] = ("clean", "loss")
_ASKED_AT_ONCE = 16

is_receipt = marked(b'{"settings": ')
"""Returns whether an existing file is a receipt."""


@dataclass(frozen=True, slots=True)
class RecordingTask:
    """A recording to be done.

    Attributes:
        job: The work.
        recording: The name of the recording in the folder.
        folder: Where results and receipts go.
        settings: A hash over what determines the results beside the log.
    """

    job: RecordingJob
    recording: str
    folder: Path
    settings: str

    @property
    def receipt(self) -> str:
        """The name of the receipt in the folder."""
        return receipt_name(self.recording, self.job.suffix)

    @property
    def main(self) -> str:
        """The name of the main result in the folder."""
        return self.recording + self.job.suffix

    def identity(self) -> str:
        """Return the identity of the work: a hash over settings, name, and size and tag of the log."""
        parts = [_quick(part) for part in parts_of(self.job.log)]
        known = json.dumps([self.settings, self.recording, [part[:2] for part in parts]])
        return hashlib.sha256(known.encode()).hexdigest()[:32]


def receipt_name(recording: str, suffix: str) -> str:
    """Return the name of a receipt: that of the main result, with another suffix."""
    return str(Path(recording + suffix).with_suffix(".json"))


def settings_hash(job: RecordingJob) -> str:
    """Return a hash over all that determines the results of a job beside its log."""
    text = json.dumps(job.settings(), sort_keys=True, default=_stable_text)
    return hashlib.sha256(text.encode()).hexdigest()


def log_state(log: Path) -> list[tuple[Any, ...]]:
    """Return what shows whether a log changed while it was read: sizes, tags and times, without reading."""
    return [_quick(part.fresh() if isinstance(part, RemotePath) else part) for part in parts_of(log)]


def finished(task: RecordingTask, store: ResultStore, receipt: Mapping[str, Any] | None) -> bool:
    """Return whether a recording is done: by this work, from this log, and its results are unchanged.

    A local file of the same size and modification time counts as unchanged, another is read and compared; a
    remote one of the same size and tag.
    """
    try:
        return (
            receipt is not None
            and receipt["settings"] == task.settings
            and receipt["summary"]["status"] in DONE
            and _log_unchanged(task.job.log, receipt["input"])
            and task.job.has_tables(task.recording)
            and all(store.unchanged(name, before) for name, before in receipt["written"].items())
        )
    except (OSError, ValueError, KeyError, AttributeError, TypeError):
        return False  # a result is gone, or it is not a receipt of this program


def read_receipts(store: ResultStore, names: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Return the receipts that are there and can be read, by name."""
    receipts = {}
    for name, data in store.read_receipts(names).items():
        with suppress(ValueError):
            receipt = json.loads(data) if len(data) <= MAX_BYTES else None
            if isinstance(receipt, dict):
                receipts[name] = receipt
    return receipts


def finished_receipts(tasks: Iterable[RecordingTask], store: ResultStore) -> dict[str, dict[str, Any]]:
    """Return the receipts of the recordings that are done, by recording."""
    tasks = list(tasks)
    receipts = read_receipts(store, [task.receipt for task in tasks])
    asked = [(task, receipts[task.receipt]) for task in tasks if task.receipt in receipts]
    with ThreadPoolExecutor(_ASKED_AT_ONCE if any(_asks_servers(task) for task, _ in asked) else 1) as pool:
        done = pool.map(lambda pair: finished(pair[0], store, pair[1]), asked)
        return {
            task.recording: receipt for (task, receipt), is_done in zip(asked, done, strict=True) if is_done
        }


def write_receipt(
    task: RecordingTask,
    store: ResultStore,
    document: Mapping[str, Any],
    written: Mapping[str, Mapping[str, Any]],
) -> dict[str, Any]:
    """Write the receipt of a recording whose results lie in their places; return it.

    Raises:
        OutputError: It cannot be written.
    """
    receipt = {
        "settings": task.settings,
        "receipt": task.identity(),
        "log": named_log(task.job.log.resolve()),
        "input": [file_identity(part) for part in parts_of(task.job.log)],
        "read_sha256": document.get("run", {}).get("messages_sha256", ""),
        "written": dict(written),
        "summary": document,
    }
    try:
        store.write(json.dumps(receipt).encode(), task.receipt)
    except OSError as error:
        place = store.path(task.receipt)
        raise OutputError(f"the receipt cannot be written: {error.strerror or error}: {place}") from None
    return receipt


def is_of_another_log(receipt: Mapping[str, Any] | None, log: Path) -> bool:
    """Return whether a receipt is that of another log, which is still there; one whose URL had secrets, which
    no receipt holds, counts as there."""
    owner = None if receipt is None else receipt.get("log")
    with suppress(OSError, ValueError):
        return (
            isinstance(owner, str)
            and owner != named_log(log.resolve())
            and (HIDDEN in owner or log_path(owner).exists())
        )
    return False


def _log_unchanged(log: Path, before: list[Mapping[str, Any]]) -> bool:
    parts = [part.fresh() if isinstance(part, RemotePath) else part for part in parts_of(log)]
    return len(parts) == len(before) and all(map(file_unchanged, parts, before))


def _quick(path: Path) -> tuple[Any, ...]:
    if isinstance(path, RemotePath):
        return path.file.size, path.file.tag
    status = path.stat()
    return status.st_size, "", status.st_mtime_ns


def _stable_text(value: object) -> str:
    """Return a text that is the same in every process; that of a function has its address."""
    named = getattr(value, "__qualname__", None)
    return str(value) if named is None else f"{getattr(value, '__module__', '')}.{named}"


def _asks_servers(task: RecordingTask) -> bool:
    log = task.job.log
    return is_remote(task.folder) or is_remote(log) or isinstance(log, JoinedPath)
