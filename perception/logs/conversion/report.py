"""The report of a conversion: the topics of the new log, and what was not carried over."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from perception.logs.damage import Damage
from perception.types import Status


@dataclass(slots=True)
class ConvertedTopic:
    """The messages of one source channel in the new log.

    Attributes:
        topic: The topic.
        source, source_encoding: The schema and the encoding in the source.
        schema, encoding: Those in the new log.
        messages: How many there are.
        kept: Why Foxglove's schema was not taken although there is one; empty: it was, or there is none.
    """

    topic: str
    source: str
    source_encoding: str
    schema: str
    encoding: str
    messages: int = 0
    kept: str = ""


@dataclass(frozen=True, slots=True)
class NotCarried:
    """Something of the source that the new log does not hold.

    Attributes:
        topic: The topic; in brackets what is of no topic: `(metadata NAME)`, `(attachment NAME)`.
        messages: How many messages it concerns.
        code: `not_selected`, `outside_cut`, `no_messages`, `corrupt`, `lost`, `field`, `metadata`,
            `attachment`, `unwritable`.
        reason: The reason, for people.
    """

    topic: str
    messages: int
    code: str
    reason: str


@dataclass(frozen=True, slots=True)
class Conversion:
    """The result of a conversion.

    Attributes:
        source, output: The two logs.
        messages: Messages written.
        latched: Those among them that came before the cut and hold on: transforms and camera infos.
        topics: A row for each source channel and schema of the new log.
        not_carried: What the new log does not hold.
        damage: The parts of the source that could not be read.
    """

    source: Path
    output: Path
    messages: int
    latched: int
    topics: tuple[ConvertedTopic, ...]
    not_carried: tuple[NotCarried, ...]
    damage: tuple[Damage, ...]
    spans: Mapping[str, int | None] = field(default_factory=dict)

    @property
    def status(self) -> Status:
        """Return `loss` where a part of the source could not be read or written, else `clean`."""
        lost = any(row.code in ("corrupt", "lost", "unwritable") for row in self.not_carried)
        return "loss" if lost or self.damage else "clean"

    def to_json(self) -> dict[str, Any]:
        """Return the document of `perception convert --json`."""
        return {
            "schema": "perception.convert/1",
            "status": self.status,
            "source": str(self.source),
            "output": str(self.output),
            "messages": self.messages,
            "latched": self.latched,
            **self.spans,
            "topics": [asdict(topic) for topic in self.topics],
            "not_carried": [asdict(row) for row in self.not_carried],
            "damage": [asdict(damage) for damage in self.damage],
        }
