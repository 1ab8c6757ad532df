"""Generation of several logs, each in a process of its own, which frees all its memory when it ends."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path
from types import FrameType
from typing import Any

from perception.errors import PerceptionError
from perception.interrupts import ENDING_SIGNALS
from perception.simulation.generation.log_generator import generate, partial_path
from perception.simulation.scenario import Scenario


@dataclass(frozen=True, slots=True)
class Order:
    """A log to generate."""

    path: Path
    seed: int
    scenario: Scenario
    duration_s: float
    ground_px: int = 4096


Progress = Callable[[Order, int, int], None]
"""Called with a log, its finished frames and the number of its frames."""


def generate_many(orders: list[Order], jobs: int = 1, progress: Progress | None = None) -> None:
    """Generate logs in at most `jobs` processes at a time, each of which generates one log.

    On failure or interruption the processes are ended and their unfinished files removed; finished logs stay.
    The program's main module must be importable, as `multiprocessing` requires for spawned processes.

    Raises:
        PerceptionError: A log could not be generated; names the log and the reason.
    """
    waiting = list(reversed(orders))
    running: dict[Connection, _LogProcess] = {}
    try:
        while waiting or running:
            while waiting and len(running) < jobs:
                worker = _LogProcess(waiting.pop())
                running[worker.pipe] = worker
            for pipe in wait(list(running)):
                worker = running[pipe]  # type: ignore[index]
                done = worker.listen()
                if done is None:
                    running.pop(worker.pipe).end()
                elif progress is not None:
                    progress(worker.order, *done)
    finally:
        for worker in running.values():
            worker.end()


class _LogProcess:
    """A process that generates one log."""

    def __init__(self, order: Order) -> None:
        self.order = order
        context = multiprocessing.get_context("spawn")  # OpenGL does not survive a fork
        self.pipe, theirs = context.Pipe(duplex=False)
        self.process: Any = context.Process(target=_work, args=(order, theirs), daemon=True)
        self.process.start()
        theirs.close()
        self.finished = False

    def listen(self) -> tuple[int, int] | None:
        """Return the numbers of finished frames and of all frames, or None when the log is finished.

        Raises:
            PerceptionError: The process failed.
        """
        try:
            report = self.pipe.recv()
        except EOFError:
            self.process.join()
            raise PerceptionError(
                f"the process that made {self.order.path} (seed {self.order.seed}) ended with exit code "
                f"{self.process.exitcode} before the log was finished; is there enough memory?"
            ) from None
        if isinstance(report, BaseException):
            raise report
        self.finished = report is None
        return report  # type: ignore[no-any-return]

    def end(self) -> None:
        """End the process if it still runs, and remove its unfinished file."""
        if self.pipe.closed:
            return
        if not self.finished:
            self.process.terminate()
        self.process.join()
        with suppress(OSError):
            partial_path(self.order.path, self.process.pid).unlink()
        self.pipe.close()


def _work(order: Order, pipe: Connection) -> None:
    """Generate one log and report its progress. A broken pipe ends the process: the parent has gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent ends us
    with terminable():
        try:
            job = (order.path, order.seed, order.scenario, order.duration_s)
            generate(*job, lambda done, total: pipe.send((done, total)), ground_px=order.ground_px)
            pipe.send(None)
        except PerceptionError as error:
            with suppress(OSError):
                pipe.send(PerceptionError(f"{error} (seed {order.seed})"))
        except BrokenPipeError:
            pass  # the parent has gone


@contextmanager
def terminable() -> Iterator[None]:
    """Turn SIGTERM and SIGHUP into SystemExit within the block, so that files are removed or closed before
    the program ends. A signal that is ignored stays ignored."""

    def leave(number: int, frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    before = {
        number: signal.signal(number, leave)
        for number in ENDING_SIGNALS
        if number != signal.SIGINT and signal.getsignal(number) is not signal.SIG_IGN
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
