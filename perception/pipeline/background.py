"""Work that goes on in a thread while a caller takes its items one by one."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Generic, TypeVar

T = TypeVar("T")


def in_background(work: Callable[[Callable[[T], None]], None], ahead: int, name: str) -> Iterator[T]:
    """Yield the items of work that goes on in a thread, and ends when the iterator is closed.

    Args:
        work: Calls what it is given with each item.
        ahead: The items that wait for the caller, at most.
        name: Of the thread.

    Raises:
        BaseException: What the work raised.
    """
    handed: _Handover[T] = _Handover(ahead)

    def run() -> None:
        failure: BaseException | None = None
        try:
            work(handed.put)
        except BaseException as error:
            failure = error
        with suppress(_ClosedEarly):  # of the end, too, nobody may want to know any more
            handed.end(failure)

    thread = threading.Thread(target=run, name=name, daemon=True)
    thread.start()
    try:
        yield from handed.items()
    finally:
        handed.stop()
        thread.join()


class _ClosedEarly(Exception):
    """The caller asks for no more items."""


class _End:
    """The end of the work, with its error."""

    def __init__(self, error: BaseException | None) -> None:
        self.error = error


class _Handover(Generic[T]):
    """A short queue between the thread of the work and its caller."""

    def __init__(self, ahead: int) -> None:
        self._queue: queue.Queue[T | _End] = queue.Queue(ahead)
        self._stopped = False

    def put(self, item: T | _End) -> None:
        """Hand an item over, or the end."""
        while not self._stopped:
            try:
                return self._queue.put(item, timeout=0.1)
            except queue.Full:
                continue
        raise _ClosedEarly

    def end(self, error: BaseException | None) -> None:
        """Hand over that the work has ended."""
        self.put(_End(error))

    def items(self) -> Iterator[T]:
        """Yield the items as they come; raise the error of the work."""
        while not isinstance(item := self._queue.get(), _End):
            yield item
        if item.error is not None:
            raise item.error

    def stop(self) -> None:
        """Take no more items; the work ends at its next one."""
        self._stopped = True
