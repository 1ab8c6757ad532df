"""Blocks: the pieces of a data section that hold messages, and how one is loaded and checked.

A block is a chunk, or a run of message records outside chunks (`loose`). Loading one gives its bytes
and the place of every message in them. A chunk is believed when its CRC holds, whatever its other fields say.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import Literal, NamedTuple

from perception.logs.damage import Damage
from perception.logs.mcap.records import (
    HEAD,
    MAX_BYTES,
    MESSAGE_HEAD,
    Malformed,
    Op,
    Registry,
    parse_chunk_head,
)
from perception.logs.mcap.source import Source
from perception.logs.mcap.unpack import Broken, decompress, decompress_head
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


Tally = dict[int, ChannelTally]  # by channel id


@dataclass(slots=True, eq=False)
class DataBlock:
    """A piece of the data section: its place, and its description before it is loaded."""

    kind: Literal["chunk", "loose"]
    offset: int
    length: int  # bytes, from the first record's opcode
    start_ns: int
    end_ns: int
    index_length: int = 0  # bytes of message index records that follow a chunk
    channel_ids: frozenset[int] | None = None  # None: not known without loading
    compression: str = ""
    compressed_size: int | None = None  # known from the chunk index
    uncompressed_size: int | None = None
    cut: bool = False  # the file ends inside it
    index_torn: bool = False  # damage follows its message indexes: there may have been more
    proven: bool = False  # its fields come from a summary whose CRC holds
    broken: bool = False  # unreadable: a reading must load it again, to report it
    tally: Tally | None = None  # by the message index or by a first reading


class Place(NamedTuple):
    """The place of one message in a block's data; sorts in arrival order, equal times in file order."""

    log_time_ns: int
    block: int  # the block's offset in the file
    start: int  # of its record, in the block's data
    end: int
    channel: Channel | None
    channel_id: int
    sequence: int
    publish_time_ns: int


@dataclass(slots=True, eq=False)
class Loaded:
    """A block's data and the place of each message in it."""

    data: bytes
    places: list[Place]
    proven: bool  # a CRC holds for this data
    problem: str = ""  # why the data ends early, if it does
    unused: int = 0  # bytes of `data` after the problem
    torn: Place | None = None  # a last message with a whole header and cut content


def load(source: Source, block: DataBlock, registry: Registry) -> Loaded:
    """Read, decompress and check one block.

    Raises:
        Broken: its content cannot be trusted.
    """
    if block.length > 2 * MAX_BYTES:
        raise Broken(f"a chunk of {block.length:,} bytes; at most {MAX_BYTES:,} are read")
    try:
        record = source.read(block.offset, block.length)
    except Malformed as error:
        raise Broken(str(error)) from error
    if len(record) < block.length:
        raise Broken("the file has become shorter while it was read")
    if block.kind == "loose":
        return split(record, block, registry, proven=False)
    data, begin, size, crc = _chunk_data(record, block)
    if block.cut:
        return split(data, block, registry, proven=False, begin=begin)
    if crc and zlib.crc32(memoryview(data)[begin:]) != crc:
        raise Broken("the chunk's CRC does not hold", data[begin:])
    if not crc and len(data) - begin != size:
        raise Broken(f"the chunk holds {len(data) - begin} bytes and claims {size}", data[begin:])
    return split(data, block, registry, proven=bool(crc), begin=begin)


def _chunk_data(record: bytes, block: DataBlock) -> tuple[bytes, int, int, int]:
    """Return the uncompressed data of a chunk, its offset, and the size and CRC it must have.

    A proven chunk index is believed before the chunk's own fields. Plain data is not copied.
    """
    if block.proven and block.compressed_size is not None:
        begin = max(_CRC_AT + 4, len(record) - block.compressed_size)
        compression, size = block.compression, block.uncompressed_size or 0
        crc = int.from_bytes(record[_CRC_AT : _CRC_AT + 4], "little")
    else:
        try:
            head = parse_chunk_head(record)
        except Malformed as error:
            raise Broken(str(error)) from error
        begin, compression, size, crc = head.payload, head.compression, head.uncompressed_size, head.crc
        if not block.cut and len(record) - begin != head.compressed_size:
            raise Broken("the chunk's fields contradict each other")
    if size > MAX_BYTES or len(record) > MAX_BYTES:
        raise Broken(f"the chunk claims {max(size, len(record)):,} bytes; at most {MAX_BYTES:,} are read")
    if compression == "":
        return record, begin, size, crc
    payload = memoryview(record)[begin:]
    if block.cut:
        return decompress_head(compression, payload, size), 0, size, 0
    return decompress(compression, payload, size), 0, size, crc


