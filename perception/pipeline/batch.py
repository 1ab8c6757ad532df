"""Replays of several logs: in a pool of processes, with receipts by which finished ones are skipped."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from importlib.metadata import entry_points
from pathlib import Path
from time import monotonic
from typing import Any

from perception.autoconfig import Overrides
from perception.config import load_config
from perception.errors import ConfigError
from perception.files import file_sha256
from perception.pipeline.opened_plugin import resolve_device
from perception.pipeline.process_pool import JobEvent, run_jobs
from perception.pipeline.replay_job import ReplayJob
from perception.pipeline.run_record import recorded_versions
from perception.pipeline.workers import default_workers
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
        `log_seconds`."""
        summaries = [result.summary for result in self.logs if result.summary is not None]
        heads: dict[str, Counter[str]] = {}
        for summary in summaries:
            for head, counts in summary["outputs"].items():
                heads.setdefault(head, Counter()).update(counts)
        return {
            "logs": len(self.logs),
            "skipped": sum(result.skipped for result in self.logs),
            "failed": sum(result.status not in ("clean", "loss") for result in self.logs),
            "frames": sum(summary["frames"] for summary in summaries),
            "errors": sum(summary["errors"] for summary in summaries),
            "outputs": {head: dict(counts) for head, counts in heads.items()},
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
    """
    began = monotonic()
    folder.mkdir(parents=True, exist_ok=True)
    receipts = Receipts.of(like)
    overrides = like.overrides
    if count > 1 and "workers" not in overrides.engine:
        overrides = replace(overrides, engine={**overrides.engine, "workers": _workers(like, count)})
    outputs = output_paths(logs, folder)
    jobs = [
        replace(like, log=log, output=path, overrides=overrides)
        for log, path in zip(logs, outputs, strict=True)
    ]
    results = {job.log: result for job in jobs if (result := receipts.finished(job)) is not None}
    on_start(len(jobs), len(results))
    pending = [job for job in jobs if job.log not in results]
    for job in pending:
        receipts.remove(job)
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
        receipts.write(job, summary)
    return LogResult(job.log, status, summary, written=tuple(job.written))


def output_paths(logs: Sequence[Path], folder: Path) -> list[Path]:
    """Return the output of each log: by its name, or where two have the same, by its path below the folder
    that all share.

    Raises:
        ConfigError: A log is named twice.
    """
    twice = [str(log) for log, times in Counter(log.resolve() for log in logs).items() if times > 1]
    if twice:
        raise ConfigError([f"a log is named twice: {', '.join(twice)}"])
    names = [log.stem for log in logs]
    if len(set(names)) < len(names):
        shared = os.path.commonpath([log.resolve().parent for log in logs])
        names = ["_".join(log.resolve().relative_to(shared).with_suffix("").parts) for log in logs]
    return [folder / f"{name}.outputs.mcap" for name in names]


def _workers(job: ReplayJob, count: int) -> int:
    """Return the number of threads of one of several processes, which share those of a single process."""
    engine = job.overrides.engine
    device = resolve_device(job.device, engine.get("backend", "auto"))
    return max(1, default_workers(device, engine.get("threads", 1)) // count)


# --- receipts ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Receipts:
    """Files beside the outputs of a batch, each with the summary of a finished replay and what made it.

    A replay is finished if its log, weights, plugin and settings are those of its receipt, and what it wrote
    still has its size. A log of the same size and modification time counts as unchanged; any other
    is read and compared.

    Attributes:
        settings: A hash over code, versions, weights and settings of the replays.
    """

    settings: str

    @classmethod
    def of(cls, job: ReplayJob) -> Receipts:
        """Return the receipts of jobs that differ from this one in log and output only."""
        engine = {key: value for key, value in job.overrides.engine.items() if key != "workers"}
        overrides = replace(job.overrides, checkpoint=None, engine=engine)
        configured = load_config(job.config).plugin if job.config is not None else None
        weights = job.overrides.checkpoint or (configured.checkpoint if configured else None)
        plugin = job.overrides.plugin or (configured.name if configured else "fusion")
        settings = asdict(
            replace(job, log=Path(), output=None, config=None, overrides=Overrides(), force=False)
        ) | {
            "overrides": asdict(overrides),
            "config_text": job.config.read_text("utf-8") if job.config is not None else "",
            # The plugin's own weights are in its package.
            "weights": file_sha256(weights) if weights is not None else "",
            "code": _package_sha256(plugin),
            "versions": dict(recorded_versions()),
        }
        return cls(hashlib.sha256(json.dumps(settings, sort_keys=True, default=str).encode()).hexdigest())

    def finished(self, job: ReplayJob) -> LogResult | None:
        """Return the result of a job that is finished, else None."""
        try:
            receipt = json.loads(_path(job).read_text("utf-8"))
            stat = job.log.stat()
            if receipt["settings"] != self.settings or receipt["bytes"] != stat.st_size:
                return None
            if any(Path(name).stat().st_size != size for name, size in receipt["written"].items()):
                return None
            if receipt["mtime_ns"] != stat.st_mtime_ns and receipt["sha256"] != file_sha256(job.log):
                return None
            summary = receipt["summary"]
            return LogResult(job.log, summary["status"], summary, written=tuple(job.written), skipped=True)
        except (OSError, ValueError, KeyError, AttributeError, TypeError):
            return None  # no receipt, or not one of this program

    def remove(self, job: ReplayJob) -> None:
        """Remove the receipt of a job that is about to run."""
        _path(job).unlink(missing_ok=True)

    def write(self, job: ReplayJob, summary: Mapping[str, Any]) -> None:
        """Write the receipt of a finished job. It appears whole or not at all."""
        stat, path = job.log.stat(), _path(job)
        receipt = {
            "settings": self.settings,
            "bytes": stat.st_size,
            "mtime_ns": stat.st_mtime_ns,
            "sha256": file_sha256(job.log),
            "written": {str(name): name.stat().st_size for name in job.written},
            "summary": summary,
        }
        part = path.with_suffix(".part")
        part.write_text(json.dumps(receipt), "utf-8")
        os.replace(part, path)


def _path(job: ReplayJob) -> Path:
    assert job.output is not None
    return job.output.with_suffix(".json")


def _package_sha256(plugin: str) -> str:
    """Return a hash over a plugin's package, its code and its own weights, without importing it."""
    digest = hashlib.sha256()
    for point in entry_points(group="perception.plugins", name=plugin):
        spec = importlib.util.find_spec(point.value.partition(":")[0].split(".")[0])
        for folder in (spec.submodule_search_locations or ()) if spec is not None else ():
            for path in sorted(Path(folder).rglob("*")):
                if path.is_file() and "__pycache__" not in path.parts:
                    digest.update(f"{path.relative_to(folder)} {file_sha256(path)}\n".encode())
    return digest.hexdigest()
