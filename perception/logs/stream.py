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
from perception.logs.survey import discover, partial_damage, topic_of, whole_damage
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
        self._latest = 0  # log time
        self._resident = 0  # bytes of open blocks in memory
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
        earliest = U64_MAX
        for start_ns, _, block in needed:
            if earliest < start_ns:
                pending.sort()
                ready = bisect_left(pending, start_ns, key=_log_time)
                yield from self._emit(pending[:ready])
                del pending[:ready]
                earliest = pending[0].log_time_ns if pending else U64_MAX
            if places := self._load(block):
                pending += places
                earliest = min(earliest, min(places).log_time_ns)
        pending.sort()
        yield from self._emit(pending)
        self._settle(skipped)

    def _plan(self) -> tuple[list[tuple[int, int, Block]], list[Block]]:
        """The blocks to load as (start, offset, block) in the order of loading, and those to be left out."""
        contents = self._contents
        for block in contents.blocks:
            if block.tally is None and not block.proven:
                block.tally = read_index(self._source, block)
        discover(
            self._source,
            contents,
            {i for block in contents.blocks for i in block.tally or block.channel_ids or ()},
        )
        needed: list[tuple[int, int, Block]] = []
        skipped: list[Block] = []
        before = U64_MAX  # the start of the block before this one in the file
        for block in contents.blocks:
            if self._needs(block):
                needed.append((self._load_from(block, before), block.offset, block))
            else:
                skipped.append(block)
            before = block.start_ns
        needed.sort(key=lambda item: item[:2])
        return needed, skipped

    def _load_from(self, block: Block, before_ns: int) -> int:
        """The log time from which a block must be in memory.

        A chunk may say wrong. Where nothing confirms it, the message index has a say, and the chunk
        is loaded together with the one before it in the file.
        """
        if block.proven or block.tally is not None:
            return block.start_ns
        index = read_index(self._source, replace(block, start_ns=0, end_ns=U64_MAX)) or {}
        return min(block.start_ns, before_ns, *(span.first_ns for span in index.values()))

    def _needs(self, block: Block) -> bool:
        """Whether a block must be loaded: for wanted messages, or because nothing else can count it."""
        if block.cut or (block.tally is None and not (block.proven and block.index_length)):
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
        if places:
            self._check_order(places[0], places[-1])
        for log_time, offset, start, end, channel, _, sequence, publish_time in places:
            block = blocks[offset]
            data = block.data
            if data is None:
                data = self._restore(block)
            block.left -= 1
            if not block.left:
                del blocks[offset]
                self._resident -= len(data)
            assert channel is not None
            read[channel.topic] += 1
            yield Message(channel, log_time, publish_time, sequence, data[start + _RECORD_HEAD : end])

    def _check_order(self, first: Place, last: Place) -> None:
        """Name the place where a chunk that nothing proves had said a wrong start."""
        if first.log_time_ns < self._latest:
            reason = "messages come late here: the chunk that holds them says a wrong time"
            self.damage.append(Damage(first.log_time_ns, self._latest, 0, 0, reason))
        self._latest = max(self._latest, last.log_time_ns)

    # --- memory ----------------------------------------------------------------------------------

    def _keep(self, opened: _Open) -> None:
        self._open[opened.block.offset] = opened
        self._make_room(opened)

    def _make_room(self, latest: _Open) -> None:
        """Count one more block in memory; give up the data of others where it is too much."""
        self._resident += len(latest.data or b"")
        if self._resident <= _RESIDENT:
            return
        for block in reversed(self._open.values()):
            if block.data is not None and block is not latest and self._resident > _RESIDENT:
                self._resident -= len(block.data)
                block.data = None

    def _restore(self, opened: _Open) -> bytes:
        opened.data = data = load(self._source, opened.block, self._contents.registry).data
        self._make_room(opened)
        return data

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
        if block.tally is None:
            block.tally = read_index(self._source, block)
        whole = block.tally
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
        self.damage.append(whole_damage(block, reason, lost))

    def _count_partial(self, block: Block, loaded: Loaded) -> None:
        if loaded.torn:
            self._count_places([loaded.torn], "corrupt")
        self.damage.append(partial_damage(block, loaded, self._count_rest(block, loaded)))

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
