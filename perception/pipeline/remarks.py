"""Remarks for sinks that show texts: messages that were lost, and what the run warns of."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from perception.align.ledger import Listener
from perception.pipeline.replay_summary import Summary
from perception.pipeline.sensor_warnings import grouped
from perception.sinks import Level, Sink, TakesRemarks

TOLD_ROWS = frozenset({"corrupt", "undecodable", "faulted", "duplicate", "late", "dropped_live"})
"""Rows of the ledger of messages that no output uses though they were recorded for it."""
FIRST = 3
"""How many lost messages that are close together get a remark each; later only the 10th, the 100th, ..."""
APART = 20
"""How many messages of a topic lie between two that are close together, at most."""
MOST = 100
"""Remarks for each topic and row; all messages are in the summary at the end."""


class RunRemarks:
    """Gives remarks about a run to those of its sinks that take them."""

    def __init__(self, sinks: Sequence[Sink]) -> None:
        self._sinks = [sink for sink in sinks if isinstance(sink, TakesRemarks)]
        self._told: Counter[tuple[str, str]] = Counter()
        self._messages: Counter[str] = Counter()
        self._seen: dict[tuple[str, str], tuple[int, int]] = {}

    def listening(self, also: Listener | None) -> Listener | None:
        """Return a listener for the ledger that tells of lost messages, and calls another one."""
        if not self._sinks:
            return also

        def listener(topic: str, log_time_ns: int, stamp_ns: int, row: str, note: str) -> None:
            if also is not None:
                also(topic, log_time_ns, stamp_ns, row, note)
            self._message(topic, log_time_ns, stamp_ns, row, note)

        return listener

    def _message(self, topic: str, log_time_ns: int, stamp_ns: int, row: str, note: str) -> None:
        """Tell of a message that is lost; of many close together, the first few, the 10th, the 100th, ..."""
        self._messages[topic] += 1
        if row not in TOLD_ROWS:
            return
        place = self._messages[topic]
        last, number = self._seen.get((topic, row), (place, 0))
        number = number + 1 if place - last <= APART else 1
        self._seen[topic, row] = place, number
        if not _is_told(number) or self._told[topic, row] >= MOST:
            return
        self._told[topic, row] += 1
        text = f"{row}: {note}" if note else row
        text += f" ({number} times)" if number > FIRST else ""
        text += f"; and more, see the end: {MOST} are told" if self._told[topic, row] == MOST else ""
        self._tell("warning", topic, text, log_time_ns, stamp_ns)

    def end(self, summary: Summary, log_time_ns: int) -> None:
        """Tell the warnings of a run, and what the ledger counts as lost."""
        if not self._sinks:
            return
        for warning in grouped(summary.warnings):
            self._tell("warning", "run", f"{warning.code}: {warning.text} ({warning.count})", log_time_ns)
        for damage in summary.damage:
            counted = "" if damage.messages is None else f" ({damage.messages} messages)"
            at_ns = log_time_ns if damage.t0_ns is None else damage.t0_ns
            self._tell("warning", "log", f"damaged: {damage.reason}{counted}", at_ns)
        for topic, rows in summary.ledger.items():
            lost = [f"{count} {row}" for row, count in rows.items() if row in (*TOLD_ROWS, "lost")]
            if lost:
                self._tell(
                    "warning", topic, f"of {sum(rows.values())} messages {', '.join(lost)}", log_time_ns
                )
        if summary.errors:
            text = f"{summary.errors} errors of the plugin, the first: {summary.first_error}"
            self._tell("error", "plugin", text, log_time_ns)
        self._tell("info", "run", f"{summary.status}: {summary.frames} frames", log_time_ns)

    def _tell(
        self, level: Level, subject: str, text: str, log_time_ns: int, stamp_ns: int | None = None
    ) -> None:
        for sink in self._sinks:
            sink.add_remark(level, subject, text, log_time_ns, log_time_ns if stamp_ns is None else stamp_ns)


def _is_told(number: int) -> bool:
    return number <= FIRST or str(number).strip("0") == "1"
