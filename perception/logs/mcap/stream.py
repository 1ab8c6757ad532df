"""Messages in arrival order, with the account of every one."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from perception.logs.damage import Damage, ReadAccount
from perception.logs.mcap.accounting import Accountant
from perception.logs.mcap.blocks import DataBlock, Loaded, Place, load, unpack, whole_damage
from perception.logs.mcap.contents import Contents, discover
from perception.logs.mcap.examine import settle
from perception.logs.mcap.limits import Budget, resident_limit
from perception.logs.mcap.records import U64_MAX
from perception.logs.mcap.source import Source
from perception.logs.mcap.unpack import Broken
from perception.logs.mcap.walk import Walk
from perception.logs.query import Query
from perception.types import Message

_RECORD_HEAD = 31  # bytes of a message record before its content


class McapStream(Iterator[Message]):
    """The messages of one query in arrival order: by log time, equal times in file order.

    Memory is bounded by the chunks whose times overlap. The stream may be iterated in another thread than
    the one that made it. It may be abandoned: the account then covers what was done.

    Attributes:
        account: The outcome of every message record; complete when the stream is exhausted.
        damage: The parts of the log that could not be read, as far as they are known.
    """

    def __init__(
        self,
        source: Source,
        contents: Contents,
        walk: Walk,
        query: Query,
        data_crc_holds: Callable[[], bool],
        most_fetched: int | None = None,
    ) -> None:
        self._books = Accountant(source, contents, query)
        self.account: ReadAccount = self._books.account
        self.damage: list[Damage] = self._books.damage
        self._source = source
        self._reader = source  # fetches ahead what this reading needs
        self._most_fetched = most_fetched  # of a remote file: then the stream ends early
        self._contents = contents
        self._walk = walk
        self._query = query
        self._low, self._high = query.low, query.high
        self._data_crc_holds = data_crc_holds
        self._budget = Budget(source.size)
        self._again = Budget(source.size)  # for data that was released from memory
        self._limit = resident_limit(source.size)
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
        if self._most_fetched is None:
            self._reader = self._source.ahead([(block.offset, block.length) for _, _, block in needed])
        pending: list[Place] = []
        earliest = U64_MAX
        for start_ns, _, block in needed:
            if earliest < start_ns:
                pending.sort()
                ready = bisect_left(pending, start_ns, key=_log_time)
                yield from self._emit(pending[:ready])
                del pending[:ready]
                earliest = pending[0].log_time_ns if pending else U64_MAX
            if self._most_fetched is not None and block is not needed[0][2] and self._costs(block):
                return
            if places := self._load(block):
                pending += places
                earliest = min(earliest, min(places).log_time_ns)
        pending.sort()
        yield from self._emit(pending)
        self._find_channels({key for block in skipped for key in block.tally or ()})
        for block in skipped:
            self._books.skipped(block)
        self._books.close(data_crc_holds=not self._books.unproven or self._data_crc_holds())

    def _costs(self, block: DataBlock) -> bool:
        """Return whether reading a block would fetch more than a short look at a remote log may."""
        span = (block.offset, block.length)
        return self._source.fetched_after(*span) > max(self._source.bytes_read, self._most_fetched or 0)

    def _plan(self) -> tuple[list[tuple[int, int, DataBlock]], list[DataBlock]]:
        """Return the blocks to load as (start, offset, block) in the order of loading, and those to skip."""
        contents = self._contents
        selected = self._selected()
        if contents.doubtful or not all(self._needs(block, selected) for block in contents.blocks):
            settle(self._source, contents, self._walk)
        self.damage[:] = contents.damage()
        keys = {key for block in contents.blocks for key in block.tally or block.channel_ids or ()}
        discover(self._source, contents, keys, self._budget)
        needed: list[tuple[int, int, DataBlock]] = []
        skipped: list[DataBlock] = []
        selected = self._selected()
        for block in contents.blocks:
            if self._needs(block, selected):
                needed.append((block.start_ns, block.offset, block))
            else:
                skipped.append(block)
        needed.sort(key=lambda item: item[:2])
        return needed, skipped

    def _selected(self) -> set[int]:
        """Return the channels, of those that blocks name, whose topics are selected."""
        named: set[int] = set()
        for block in self._contents.blocks:
            named.update(block.channel_ids or () if block.tally is None else block.tally)
        return {key for key in named if self._query.wants(self._books.topic(key))}

    def _needs(self, block: DataBlock, selected: set[int]) -> bool:
        """Return whether a block must be loaded: for selected messages, or because it is damaged."""
        if block.bad:
            return True
        if block.start_ns >= self._high or block.end_ns < self._low:
            return False
        ids = block.channel_ids if block.tally is None else block.tally.keys()
        return ids is None or not selected.isdisjoint(ids)

    def _load(self, block: DataBlock) -> list[Place]:
        """Return the places of the selected messages of a block; count the others."""
        try:
            loaded = load(self._reader, block, self._contents.registry, self._budget)
            loaded = self._declare(block, loaded)
        except Broken as broken:
            self._books.broken(block, broken, self._budget)
            return []
        self._books.unproven = self._books.unproven or not loaded.proven
        account, topics, start, end = self.account, self._query.topics, self._query.low, self._query.high
        wanted = []
        for place in loaded.places:
            channel = place.channel
            if channel is None:
                account.corrupt[self._books.topic(place.key)] += 1
            elif topics is not None and channel.topic not in topics:
                account.not_configured[channel.topic] += 1
            elif start <= place.log_time_ns < end:
                wanted.append(place)
            else:
                account.outside_range[channel.topic] += 1
        if loaded.problem:
            self._books.partial(block, loaded)
        if wanted:
            self._keep(_Open(block, loaded.data, len(wanted)))
        return wanted

    def _declare(self, block: DataBlock, loaded: Loaded) -> Loaded:
        """Find channels that another chunk declares: the first in time need not be first in the file."""
        searched = self._contents.searched
        found = self._find_channels({place.key for place in loaded.places if place.channel is None})
        if searched or not found:
            return loaded
        return load(self._source, block, self._contents.registry, self._budget)

    def _find_channels(self, keys: set[int]) -> bool:
        """Look for the declarations of channels in the whole file; return whether any was looked for."""
        unknown = keys - self._contents.registry.channels.keys() - self._books.undeclared
        if unknown:
            discover(self._source, self._contents, unknown, self._budget, everywhere=True)
            self._books.undeclared |= unknown - self._contents.registry.channels.keys()
        return bool(unknown)

    def _emit(self, places: list[Place]) -> Iterator[Message]:
        read, corrupt, blocks = self.account.read, self.account.corrupt, self._open
        if places:
            self._check_order(places[0], places[-1])
        for log_time, offset, start, end, channel, _, sequence, publish_time in places:
            assert channel is not None
            block = blocks[offset]
            data = self._restore(block) if block.data is None else block.data
            block.left -= 1
            if not block.left:
                del blocks[offset]
                self._resident -= len(data or b"")
            if data is None:
                corrupt[channel.topic] += 1
                continue
            read[channel.topic] += 1
            yield Message(channel, log_time, publish_time, sequence, data[start + _RECORD_HEAD : end])

    def _check_order(self, first: Place, last: Place) -> None:
        """Report where an unproven chunk had a wrong start."""
        if first.log_time_ns < self._latest:
            reason = "messages come late here: the chunk that holds them says a wrong time"
            self.damage.append(Damage(first.log_time_ns, self._latest, 0, 0, reason))
        self._latest = max(self._latest, last.log_time_ns)

    # --- memory ----------------------------------------------------------------------------------

    def _keep(self, opened: _Open) -> None:
        self._open[opened.block.offset] = opened
        self._make_room(opened)

    def _make_room(self, latest: _Open) -> None:
        """Count one more block in memory; release the data of others beyond the limit."""
        self._resident += len(latest.data or b"")
        if self._resident <= self._limit:
            return
        for block in reversed(self._open.values()):
            if block.data is not None and block is not latest and self._resident > self._limit:
                self._resident -= len(block.data)
                block.data = None

    def _restore(self, opened: _Open) -> bytes | None:
        """Read the data of a block again; None if a limit forbids it."""
        try:
            opened.data = unpack(self._source, opened.block, self._again).data
        except Broken as broken:
            if not opened.lost:
                self.damage.append(whole_damage(opened.block, str(broken), None))
            opened.lost = True
            return None
        self._make_room(opened)
        return opened.data


@dataclass(slots=True, eq=False)
class _Open:
    """A loaded block; `data` is None after it was released to save memory."""

    block: DataBlock
    data: bytes | None
    left: int  # messages still to come
    lost: bool = False  # it cannot be read again


def _log_time(place: Place) -> int:
    return place.log_time_ns
