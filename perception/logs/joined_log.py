"""Several logs read as one, in the order of time: the files of a bag, and the segments of a drive."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from types import MappingProxyType

from perception.logs.damage import Damage, ReadAccount
from perception.logs.query import ALL, Query
from perception.logs.readers import Accounting, Log
from perception.logs.survey import Survey, TopicSurvey
from perception.types import Channel, Message

Part = tuple[str, Log]
"""A log and its name in texts."""


class JoinedLog:
    """Open logs as one; see `perception.logs.Log`.

    Args:
        path: The path of the whole.
        parts: The logs, in the order in which equal times are read.
        damage: What is known to be missing beside the parts.
        stack: Closes the parts.
    """

    def __init__(self, path: Path, parts: Sequence[Part], damage: Sequence[Damage], stack: ExitStack) -> None:
        self.path = path
        self._parts, self._damage, self._stack = list(parts), list(damage), stack
        self._streams: dict[tuple[str, str, object], Channel] = {}
        self._known: dict[int, tuple[Channel, Channel]] = {}  # by identity: it, and the one for all

    @cached_property
    def survey(self) -> Survey:
        """Channels, counts, times, metadata."""
        surveys = [log.survey for _, log in self._parts]
        topics: dict[str, TopicSurvey] = {}
        channels: dict[str, Channel] = {}
        damage = list(self._damage)
        for (name, _), survey in zip(self._parts, surveys, strict=True):
            for topic, new in survey.topics.items():
                old = topics.get(topic, TopicSurvey(0, new.first_ns, new.last_ns))
                first, last = min(old.first_ns, new.first_ns), max(old.last_ns, new.last_ns)
                topics[topic] = TopicSurvey(old.count + new.count, first, last)
            for topic, channel in survey.channels.items():
                channels.setdefault(topic, self.own(channel))
            damage += named(name, survey.damage)
        survey = Survey(
            topics=MappingProxyType(topics),
            channels=MappingProxyType(channels),
            start_ns=min((topic.first_ns for topic in topics.values()), default=None),
            end_ns=max((topic.last_ns for topic in topics.values()), default=None),
            indexed=all(survey.indexed for survey in surveys),
            compression=tuple(sorted({name for survey in surveys for name in survey.compression})),
            metadata=tuple(record for survey in surveys for record in survey.metadata),
            attachments=tuple(name for survey in surveys for name in survey.attachments),
            profile=surveys[0].profile,
            library=surveys[0].library,
            size_bytes=sum(survey.size_bytes for survey in surveys),
            damage=tuple(damage),
            notes=tuple(dict.fromkeys(note for survey in surveys for note in survey.notes)),
        )
        return self.completed(survey)

    @property
    def channels(self) -> Mapping[str, Channel]:
        """The channels by topic. Where a topic has several, messages carry their own."""
        return self.survey.channels

    @property
    def accounting(self) -> Accounting:
        """Return what proves the counts and the content, where each part has it."""
        proofs = [log.accounting for _, log in self._parts]
        counts = proofs[0].counts if all(proof.counts for proof in proofs) else ""
        return Accounting(counts, proofs[0].content if all(proof.content for proof in proofs) else "")

    def messages(self, query: Query = ALL) -> JoinedStream:
        """Return the messages of a query, in arrival order."""
        return JoinedStream(self, self._parts, self._damage, query)

    def completed(self, survey: Survey) -> Survey:
        """Return the survey with what is known beside the parts; to be overridden."""
        return survey

    def own(self, channel: Channel) -> Channel:
        """Return the one channel that stands for those of the parts."""
        known = self._known.get(id(channel))
        if known is None:
            key = (channel.topic, channel.encoding, channel.schema)
            known = self._known[id(channel)] = (channel, self._streams.setdefault(key, channel))
        return known[1]

    def close(self) -> None:
        self._stack.close()

    def __enter__(self) -> JoinedLog:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class JoinedStream(Iterator[Message]):
    """The messages of all parts in arrival order: by log time, equal times in the order of the parts.

    Attributes:
        account: The outcome of every message; complete when the stream is exhausted.
        damage: The parts of the log that could not be read, as far as they are known.
    """

    def __init__(self, log: JoinedLog, parts: Sequence[Part], damage: Sequence[Damage], query: Query) -> None:
        self.account = ReadAccount()
        self.damage = list(damage)
        self._log = log
        self._parts = [(name, part.survey, part.messages(query)) for name, part in parts]
        self._messages = self._run()

    def __iter__(self) -> Iterator[Message]:
        return self._messages

    def __next__(self) -> Message:
        return next(self._messages)

    def unpacked(self, message: Message) -> Message | None:
        """Return a message of a part as it is yielded; None where it is not: then it has been counted."""
        return message

    def finish(self) -> None:
        """Complete account and damage at the end; to be overridden."""

    def _run(self) -> Iterator[Message]:
        read, own = self.account.read, self._log.own
        for stored in self._merge():
            message = self.unpacked(stored)
            if message is None:
                continue
            channel = message.channel
            read[channel.topic] += 1
            shared = own(channel)
            yield message if shared is channel else replace(message, channel=shared)
        self.finish()

    def _merge(self) -> Iterator[Message]:
        """Yield the messages of all parts by time; a part is begun when its first message may be due."""
        waiting = sorted(range(len(self._parts)), key=self._begin_ns, reverse=True)
        active: list[tuple[int, int, Message]] = []
        while waiting or active:
            while waiting and (not active or self._begin_ns(waiting[-1]) <= active[0][0]):
                self._advance(waiting.pop(), active)
            if len(active) == 1 and not waiting:  # the last part: nothing is left to merge
                _, part, message = active.pop()
                yield message
                yield from self._parts[part][2]
                self._advance(part, active)
            elif active:
                _, part, message = active[0]
                yield message
                heapq.heappop(active)
                self._advance(part, active)

    def _begin_ns(self, part: int) -> int:
        survey = self._parts[part][1]
        return 0 if survey.start_ns is None or survey.damage else survey.start_ns

    def _advance(self, part: int, active: list[tuple[int, int, Message]]) -> None:
        """Take the next message of a part; at its end, add its account."""
        name, _, stream = self._parts[part]
        message = next(iter(stream), None)
        if message is not None:
            heapq.heappush(active, (message.log_time_ns, part, message))
            return
        for row, counts in stream.account.rows():
            if row != "read":
                getattr(self.account, row).update(counts)
        self.damage += named(name, stream.damage)


def named(part: str, damage: Sequence[Damage]) -> list[Damage]:
    """Return the damage of a part with its name."""
    return [replace(item, reason=f"{part}: {item.reason}") for item in damage]


def counted(topics: Mapping[str, TopicSurvey]) -> Counter[str]:
    """Return the messages by topic."""
    return Counter({topic: survey.count for topic, survey in topics.items()})
