"""The account of a reading: the messages that are not yielded, and their proof."""

from __future__ import annotations

from dataclasses import replace

from perception.logs.damage import Damage, ReadAccount
from perception.logs.mcap.blocks import (
    DataBlock,
    Loaded,
    Place,
    partial_damage,
    salvage,
    tally_places,
    whole_damage,
)
from perception.logs.mcap.contents import Contents, topic_of
from perception.logs.mcap.message_index import read_index
from perception.logs.mcap.source import Source
from perception.logs.mcap.unpack import Broken
from perception.logs.query import Query


class Accountant:
    """Keeps `account` and `damage` of one reading; the rows are defined in `ReadAccount`."""

    def __init__(self, source: Source, contents: Contents, query: Query) -> None:
        self.account = ReadAccount()
        self.damage = contents.damage()
        self.undeclared: set[int] = set()  # channel ids that the whole file does not declare
        self.unproven = False  # content was read that no chunk's CRC covers
        self._source = source
        self._contents = contents
        self._query = query

    def topic(self, channel_id: int) -> str:
        return topic_of(self._contents, channel_id)

    def corrupt(self, places: list[Place]) -> None:
        """Count messages of which only the header could be read."""
        query, account = self._query, self.account
        for place in places:
            topic = self.topic(place.channel_id)
            if not query.wants(topic):
                account.not_configured[topic] += 1
            elif not query.covers(place.log_time_ns, place.log_time_ns):
                account.outside_range[topic] += 1
            else:
                account.corrupt[topic] += 1

    def broken(self, block: DataBlock, broken: Broken) -> None:
        """Count a block of which nothing can be used."""
        channels = self._contents.registry.channels
        known = len(channels)
        headers = salvage(broken, block, self._contents.registry)
        reason = str(broken)
        if len(channels) > known:
            reason += "; channels that it alone declares are taken over unproven"
        lost = self.indexed(block)
        if lost is None:
            self.corrupt(headers)
        self.damage.append(whole_damage(block, reason, lost))

    def indexed(self, block: DataBlock) -> int | None:
        """Count a block that is not read by its message index; None if that proves nothing.

        Wanted messages in it are `lost`: a block that is left out on purpose has none. Returns how many.
        """
        if block.broken:  # its tally may be of salvaged headers, which prove nothing
            tally = read_index(self._source, block)
        else:
            if block.tally is None:
                block.tally = read_index(self._source, block)
            tally = block.tally
        if tally is None:
            return None
        query, account, lost = self._query, self.account, 0
        if query.covers(block.start_ns, block.end_ns):
            inside = tally
        elif query.misses(block.start_ns, block.end_ns):
            inside = {}
        else:
            inside = read_index(self._source, block, query.low, query.high) or {}
        for channel_id, span in tally.items():
            topic = self.topic(channel_id)
            if not query.wants(topic):
                account.not_configured[topic] += span.messages
                continue
            n = min(inside[channel_id].messages, span.messages) if channel_id in inside else 0
            account.lost[topic] += n
            account.outside_range[topic] += span.messages - n
            lost += n
        return lost

    def partial(self, block: DataBlock, loaded: Loaded) -> None:
        """Count what is missing of a block that could be read only up to a point."""
        torn = [loaded.torn] if loaded.torn else []
        self.corrupt(torn)
        tally = read_index(self._source, block)
        lost = None if tally is None else 0
        read = tally_places(loaded.places + torn)
        for channel_id, span in (tally or {}).items():
            rest = span.messages - (read[channel_id].messages if channel_id in read else 0)
            topic = self.topic(channel_id)
            if rest > 0 and not self._query.wants(topic):
                self.account.not_configured[topic] += rest
            elif rest > 0:
                self.account.lost[topic] += rest
                lost = (lost or 0) + rest
        self.damage.append(partial_damage(block, loaded, lost))

    def close(self, data_crc_holds: bool) -> None:
        """Name what concerns the whole file, and let the statistics prove what else is missing."""
        if not data_crc_holds:
            reason = "the CRC of the data section does not hold: some messages outside chunks may be wrong"
            self.damage.append(Damage(None, None, 0, None, reason))
        if self.undeclared:
            ids = ", ".join(str(channel_id) for channel_id in sorted(self.undeclared))
            count = sum(self.account.corrupt[self.topic(channel_id)] for channel_id in self.undeclared)
            reason = f"{count} messages are on channels that nothing declares ({ids})"
            self.damage.append(Damage(None, None, 0, None, reason))
        statistics = self._contents.summary.statistics
        if statistics is not None:
            self._compare(statistics.channel_message_counts)
        for _, row in self.account.rows():
            for topic in [topic for topic, count in row.items() if not count]:
                del row[topic]

    def _compare(self, counts: dict[int, int]) -> None:
        """Count as lost what only the statistics have, where damage or unproven data explains it."""
        claimed: dict[str, int] = {}
        for channel_id, count in counts.items():
            claimed[self.topic(channel_id)] = claimed.get(self.topic(channel_id), 0) + count
        missing = self._missing(claimed)
        unproven = [damage for damage in self.damage if damage.messages is None]
        places = [i for i, damage in enumerate(self.damage) if damage.messages is None and damage.bytes]
        if unproven or self.unproven:
            self.account.lost.update(missing)
            for i in places if len(places) == 1 or not missing else ():
                self.damage[i] = replace(self.damage[i], messages=sum(missing.values()))
        if missing and not unproven:
            names, more = ", ".join(sorted(missing)), sum(missing.values())
            reason = f"the statistics claim {more} messages more than the data holds on {names}"
            self.damage.append(Damage(None, None, 0, more if self.unproven else None, reason))

    def _missing(self, claimed: dict[str, int]) -> dict[str, int]:
        """Return, by topic, the number of messages that the statistics have beyond the account.

        The sum is kept at what is claimed: a record counted on a wrong channel is not missing a second time.
        """
        account = self.account
        missing = {topic: count - account.total(topic) for topic, count in claimed.items()}
        missing = {topic: count for topic, count in missing.items() if count > 0}
        room = sum(claimed.values()) - sum(account.total(topic) for topic in account.topics)
        for topic in map(self.topic, self.undeclared):
            moved = max(0, min(account.corrupt[topic], sum(missing.values()) - room))
            account.corrupt[topic] -= moved
            room += moved
        capped = {}
        for topic, count in missing.items():
            if (kept := min(count, room)) > 0:
                capped[topic] = kept
                room -= kept
        return capped
