"""The messages of an output log, compared with those that a sink writes when the run is repeated."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from perception.errors import LogError
from perception.evaluation.agreement.comparison import Difference
from perception.evaluation.metric_sink import METRICS
from perception.logs import Log, Query
from perception.logs.perception_proto import decode_status, encode_status
from perception.logs.topic_digests import TopicDigests
from perception.sinks import McapSink, RunInfo
from perception.sinks.mcap_sink import TIMING, MessageWriter
from perception.types import Message, Schema

MOST_HELD = 512 << 20
"""Bytes of stored messages that may wait for those of other topics: a run writes its topics side by side."""
RELATIVE = 1e-6
"""Tolerance of statistics over outputs, which another processor sums in another order."""


@dataclass(slots=True)
class TopicComparison:
    """The comparison of the stored messages of a topic with those that the run writes now.

    Attributes:
        stored: How many messages are stored.
        equal: How many of them were made again, equal in time, schema and content.
        within: How many agree as far as they can: statistics by rounding, and `/perception/timing`, which
            holds wall-clock milliseconds, in all but these.
        first: The first difference.
        made_again: Whether the repeated run writes this topic.
    """

    stored: int = 0
    equal: int = 0
    within: int = 0
    first: Difference | None = None
    made_again: bool = False

    def differs(self, log_time_ns: int, what: str) -> None:
        self.first = self.first or Difference(log_time_ns, log_time_ns, what)


class StoredMessages:
    """The stored messages, taken topic by topic. Stands in for the file that a sink writes.

    Args:
        stored: The output log.
        complete: Whether the first run finished: then no message may be missing or left over.
    """

    def __init__(self, stored: Log, complete: bool) -> None:
        self._path, self._indexed = stored.path, stored.survey.indexed
        self._complete = complete
        self._stream = stored.messages(Query())
        self._messages: Iterator[Message] = iter(self._stream)
        self._waiting: dict[str, deque[Message]] = {}
        self._held = 0
        self._last_ns = 0
        self.digests = TopicDigests()
        self.topics: dict[str, TopicComparison] = {}

    def write(
        self,
        topic: str,
        payload: bytes,
        *,
        schema: Schema | None,
        encoding: str,
        log_time_ns: int,
        publish_time_ns: int | None = None,
    ) -> None:
        """Compare a message with the next stored one of its topic."""
        times = (log_time_ns, log_time_ns if publish_time_ns is None else publish_time_ns)
        self._compare(topic, payload, (schema, encoding), times)

    def copy(self, message: Message) -> None:
        """Compare a copied input message with the next stored one of its topic."""
        layout = (message.channel.schema, message.channel.encoding)
        times = (message.log_time_ns, message.publish_time_ns)
        self._compare(message.topic, message.data, layout, times)

    def add_metadata(self, name: str, mapping: Mapping[str, str]) -> None:
        """Do nothing: the records are compared elsewhere."""

    def flush(self) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""

    def finish(self) -> tuple[str, ...]:
        """Read the rest: messages that the run did not make again. Return why parts of the file are lost."""
        for message in self._messages:
            self._keep(message)
        for topic, messages in self._waiting.items():
            row = self.topics.setdefault(topic, TopicComparison())
            row.stored += len(messages)
            over = [m for m in messages if self._complete or m.log_time_ns <= self._last_ns]
            if row.made_again and over:
                row.differs(over[0].log_time_ns, f"{len(over)} messages that the run does not write")
        reasons = [damage.reason for damage in self._stream.damage]
        return tuple(reasons or ([] if self._indexed else ["the file has no index: it was not closed"]))

    def _compare(
        self, topic: str, payload: bytes, layout: tuple[Schema | None, str], times: tuple[int, int]
    ) -> None:
        row = self.topics.setdefault(topic, TopicComparison())
        row.made_again = True
        message = self._next(topic)
        if message is None:
            if self._complete:
                row.differs(times[0], "a message of the run is missing")
            return
        row.stored += 1
        self._last_ns = max(self._last_ns, message.log_time_ns)
        if (message.channel.schema, message.channel.encoding) != layout:
            row.differs(message.log_time_ns, "the schema is another")
        elif (message.log_time_ns, message.publish_time_ns) != times:
            row.differs(message.log_time_ns, "the time of the message is another")
        elif message.data == payload:
            row.equal += 1
        elif _same_values(topic, message.data, payload):
            row.within += 1
        else:
            row.differs(message.log_time_ns, "the content is another")

    def _next(self, topic: str) -> Message | None:
        while not self._waiting.get(topic):
            message = next(self._messages, None)
            if message is None:
                return None
            self._keep(message)
        message = self._waiting[topic].popleft()
        self._held -= len(message.data)
        return message

    def _keep(self, message: Message) -> None:
        channel, times = message.channel, (message.log_time_ns, message.publish_time_ns)
        self.digests.add(message.topic, channel.schema, channel.encoding, *times, message.data)
        self._waiting.setdefault(message.topic, deque()).append(message)
        self._held += len(message.data)
        if self._held > MOST_HELD:
            text = "its messages are not in the order in which a run writes them"
            raise LogError(f"the outputs cannot be compared: {text}: {self._path}")


class ComparingMcapSink(McapSink):
    """A sink that compares with an output log what it would write to a file.

    Args:
        messages: The stored messages.
        timing, min_score: As the sink of the first run was made.
    """

    def __init__(self, path: Path, messages: StoredMessages, timing: bool, min_score: float) -> None:
        super().__init__(path, timing=timing, min_score=min_score)
        self._messages = messages

    def _open_log(self, run: RunInfo) -> MessageWriter:
        return self._messages


def _same_values(topic: str, stored: bytes, made: bytes) -> bool:
    """Return whether two messages of wall-clock times, or of statistics, agree as far as they can."""
    if topic != TIMING and METRICS.removeprefix("/perception") not in topic:
        return False
    try:
        (stamp_ns, rows), (made_ns, made_rows) = decode_status(stored), decode_status(made)
    except ValueError:
        return False
    if stamp_ns != made_ns or [row[:2] for row in rows] != [row[:2] for row in made_rows]:
        return False
    if encode_status(stamp_ns, rows) != stored:  # more than the rows is in it
        return False
    values = [(row[2], other[2]) for row, other in zip(rows, made_rows, strict=True)]
    if topic == TIMING:
        return all(math.isfinite(value) and value >= 0 for value, _ in values)
    return all(math.isclose(a, b, rel_tol=RELATIVE, abs_tol=1e-9) or (a != a and b != b) for a, b in values)
