"""The messages of a run with their rows of the ledger, in 20 bytes each, and the table made of them."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perception.types.times import bounded_ns


class LedgerRows:
    """The messages of a run, each with its row of the ledger."""

    def __init__(self) -> None:
        self._kinds: dict[tuple[str, str, str], int] = {}
        self._kind, self._log_times, self._stamps = array("L"), array("q"), array("q")

    def add(self, topic: str, log_time_ns: int, stamp_ns: int, row: str, note: str) -> None:
        """Add a message."""
        kinds = self._kinds
        self._kind.append(kinds.setdefault((topic, row, note), len(kinds)))
        self._log_times.append(bounded_ns(log_time_ns))
        self._stamps.append(bounded_ns(stamp_ns))

    def columns(
        self, counts: Mapping[str, Mapping[str, int]], arrivals_ns: NDArray[np.int64], ticks: Sequence[int]
    ) -> dict[str, Sequence[Any]]:
        """Return the columns of the table, in order of arrival.

        Messages come with the first tick that could use them: that arrived at their time or after. How many
        of a topic could not be read stands in one row at the end.

        Args:
            counts: Topic -> row -> number of messages, as the summary of the run has them.
            arrivals_ns: [F] the log time of each tick.
            ticks: The number of each tick.
        """
        log_times, stamps = np.array(self._log_times, np.int64), np.array(self._stamps, np.int64)
        kinds, kind = list(self._kinds), np.array(self._kind, np.int64)
        by_name = np.argsort(np.argsort(np.array([" ".join(names) for names in kinds], np.str_)))
        rank = by_name[kind] if len(kind) else kind
        order = np.lexsort((stamps, rank, log_times))
        shown = [kinds[place] for place in kind[order].tolist()]
        topics, rows, notes = [list(part) for part in zip(*shown, strict=True)] if shown else ([], [], [])
        unread = self._unread(counts)
        blank: list[Any] = [None] * len(unread)
        return {
            "tick": _first_ticks(arrivals_ns, ticks, log_times[order]) + blank,
            "stamp_ns": stamps[order].tolist() + blank,
            "topic": topics + [topic for topic, _, _ in unread],
            "log_time_ns": log_times[order].tolist() + blank,
            "row": rows + [row for _, row, _ in unread],
            "count": [1] * len(shown) + [number for _, _, number in unread],
            "note": [note or None for note in notes] + ["could not be read"] * len(unread),
        }

    def _unread(self, counts: Mapping[str, Mapping[str, int]]) -> list[tuple[str, str, int]]:
        """Return topic, row and number of the messages that were counted and not seen."""
        written: Counter[tuple[str, str]] = Counter()
        numbers = np.bincount(np.array(self._kind, np.int64), minlength=len(self._kinds))
        for (topic, row, _), number in zip(self._kinds, numbers.tolist(), strict=True):
            written[topic, row] += number
        unread = [
            (topic, row, number - written[topic, row])
            for topic, by_row in counts.items()
            for row, number in by_row.items()
        ]
        return [entry for entry in unread if entry[2] > 0]


def _first_ticks(
    arrivals_ns: NDArray[np.int64], ticks: Sequence[int], at_ns: NDArray[np.int64]
) -> list[int | None]:
    """Return the first tick that arrived at or after each time; None after the last."""
    if not len(arrivals_ns):
        return [None] * len(at_ns)
    places = np.searchsorted(np.maximum.accumulate(arrivals_ns), at_ns, side="left")
    return [ticks[place] if place < len(ticks) else None for place in places.tolist()]
