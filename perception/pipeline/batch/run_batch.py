"""A batch: the same work on many recordings, each done once; receipts show which ones are done."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any

from perception.errors import ConfigError, OutputError
from perception.logs.joined_path import named_log
from perception.path_guard import Write, check_paths
from perception.pipeline.batch.attempt import JobEvent, done_event
from perception.pipeline.batch.receipts import (
    RecordingTask,
    finished_receipts,
    is_of_another_log,
    is_receipt,
    read_receipts,
    receipt_name,
    settings_hash,
)
from perception.pipeline.batch.recording_job import RecordingJob
from perception.pipeline.batch.recording_names import recording_names
from perception.pipeline.batch.result_store import ResultStore, store_at
from perception.pipeline.batch.shards import ALL, Shard
from perception.remote import is_remote
from perception.types import Status
from perception.types.status import worst

Executor = Callable[[Sequence[RecordingTask]], Generator[JobEvent]]
"""Does recordings and yields their events. Closed before its end, it interrupts what is running."""


@dataclass(frozen=True, slots=True)
class LogResult:
    """The result of one log.

    Attributes:
        log: The log.
        status: How the work on it ended.
        summary: Its JSON document; None where there is none.
        error: Why there is no document.
        written: The files that the work left.
        skipped: A receipt shows that the work was done before; the document is of that time.
        recording: The name of the recording in the folder.
    """

    log: Path
    status: Status
    summary: Mapping[str, Any] | None = None
    error: str = ""
    written: tuple[Path, ...] = ()
    skipped: bool = False
    recording: str = ""


@dataclass(frozen=True, slots=True)
class BatchResult:
    """The results of several logs, in the order in which these were given. `seconds` is wall time."""

    logs: tuple[LogResult, ...]
    seconds: float

    @property
    def status(self) -> Status:
        """The worst status of a log."""
        return worst("clean", *(result.status for result in self.logs))

    @property
    def summaries(self) -> list[Mapping[str, Any]]:
        """The documents that there are."""
        return [result.summary for result in self.logs if result.summary is not None]

    def counts(self) -> dict[str, int]:
        """Return the number of `logs`, and of those that were `skipped` and have `failed`."""
        return {
            "logs": len(self.logs),
            "skipped": sum(result.skipped for result in self.logs),
            "failed": sum(result.status not in ("clean", "loss") for result in self.logs),
        }


def run_batch(
    jobs: Sequence[RecordingJob],
    folder: Path,
    execute: Executor,
    *,
    shard: Shard = ALL,
    force: bool = False,
    on_event: Callable[[JobEvent], None] = lambda event: None,
    on_start: Callable[[int, int], None] = lambda logs, done: None,
) -> BatchResult:
    """Do jobs that differ in their log alone, into a folder.

    A recording whose results are there, made by the same code, settings and weights, is skipped.
    KeyboardInterrupt ends the batch: recordings that are not done are `interrupted`.

    Args:
        jobs: A job for each log.
        folder: Where results and receipts go, also a URL; made if it is not there.
        execute: Does the recordings that are not done.
        shard: The part of the jobs to do. The names of recordings are those of the whole.
        force: Replace files that are no earlier results; never one that is read.
        on_event: Called for each report of a job.
        on_start: Called once with the number of logs, and of those that are skipped.

    Raises:
        ConfigError: A log is named twice.
        OutputError: The folder or a receipt cannot be written, or an output would replace a file that is read
            or is no earlier output.
    """
    began = monotonic()
    store = _opened(folder)
    tasks = _of_shard(_tasks(jobs, folder, store), shard)
    _check_files(tasks, store, force)
    events = _done_before(tasks, store)
    on_start(len(tasks), len(events))
    pending = [task for task in tasks if task.recording not in events]
    try:
        with closing(execute(pending)) as reports:
            for event in reports:
                on_event(event)
                if event.status is not None:
                    events[event.recording] = event
    except KeyboardInterrupt:
        for task in pending:
            gone = JobEvent(task.recording, task.job.log, status="interrupted", error="interrupted")
            events.setdefault(task.recording, gone)
    finally:
        store.clean(task.recording for task in pending)
    return BatchResult(tuple(_result(events[task.recording], store) for task in tasks), monotonic() - began)


def _done_before(tasks: Sequence[RecordingTask], store: ResultStore) -> dict[str, JobEvent]:
    """Return the last event of each recording that is done, by its name."""
    receipts = finished_receipts(tasks, store)
    known = [(task, receipts.get(task.recording)) for task in tasks]
    return {task.recording: done_event(task, receipt, skipped=True) for task, receipt in known if receipt}


def _result(event: JobEvent, store: ResultStore) -> LogResult:
    assert event.status is not None
    written = tuple(store.path(name) for name in event.written)
    return LogResult(
        event.log, event.status, event.document, event.error, written, event.skipped, event.recording
    )


def _opened(folder: Path) -> ResultStore:
    """Return the store of a folder, which is made."""
    try:
        store = store_at(folder)
        store.make()
        return store
    except OSError as error:
        reason = error.strerror or error
        raise OutputError(f"the folder of the outputs cannot be made: {reason}: {folder}") from None


def _tasks(jobs: Sequence[RecordingJob], folder: Path, store: ResultStore) -> list[RecordingTask]:
    """Return the task of each job; none has the name of another log."""
    if not jobs:
        return []
    times = Counter((job.log, job.part) for job in jobs)
    if twice := [named_log(log) for (log, _), number in times.items() if number > 1]:
        raise ConfigError([f"a log is named twice: {', '.join(twice)}"])
    ends = {job.log: job.part + job.suffix for job in jobs}  # spans of one log have one name

    def is_taken(name: str, log: Path) -> bool:
        receipt = receipt_name(name, ends[log])
        return is_of_another_log(read_receipts(store, [receipt]).get(receipt), log)

    names = dict(zip(ends, recording_names(list(ends), is_taken), strict=True))
    settings = settings_hash(jobs[0])
    return [RecordingTask(job, names[job.log] + job.part, folder, settings) for job in jobs]


def _of_shard(tasks: Sequence[RecordingTask], shard: Shard) -> list[RecordingTask]:
    """Return the tasks of a shard, in the given order; which these are does not depend on that order."""
    mine = {task.recording for task in shard.of(sorted(tasks, key=lambda task: task.recording))}
    return [task for task in tasks if task.recording in mine]


def _check_files(tasks: Sequence[RecordingTask], store: ResultStore, force: bool) -> None:
    """Check all files of a batch before any is written: an output may be a log of another job."""
    if not tasks:
        return
    if is_remote(tasks[0].folder):
        if not force:
            _check_objects(tasks, store)
        return
    job = tasks[0].job
    writes = [Write("--output-dir", store.path(task.main), job.is_ours) for task in tasks]
    writes += [Write("--output-dir", store.path(task.receipt), is_receipt) for task in tasks]
    check_paths(job.reads([task.job.log for task in tasks]), writes, force=force)


def _check_objects(tasks: Sequence[RecordingTask], store: ResultStore) -> None:
    """Raise OutputError if an object would be replaced that no receipt of an earlier batch names."""
    receipts = read_receipts(store, [task.receipt for task in tasks])
    own = {name for receipt in receipts.values() for name in receipt.get("written", ())} | receipts.keys()
    wanted = {name for task in tasks for name in (task.main, task.receipt)}
    if foreign := sorted((wanted & store.names()) - own):
        text = "--output-dir would replace a file that is no earlier output of this command; name another"
        raise OutputError("\n".join(f"{text}, or add --force: {store.path(name)}" for name in foreign))
