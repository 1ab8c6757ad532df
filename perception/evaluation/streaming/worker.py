"""The simulation of a single worker with a latency."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from perception.types.times import bounded_ns

Int64 = NDArray[np.int64]


class Worked(NamedTuple):
    """The ticks that a worker processed, in order, and the times at which their outputs exist. Both [K]."""

    taken: Int64
    exists_ns: Int64


def work(arrivals_ns: Sequence[int] | Int64, latency_ns: int) -> Worked:
    """Simulate the single worker on ticks that arrive at these times, in order.

    A tick that arrives exactly when the worker finishes is processed at once, unless another was waiting.
    """
    taken: list[int] = []
    exists: list[int] = []
    free_ns: int | None = None  # the time at which the worker finishes its last tick
    waiting: int | None = None

    def take(index: int, begins_ns: int) -> int:
        taken.append(index)
        exists.append(begins_ns + latency_ns)
        return begins_ns + latency_ns

    for index, arrival_ns in enumerate(int(a) for a in arrivals_ns):
        if waiting is not None and free_ns is not None and free_ns <= arrival_ns:
            free_ns, waiting = take(waiting, free_ns), None
        if free_ns is None or free_ns <= arrival_ns:
            free_ns = take(index, arrival_ns)
        else:
            waiting = index
    if waiting is not None and free_ns is not None:
        take(waiting, free_ns)
    return Worked(np.array(taken, np.int64), np.array([bounded_ns(at) for at in exists], np.int64))


def newest(exists_ns: Int64, at_ns: int) -> int:
    """Return the index of the newest output that exists at a time; -1 before the first."""
    return int(np.searchsorted(exists_ns, bounded_ns(at_ns), side="right")) - 1
