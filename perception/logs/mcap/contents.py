"""The table of contents of a log: its blocks in file order, its channels, and unreadable bytes."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import accumulate
from types import MappingProxyType
from typing import NamedTuple

from perception.logs.damage import Damage
from perception.logs.mcap.blocks import DataBlock, load, salvage
from perception.logs.mcap.records import Registry
from perception.logs.mcap.source import Source
from perception.logs.mcap.summary import McapSummary
from perception.logs.mcap.unpack import Broken
from perception.types import Channel


class Break(NamedTuple):
    """Unreadable bytes between two blocks. `size` may be less than `end - start`."""

    start: int
    end: int
    size: int
    reason: str


@dataclass(slots=True)
class Contents:
    """The structure of a log, known without reading its messages."""

    registry: Registry
    summary: McapSummary
    blocks: list[DataBlock] = field(default_factory=list)  # in file order
    metadata: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    attachments: list[str] = field(default_factory=list)
    breaks: list[Break] = field(default_factory=list)
    data_end: tuple[int, int] | None = None  # offset of the data end record, and its CRC
    closed: bool = True  # a data end record was found: the recording was finished

    def damage(self) -> list[Damage]:
        """Return the breaks, with the log times of the blocks beside them."""
        offsets = [block.offset for block in self.blocks]
        latest = list(accumulate((block.end_ns for block in self.blocks), max))
        damage_list = []
        for start, _, size, reason in self.breaks:
            after = bisect_right(offsets, start)
            before_ns = latest[after - 1] if after else None
            after_ns = self.blocks[after].start_ns if after < len(self.blocks) else None
            damage_list.append(Damage(before_ns, after_ns, size, None, f"{reason} (at byte {start})"))
        return damage_list


def discover(source: Source, contents: Contents, channel_ids: set[int], everywhere: bool = False) -> None:
    """Load blocks until these channels and their schemas are known, which not every summary repeats.

    `everywhere`: look also into chunks that have no message on these channels.
    """
    unknown = {channel_id for channel_id in channel_ids if not contents.registry.complete(channel_id)}
    for block in contents.blocks:
        if not unknown:
            return
        known = block.channel_ids if block.tally is None else block.tally.keys()
        if not everywhere and known is not None and not unknown & known:
            continue
        try:
            load(source, block, contents.registry)
        except Broken as broken:
            salvage(broken, block, contents.registry)
        unknown = {channel_id for channel_id in unknown if not contents.registry.complete(channel_id)}


def topic_of(contents: Contents, channel_id: int) -> str:
    """Return the topic of a channel; `(channel N)` where nothing declares it."""
    channel = contents.registry.channels.get(channel_id)
    return channel.topic if channel else f"(channel {channel_id})"


def channels_by_topic(contents: Contents) -> Mapping[str, Channel]:
    """Return the channels by topic; of several on one topic the one with the lowest id."""
    by_topic: dict[str, Channel] = {}
    for _, channel in sorted(contents.registry.channels.items()):
        by_topic.setdefault(channel.topic, channel)
    return MappingProxyType(by_topic)
