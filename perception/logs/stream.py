"""Messages in arrival order, with the account of every one."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from perception.logs.blocks import Block, Broken, Loaded, Place, load, read_index, salvage, tally_places
from perception.logs.contents import Contents
from perception.logs.damage import Damage, ReadAccount
from perception.logs.records import U64_MAX
from perception.logs.source import Source
from perception.logs.survey import discover, topic_of
from perception.messages import Message

_RECORD_HEAD = 31  # bytes of a message record before its content
_RESIDENT = 1 << 29  # bytes of overlapping blocks kept in memory; beyond that they are read again


@dataclass(frozen=True, slots=True)
class Query:
    """Which messages of a log to read.

    Attributes:
        topics: The topics wanted; None for all.
        start_ns: First log time wanted; None from the beginning.
        end_ns: First log time no longer wanted; None to the end.
    """

    topics: frozenset[str] | None = None
    start_ns: int | None = None
    end_ns: int | None = None


class MessageStream(Iterator[Message]):
    """The messages of one query in arrival order: by log time, equal times in file order.

    Memory is bounded by the chunks whose times overlap. The stream may be iterated in another thread than
    the one that made it. It may be abandoned: the account then covers what was done.

    Attributes:
        account: What became of every message record; complete when the stream is exhausted.
        damage: The parts of the log that could not be read, found so far.
    """

    def __init__(
        self, source: Source, contents: Contents, query: Query, data_crc_holds: Callable[[], bool]
    ) -> None:
        self.account = ReadAccount()
        self.damage: list[Damage] = contents.damage()
        self._source = source
        self._contents = contents
        self._topics = query.topics
        self._start = min(max(query.start_ns or 0, 0), U64_MAX)
        self._end = U64_MAX + 1 if query.end_ns is None else min(max(query.end_ns, 0), U64_MAX + 1)
        self._data_crc_holds = data_crc_holds
        self._unproven = False  # content was read that no chunk's CRC covers
        self._undeclared: set[int] = set()  # channel ids that the whole file does not declare
        self._open: dict[int, _Open] = {}  # blocks with messages still to come, by offset
        self._messages = self._run()

    def __iter__(self) -> Iterator[Message]:
        return self._messages

    def __next__(self) -> Message:
        return next(self._messages)

    # --- the reading -----------------------------------------------------------------------------

    def _run(self) -> Iterator[Message]:
        needed, skipped = self._plan()
        pending: list[Place] = []
        for start_ns, _, block in needed:
            ready = bisect_left(pending, start_ns, key=_log_time)
            if ready:
                yield from self._emit(pending[:ready])
                del pending[:ready]
            if places := self._load(block):
                pending += places
                pending.sort()
        yield from self._emit(pending)
        self._settle(skipped)

    def _plan(self) -> tuple[list[tuple[int, int, Block]], list[Block]]:
        """The blocks to load as (start, offset, block) in the order of loading, and those to be left out."""
        contents = self._contents
        ids: set[int] = set()
        for block in contents.blocks:
            if not block.proven and not block.cut and block.kind == "chunk":
                self._settle_range(block)
            ids.update((block.tally or block.channel_ids) or ())
        discover(self._source, contents, ids)
        needed: list[tuple[int, int, Block]] = []
        skipped: list[Block] = []
        before = U64_MAX  # the start of the block before this one in the file
        for block in contents.blocks:
            # A chunk's own word for its start may be damaged: one without any proof is loaded a chunk early.
            start = block.start_ns if block.proven or block.tally else min(block.start_ns, before)
            before = block.start_ns
            if self._needs(block):
                needed.append((start, block.offset, block))
            else:
                skipped.append(block)
        needed.sort(key=lambda item: item[:2])
        return needed, skipped

    def _settle_range(self, block: Block) -> None:
        """Take the times of an unproven chunk header together with those of its message indexes."""
        if block.tally is None:
            wide = replace(block, start_ns=0, end_ns=U64_MAX)
            block.tally = read_index(self._source, wide)
        if block.tally:
            block.start_ns = min(block.start_ns or U64_MAX, *(span.first_ns for span in block.tally.values()))
            block.end_ns = max(block.end_ns, *(span.last_ns for span in block.tally.values()))

    def _needs(self, block: Block) -> bool:
        """Whether a block must be loaded: for wanted messages, or because nothing else can count it."""
        if block.tally is None and not block.index_length:
            return True
        if block.cut:
            return True
        if block.start_ns >= self._end or block.end_ns < self._start:
            return False
        ids = block.channel_ids if block.tally is None else block.tally.keys()
        if self._topics is None or ids is None:
            return True
        return any(topic_of(self._contents, channel_id) in self._topics for channel_id in ids)

    def _load(self, block: Block) -> list[Place]:
        """The places of the wanted messages of a block; the others are counted."""
        try:
            loaded = load(self._source, block, self._contents.registry)
            loaded = self._declare(block, loaded)
        except Broken as broken:
            self._count_broken(block, broken)
            return []
        self._unproven = self._unproven or not loaded.proven
        account, topics, start, end = self.account, self._topics, self._start, self._end
        wanted = []
        for place in loaded.places:
            channel = place.channel
            if channel is None:
                account.corrupt[topic_of(self._contents, place.channel_id)] += 1
            elif topics is not None and channel.topic not in topics:
                account.not_configured[channel.topic] += 1
            elif start <= place.log_time_ns < end:
                wanted.append(place)
            else:
                account.outside_range[channel.topic] += 1
        if loaded.problem:
            self._count_partial(block, loaded)
        if wanted:
            self._keep(_Open(block, loaded.data, len(wanted)))
        return wanted

    def _declare(self, block: Block, loaded: Loaded) -> Loaded:
        """Find channels that an other chunk of the file declares; a chunk may come first in time only."""
        unknown = {place.channel_id for place in loaded.places if place.channel is None} - self._undeclared
        if not unknown:
            return loaded
        discover(self._source, self._contents, unknown, everywhere=True)
        self._undeclared |= unknown - self._contents.registry.channels.keys()
        return load(self._source, block, self._contents.registry)

    def _emit(self, places: list[Place]) -> Iterator[Message]:
        read, blocks = self.account.read, self._open
        for log_time, offset, start, end, channel, _, sequence, publish_time in places:
            block = blocks[offset]
            data = block.data
            if data is None:
                data = self._restore(block)
            block.left -= 1
            if not block.left:
                del blocks[offset]
            assert channel is not None
            read[channel.topic] += 1
            yield Message(channel, log_time, publish_time, sequence, data[start + _RECORD_HEAD : end])

    # --- memory ----------------------------------------------------------------------------------

    def _keep(self, opened: _Open) -> None:
        self._open[opened.block.offset] = opened
        self._make_room(opened)

    def _make_room(self, latest: _Open) -> None:
        resident = [block for block in self._open.values() if block.data is not None and block is not latest]
        size = len(latest.data or b"") + sum(len(block.data or b"") for block in resident)
        for block in reversed(resident):
            if size <= _RESIDENT:
                return
            size -= len(block.data or b"")
            block.data = None

    def _restore(self, opened: _Open) -> bytes:
        opened.data = load(self._source, opened.block, self._contents.registry).data
        self._make_room(opened)
        return opened.data

    # --- the account of what is not yielded -------------------------------------------------------

    def _row(self, topic: str, log_time_ns: int) -> str:
        if self._topics is not None and topic not in self._topics:
            return "not_configured"
        return "" if self._start <= log_time_ns < self._end else "outside_range"

    def _count_places(self, places: list[Place], otherwise: str) -> None:
        for place in places:
            topic = topic_of(self._contents, place.channel_id)
            getattr(self.account, self._row(topic, place.log_time_ns) or otherwise)[topic] += 1

    def _count_index(self, block: Block, otherwise: str) -> int | None:
        """Count a block by its message index; how many messages went to `otherwise`, None if unknown."""
        whole = read_index(self._source, block) if block.kind == "chunk" else block.tally
        if whole is None:
            return None
        if self._start <= block.start_ns and block.end_ns < self._end:
            inside = whole
        elif block.start_ns >= self._end or block.end_ns < self._start:
            inside = {}
        else:
            inside = read_index(self._source, block, self._start, self._end) or {}
        counted = 0
        for channel_id, span in whole.items():
            topic = topic_of(self._contents, channel_id)
            if self._topics is not None and topic not in self._topics:
                self.account.not_configured[topic] += span.messages
                continue
            n = inside[channel_id].messages if channel_id in inside else 0
            getattr(self.account, otherwise)[topic] += n
            self.account.outside_range[topic] += span.messages - n
            counted += n
        return counted

    def _count_broken(self, block: Block, broken: Broken) -> None:
        known = len(self._contents.registry.channels)
        headers = salvage(broken, block, self._contents.registry)
        reason = str(broken)
        if len(self._contents.registry.channels) > known:
            reason += "; channels that it alone declares are taken over unproven"
        lost = self._count_index(block, "lost")
        if lost is None:
            self._count_places(headers, "corrupt")
        self.damage.append(Damage(block.start_ns, block.end_ns, block.length, lost, reason))

    def _count_partial(self, block: Block, loaded: Loaded) -> None:
        if loaded.torn:
            self._count_places([loaded.torn], "corrupt")
        last = max((place.log_time_ns for place in loaded.places), default=block.start_ns)
        until = None if block.cut else block.end_ns
        self.damage.append(
            Damage(last, until, loaded.unused, self._count_rest(block, loaded), loaded.problem)
        )

    def _count_rest(self, block: Block, loaded: Loaded) -> int | None:
        """Count as lost what the message index has beyond the messages found; None if it proves nothing."""
        whole = read_index(self._source, block) if block.kind == "chunk" else None
        if whole is None:
            return None
        found, lost = tally_places(loaded.places + ([loaded.torn] if loaded.torn else [])), 0
        for channel_id, span in whole.items():
            rest = span.messages - (found[channel_id].messages if channel_id in found else 0)
            topic = topic_of(self._contents, channel_id)
            if rest > 0 and self._topics is not None and topic not in self._topics:
                self.account.not_configured[topic] += rest
            elif rest > 0:
                self.account.lost[topic] += rest
                lost += rest
        return lost

    def _settle(self, skipped: list[Block]) -> None:
        """Account for what was not loaded, and let the statistics prove what else is missing."""
        for block in skipped:
            if self._count_index(block, "outside_range") is None:
                self._load(block)
        if self._unproven and not self._data_crc_holds():
            reason = "the CRC of the data section does not hold: some messages outside chunks may be wrong"
            self.damage.append(Damage(None, None, 0, None, reason))
        if self._undeclared:
            ids = ", ".join(str(channel_id) for channel_id in sorted(self._undeclared))
            count = sum(self.account.corrupt[topic_of(self._contents, i)] for i in self._undeclared)
            reason = f"{count} messages are on channels that nothing declares ({ids})"
            self.damage.append(Damage(None, None, 0, None, reason))
        self._settle_statistics()

    def _settle_statistics(self) -> None:
        statistics = self._contents.summary.statistics
        if statistics is None:
            return
        claimed: dict[str, int] = {}
        for channel_id, count in statistics.channel_message_counts.items():
            topic = topic_of(self._contents, channel_id)
            claimed[topic] = claimed.get(topic, 0) + count
        missing = {topic: count - self.account.total(topic) for topic, count in claimed.items()}
        missing = self._cap({topic: n for topic, n in missing.items() if n > 0}, sum(claimed.values()))
        unproven = [damage for damage in self.damage if damage.messages is None]
        places = [i for i, damage in enumerate(self.damage) if damage.messages is None and damage.bytes]
        if unproven or self._unproven:
            self.account.lost.update(missing)
            for i in places if len(places) == 1 or not missing else ():
                self.damage[i] = replace(self.damage[i], messages=sum(missing.values()))
        if missing and not unproven:
            names, more = ", ".join(sorted(missing)), sum(missing.values())
            reason = f"the statistics claim {more} messages more than the data holds on {names}"
            self.damage.append(Damage(None, None, 0, more if self._unproven else None, reason))

    def _cap(self, missing: dict[str, int], claimed: int) -> dict[str, int]:
        """Keep the sum at what is claimed: a record counted on a wrong channel is not missing twice."""
        account = self.account
        room = claimed - sum(account.total(topic) for topic in account.topics)
        for topic in (topic_of(self._contents, channel_id) for channel_id in self._undeclared):
            moved = max(0, min(account.corrupt[topic], sum(missing.values()) - room))
            account.corrupt[topic] -= moved
            room += moved
        capped = {}
        for topic, count in missing.items():
            if (kept := min(count, room)) > 0:
                capped[topic] = kept
                room -= kept
        return capped


@dataclass(slots=True, eq=False)
class _Open:
    """A loaded block; `data` is None while it was given up to save memory."""

    block: Block
    data: bytes | None
    left: int


def _log_time(place: Place) -> int:
    return place.log_time_ns
