"""The summary of a log without decoding it: channels, counts, times."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from perception.logs.damage import Damage
from perception.types import Channel

SIMULATED_RECORD = "synthetic"
"""The metadata record of a simulated log."""

RUN_RECORD = "perception.run"
"""The metadata record that tells output logs: how they were made (`perception.sinks.RunInfo`)."""

HOST_RECORD = "perception.host"
"""The metadata record that tells the recordings of a host from output logs: they are never replaced."""


@dataclass(frozen=True, slots=True)
class TopicSurvey:
    """How many messages a topic has, and the first and last log time among them."""

    count: int
    first_ns: int
    last_ns: int


@dataclass(frozen=True, slots=True)
class Survey:
    """The contents of a log.

    `topics` counts the message records that could be read or that a message index proves, as the account
    of a full reading does (messages lost by the word of the statistics alone are in `damage`).
    """

    topics: Mapping[str, TopicSurvey]
    channels: Mapping[str, Channel]
    start_ns: int | None  # first log time; None without messages
    end_ns: int | None  # last log time
    indexed: bool  # a sound summary was there
    compression: tuple[str, ...]  # names of the compressions used; "none" for plain data
    metadata: tuple[tuple[str, Mapping[str, str]], ...]
    attachments: tuple[str, ...]
    profile: str
    library: str
    size_bytes: int
    damage: tuple[Damage, ...]  # found while surveying; reading checks every chunk and may find more
    notes: tuple[str, ...] = ()  # what the reader made, guessed or left out: lines for the user

    @property
    def made_by_host(self) -> bool:
        """Whether a host recorded it: then its configuration is in the log."""
        return any(name == HOST_RECORD for name, _ in self.metadata)

    @property
    def simulated(self) -> bool:
        """Whether it comes from the simulation, or is the output of such a log: drawn pictures."""
        return any(
            name == SIMULATED_RECORD or (name == RUN_RECORD and record.get("simulated") == "true")
            for name, record in self.metadata
        )

    @property
    def counts(self) -> dict[str, int]:
        """Messages by topic."""
        return {topic: survey.count for topic, survey in self.topics.items()}

    @property
    def message_count(self) -> int:
        return sum(survey.count for survey in self.topics.values())

    @property
    def duration_s(self) -> float:
        """From the first to the last log time."""
        return 0.0 if self.start_ns is None or self.end_ns is None else (self.end_ns - self.start_ns) / 1e9
