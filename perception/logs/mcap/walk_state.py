"""The position of a walk through a data section: what was read right before, and what may stand here."""

from __future__ import annotations

from typing import NamedTuple

from perception.logs.mcap.blocks import NO_ALIASES, ChannelTally, DataBlock
from perception.logs.mcap.contents import Break, Contents
from perception.logs.mcap.records import HEAD, MAGIC, MESSAGE_HEAD, Op
from perception.logs.mcap.search import Search
from perception.logs.mcap.source import Source

_NEAR_NS = 3600 * 10**9  # a message with a damaged opcode is recognised by a log time this near to others


class RunState(NamedTuple):
    """The change of a run of messages outside chunks when one is added."""

    length: int
    start_ns: int
    end_ns: int
    key: int  # of the message's channel
    tally: ChannelTally | None  # of that channel

    def restore(self, run: DataBlock) -> None:
        run.length, run.start_ns, run.end_ns = self.length, self.start_ns, self.end_ns
        assert run.tally is not None
        if self.tally is None:
            del run.tally[self.key]
        else:
            run.tally[self.key] = self.tally


class PriorRecord(NamedTuple):
    """The record before the present offset, where its length may be wrong."""

    start: int
    end: int
    block: DataBlock | None = None  # a chunk, or the run that this message ends; None: of unknown kind
    before: RunState | None = None  # the run without this message


class WalkState:
    """The position of a walk, and the table of contents that it fills.

    Args:
        source: The file.
        contents: The table of contents.
        chunk_starts: Offsets at which a summary, sound or not, says that chunks begin; sorted.

    Attributes:
        chunk: Message indexes that follow belong to it.
        run: Messages outside chunks that follow join it.
        last: The record before.
        gap: Unreadable bytes lie right before this record.
        chunked: A chunk was seen: messages behind damage may be content of one.
        aliases: Of the channels that were declared outside chunks.
    """

    def __init__(self, source: Source, contents: Contents, chunk_starts: list[int]) -> None:
        self.source = source
        self.contents = contents
        self.search = Search(source, contents.registry, chunk_starts)
        self.shapes = self.search.shapes
        self.chunk: DataBlock | None = None
        self.run: DataBlock | None = None
        self.last: PriorRecord | None = None
        self.gap = False
        self.chunked = bool(chunk_starts)
        self.aliases = NO_ALIASES
        self._complete = source.read(source.size - len(MAGIC), len(MAGIC)) == MAGIC  # it was not cut short

    def begin(self) -> None:
        """Forget what lies before, at the start of a part of the file."""
        self.chunk = self.run = self.last = None
        self.gap = False

    def has_message_head(self, at: int) -> bool:
        """Return whether a message outside chunks has its header here, whatever its length says."""
        blocks = self.contents.blocks
        if self.chunked or not blocks:
            return False
        channel_id, log_time = self.message_head(at)
        return self.near(log_time) and self.key(channel_id) in self.contents.registry.channels

    def near(self, log_time_ns: int) -> bool:
        """Return whether a time is near to those of the block before."""
        block = self.contents.blocks[-1]
        return block.start_ns - _NEAR_NS <= log_time_ns <= block.end_ns + _NEAR_NS

    def message_head(self, at: int) -> tuple[int, int]:
        """Return channel id and log time of a message; zeros where the file ends."""
        head = self.source.peek(at + HEAD.size, MESSAGE_HEAD.size).ljust(MESSAGE_HEAD.size, b"\0")
        channel_id, _, log_time, _ = MESSAGE_HEAD.unpack(head)
        return channel_id, log_time

    def key(self, channel_id: int) -> int:
        return self.aliases.get(channel_id, channel_id)

    def tear(self, at: int, end: int) -> None:
        """Add a message of which only the header is sound."""
        channel_id, log_time = self.message_head(at)
        tally = {self.key(channel_id): ChannelTally(1, log_time, log_time)}
        self.contents.blocks.append(
            DataBlock(
                "loose",
                at,
                end - at,
                log_time,
                log_time,
                torn=True,
                tally=tally,
                bad=True,
                aliases=self.aliases,
            )
        )
        self.run = None

    def doubt_index(self) -> None:
        """Mark the chunk before this place: it may have had more message indexes."""
        if self.chunk is not None:
            self.chunk.index_torn = True

    def note_break(self, at: int, after: int, reason: str) -> None:
        """Note bytes that are not understood; together with those before if no block lies between."""
        breaks, blocks, size = self.contents.breaks, self.contents.blocks, after - at
        if breaks and not (blocks and blocks[-1].offset >= breaks[-1].start):
            size += breaks[-1].size
            at, reason = breaks[-1].start, breaks[-1].reason
            breaks.pop()
        breaks.append(Break(at, after, size, reason))
        self.gap = True

    def is_cut(self, at: int, end: int) -> bool:
        """Return whether the file ends inside a record, rather than that its length is wrong.

        `at`: where in the record the search for others begins.
        """
        return not self._complete and self.search.find(at, end, self.loose(at, end)) == end

    def loose(self, at: int, end: int) -> bool:
        """Return whether this is a log without chunks: what looks like a message is no chunk's content."""
        if not self.chunked and not self.contents.blocks:
            ahead = self.search.find(at, end, loose=False)
            self.chunked = ahead < end and (
                self.shapes.head(ahead)[0] == Op.MESSAGE_INDEX or self.is_chunk(ahead, end)
            )
        return not self.chunked

    def is_chunk(self, at: int, end: int) -> bool:
        """Return whether a chunk begins here, whatever its opcode says."""
        shape = self.shapes.chunk(at)
        return shape is not None and (shape.certain or self.search.intact_length(at, end, shape) is not None)
