"""The account of a reading: the messages that are not yielded, and their proof."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from perception.logs.damage import Damage, ReadAccount
from perception.logs.mcap.blocks import (
    DataBlock,
    Loaded,
    Place,
    Tally,
    partial_damage,
    salvage,
    tally_places,
    whole_damage,
)
from perception.logs.mcap.contents import Contents, topic_of
from perception.logs.mcap.limits import Budget
from perception.logs.mcap.message_index import read_index
from perception.logs.mcap.source import Source
from perception.logs.mcap.unpack import Broken
from perception.logs.query import Query
from perception.text import listed

_MAX_NAMES = 10  # of channels or topics in one line


class Accountant:
    """Keeps `account` and `damage` of one reading; the rows are defined in `ReadAccount`."""

    def __init__(self, source: Source, contents: Contents, query: Query) -> None:
        self.account = ReadAccount()
        self.damage = contents.damage()
        self.undeclared: set[int] = set()  # channel ids that the whole file does not declare
        self.unproven = False  # content was read that no chunk's CRC covers
        self._source = source
        self._contents = contents
        self._unread: list[DataBlock] = []  # blocks without a tally of their own that were not asked for
        self._query = query

    def topic(self, key: int) -> str:
        return topic_of(self._contents, key)

    def corrupt(self, places: list[Place]) -> None:
        """Count messages of which only the header could be read."""
        query, account = self._query, self.account
        for place in places:
            topic = self.topic(place.key)
            if not query.wants(topic):
                account.not_configured[topic] += 1
            elif not query.covers(place.log_time_ns, place.log_time_ns):
                account.outside_range[topic] += 1
            else:
                account.corrupt[topic] += 1

    def broken(self, block: DataBlock, broken: Broken, budget: Budget) -> None:
        """Count a block of which nothing can be used: by its message index, else by the headers in it."""
        headers = salvage(broken, block, self._contents.registry, budget)
        tally = index_of_damaged(self._source, block)
        lost = None if tally is None else self._lost(block, tally)
        if lost is None:
            self.corrupt(headers)
        self.damage.append(whole_damage(block, str(broken), lost))

    def _lost(self, block: DataBlock, tally: Tally) -> int:
        """Count the messages of a broken block by its index; return how many of them were asked for."""
        query, account, lost = self._query, self.account, 0
        if query.covers(block.start_ns, block.end_ns):
            inside = tally
        elif query.misses(block.start_ns, block.end_ns):
            inside = {}
        else:
            inside = read_index(self._source, block, query.low, query.high) or {}
        for key, span in tally.items():
            topic = self.topic(key)
            if not query.wants(topic):
                account.not_configured[topic] += span.messages
                continue
            n = min(inside[key].messages, span.messages) if key in inside else 0
            account.lost[topic] += n
            account.outside_range[topic] += span.messages - n
            lost += n
        return lost

    def skipped(self, block: DataBlock) -> None:
        """Count a block that need not be read: nothing in it was asked for."""
        if block.tally is None and self._contents.tally is not None:
            self._unread.append(block)
        self._leave_out(block.tally or {})

    def _leave_out(self, tally: Tally) -> None:
        for key, span in tally.items():
            topic = self.topic(key)
            if key not in self._contents.registry.channels:  # counted alike whatever is asked for
                self.undeclared.add(key)
                self.account.corrupt[topic] += span.messages
                continue
            row = self.account.outside_range if self._query.wants(topic) else self.account.not_configured
            row[topic] += span.messages

    def partial(self, block: DataBlock, loaded: Loaded) -> None:
        """Count what is missing of a block that could be read only up to a point."""
        torn = [loaded.torn] if loaded.torn else []
        self.corrupt(torn)
        tally = read_index(self._source, block)
        lost = None if tally is None else 0
        read = tally_places(loaded.places + torn)
        for key, span in (tally or {}).items():
            rest = span.messages - (read[key].messages if key in read else 0)
            topic = self.topic(key)
            if rest > 0 and not self._query.wants(topic):
                self.account.not_configured[topic] += rest
            elif rest > 0:
                self.account.lost[topic] += rest
                lost = (lost or 0) + rest
        self.damage.append(partial_damage(block, loaded, lost))

    def close(self, data_crc_holds: bool) -> None:
        """Name what concerns the whole file, and let the statistics prove what else is missing."""
        if self._unread:
            self._count_unread()
        if not data_crc_holds:
            reason = "the CRC of the data section does not hold: some messages outside chunks may be wrong"
            self.damage.append(Damage(None, None, 0, None, reason))
        if self.undeclared:
            count = sum(self.account.corrupt[self.topic(key)] for key in self.undeclared)
            ids = listed(map(str, sorted(self.undeclared)), _MAX_NAMES)
            reason = f"{count} messages are on channels that nothing declares ({ids})"
            self.damage.append(Damage(None, None, 0, None, reason))
        statistics = self._contents.summary.statistics
        if statistics is not None:
            self._compare(statistics.channel_message_counts)
        for _, row in self.account.rows():
            for topic in [topic for topic, count in row.items() if not count]:
                del row[topic]

    def _count_unread(self) -> None:
        """Count what was not asked for of a remote log: what the summary has beyond what was read; beside
        damage by the message index of each chunk."""
        if self.damage:
            self._source.fetch_all(
                (block.offset + block.length, block.index_length) for block in self._unread
            )
            for block in self._unread:
                self._leave_out(read_index(self._source, block) or {})
            return
        claimed: Counter[str] = Counter()
        for key, span in (self._contents.tally or {}).items():
            claimed[self.topic(key)] += span.messages
        for topic, count in (claimed - self.account.totals()).items():
            row = self.account.outside_range if self._query.wants(topic) else self.account.not_configured
            row[topic] += count

    def _compare(self, counts: dict[int, int]) -> None:
        """Count as lost what only the statistics have, where damage or unproven data explains it."""
        claimed: Counter[str] = Counter()
        for channel_id, count in counts.items():
            claimed[self.topic(channel_id)] += count
        missing = self._missing(claimed)
        unproven = [i for i, damage in enumerate(self.damage) if damage.messages is None]
        places = [i for i in unproven if self.damage[i].bytes]
        if self.damage or self.unproven:
            self.account.lost.update(missing)
            for i in places if len(places) == 1 or not missing else ():
                self.damage[i] = replace(self.damage[i], messages=sum(missing.values()))
        if missing and not unproven:
            reason = f"the statistics claim {sum(missing.values())} messages more than the data holds on "
            lost = sum(missing.values()) if self.damage or self.unproven else None
            self.damage.append(Damage(None, None, 0, lost, reason + listed(sorted(missing), _MAX_NAMES)))

    def _missing(self, claimed: Counter[str]) -> dict[str, int]:
        """Return, by topic, the number of messages that the statistics have beyond the account.

        The sum is kept at what is claimed: a record counted on a wrong channel is not missing a second time.
        """
        account = self.account
        counted = account.totals()
        missing = {
            topic: count - counted[topic] for topic, count in claimed.items() if count > counted[topic]
        }
        wanting, room = sum(missing.values()), claimed.total() - counted.total()
        for topic in map(self.topic, self.undeclared):
            moved = max(0, min(account.corrupt[topic], wanting - room))
            account.corrupt[topic] -= moved
            room += moved
        capped = {}
        for topic, count in missing.items():
            if (kept := min(count, room)) > 0:
                capped[topic] = kept
                room -= kept
        return capped


def index_of_damaged(source: Source, block: DataBlock) -> Tally | None:
    """Return the messages of a broken block by its message indexes; None if they may not be all of them.

    They are all if their first and last times are those of the chunk. Where the chunk's fields are lost, what
    there is counts.
    """
    tally = read_index(source, block)
    if tally and block.payload:
        first = min(span.first_ns for span in tally.values())
        last = max(span.last_ns for span in tally.values())
        return tally if (first, last) == (block.start_ns, block.end_ns) else None
    return tally
