"""The parts of a log that could not be read, and the account of every message in it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Damage:
    """A part of a log that could not be read.

    Attributes:
        t0_ns: Log time from which messages are missing; None where nothing says it.
        t1_ns: Log time up to which they are missing; None where nothing says it.
        bytes: Bytes that could not be used: of the file, or of a chunk's content where it was read in part.
        messages: Messages proven to be lost; None where nothing proves a number.
        reason: The damage, in words.
    """

    t0_ns: int | None
    t1_ns: int | None
    bytes: int
    messages: int | None
    reason: str


@dataclass(slots=True)
class ReadAccount:
    """The outcome of every message record of a log in one reading, by topic.

    Each record counts once, in the first row that applies: `not_configured` (a topic not asked for),
    `outside_range` (its log time), `corrupt` (its header could be read, but its content is cut off or stands
    in a chunk whose CRC does not hold and whose message index proves nothing), `read` (it was yielded).
    `lost` are messages that the message index or the statistics prove were there, where their records
    could not be read. A message that was not asked for is not lost, even if the index says it lay in a bad
    chunk. The sum over rows does not depend on the query.

    Messages on a channel that nothing declares count as `corrupt` under `(channel N)`.
    """

    read: Counter[str] = field(default_factory=Counter)
    not_configured: Counter[str] = field(default_factory=Counter)
    outside_range: Counter[str] = field(default_factory=Counter)
    corrupt: Counter[str] = field(default_factory=Counter)
    lost: Counter[str] = field(default_factory=Counter)

    def rows(self) -> Iterator[tuple[str, Counter[str]]]:
        """Yield the rows by name."""
        for name in ("read", "not_configured", "outside_range", "corrupt", "lost"):
            yield name, getattr(self, name)

    def total(self, topic: str) -> int:
        """Return the number of messages of a topic, over all rows."""
        return sum(row[topic] for _, row in self.rows())

    def totals(self) -> Counter[str]:
        """Return the number of messages of every topic, over all rows."""
        totals: Counter[str] = Counter()
        for _, row in self.rows():
            totals.update(row)
        return totals

    @property
    def topics(self) -> list[str]:
        """Every topic that has a count, sorted."""
        return sorted({topic for _, row in self.rows() for topic, n in row.items() if n})
