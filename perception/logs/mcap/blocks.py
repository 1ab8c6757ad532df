"""Blocks: the pieces of a data section that hold messages, and how one is loaded and checked.

A block is a chunk, or a run of message records outside chunks (`loose`). Loading one gives its bytes and the
place of every message in them.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import repeat
from types import MappingProxyType
from typing import Literal, NamedTuple

from perception.logs.damage import Damage
from perception.logs.mcap.limits import MAX_RECORD_BYTES, MISSTATED_BYTES, Budget, chunk_limit
from perception.logs.mcap.records import HEAD, MESSAGE_HEAD, Malformed, Op, Registry
from perception.logs.mcap.shape import CHUNK_FIELDS
from perception.logs.mcap.source import Source
from perception.logs.mcap.unpack import Broken, Oversized, decompress, decompress_head, measure
from perception.types import Channel

_HEADS = HEAD.size + MESSAGE_HEAD.size
_CRC_AT = 33  # where a chunk record holds the CRC of its uncompressed data


class ChannelTally(NamedTuple):
    """The number of messages of a channel, and their first and last log time."""

    messages: int
    first_ns: int
    last_ns: int

    def plus(self, messages: int, first_ns: int, last_ns: int) -> ChannelTally:
        """Return the tally with more messages, of these first and last log times."""
        return ChannelTally(
            self.messages + messages, min(self.first_ns, first_ns), max(self.last_ns, last_ns)
        )


Tally = dict[int, ChannelTally]  # by channel key
Aliases = Mapping[int, int]  # by channel id: the key of the stream it stands for, where that is not the id
NO_ALIASES: Aliases = MappingProxyType({})


@dataclass(slots=True, eq=False)
class DataBlock:
    """A piece of the data section: its place, and its description before it is loaded."""

    kind: Literal["chunk", "loose"]
    offset: int
    length: int  # bytes, from the first record's opcode
    start_ns: int
    end_ns: int
    index_length: int = 0  # bytes of message index records that follow a chunk
    channel_ids: frozenset[int] | None = None  # by the chunk index
    compression: str = ""
    payload: int = 0  # offset of a chunk's data in its record
    uncompressed_size: int = 0
    cut: bool = False  # the file ends inside it
    torn: bool = False  # one message outside chunks, of which only the header is sound
    index_torn: bool = False  # damage lies among its message indexes: there may have been more
    tally: Tally | None = None  # of its messages, by reading
    bad: bool = False  # reading found damage in it: each reading must report it
    declares: bool = False  # it is bad, and channels that only it declares are taken over
    refused: str = ""  # why it is not read, if a limit forbids it
    records: int | None = None  # how many of its records are read, if a limit forbids more
    aliases: Aliases = field(default_factory=lambda: NO_ALIASES)  # in force at its beginning


class Place(NamedTuple):
    """The place of one message in a block's data; sorts in arrival order, equal times in file order."""

    log_time_ns: int
    block: int  # the block's offset in the file
    start: int  # of its record, in the block's data
    end: int
    channel: Channel | None
    key: int  # of the channel
    sequence: int
    publish_time_ns: int


@dataclass(slots=True, eq=False)
class Loaded:
    """A block's data and the place of each message in it."""

    data: bytes
    places: list[Place]
    proven: bool  # a CRC holds for this data
    aliases: Aliases  # in force at its end
    problem: str = ""  # why the data ends early, if it does
    unused: int = 0  # bytes of `data` after the problem
    torn: Place | None = None  # a last message with a whole header and cut content
    records: int = 0  # how many were looked at


class Unpacked(NamedTuple):
    """The data of a block: `data` from `begin`."""

    data: bytes
    begin: int
    proven: bool  # a CRC holds for it


def load(source: Source, block: DataBlock, registry: Registry, budget: Budget) -> Loaded:
    """Read, decompress and check one block. Adds its channels to `registry`.

    Raises:
        Broken: its content cannot be trusted.
    """
    limit = budget.records if block.records is None else block.records
    if limit <= 0:
        raise Broken("the log holds more records than the limit (docs/limits.md)")
    unpacked = unpack(source, block, budget)
    if block.torn:
        torn = _torn(unpacked.data, 0, block, registry)
        return Loaded(unpacked.data, [], False, block.aliases, "a record is damaged here", block.length, torn)
    loaded = split(unpacked, block, registry, limit)
    budget.records -= loaded.records
    return loaded


def unpack(source: Source, block: DataBlock, budget: Budget) -> Unpacked:
    """Read and decompress one block, and check its CRC.

    Raises:
        Broken: its content cannot be trusted, or a limit forbids it.
    """
    if block.refused:
        raise Broken(block.refused)
    if block.length > MAX_RECORD_BYTES + 4096:
        raise Broken(f"a chunk of {block.length:,} bytes; at most {MAX_RECORD_BYTES:,} are read")
    try:
        record = source.read(block.offset, block.length)
    except Malformed as error:
        raise Broken(str(error)) from error
    if len(record) < block.length:
        raise Broken("the file has become shorter while it was read")
    if block.kind == "loose":
        return Unpacked(record, 0, proven=False)
    return _unpack_chunk(record, block, budget)


