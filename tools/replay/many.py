"""Several logs: a process for each of `--jobs`, one display, one summary, and nothing done twice."""

from __future__ import annotations

import json
import os
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from time import monotonic
from typing import Any, Protocol

import typer

from perception.autoconfig import Overrides
from perception_tools.replay.job import ReplayJob
from perception_tools.replay.process import News, run_jobs
from perception_tools.replay.receipt import Receipts

WORST = (130, 1, 2, 3, 0)
"""Exit codes, the worst first."""

Row = dict[str, Any]


def replay_many(like: ReplayJob, logs: Sequence[Path], folder: Path, count: int, as_json: bool) -> int:
    """Replay logs as one job describes it, and print what they came to.

    Args:
        like: Its log and output are replaced.
        folder: Made if it is not there.
        count: How many at a time.

    Returns:
        The worst exit code.
    """
    began = monotonic()
    folder.mkdir(parents=True, exist_ok=True)
    jobs = [
        replace(like, log=log, output=target) for log, target in zip(logs, targets(logs, folder), strict=True)
    ]
    overrides = like.overrides or Overrides()
    if "workers" not in overrides.engine and count > 1:
        overrides = replace(overrides, engine={**overrides.engine, "workers": _workers(like, count)})
        jobs = [replace(job, overrides=overrides) for job in jobs]
    receipts = Receipts.of(like)
    rows = _run(jobs, receipts, count)
    report = report_of([rows[job.log] for job in jobs], monotonic() - began)
    if as_json:
        print(json.dumps(report, indent=2, ensure_ascii=False))
    else:
        from perception_tools.replay.many_text import show_many

        show_many(report)
    return int(report["exit_code"])


def targets(logs: Sequence[Path], folder: Path) -> list[Path]:
    """The output of each log: by its name, or where two have the same, by its path below what all share.

    Raises:
        BadParameter: A log is named twice.
    """
    twice = [str(log) for log, times in Counter(log.resolve() for log in logs).items() if times > 1]
    if twice:
        raise typer.BadParameter(f"a log is named twice: {', '.join(twice)}")
    names = [log.stem for log in logs]
    if len(set(names)) < len(names):
        shared = os.path.commonpath([log.resolve().parent for log in logs])
        names = ["_".join(log.resolve().relative_to(shared).with_suffix("").parts) for log in logs]
    return [folder / f"{name}.outputs.mcap" for name in names]


def _workers(job: ReplayJob, count: int) -> int:
    """What one of several processes may have of the cores, all of which one alone would take."""
    from perception.pipeline import resolve_device
    from perception.pipeline.workers import default_workers

    engine = job.overrides.engine if job.overrides else {}
    device = resolve_device(job.device, engine.get("backend", "auto"))
    return max(1, default_workers(device, engine.get("threads", 1)) // count)


def _run(jobs: Sequence[ReplayJob], receipts: Receipts, count: int) -> dict[Path, Row]:
    """A row of the report for each log."""
    rows: dict[Path, Row] = {}
    for job in jobs:
        summary = receipts.done(job)
        if summary is not None:
            rows[job.log] = _row(job, summary, skipped=True)
        else:
            receipts.begin(job)
    pending = [job for job in jobs if job.log not in rows]
    try:
        with _display(len(jobs), len(rows)) as display, closing(run_jobs(pending, count)) as heard:
            for news in heard:
                display.show(news)
                if news.summary is not None:
                    if news.summary["exit_code"] in (0, 3):
                        receipts.keep(news.job, news.summary)
                    rows[news.job.log] = _row(news.job, news.summary, skipped=False)
                elif news.error:
                    rows[news.job.log] = _failed(news.job, news.error, news.exit_code)
    except KeyboardInterrupt:
        for job in pending:
            rows.setdefault(job.log, _failed(job, "interrupted", 130))
    return rows


def _row(job: ReplayJob, summary: Row, skipped: bool) -> Row:
    return {**summary, "log": str(job.log), "skipped": skipped, "written": [str(p) for p in job.written]}


def _failed(job: ReplayJob, error: str, code: int) -> Row:
    status = "interrupted" if code == 130 else "failed"
    return {
        "log": str(job.log),
        "skipped": False,
        "status": status,
        "exit_code": code,
        "error": error,
        "written": [],
    }


def report_of(rows: Sequence[Row], seconds: float) -> Row:
    """All logs as one object: `logs` holds the summaries as `perception replay` gives them for one log."""
    codes = {row["exit_code"] for row in rows}
    worst = next((code for code in WORST if code in codes), max(codes, default=0))
    status = {0: "clean", 3: "loss", 130: "interrupted"}.get(worst, "failed")
    done = [row for row in rows if "error" not in row]
    heads: dict[str, Counter[str]] = {}
    for row in done:
        for head, counts in row["outputs"].items():
            heads.setdefault(head, Counter()).update(counts)
    return {
        "schema": "perception.replay_many/1",
        "status": status,
        "exit_code": worst,
        "totals": {
            "logs": len(rows),
            "skipped": sum(row["skipped"] for row in rows),
            "failed": sum(row["exit_code"] not in (0, 3) for row in rows),
            "frames": sum(row["frames"] for row in done),
            "errors": sum(row["errors"] for row in done),
            "outputs": {head: dict(counts) for head, counts in heads.items()},
            "log_seconds": sum(row["log_seconds"] for row in done),
        },
        "seconds": seconds,
        "logs": list(rows),
    }


class Display(Protocol):
    """Shows how far the logs are."""

    def show(self, news: News) -> None:
        """Something was heard of a log."""


@contextmanager
def _display(count: int, done: int) -> Iterator[Display]:
    """A line for all logs and one for each under way, in a terminal; else nothing."""
    if not sys.stderr.isatty():
        yield _Silent()
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=20),
        TextColumn("{task.percentage:>3.0f} %"),
        TextColumn("{task.fields[note]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True, refresh_per_second=5) as progress:
        yield _Lines(progress, count, done)


class _Silent:
    def show(self, news: News) -> None:
        """Nobody looks."""


class _Lines:
    def __init__(self, progress: Any, count: int, done: int) -> None:
        self._progress, self._count, self._done = progress, count, done
        self._all = progress.add_task("all logs", total=count, completed=done, note=f"{done} of {count}")
        self._tasks: dict[Path, Any] = {}
        self._parts: dict[Path, float] = {}

    def show(self, news: News) -> None:
        name = news.job.log
        if name not in self._tasks:
            self._tasks[name] = self._progress.add_task(name.stem[:24], total=1.0, note="")
        self._parts[name] = news.fraction
        if news.last:
            self._progress.remove_task(self._tasks[name])
            self._done += 1
            self._parts[name] = 1.0
        else:
            self._progress.update(self._tasks[name], completed=news.fraction, note=f"{news.frames} frames")
        before = self._done - sum(part == 1.0 for part in self._parts.values())
        completed = before + sum(self._parts.values())
        self._progress.update(self._all, completed=completed, note=f"{self._done} of {self._count}")
