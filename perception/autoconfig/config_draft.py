"""A configuration under construction, and the topics that its log offers."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from perception.autoconfig.naming_rules import is_own_output
from perception.autoconfig.unused_topics import UnusedCode, UnusedTopic
from perception.config import Role
from perception.logs import Log, sensor_kind
from perception.text import plural

MOST_NAMED = 8  # topics in one warning or error


@dataclass(slots=True)
class ConfigDraft:
    """A configuration under construction, with the reasons, warnings and ambiguities of its choices.

    `unused` has the topics that a choice has left out, with its reason.
    """

    log: Log
    data: dict[str, Any] = field(default_factory=lambda: {"version": 1, "sensors": {}})
    reasons: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    ambiguous: list[str] = field(default_factory=list)
    unused: dict[str, UnusedTopic] = field(default_factory=dict)

    def of_kind(self, role: Role | None) -> list[str]:
        """Return the topics with messages of a role, without the outputs of earlier runs and other robots.

        One whose name is empty is left out, too: no configuration can name it.
        """
        named = filter(None, sorted(self.log.survey.topics))
        topics = (t for t in named if not is_own_output(t, self.schema_name(t)))
        return [topic for topic in topics if self.kind(topic) == role and not self._is_of_other_robot(topic)]

    def _is_of_other_robot(self, topic: str) -> bool:
        return topic in self.unused and self.unused[topic].code == "other_robot"

    def kind(self, topic: str) -> Role | None:
        """Return the role of a topic by its schema."""
        channel = self.log.channels.get(topic)
        return sensor_kind(channel.schema, channel.encoding) if channel else None

    def add(self, kind: str, name: str, section: dict[str, Any]) -> None:
        """Add a sensor under its name."""
        self.data["sensors"][name] = section if name == kind else {"kind": kind, **section}

    def of_sensors(self, kind: str) -> dict[str, dict[str, Any]]:
        """Return the sensors of a kind so far, by name."""
        sensors = self.data["sensors"]
        return {name: section for name, section in sensors.items() if section.get("kind", name) == kind}

    def described(self, topic: str) -> str:
        """Return topic, schema and number of messages, for an error."""
        channel = self.log.channels.get(topic)  # a damaged log may have messages that nothing declares
        schema = (
            "undeclared" if channel is None else channel.schema.name if channel.schema else channel.encoding
        )
        count = self.log.survey.topics[topic].count
        return f"{topic} ({schema}, {plural(count, 'message')})"

    def schema(self, topic: str) -> str:
        """Return the name of a topic's schema, for a sentence."""
        return self.schema_name(topic) or "message of its kind"

    def schema_name(self, topic: str) -> str:
        """Return the name of a topic's schema; empty where it has none."""
        channel = self.log.channels.get(topic)
        return channel.schema.name if channel is not None and channel.schema is not None else ""

    def leave_out(self, topics: Iterable[str], code: UnusedCode, reason: str) -> None:
        """Note why topics are not used; the first reason of a topic counts."""
        for topic in topics:
            self.unused.setdefault(topic, UnusedTopic(topic, code, reason))

    def pick(self, path: str, noun: str, topics: list[str]) -> str | None:
        """Return the only topic. Several are noted as an ambiguity; the first stands in the YAML to paste."""
        if len(topics) > 1:
            listed = ", ".join(map(self.described, topics))
            self.ambiguous.append(f"{path}: {len(topics)} topics could be the {noun}: {listed}")
        return topics[0] if topics else None


def best(topics: list[str], value: Callable[[str], Any]) -> list[str]:
    """Return the topics of the highest value."""
    highest = max(map(value, topics), default=None)
    return [topic for topic in topics if value(topic) == highest]


def wide_tolerance(rate_hz: float | None) -> dict[str, float]:
    """Return the limits within which each tick finds the message before or after it; empty: the defaults."""
    if rate_hz is None or round(600 / rate_hz) <= 60:
        return {}
    tolerance_ms = float(round(min(600 / rate_hz, 500)))
    return {"tolerance_ms": tolerance_ms, "max_age_ms": max(200.0, tolerance_ms)}
