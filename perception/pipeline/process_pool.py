"""A pool of processes that each run one replay job after the other, so that imports are paid once."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from multiprocessing.synchronize import Event
from time import monotonic

from perception.codec_messages import silence_codecs
from perception.errors import ConfigError, NoPluginError, PerceptionError
from perception.interrupts import raise_on_signals
from perception.logs import Log
from perception.pipeline.log_source import Span
from perception.pipeline.replay_job import ReplayJob, run_job
from perception.pipeline.replay_summary import Summary
from perception.pipeline.runner import Observer, Progress
from perception.plugin.failures import failure_text
from perception.types import Sample, Status

REPORT_S = 0.2
CLOSE_S = 20.0
"""Seconds that processes may take to close their outputs when the user has ended the run."""


@dataclass(frozen=True, slots=True)
class JobEvent:
    """A report on a job: its progress, or as the last one its end.

    Attributes:
        fraction: The part of the log that is done, 0 to 1.
        frames: Outputs so far.
        status: How the job ended; None: it is running.
        summary: The account of a replay that came to its end.
        error: Why there is no summary.
    """

    job: ReplayJob
    fraction: float = 0.0
    frames: int = 0
    status: Status | None = None
    summary: Summary | None = None
    error: str = ""


def run_jobs(jobs: Iterable[ReplayJob], count: int) -> Generator[JobEvent]:
    """Run jobs in `count` processes and yield their events as they arrive.

    A job whose process dies has failed, and another process takes its place. When the iterator is closed
    before its end, the processes close their outputs readable and end.
    """
    waiting = deque(jobs)
    workers: list[_JobProcess] = []
    stop = multiprocessing.get_context("spawn").Event()
    try:
        workers += [_JobProcess(stop) for _ in range(min(count, len(waiting)))]
        while True:
            for worker in [worker for worker in workers if worker.job is None]:
                if waiting:
                    worker.start(waiting.popleft())
                else:
                    workers.remove(worker)
                    worker.end()
            if not workers:
                return
            for ready in wait([worker.connection for worker in workers]):
                worker = next(w for w in workers if w.connection is ready)
                event = worker.receive()
                if worker.dead:
                    workers[workers.index(worker)] = _JobProcess(stop)
                yield event
    finally:
        stop.set()
        deadline = monotonic() + CLOSE_S
        for worker in workers:
            worker.end(max(0.0, deadline - monotonic()))


class _JobProcess:
    """A process, and the parent's end of the pipe to it."""

    def __init__(self, stop: Event) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection, other = context.Pipe()
        self._process: SpawnProcess = context.Process(target=_work, args=(other, stop), daemon=True)
        self._process.start()
        other.close()
        self.job: ReplayJob | None = None
        self.dead = False

    def start(self, job: ReplayJob) -> None:
        self.job = job
        with suppress(OSError):  # the process has died: `receive` reports it
            self.connection.send(job)

    def receive(self) -> JobEvent:
        """Return the next report; for a process that died, the end of its job."""
        assert self.job is not None
        event: JobEvent
        try:
            event = self.connection.recv()
        except (EOFError, OSError):
            self.dead = True
            self.end()
            code = self._process.exitcode
            error = f"its process ended with {code}"
            error += " (out of memory?)" if code == -signal.SIGKILL else ""
            return JobEvent(self.job, status="failed", error=error)
        if event.status is not None:
            self.job = None
        return event

    def end(self, wait_s: float = CLOSE_S) -> None:
        """Let the process end, and terminate it if it does not."""
        self.connection.close()
        self._process.join(wait_s)
        if self._process.is_alive():
            self._process.kill()  # it had its time to close, and may heed no other signal
            self._process.join()


def _work(connection: Connection, stop: Event) -> None:
    """Run jobs from the pipe until it closes. Ctrl-C is for the parent, which sets `stop`."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    raise_on_signals()
    silence_codecs()
    with suppress(OSError):
        os.dup2(2, 1)  # what plugins print goes to stderr
    while True:
        try:
            connection.send(_run(connection.recv(), connection, stop))
        except (EOFError, OSError, KeyboardInterrupt):
            return  # the parent has ended, or this process was asked to while it had no job


def _run(job: ReplayJob, connection: Connection, stop: Event) -> JobEvent:
    """Run a job and return its last event; an error in one log does not affect the others."""

    @contextmanager
    def observe(log: Log, span: Span) -> Iterator[Observer]:
        yield _Reporter(job, connection, stop, log, span)

    def ended(status: Status, error: str) -> JobEvent:
        return JobEvent(job, 1.0, status=status, error=error)

    try:
        summary = run_job(job, observe)
    except (ConfigError, NoPluginError) as error:
        return ended("usage", str(error))
    except (PerceptionError, MemoryError) as error:
        return ended("failed", str(error) or "out of memory")
    except KeyboardInterrupt:
        return ended("interrupted", "interrupted")
    except OSError as error:
        return ended("failed", f"{error.strerror or type(error).__name__}: {error.filename or job.log}")
    except BaseException as error:
        return ended("failed", failure_text(error))
    return JobEvent(job, 1.0, summary.frames, summary.status, summary)


class _Reporter:
    """Sends the parent the progress of a run, and ends the run when the parent has set `stop`."""

    def __init__(self, job: ReplayJob, connection: Connection, stop: Event, log: Log, span: Span) -> None:
        self._job, self._connection, self._stop = job, connection, stop
        self._first_ns = span.start_ns or log.survey.start_ns or 0
        last_ns = min(span.end_ns or sys.maxsize, log.survey.end_ns or self._first_ns)
        self._covers_ns = max(last_ns - self._first_ns, 1)
        self._reported_s = 0.0

    def before(self, sample: Sample) -> None:
        if self._stop.is_set():
            raise KeyboardInterrupt

    def after(self, progress: Progress) -> None:
        now_s = monotonic()
        if now_s - self._reported_s >= REPORT_S:
            self._reported_s = now_s
            fraction = (progress.log_time_ns - self._first_ns) / self._covers_ns
            self._connection.send(JobEvent(self._job, min(max(fraction, 0.0), 1.0), progress.frames))
