"""Replays of several logs: in a pool of processes, with receipts by which finished ones are skipped."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from time import monotonic
from typing import Any

from perception.config import Config, load_config
from perception.errors import OutputError
from perception.path_guard import Write, check_paths
from perception.pipeline.batch_receipts import Receipts, is_of_another_log, is_receipt, receipt_path
from perception.pipeline.files_read import files_read
from perception.pipeline.opened_plugin import resolve_device
from perception.pipeline.output_names import output_paths
from perception.pipeline.process_pool import JobEvent, run_jobs
from perception.pipeline.replay_job import ReplayJob
from perception.pipeline.workers import default_workers
from perception.sinks import make_sink
from perception.sinks.protocol import own_files
from perception.types import Status

WORST_FIRST: tuple[Status, ...] = ("interrupted", "failed", "usage", "gate_failed", "loss", "clean")


@dataclass(frozen=True, slots=True)
class LogResult:
    """The result of one log.

    Attributes:
        log: The log.
        status: How its replay ended.
        summary: `Summary.to_json` of the replay; None where there is none.
        error: Why there is no summary.
        written: The files that the replay wrote.
        skipped: A receipt shows that the replay was finished before; the summary is of that replay.
    """

    log: Path
    status: Status
    summary: Mapping[str, Any] | None = None
    error: str = ""
    written: tuple[Path, ...] = ()
    skipped: bool = False


@dataclass(frozen=True, slots=True)
class BatchResult:
    """The results of several logs, in the order in which these were given. `seconds` is wall time."""

    logs: tuple[LogResult, ...]
    seconds: float

    @property
    def status(self) -> Status:
        """The worst status of a log."""
        return min((result.status for result in self.logs), key=WORST_FIRST.index, default="clean")

    def totals(self) -> dict[str, Any]:
        """Return the sums over the logs: `logs`, `skipped`, `failed`, `frames`, `errors`, `outputs` by head,
        `in_doubt_s` by head, `log_seconds`."""
        summaries = [result.summary for result in self.logs if result.summary is not None]
        heads: dict[str, Counter[str]] = {}
        for summary in summaries:
            for head, counts in summary["outputs"].items():
                heads.setdefault(head, Counter()).update(counts)
        in_doubt_s: dict[str, float] = {}
        for summary in summaries:
            for head, report in summary.get("monitor", {}).get("heads", {}).items():
                in_doubt_s[head] = in_doubt_s.get(head, 0.0) + report["in_doubt_s"]
        return {
            "logs": len(self.logs),
            "skipped": sum(result.skipped for result in self.logs),
            "failed": sum(result.status not in ("clean", "loss") for result in self.logs),
            "frames": sum(summary["frames"] for summary in summaries),
            "errors": sum(summary["errors"] for summary in summaries),
            "outputs": {head: dict(counts) for head, counts in heads.items()},
            "in_doubt_s": {head: round(seconds, 3) for head, seconds in in_doubt_s.items()},
            "log_seconds": sum(summary["log_seconds"] for summary in summaries),
        }


def replay_many(
    like: ReplayJob,
    logs: Sequence[Path],
    folder: Path,
    count: int = 1,
    on_event: Callable[[JobEvent], None] = lambda event: None,
    on_start: Callable[[int, int], None] = lambda logs, done: None,
) -> BatchResult:
    """Replay several logs as one job describes it, each in a process, into output logs in a folder.

    A log whose output is there, made by the same code, settings and weights, is skipped. KeyboardInterrupt
    ends the batch: logs that are not done are `interrupted`.

    Args:
        like: The job to copy; its log and output are replaced.
        folder: Where outputs and receipts go; made if it is not there.
        count: Number of processes. They share the cores, unless `like` sets the workers.
        on_event: Called for each report of a job.
        on_start: Called once with the number of logs, and of those that are skipped.

    Raises:
        ConfigError: A log is named twice.
        OutputError: The folder or a receipt cannot be written, or an output would replace a file that is read
            or is no earlier output.
    """
    began = monotonic()
    receipts, jobs = Receipts.of(like), _jobs(like, logs, folder, count)
    _check_files(like, jobs)
    results = {
        job.log: LogResult(job.log, summary["status"], summary, written=tuple(job.written), skipped=True)
        for job in jobs
        if (summary := receipts.finished(job)) is not None
    }
    on_start(len(jobs), len(results))
    pending = [job for job in jobs if job.log not in results]
    for job in pending:
        receipts.begin(job)
    try:
        with closing(run_jobs(pending, count)) as events:
            for event in events:
                on_event(event)
                if event.status is not None:
                    results[event.job.log] = _result(event, receipts)
    except KeyboardInterrupt:
        for job in pending:
            results.setdefault(job.log, LogResult(job.log, "interrupted", error="interrupted"))
    return BatchResult(tuple(results[job.log] for job in jobs), monotonic() - began)


def _result(event: JobEvent, receipts: Receipts) -> LogResult:
    job, status = event.job, event.status
    assert status is not None
    if event.summary is None:
        return LogResult(job.log, status, error=event.error)
    summary = event.summary.to_json()
    if status in ("clean", "loss"):
        try:
            receipts.write(job, summary)
        except (OutputError, OSError) as error:
            return LogResult(job.log, "failed", error=str(error), written=tuple(job.written))
    return LogResult(job.log, status, summary, written=tuple(job.written))


def _jobs(like: ReplayJob, logs: Sequence[Path], folder: Path, count: int) -> list[ReplayJob]:
    """Return a job for each log; make the folder of their outputs."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = error.strerror or error
        raise OutputError(f"the folder of the outputs cannot be made: {reason}: {folder}") from None
    overrides = like.overrides
    if count > 1 and "workers" not in overrides.engine:
        overrides = replace(overrides, engine={**overrides.engine, "workers": _workers(like, count)})
    outputs = zip(logs, output_paths(logs, folder, is_of_another_log), strict=True)
    return [replace(like, log=log, output=path, overrides=overrides) for log, path in outputs]


def _check_files(like: ReplayJob, jobs: Sequence[ReplayJob]) -> None:
    """Check all files of a batch before any is written: an output may be a log of another job."""
    config = load_config(like.config) if like.config is not None else Config()
    plugin, chosen = config.plugin, like.overrides
    changes = {"name": chosen.plugin or plugin.name, "checkpoint": chosen.checkpoint or plugin.checkpoint}
    config = config.model_copy(update={"plugin": plugin.model_copy(update=changes)})
    outputs = [job.output for job in jobs if job.output is not None]
    writes = [Write("--output-dir", path, own_files(make_sink(path))) for path in outputs]
    writes += [Write("--output-dir", receipt_path(path), is_receipt) for path in outputs]
    check_paths(files_read([job.log for job in jobs], config, like.config), writes, force=like.force)


def _workers(job: ReplayJob, count: int) -> int:
    """Return the number of threads of one of several processes, which share those of a single process."""
    engine = job.overrides.engine
    device = resolve_device(job.device, engine.get("backend", "auto"))
    return max(1, default_workers(device, engine.get("threads", 1)) // count)
