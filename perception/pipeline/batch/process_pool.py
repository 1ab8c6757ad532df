"""A pool of processes that each do one recording after the other, so that imports are paid once."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections import Counter, deque
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from multiprocessing.synchronize import Event
from time import monotonic

from perception.codec_messages import silence_codecs
from perception.errors import OutputError
from perception.interrupts import raise_on_signals
from perception.logs import Log
from perception.pipeline.batch.attempt import JobEvent, attempt_recording
from perception.pipeline.batch.progress_reporter import ProgressReporter
from perception.pipeline.batch.receipts import RecordingTask
from perception.pipeline.log_source import Span
from perception.pipeline.runner import Observer

ATTEMPTS = 4
"""How often a recording is begun whose process is killed, as by a machine that is short of memory."""

CLOSE_S = 20.0
"""Seconds that processes may take to close their outputs when the user has ended the run."""


def run_in_processes(tasks: Sequence[RecordingTask], count: int) -> Generator[JobEvent]:
    """Do recordings in `count` processes of this machine and yield their events as they arrive.

    A recording whose process was killed is done again, up to `ATTEMPTS` times in all; one whose process ended
    by itself has failed. Another process takes the place of either. When the iterator is closed before its
    end, the processes close their outputs readable and end.

    Raises:
        OutputError: The system has no shared memory for them.
    """
    waiting = deque(tasks)
    attempts: Counter[str] = Counter()
    workers: list[_JobProcess] = []
    stop = _stop_event()
    try:
        workers += [_JobProcess(stop) for _ in range(min(count, len(waiting)))]
        while True:
            for worker in [worker for worker in workers if worker.task is None]:
                if waiting:
                    worker.start(waiting.popleft())
                else:
                    workers.remove(worker)
                    worker.end()
            if not workers:
                return
            for ready in wait([worker.connection for worker in workers]):
                worker = next(w for w in workers if w.connection is ready)
                task = worker.task
                event = worker.receive()
                if worker.dead:
                    workers[workers.index(worker)] = _JobProcess(stop)
                if worker.was_killed or event.status == "interrupted":
                    assert task is not None
                    attempts[task.recording] += 1
                    if attempts[task.recording] < ATTEMPTS:
                        waiting.appendleft(task)
                        event = JobEvent(task.recording, task.job.log)  # from the beginning
                yield event
    finally:
        stop.set()
        deadline = monotonic() + CLOSE_S
        for worker in workers:
            worker.end(max(0.0, deadline - monotonic()))


def _stop_event() -> Event:
    """Return the event that ends the processes, which lies in shared memory: a container may have little."""
    try:
        return multiprocessing.get_context("spawn").Event()
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        text = f"the processes of a batch need shared memory ({reason}); free some at /dev/shm, or give more"
        raise OutputError(f"{text} (docker run --shm-size=1g)") from None


class _JobProcess:
    """A process, and the parent's end of the pipe to it."""

    def __init__(self, stop: Event) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection, other = context.Pipe()
        self._process: SpawnProcess = context.Process(target=_work, args=(other, stop), daemon=True)
        self._process.start()
        other.close()
        self.task: RecordingTask | None = None
        self.dead = self.was_killed = False

    def start(self, task: RecordingTask) -> None:
        self.task = task
        with suppress(OSError):  # the process has died: `receive` reports it
            self.connection.send(task)

    def receive(self) -> JobEvent:
        """Return the next report; for a process that died, the end of its job."""
        assert self.task is not None
        event: JobEvent
        try:
            event = self.connection.recv()
        except (EOFError, OSError):
            self.dead = True
            self.end()
            code = self._process.exitcode
            self.was_killed = code in (-signal.SIGKILL, -signal.SIGTERM, 0)  # 0: asked to end, without a task
            error = f"its process ended with {code}"
            error += f", {ATTEMPTS} times (out of memory?)" if self.was_killed else ""
            return JobEvent(self.task.recording, self.task.job.log, status="failed", error=error)
        if event.status is not None:
            self.task = None
        return event

    def end(self, wait_s: float = CLOSE_S) -> None:
        """Let the process end, and terminate it if it does not."""
        self.connection.close()
        self._process.join(wait_s)
        if self._process.is_alive():
            self._process.kill()  # it had its time to close, and may heed no other signal
            self._process.join()


def _work(connection: Connection, stop: Event) -> None:
    """Do recordings from the pipe until it closes. Ctrl-C is for the parent, which sets `stop`."""
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


def _run(task: RecordingTask, connection: Connection, stop: Event) -> JobEvent:
    """Do a recording and return its last event; an error in one does not affect the others."""

    @contextmanager
    def observe(log: Log, span: Span) -> Iterator[Observer]:
        yield ProgressReporter(task, connection.send, stop.is_set, log, span)

    return attempt_recording(task, observe)
