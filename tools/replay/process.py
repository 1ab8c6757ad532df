"""Replays in other processes: each process takes one job after the other, so that imports are paid once."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager, redirect_stdout, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from time import monotonic
from typing import TYPE_CHECKING, Any

from perception_tools.replay.job import ReplayJob, run_job

if TYPE_CHECKING:
    from multiprocessing.context import SpawnProcess
    from multiprocessing.synchronize import Event

    from perception.logs import Log
    from perception.pipeline import Observer, Progress, Span
    from perception.types import Sample

TELL_S = 0.2
PATIENCE_S = 20.0
"""How long processes may take to close their outputs when the user has ended the run."""


@dataclass(frozen=True, slots=True)
class News:
    """What is heard of a job: how far it is, or at the end its summary, or why there is none."""

    job: ReplayJob
    fraction: float = 0.0
    frames: int = 0
    summary: dict[str, Any] | None = None
    error: str = ""
    exit_code: int = 0

    @property
    def last(self) -> bool:
        return self.summary is not None or bool(self.error)


def run_jobs(jobs: Iterable[ReplayJob], count: int) -> Generator[News]:
    """Run jobs in so many processes, and tell what is heard of them, as it comes.

    A job whose process dies is told as failed, and another process takes its place. When the iterator is
    closed before its end, the processes close their outputs readable and leave.
    """
    waiting = deque(jobs)
    servers: list[_Server] = []
    context = multiprocessing.get_context("spawn")
    stop = context.Event()
    try:
        servers += [_Server(stop) for _ in range(min(count, len(waiting)))]
        while True:
            for server in [server for server in servers if server.job is None]:
                if waiting:
                    server.give(waiting.popleft())
                else:
                    servers.remove(server)
                    server.leave()
            if not servers:
                return
            for ready in wait([server.connection for server in servers]):
                server = next(s for s in servers if s.connection is ready)
                news = server.hear()
                if server.dead:
                    servers[servers.index(server)] = _Server(stop)
                yield news
    finally:
        stop.set()
        last_call = monotonic() + PATIENCE_S
        for server in servers:
            server.leave(max(0.0, last_call - monotonic()))


class _Server:
    """A process, and the line to it."""

    def __init__(self, stop: Event) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection, other = context.Pipe()
        self._process: SpawnProcess = context.Process(target=serve, args=(other, stop), daemon=True)
        self._process.start()
        other.close()
        self.job: ReplayJob | None = None
        self.dead = False

    def give(self, job: ReplayJob) -> None:
        self.job = job
        with suppress(OSError):  # it has died: `hear` will tell
            self.connection.send(job)

    def hear(self) -> News:
        """What it says next; of a dead one, that it died."""
        job = self.job
        assert job is not None
        try:
            fraction, frames, summary, error, code = self.connection.recv()
        except (EOFError, OSError):
            self.dead = True
            self.leave()
            how = self._process.exitcode
            error = f"its process ended with {how}" + (" (out of memory?)" if how == -signal.SIGKILL else "")
            return News(job, error=error, exit_code=1)
        news = News(job, fraction, frames, summary, error, code)
        if news.last:
            self.job = None
        return news

    def leave(self, patience_s: float = PATIENCE_S) -> None:
        """It has nothing more to do."""
        self.connection.close()
        self._process.join(patience_s)
        if self._process.is_alive():
            self._process.terminate()
            self._process.join()


def serve(connection: Connection, stop: Event) -> None:
    """The life of such a process: jobs come, news go. Ctrl-C is for the parent, which says `stop`."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with open(os.devnull, "w", encoding="utf-8") as nowhere, redirect_stdout(nowhere):
        while True:
            try:
                job: ReplayJob = connection.recv()
                connection.send((1.0, 0, *_outcome(job, connection, stop)))
            except (EOFError, OSError):
                return  # nobody asks or listens any more


def _outcome(job: ReplayJob, connection: Connection, stop: Event) -> tuple[dict[str, Any] | None, str, int]:
    """The summary of a job, or its error and exit code."""
    import typer

    from perception.errors import ConfigError, NoPluginError, PerceptionError

    @contextmanager
    def watch(log: Log, span: Span) -> Iterator[Observer]:
        yield _Teller(connection, stop, log, span)

    try:
        summary = run_job(job, watch)
    except (ConfigError, NoPluginError) as error:
        return None, str(error), 2
    except (PerceptionError, MemoryError) as error:
        return None, str(error) or "out of memory", 1
    except typer.BadParameter as error:
        return None, str(error), 2
    except KeyboardInterrupt:
        return None, "interrupted", 130
    except OSError as error:
        return None, f"{error.strerror or type(error).__name__}: {error.filename or job.log}", 1
    except Exception as error:  # a fault of ours must not cost the other logs
        return None, f"{type(error).__name__}: {error}", 1
    return summary.to_json(), "", summary.exit_code


class _Teller:
    """Tells the parent how far a run is, and ends it when it says so."""

    def __init__(self, connection: Connection, stop: Event, log: Log, span: Span) -> None:
        self._connection, self._stop = connection, stop
        self._first_ns = span.start_ns or log.survey.start_ns or 0
        last_ns = min(span.end_ns or sys.maxsize, log.survey.end_ns or self._first_ns)
        self._covers_ns = max(last_ns - self._first_ns, 1)
        self._told = 0.0

    def before(self, sample: Sample) -> None:
        if self._stop.is_set():
            raise KeyboardInterrupt

    def after(self, progress: Progress) -> None:
        now = monotonic()
        if now - self._told >= TELL_S:
            self._told = now
            fraction = (progress.log_time_ns - self._first_ns) / self._covers_ns
            self._connection.send((min(max(fraction, 0.0), 1.0), progress.frames, None, "", 0))
