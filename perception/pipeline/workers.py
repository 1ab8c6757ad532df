"""Worker threads whose results come back in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Generic, Self, TypeVar

from perception.engines.processor import usable_cores
from perception.types.backends import has_own_threads

T = TypeVar("T")

MOST_WORKERS = 8
"""The default limit: Python code runs in one thread at a time, so more workers would only wait."""


def default_workers(device: str, threads: int | None, backend: str = "") -> int:
    """Return the number of workers that keep this machine busy: twice as many where they wait for the
    backend's own threads. The cores then have work while a worker prepares the next frame (measured: 1.18
    times the frames).

    Args:
        device: `cpu` or `cuda`, where the model is computed.
        threads: For computing one sample; None: all cores.
        backend: The name of the backend, as the plugin describes itself.
    """
    cores = usable_cores()
    if device == "cpu":
        cores //= threads or cores
        if cores > 1 and has_own_threads(backend):
            cores *= 2
    return max(1, min(cores, MOST_WORKERS))


class Workers(Generic[T]):
    """Threads that each do one piece of work as a whole, with the results in order. Used by one thread.

    On few cores this beats a chain of threads, one for each stage (measured: by half): every core has work
    whatever the stages cost, and the arrays of a frame stay in the caches of one core. The calling thread is
    one of them: where it would wait, it does a piece that no worker has begun, so that there are no more
    threads than `count`. At most two pieces for each worker are under way, including those that are done but
    not fetched; with one worker the calling thread does each piece at once.

    Args:
        count: The number of workers.
        work: Called with each piece, in any order, by any worker. Its exceptions are raised by `fetch`.
    """

    def __init__(self, count: int, work: Callable[[T], T]) -> None:
        self._work = work
        self._most = 2 * count
        self._pool = ThreadPoolExecutor(count - 1, "worker") if count > 1 else None
        self._under_way: deque[_Piece[T]] = deque()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Cancel the pieces that were not begun, and join the threads."""
        self.forget()
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)

    @property
    def busy(self) -> bool:
        """Return whether any piece is under way."""
        return bool(self._under_way)

    @property
    def due(self) -> bool:
        """Return whether to fetch before the next submit: the oldest piece is done, or the queue is full."""
        if not self._under_way:
            return False
        return self._pool is None or len(self._under_way) >= self._most or self._under_way[0].future.done()

    def submit(self, piece: T) -> None:
        """Queue a piece."""
        if self._pool is not None:
            self._under_way.append(_Piece(piece, self._pool.submit(self._work, piece)))
            return
        done: Future[T] = Future()
        done.set_result(self._work(piece))
        self._under_way.append(_Piece(piece, done))

    def fetch(self) -> T:
        """Return the result of the oldest piece. Until it is done, the calling thread does queued pieces."""
        oldest = self._under_way[0]
        while oldest.future.cancelled() or not oldest.future.done():
            mine = next((piece for piece in self._under_way if piece.future.cancel()), None)
            if mine is None:  # all are begun
                break
            self._do(mine)
        return self._under_way.popleft().future.result()

    def forget(self) -> None:
        """Drop all pieces under way."""
        while self._under_way:
            self._under_way.popleft().future.cancel()

    def _do(self, one: _Piece[T]) -> None:
        """Do a piece that was taken back from the pool. An interrupted piece stays queued."""
        done: Future[T] = Future()
        try:
            done.set_result(self._work(one.piece))
        except Exception as error:
            done.set_exception(error)
        one.future = done


@dataclass(slots=True, eq=False)
class _Piece(Generic[T]):
    """A piece and its future; a cancelled future: the calling thread has taken the piece back."""

    piece: T
    future: Future[T]
