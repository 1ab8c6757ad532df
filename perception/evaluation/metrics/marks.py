"""Which rows of the metrics are of which log, and so in which block each of them lies."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from perception.evaluation.metrics.base import Metric
from perception.evaluation.metrics.control_errors import ControlErrors
from perception.evaluation.metrics.rows import Rows
from perception.evaluation.metrics.suite import Suite

Blocks = NDArray[np.intp]
"""[N]: the block of each row of a table."""

BlocksOf = Callable[[int, NDArray[np.int64]], Blocks]
"""The blocks of stamps of the log of that number."""


class Marks:
    """Where the rows of each log end in the metrics of a suite that takes in one log after the other."""

    def __init__(self) -> None:
        self._ends: list[dict[str, int]] = []

    def __len__(self) -> int:
        return len(self._ends)

    def add(self, suite: Suite) -> None:
        """A log has ended."""
        ends: dict[str, int] = {}
        for metric in suite.metrics:
            ends |= {key: len(rows) for key, rows in tables(metric).items()}
        self._ends.append(ends)

    def blocks(self, key: str, rows: Rows, blocks_of: BlocksOf) -> Blocks:
        """The block of each row of a table."""
        found, start = np.zeros(len(rows), dtype=np.intp), 0
        stamps = rows["stamp_ns"]
        for log, ends in enumerate(self._ends):
            end = ends.get(key, start)
            found[start:end] = blocks_of(log, stamps[start:end])
            start = end
        return found


def tables(metric: Metric) -> dict[str, Rows]:
    """The rows that one of our own metrics remembers, by a name of their own."""
    if isinstance(metric, ControlErrors):
        return {f"{metric.name}/{channel}": rows for channel, rows in metric.channels.items()}
    rows, truth = getattr(metric, "rows", None), getattr(metric, "truth", None)
    if isinstance(rows, Rows) and isinstance(truth, Rows):
        return {f"{metric.name}/rows": rows, f"{metric.name}/truth": truth}
    return {}