def _unpack_chunk(record: bytes, block: DataBlock, budget: Budget) -> Unpacked:
    """Return the data of a chunk. It is believed when its CRC holds, whatever its other fields say."""
    begin, crc = block.payload, int.from_bytes(record[_CRC_AT : _CRC_AT + 4], "little")
    if not CHUNK_FIELDS <= begin <= len(record):
        raise Broken("the chunk's fields are damaged")
    if block.compression == "":
        data = record
    else:
        if budget.bytes <= 0:
            raise Broken("the log unpacks to more than the limit (docs/limits.md)")
        data, begin = _decompressed(memoryview(record)[begin:], block, crc, budget), 0
    budget.bytes -= len(data)
    if block.cut:
        return Unpacked(data, begin, proven=False)
    if crc and zlib.crc32(memoryview(data)[begin:]) != crc:
        raise Broken("the chunk's CRC does not hold", data[begin:])
    size = len(data) - begin
    if not crc and size != block.uncompressed_size:
        raise Broken(f"the chunk holds {size} bytes and claims {block.uncompressed_size}", data[begin:])
    return Unpacked(data, begin, proven=bool(crc))


def _decompressed(payload: memoryview, block: DataBlock, crc: int, budget: Budget) -> bytes:
    size, limit = block.uncompressed_size, chunk_limit(len(payload))
    if block.cut:
        return decompress_head(block.compression, payload, min(size, limit))
    try:
        if size > limit:
            raise Oversized(f"the chunk claims {size:,} bytes; at most {limit:,} are read")
        return decompress(block.compression, payload, size)
    except Oversized:
        if crc:  # the field may be what is damaged
            size, measured = measure(block.compression, payload, min(limit, MISSTATED_BYTES))
            budget.bytes -= size
            if measured == crc:
                return decompress(block.compression, payload, size)
        raise


def split(unpacked: Unpacked, block: DataBlock, registry: Registry, limit: int) -> Loaded:
    """Return the place of every message in a block's data, in file order. Adds the channels to `registry`.

    At most `limit` records are looked at.
    """
    data, at, proven = unpacked
    aliases = block.aliases
    loaded = Loaded(data, [], proven, aliases)
    add, channels = loaded.places.append, registry.channels.get
    size, base = len(data), block.offset
    head, message_head, message = HEAD.unpack_from, MESSAGE_HEAD.unpack_from, Op.MESSAGE
    for _ in repeat(None, limit):
        if at + HEAD.size > size:
            break
        opcode, length = head(data, at)
        end = at + HEAD.size + length
        if end > size:
            loaded.torn = _torn(data, at, block, registry) if opcode == message and length >= 22 else None
            break
        if opcode == message:
            if length < MESSAGE_HEAD.size:
                break
            channel_id, sequence, log_time, publish = message_head(data, at + HEAD.size)
            key = aliases.get(channel_id, channel_id) if aliases else channel_id
            add(Place(log_time, base, at, end, channels(key), key, sequence, publish))
        elif opcode == 0:
            break
        elif opcode in (Op.SCHEMA, Op.CHANNEL):
            try:
                aliases = declare(registry, opcode, data[at + HEAD.size : end], aliases)
            except Malformed:
                break
        loaded.records += 1
        at = end
    else:
        loaded.problem = "it holds more records than the limit (docs/limits.md)" if at < size else ""
    if at < size or block.cut:
        reason = "the file is cut off" if block.cut else "a record is malformed here"
        loaded.problem = loaded.problem or reason
        loaded.unused = size - at
    loaded.aliases = aliases
    return loaded


def declare(registry: Registry, opcode: int, body: bytes, aliases: Aliases) -> Aliases:
    """Add a schema or a channel; return the aliases that are then in force. Raises Malformed."""
    if opcode == Op.SCHEMA:
        registry.add_schema(body)
        return aliases
    key, channel_id = registry.add_channel(body), int.from_bytes(body[:2], "little")
    return aliases if aliases.get(channel_id, channel_id) == key else {**aliases, channel_id: key}


def salvage(broken: Broken, block: DataBlock, registry: Registry, budget: Budget) -> list[Place]:
    """Return the messages of a bad chunk with a known channel and a time in the chunk's range.

    Channels that only this chunk declares are taken over: without them, all that follows would have no topic.
    """
    if not broken.data:
        return []
    overlay = registry.overlay()
    loaded = split(Unpacked(broken.data, 0, proven=False), block, overlay, budget.records)
    budget.records -= loaded.records
    registry.adopt(overlay)
    return [
        place
        for place in loaded.places
        if place.channel and block.start_ns <= place.log_time_ns <= block.end_ns
    ]


def _torn(data: bytes, at: int, block: DataBlock, registry: Registry) -> Place | None:
    """Return the place of a message whose content is cut off, where its header is whole."""
    if at + _HEADS > len(data):
        return None
    channel_id, sequence, log_time, publish = MESSAGE_HEAD.unpack_from(data, at + HEAD.size)
    key = block.aliases.get(channel_id, channel_id)
    channel = registry.channels.get(key)
    if channel is None:
        return None
    return Place(log_time, block.offset, at, len(data), channel, key, sequence, publish)


def tally_places(places: list[Place]) -> Tally:
    """Count the messages of each channel."""
    times: dict[int, list[int]] = {}
    for place in places:
        times.setdefault(place.key, []).append(place.log_time_ns)
    return {key: ChannelTally(len(group), min(group), max(group)) for key, group in times.items()}


def whole_damage(block: DataBlock, reason: str, messages: int | None) -> Damage:
    """Return the damage of a block of which nothing could be used."""
    if block.declares:
        reason += "; channels that it alone declares are taken over unproven"
    return Damage(block.start_ns, block.end_ns, block.length, messages, f"{reason} (at byte {block.offset})")


def partial_damage(block: DataBlock, loaded: Loaded, messages: int | None) -> Damage:
    """Return the damage of a block that could be used only up to a point."""
    last = max((place.log_time_ns for place in loaded.places), default=block.start_ns)
    until = None if block.cut else block.end_ns
    return Damage(last, until, loaded.unused, messages, f"{loaded.problem} (block at byte {block.offset})")
