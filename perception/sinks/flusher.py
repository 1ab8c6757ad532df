"""A thread that flushes a file while its writer waits, so that a program that is killed loses little."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from threading import Event, Thread

from perception.errors import OutputError


class Flusher:
    """Calls a function in a fixed rhythm until it is stopped.

    Args:
        flush: Called by the thread. An OutputError is left to the next write, which fails by itself.
        every_s: The rhythm, s.
    """

    def __init__(self, flush: Callable[[], None], every_s: float = 0.5) -> None:
        self._flush = flush
        self._every_s = every_s
        self._stopped = Event()
        self._thread = Thread(target=self._run, name="flusher", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread, and wait for it."""
        self._stopped.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopped.wait(self._every_s):
            with suppress(OutputError):
                self._flush()
