"""The messages from before a cut that hold on after it: camera infos, and the transforms of the rig."""

from __future__ import annotations

from collections.abc import Iterator

from perception.logs.decoding.dispatch import decode, sensor_kind
from perception.logs.query import Query
from perception.logs.readers import Log
from perception.types import FrameTransforms, Message

LATCHED = ("calibration", "transforms")


def latched_topics(log: Log, topics: frozenset[str]) -> frozenset[str]:
    """Return those topics that hold transforms or camera infos, by their schemas."""
    channels = ((topic, log.channels.get(topic)) for topic in topics)
    return frozenset(
        topic
        for topic, channel in channels
        if channel is not None and sensor_kind(channel.schema, channel.encoding) in LATCHED
    )


def latched_messages(log: Log, topics: frozenset[str], before_ns: int) -> list[Message]:
    """Return the newest camera info of each topic, and the newest messages with each transform, in order.

    Args:
        topics: Those to look at.
        before_ns: The log time of the cut.
    """
    newest: dict[tuple[str, ...], tuple[int, Message]] = {}
    for place, message in enumerate(log.messages(Query(latched_topics(log, topics), None, before_ns))):
        for edge in _parts(message):
            newest[message.topic, *edge] = (place, message)
    return [message for _, message in sorted(dict(newest.values()).items())]


def _parts(message: Message) -> Iterator[tuple[str, ...]]:
    """Yield what a message replaces: each transform between two frames; of another message the whole."""
    decoded = decode(message)
    if isinstance(decoded, FrameTransforms):
        yield from ((item.parent, item.child) for item in decoded.items)
    else:
        yield ()
