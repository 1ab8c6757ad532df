"""The table of contents of a log: its blocks in file order, its channels, and unreadable bytes."""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import accumulate
from types import MappingProxyType
from typing import NamedTuple

from perception.logs.damage import Damage
from perception.logs.mcap.blocks import DataBlock, Tally, load, salvage
from perception.logs.mcap.limits import Budget
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
    doubtful: bool = True  # more than a proven chunk index was needed to find the blocks
    tally: Tally | None = None  # by the summary alone: the blocks of a remote file have none of their own
    settled: bool = False  # the tally of every block that is not bad is known, and proven
    searched: bool = False  # every block was read for its declarations
    lock: threading.RLock = field(default_factory=threading.RLock)

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


def discover(
    source: Source, contents: Contents, keys: set[int], budget: Budget, everywhere: bool = False
) -> None:
    """Load blocks until these channels and their schemas are known, which not every summary repeats.

    `everywhere`: look also into chunks that have no message on these channels. That happens once for a log.
    """
    with contents.lock:
        unknown = {key for key in keys if not contents.registry.complete(key)}
        for block in () if contents.searched else contents.blocks:
            if not unknown:
                return
            known = block.channel_ids if block.tally is None else block.tally.keys()
            if not everywhere and known is not None and not unknown & known:
                continue
            adopt_channels(source, contents, block, budget)
            if not everywhere:
                unknown = {key for key in unknown if not contents.registry.complete(key)}
        contents.searched |= everywhere


def adopt_channels(source: Source, contents: Contents, block: DataBlock, budget: Budget) -> None:
    """Add the channels of one block to the registry; those of a broken one, where no other declares them."""
    try:
        load(source, block, contents.registry, budget)
    except Broken as broken:
        known = len(contents.registry.channels)
        salvage(broken, block, contents.registry, budget)
        block.declares |= len(contents.registry.channels) > known


def topic_of(contents: Contents, key: int) -> str:
    """Return the topic of a channel; `(channel N)` where nothing declares it."""
    channel = contents.registry.channels.get(key)
    return channel.topic if channel else f"(channel {key})"


def channels_by_topic(contents: Contents) -> Mapping[str, Channel]:
    """Return the channels by topic; of several on one topic the one with the lowest id."""
    by_topic: dict[str, Channel] = {}
    for _, channel in sorted(contents.registry.channels.items(), key=lambda item: item[0]):
        by_topic.setdefault(channel.topic, channel)
    return MappingProxyType(by_topic)
