"""A configuration in the making, and what its log offers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from perception.autoconfig import names
from perception.config import Role
from perception.logs import Log, sensor_kind

MOST_NAMED = 8  # topics in one warning or fault


@dataclass(slots=True)
class Draft:
    """A configuration in the making."""

    log: Log
    data: dict[str, Any] = field(default_factory=lambda: {"version": 1, "sensors": {}})
    reasons: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    ambiguous: list[str] = field(default_factory=list)

    def of_kind(self, role: Role | None) -> list[str]:
        """The topics with messages of a kind, truth and the outputs of earlier runs apart."""
        topics = [t for t in sorted(self.log.survey.topics) if not t.startswith(names.OWN_OUTPUTS)]
        return [topic for topic in topics if self.kind(topic) == role]

    def kind(self, topic: str) -> Role | None:
        channel = self.log.channels.get(topic)
        return sensor_kind(channel.schema, channel.encoding) if channel else None

    def described(self, topic: str) -> str:
        channel = self.log.channels.get(topic)  # a damaged log may have messages that nothing declares
        schema = (
            channel.schema.name
            if channel and channel.schema
            else channel.encoding
            if channel
            else "undeclared"
        )
        count = self.log.survey.topics[topic].count
        return f"{topic} ({schema}, {count} message{'s' if count != 1 else ''})"

    def schema(self, topic: str) -> str:
        schema = self.log.channels[topic].schema
        return schema.name if schema and schema.name else "message of its kind"

    def pick(self, path: str, what: str, topics: list[str]) -> str | None:
        """The only one of the topics; several are an ambiguity, and the first stands in the YAML to paste."""
        if len(topics) > 1:
            found = ", ".join(map(self.described, topics))
            self.ambiguous.append(f"{path}: {len(topics)} topics could be the {what}: {found}")
        return topics[0] if topics else None


def best(topics: list[str], value: Callable[[str], Any]) -> list[str]:
    """The topics of the highest value."""
    highest = max(map(value, topics), default=None)
    return [topic for topic in topics if value(topic) == highest]
