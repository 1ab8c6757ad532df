"""Many logs at once: one process for each log, so that nothing grows and nothing is left behind."""

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
from perception.simulation.generation.log_generator import generate, partial_path
from perception.simulation.scenario import Scenario


@dataclass(frozen=True, slots=True)
class Order:
    """One log to make."""

    path: Path
    seed: int
    scenario: Scenario
    duration_s: float
    ground_px: int = 4096


Progress = Callable[[Order, int, int], None]
"""Called with a log, its frames done and its frames in all; done equals all when the log is in its place."""


def generate_many(orders: list[Order], jobs: int = 1, progress: Progress | None = None) -> None:
    """Makes logs in `jobs` processes, each of which makes one log and ends.

    When it fails or is interrupted, the processes are ended and their unfinished files removed; logs that
    were finished stay. The program's main module must be importable, as `multiprocessing` asks of spawning.

    Raises:
        PerceptionError: A log could not be made; which one and why.
    """
    waiting = list(reversed(orders))
    running: dict[Connection, _Worker] = {}
    try:
        while waiting or running:
            while waiting and len(running) < jobs:
                worker = _Worker(waiting.pop())
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


class _Worker:
    """A process that makes one log."""

    def __init__(self, order: Order) -> None:
        self.order = order
        context = multiprocessing.get_context("spawn")  # OpenGL does not survive a fork
        self.pipe, theirs = context.Pipe(duplex=False)
        self.process: Any = context.Process(target=_work, args=(order, theirs), daemon=True)
        self.process.start()
        theirs.close()
        self.finished = False

    def listen(self) -> tuple[int, int] | None:
        """Frames done and in all; None when the log is finished.

        Raises:
            PerceptionError: It was not.
        """
        try:
            said = self.pipe.recv()
        except EOFError:
            self.process.join()
            raise PerceptionError(
                f"the process that made {self.order.path} (seed {self.order.seed}) ended with exit code "
                f"{self.process.exitcode} before the log was finished; is there enough memory?"
            ) from None
        if isinstance(said, BaseException):
            raise said
        self.finished = said is None
        return said  # type: ignore[no-any-return]

    def end(self) -> None:
        """Ends the process if it still runs, and removes what it had not finished."""
        if self.pipe.closed:
            return
        if not self.finished:
            self.process.terminate()
        self.process.join()
        with suppress(OSError):
            partial_path(self.order.path, self.process.pid).unlink()
        self.pipe.close()


def _work(order: Order, pipe: Connection) -> None:
    """The life of a process: one log, told as it grows. A broken pipe ends it: nobody waits any more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent ends us
    with terminable():
        try:
            generate(
                order.path,
                order.seed,
                order.scenario,
                order.duration_s,
                lambda done, total: pipe.send((done, total)),
                ground_px=order.ground_px,
            )
            pipe.send(None)
        except PerceptionError as error:
            with suppress(OSError):
                pipe.send(PerceptionError(f"{error} (seed {order.seed})"))
        except BrokenPipeError:
            pass  # nobody waits for this log any more


@contextmanager
def terminable() -> Iterator[None]:
    """A request to terminate unwinds the program, so that it tidies up before it ends."""

    def leave(number: int, frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