def split(data: bytes, block: DataBlock, registry: Registry, proven: bool, begin: int = 0) -> Loaded:
    """Return the place of every message in a block's data, in file order. Adds the channels to `registry`."""
    loaded = Loaded(data, [], proven)
    add, channels = loaded.places.append, registry.channels.get
    local: dict[int, Channel] = {}  # channels declared differently here than elsewhere
    at, size, base = begin, len(data), block.offset
    head, message_head, message = HEAD.unpack_from, MESSAGE_HEAD.unpack_from, Op.MESSAGE
    while at + HEAD.size <= size:
        opcode, length = head(data, at)
        end = at + HEAD.size + length
        if end > size:
            loaded.torn = _torn(data, at, base, registry) if opcode == message and length >= 22 else None
            break
        if opcode == message:
            if length < MESSAGE_HEAD.size:
                break
            channel_id, sequence, log_time, publish = message_head(data, at + HEAD.size)
            channel = channels(channel_id) if not local else local.get(channel_id) or channels(channel_id)
            add(Place(log_time, base, at, end, channel, channel_id, sequence, publish))
        elif opcode == 0:
            break
        elif opcode in (Op.SCHEMA, Op.CHANNEL):
            try:
                body = data[at + HEAD.size : end]
                if opcode == Op.SCHEMA:
                    registry.add_schema(body)
                elif (channel := registry.add_channel(body)) is not registry.channels[channel.id]:
                    local[channel.id] = channel
            except Malformed:
                break
        at = end
    if at < size or block.cut:
        loaded.problem = "the file is cut off" if block.cut else "a record is malformed here"
        loaded.unused = size - at
    return loaded


def salvage(broken: Broken, block: DataBlock, registry: Registry) -> list[Place]:
    """Return the messages of a bad chunk with a known channel and a time in the chunk's range.

    Channels that only this chunk declares are taken over: without them, all that follows would have no topic.
    """
    if not broken.data:
        return []
    scratch = registry.copy()
    places = split(broken.data, block, scratch, proven=False).places
    registry.adopt(scratch)
    return [
        place for place in places if place.channel and block.start_ns <= place.log_time_ns <= block.end_ns
    ]


def _torn(data: bytes, at: int, base: int, registry: Registry) -> Place | None:
    """Return the place of a message whose content is cut off, where its header is whole."""
    if at + _HEADS > len(data):
        return None
    channel_id, sequence, log_time, publish = MESSAGE_HEAD.unpack_from(data, at + HEAD.size)
    channel = registry.channels.get(channel_id)
    return Place(log_time, base, at, len(data), channel, channel_id, sequence, publish) if channel else None


def tally_places(places: list[Place]) -> Tally:
    """Count the messages of each channel."""
    times: dict[int, list[int]] = {}
    for place in places:
        times.setdefault(place.channel_id, []).append(place.log_time_ns)
    return {
        channel_id: ChannelTally(len(group), min(group), max(group)) for channel_id, group in times.items()
    }


def whole_damage(block: DataBlock, reason: str, messages: int | None) -> Damage:
    """Return the damage of a block of which nothing could be used."""
    return Damage(block.start_ns, block.end_ns, block.length, messages, f"{reason} (at byte {block.offset})")


def partial_damage(block: DataBlock, loaded: Loaded, messages: int | None) -> Damage:
    """Return the damage of a block that could be used only up to a point."""
    last = max((place.log_time_ns for place in loaded.places), default=block.start_ns)
    until = None if block.cut else block.end_ns
    return Damage(last, until, loaded.unused, messages, f"{loaded.problem} (block at byte {block.offset})")
