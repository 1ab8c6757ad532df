"""One attempt at a recording: the work, its results moved to their places, the receipt last."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from perception.errors import ConfigError, NoPluginError, OutputError, PerceptionError
from perception.files import file_sha256
from perception.pipeline.batch.receipts import (
    DONE,
    RecordingTask,
    finished,
    is_of_another_log,
    log_state,
    read_receipts,
    write_receipt,
)
from perception.pipeline.batch.recording_job import JobEnd, ResultPlace, keeps_unfinished
from perception.pipeline.batch.result_store import ResultStore, store_at
from perception.pipeline.replay_job import Observe
from perception.plugin.failures import failure_text
from perception.types import Status


@dataclass(frozen=True, slots=True)
class JobEvent:
    """A report on a recording: its progress, or as the last one its end.

    Attributes:
        recording: Its name in the folder of the batch.
        log: The log.
        fraction: The part of the log that is done, 0 to 1.
        frames: Outputs so far.
        status: How the work ended; None: it is running.
        document: The account of work that came to its end.
        error: Why there is no account.
        written: The names of the results that lie in their places.
        skipped: The recording was done already.
    """

    recording: str
    log: Path
    fraction: float = 0.0
    frames: int = 0
    status: Status | None = None
    document: Mapping[str, Any] | None = None
    error: str = ""
    written: tuple[str, ...] = ()
    skipped: bool = False


def attempt_recording(task: RecordingTask, observe: Observe) -> JobEvent:
    """Do a recording unless it is done, and return its last event. No exception leaves this but by signals.

    Results are made in a folder of their own and moved to their places when the work has ended; the receipt
    comes last. Whenever the process is killed, either nothing has changed, or a repetition replaces it.
    """

    def ended(status: Status, error: str) -> JobEvent:
        return JobEvent(task.recording, task.job.log, 1.0, status=status, error=error)

    try:
        return _attempt(task, observe)
    except (ConfigError, NoPluginError) as error:
        return ended("usage", str(error))
    except (PerceptionError, MemoryError) as error:
        return ended("failed", str(error) or "out of memory")
    except KeyboardInterrupt:
        return ended("interrupted", "interrupted")
    except OSError as error:
        return ended("failed", f"{error.strerror or type(error).__name__}: {error.filename or task.job.log}")
    except BaseException as error:
        return ended("failed", failure_text(error))


def _attempt(task: RecordingTask, observe: Observe) -> JobEvent:
    store = store_at(task.folder)
    before = read_receipts(store, [task.receipt]).get(task.receipt)
    if finished(task, store, before):
        assert before is not None
        return done_event(task, before, skipped=True)
    state = log_state(task.job.log)
    with store.staging(task.recording) as folder:
        end = task.job.run(ResultPlace(folder, task.recording, task.identity()), observe)
        if end.status in DONE and log_state(task.job.log) != state:
            raise OutputError(f"the log changed while it was read, so it is to be done again: {task.job.log}")
        return _publish(task, store, folder, end, before)


def done_event(task: RecordingTask, receipt: Mapping[str, Any], skipped: bool) -> JobEvent:
    """Return the last event of a recording that is done."""
    document, written = receipt["summary"], tuple(receipt["written"])
    frames = document.get("frames", 0)
    status: Status = document["status"]
    return JobEvent(task.recording, task.job.log, 1.0, frames, status, document, "", written, skipped)


def _publish(
    task: RecordingTask, store: ResultStore, folder: Path, end: JobEnd, before: Mapping[str, Any] | None
) -> JobEvent:
    """Move the results to their places, then write the receipt; of unfinished work keep the output log."""
    now = read_receipts(store, [task.receipt]).get(task.receipt)
    if is_of_another_log(now, task.job.log):
        raise OutputError(f"{task.main} became the result of another log meanwhile; run the batch again")
    names = [path.relative_to(folder).as_posix() for path in _files(folder)]
    if end.status not in DONE:
        names = [name for name in names if keeps_unfinished(name)]
    written = {}
    for name in names:
        written[name] = _put(store, folder / name, name)
    if end.status in DONE:
        receipt = write_receipt(task, store, end.document, written)
        for name in (before or {}).get("written", {}):
            if name not in written:  # of other settings: nothing may count it any more
                with suppress(OSError):
                    store.remove(name)
        return done_event(task, receipt, skipped=False)
    log, done = task.job.log, tuple(written)
    return JobEvent(task.recording, log, 1.0, end.frames, end.status, end.document, "", done)


def _put(store: ResultStore, staged: Path, name: str) -> dict[str, Any]:
    """Move a result to its place; return its identity. Raises OutputError."""
    try:
        sha256 = file_sha256(staged)
        store.put(staged, name)
        return {**store.stamp(name), "sha256": sha256}
    except OSError as error:
        place = store.path(name)
        raise OutputError(f"a result cannot be put: {error.strerror or error}: {place}") from None


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.rglob("*")) if path.is_file())
