"""The account of every message: its rows add up.

Each message is counted in exactly one row, the first that applies:

==================  ==============================================================================
not_configured      its topic plays no part in this run
outside_range       it arrived outside `--start/--end` and was not needed
preroll_only        it was read only to fill windows before the start
corrupt             its header could be read, its content is damaged
undecodable         it could be read but not decoded
faulted             an injected fault removed it (`perception.pipeline.faults`)
duplicate           an equal topic, stamp and content had come before
late                it arrived when every tick that could use it had closed
dropped_live        its only samples were skipped by `--live-drop`
rig, truth          it is a message of the rig, or of truth
used                it is part of at least one emitted sample
superseded          a tick was within its reach and preferred another message
unmatched           no tick came within its reach; or a depth image came before its camera info
pending_at_end      a tick after the end could have used it
lost                the index or the statistics of the log count it; it could not be read
==================  ==============================================================================
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import Literal

from perception.types import Cuboids, Decoded, Entry, FrameTransforms, Sample, TruthBoxes

ROWS = (
    "not_configured",
    "outside_range",
    "preroll_only",
    "corrupt",
    "undecodable",
    "faulted",
    "duplicate",
    "late",
    "dropped_live",
    "rig",
    "truth",
    "used",
    "superseded",
    "unmatched",
    "pending_at_end",
    "lost",
)

Outcome = Literal["used", "preroll_only", "outside_range", "dropped_live"]

# A message in a buffer is pending_at_end. A later outcome only replaces one of a lower rank.
_RANK = {
    "pending_at_end": 0,
    "unmatched": 1,
    "late": 1,
    "superseded": 2,
    "undecodable": 3,
    "preroll_only": 4,
    "outside_range": 4,
    "dropped_live": 5,
    "used": 6,
}

Listener = Callable[[str, int, int, str, str], None]
"""Called once for each message when its row is final: topic, log_time_ns, stamp_ns, row, note."""


class Ledger:
    """Counts messages by topic and row. Called from one thread.

    Args:
        start_ns: Log time before which messages are read for windows only.
        end_ns: Log time from which messages are read only for samples before it.
        listener: Called with every message and its final row.
    """

    def __init__(
        self, start_ns: int | None = None, end_ns: int | None = None, listener: Listener | None = None
    ) -> None:
        self._start_ns = start_ns
        self._end_ns = end_ns
        self._listener = listener
        self._counts: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
        self._open: dict[int, Entry] = {}  # kept only for the listener
        self.ignored: dict[str, tuple[int, str]] = {}
        """Topic -> the number of bad elements (transforms, boxes) in messages that were used without them,
        and the reason of the first."""

    def count(self, topic: str, row: str, *, log_time_ns: int, stamp_ns: int, note: str = "") -> None:
        """Count a message whose row is final at once."""
        if row not in ("not_configured", "outside_range"):
            row = self._outside(log_time_ns) or row
        self._counts[topic][row] += 1
        if self._listener is not None:
            self._listener(topic, log_time_ns, stamp_ns, row, note)

    def count_ignored(self, message: Decoded) -> None:
        """Count the elements of a message that are not used."""
        if isinstance(message, FrameTransforms | Cuboids | TruthBoxes) and message.ignored:
            count, reason = self.ignored.get(message.topic, (0, message.ignored_reason))
            self.ignored[message.topic] = count + message.ignored, reason

    def add(self, topic: str, row: str, number: int) -> None:
        """Count messages that never left the log (not configured, outside the range, lost)."""
        if number:
            self._counts[topic][row] += number

    def open(self, topic: str, log_time_ns: int, stamp_ns: int) -> Entry:
        """Begin the account of a message that enters a buffer."""
        entry = Entry(topic, log_time_ns, stamp_ns, self._outside(log_time_ns) or "pending_at_end")
        self._counts[topic][entry.row] += 1
        if self._listener is not None:
            self._open[id(entry)] = entry
        return entry

    def hold(self, sample: Sample) -> Sample:
        """Keep the messages of a sample open until `sample_done`."""
        for given in sample.sensors:
            for entry in given.entries:
                entry.sampled = True
                entry.held += 1
        return sample

    def sample_done(self, sample: Sample, outcome: Outcome) -> None:
        """Give the messages of a sample their row. An input that did not decode in the plugin counts so."""
        for given in sample.sensors:
            unusable = given.absence is not None and given.absence.code == "undecodable"
            for entry in given.entries:
                self._raise(entry, "undecodable" if unusable and outcome == "used" else outcome)
                self._release(entry)

    def leave(self, entry: Entry) -> None:
        """Close the account of a message that leaves its buffer: no later tick can use it."""
        if not entry.sampled:
            row = "superseded" if entry.considered else "late" if entry.missed else "unmatched"
            self._raise(entry, row)
        self._release(entry)

    def finish(self) -> None:
        """End the account: messages still in a buffer stay `pending_at_end`."""
        for entry in list(self._open.values()):
            self._report(entry)

    def rows(self) -> dict[str, dict[str, int]]:
        """Return the counts by topic and row; rows without a message are left out."""
        return {
            topic: {row: counts[row] for row in ROWS if counts.get(row)}
            for topic, counts in sorted(self._counts.items())
        }

    def totals(self) -> dict[str, int]:
        """Return the counts by row over all topics."""
        return {row: sum(counts.get(row, 0) for counts in self._counts.values()) for row in ROWS}

    def _outside(self, log_time_ns: int) -> str:
        if self._start_ns is not None and log_time_ns < self._start_ns:
            return "preroll_only"
        return "outside_range" if self._end_ns is not None and log_time_ns >= self._end_ns else ""

    def _raise(self, entry: Entry, row: str) -> None:
        if _RANK[row] > _RANK[entry.row]:
            counts = self._counts[entry.topic]
            counts[entry.row] -= 1
            counts[row] += 1
            entry.row = row

    def _release(self, entry: Entry) -> None:
        entry.held -= 1
        if entry.held == 0 and self._listener is not None:
            self._report(entry)

    def _report(self, entry: Entry) -> None:
        if self._listener is not None and self._open.pop(id(entry), None) is not None:
            self._listener(entry.topic, entry.log_time_ns, entry.stamp_ns, entry.row, "")
