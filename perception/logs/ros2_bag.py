"""ROS 2 bags: a folder with one or several files of storage, read as one log.

Each file is read by the reader of its storage, whatever `metadata.yaml` calls it. `rosbags` passes over the
messages of a topic whose quality of service in `metadata.yaml` differs from that in the file; this does not.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MappingProxyType, TracebackType

from perception.errors import LogError
from perception.logs import sqlite_bag
from perception.logs.damage import Damage, ReadAccount
from perception.logs.mcap import reader as mcap
from perception.logs.message_table import Unreadable
from perception.logs.query import ALL, Query
from perception.logs.readers import Accounting, Log
from perception.logs.ros2_messages import is_zstd, unpack_file, zstd_message
from perception.logs.ros2_metadata import BagFolder, holds_bag, read_folder
from perception.logs.survey import Survey, TopicSurvey
from perception.types import Channel, Message

FORMAT = "ROS 2 bag"


def reads(path: Path) -> bool:
    """Return whether a path is the folder of a ROS 2 bag."""
    return holds_bag(path)


def open(path: Path) -> BagLog:
    """Open the folder of a ROS 2 bag. A file that is missing or cannot be read is damage.

    Raises:
        LogError: No file of it can be read.
    """
    with ExitStack() as stack:
        try:
            bag = read_folder(path)
        except OSError as error:
            raise LogError(f"cannot be opened ({error.strerror or error}): {path}") from None
        size = sum(file.stat().st_size for file in bag.files)
        parts: list[tuple[str, Log]] = []
        packed = False
        for file in bag.files:
            try:
                if is_zstd(file):
                    packed = True
                    folder = stack.enter_context(TemporaryDirectory(prefix="perception-bag-"))
                    place, problem = unpack_file(file, Path(folder))
                    if problem:
                        bag.damage.append(Damage(None, None, 0, None, f"{file.name}: {problem}"))
                else:
                    place = file
                parts.append((file.name, stack.enter_context(_open_storage(place))))
            except (LogError, OSError) as error:
                reason = str(error).removesuffix(f": {file}")
                reason = f"{file.name} cannot be read: {reason}"
                bag.damage.append(Damage(None, None, file.stat().st_size, None, reason))
        if not parts:
            reasons = "; ".join(damage.reason for damage in bag.damage) or "its metadata list none"
            raise LogError(f"expected a ROS 2 bag, found a folder without a file to read ({reasons}): {path}")
        return BagLog(path, bag, parts, size, packed, stack.pop_all())


def _open_storage(file: Path) -> Log:
    for reader in (sqlite_bag, mcap):
        if reader.reads(file):
            log: Log = reader.open(file)
            return log
    raise LogError(f"it is no MCAP and no SQLite file; record or copy it again: {file}")


class BagLog:
    """An open ROS 2 bag; see `perception.logs.Log`."""

    def __init__(
        self,
        path: Path,
        bag: BagFolder,
        parts: list[tuple[str, Log]],
        size: int,
        packed: bool,
        stack: ExitStack,
    ) -> None:
        self.path = path
        self._bag, self._parts, self._size, self._packed, self._stack = bag, parts, size, packed, stack
        self._streams: dict[tuple[str, str, object], Channel] = {}
        self._known: dict[int, tuple[Channel, Channel]] = {}  # by identity: it, and the bag's own

    @cached_property
    def survey(self) -> Survey:
        """Channels, counts, times, metadata."""
        surveys = [log.survey for _, log in self._parts]
        topics: dict[str, TopicSurvey] = {}
        for survey in surveys:
            for topic, new in survey.topics.items():
                old = topics.get(topic, TopicSurvey(0, new.first_ns, new.last_ns))
                first, last = min(old.first_ns, new.first_ns), max(old.last_ns, new.last_ns)
                topics[topic] = TopicSurvey(old.count + new.count, first, last)
        channels: dict[str, Channel] = {}
        for survey in surveys:
            for topic, channel in survey.channels.items():
                channels.setdefault(topic, self.own(channel))
        damage = [*self._bag.damage]
        for (name, _), survey in zip(self._parts, surveys, strict=True):
            damage += self.named(name, survey.damage)
        counted = Counter({topic: survey.count for topic, survey in topics.items()})
        damage += self.missing(counted, Counter(), is_damaged=bool(damage))[1]
        compression = {name for survey in surveys for name in survey.compression}
        notes = (("rosbag2", MappingProxyType(self._bag.notes)),) if self._bag.notes else ()
        return Survey(
            topics=MappingProxyType(topics),
            channels=MappingProxyType(channels),
            start_ns=min((topic.first_ns for topic in topics.values()), default=None),
            end_ns=max((topic.last_ns for topic in topics.values()), default=None),
            indexed=all(survey.indexed for survey in surveys),
            compression=tuple(sorted((compression - {"none"}) | {"zstd"} if self._packed else compression)),
            metadata=(*notes, *(entry for survey in surveys for entry in survey.metadata)),
            attachments=tuple(name for survey in surveys for name in survey.attachments),
            profile="ros2",
            library=next((survey.library for survey in surveys if survey.library), ""),
            size_bytes=self._size,
            damage=tuple(damage),
        )

    @property
    def channels(self) -> Mapping[str, Channel]:
        """The channels by topic. Where a topic has several, messages carry their own."""
        return self.survey.channels

    @property
    def accounting(self) -> Accounting:
        """Return what proves the counts (metadata.yaml, or every file) and the content (every file)."""
        proofs = [log.accounting for _, log in self._parts]
        counts = "metadata.yaml" if self._bag.counts is not None else ""
        if not counts and all(proof.counts for proof in proofs):
            counts = proofs[0].counts
        return Accounting(counts, proofs[0].content if all(proof.content for proof in proofs) else "")

    def messages(self, query: Query = ALL) -> BagStream:
        """Return the messages of a query, in arrival order."""
        return BagStream(self, self._parts, self._bag, query)

    def own(self, channel: Channel) -> Channel:
        """Return the one channel of the bag that stands for those of its files."""
        known = self._known.get(id(channel))
        if known is None:
            key = (channel.topic, channel.encoding, channel.schema)
            known = self._known[id(channel)] = (channel, self._streams.setdefault(key, channel))
        return known[1]

    def named(self, file: str, damage: tuple[Damage, ...] | list[Damage]) -> list[Damage]:
        """Return the damage of a file with its name."""
        return [replace(item, reason=f"{file}: {item.reason}") for item in damage]

    def missing(
        self, counted: Counter[str], lost: Counter[str], *, is_damaged: bool
    ) -> tuple[Counter[str], list[Damage]]:
        """Return the messages by topic that metadata.yaml has beyond the account, and the damage to name."""
        missing = (self._bag.counts or Counter()) - counted
        if not missing:
            return Counter(), []
        names = ", ".join(sorted(missing)[:10])
        reason = f"metadata.yaml counts {missing.total()} messages more than the files hold, on {names}"
        known = max(0, missing.total() - lost[sqlite_bag.UNKNOWN_TOPIC]) if is_damaged else None
        return (missing if is_damaged else Counter()), [Damage(None, None, 0, known, reason)]

    def close(self) -> None:
        self._stack.close()

    def __enter__(self) -> BagLog:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class BagStream(Iterator[Message]):
    """The messages of all files in arrival order: by log time, equal times in the order of the files.

    Attributes:
        account: The outcome of every message; complete when the stream is exhausted.
        damage: The parts of the log that could not be read, as far as they are known.
    """

    def __init__(self, log: BagLog, parts: list[tuple[str, Log]], bag: BagFolder, query: Query) -> None:
        self.account = ReadAccount()
        self.damage = list(bag.damage)
        self._log, self._query = log, query
        self._parts = [(name, part.survey, part.messages(query)) for name, part in parts]
        self._messages = self._run()

    def __iter__(self) -> Iterator[Message]:
        return self._messages

    def __next__(self) -> Message:
        return next(self._messages)

    def _run(self) -> Iterator[Message]:
        account, own = self.account, self._log.own
        failed: dict[str, list[int]] = {}
        for message in self._merge():
            try:
                data = zstd_message(message.data, message.channel.encoding)
            except Unreadable as error:
                account.corrupt[message.topic] += 1
                failed.setdefault(str(error), []).append(message.log_time_ns)
                continue
            account.read[message.topic] += 1
            channel = own(message.channel)
            if data is message.data and channel is message.channel:
                yield message
            else:
                yield replace(message, channel=channel, data=data)
        for reason, times in failed.items():
            self.damage.append(Damage(min(times), max(times), 0, len(times), reason))
        lost, damage = self._log.missing(account.totals(), account.lost, is_damaged=bool(self.damage))
        if lost:
            account.lost[sqlite_bag.UNKNOWN_TOPIC] = max(
                0, account.lost[sqlite_bag.UNKNOWN_TOPIC] - lost.total()
            )
        account.lost.update(lost)
        account.lost = +account.lost
        self.damage += damage

    def _merge(self) -> Iterator[Message]:
        """Yield the messages of all files by time; a file is begun when its first message may be due."""
        waiting = sorted(range(len(self._parts)), key=self._begin_ns, reverse=True)
        active: list[tuple[int, int, Message]] = []
        while waiting or active:
            while waiting and (not active or self._begin_ns(waiting[-1]) <= active[0][0]):
                self._advance(waiting.pop(), active)
            if active:
                _, part, message = active[0]
                yield message
                heapq.heappop(active)
                self._advance(part, active)

    def _begin_ns(self, part: int) -> int:
        survey = self._parts[part][1]
        return 0 if survey.start_ns is None or survey.damage else survey.start_ns

    def _advance(self, part: int, active: list[tuple[int, int, Message]]) -> None:
        """Take the next message of a file; at its end, add its account."""
        name, _, stream = self._parts[part]
        message = next(iter(stream), None)
        if message is not None:
            heapq.heappush(active, (message.log_time_ns, part, message))
            return
        for row, counts in stream.account.rows():
            if row != "read":
                getattr(self.account, row).update(counts)
        self.damage += self._log.named(name, stream.damage)
