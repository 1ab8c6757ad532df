"""The packets before a seek, from the last key frame on: pictures after it are then those of a whole run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain

from perception.logs.decoding import decode
from perception.logs.query import Query
from perception.logs.readers import Log
from perception.logs.video.packet_header import read_packet
from perception.logs.video.stage import VideoStage
from perception.types import Decoded, Message, VideoPacket

_FIRST_REACH_NS = 2_000_000_000


def packets_before(
    log: Log, topic: str, before_ns: int, decode: Callable[[Message], Decoded]
) -> list[Message]:
    """Return the packets of a topic that decoding needs before those that arrive from a time on.

    They begin with the last key frame whose picture is shown before that time. Where it lacks parameter sets,
    the first packet with them comes before it. Without a key frame there is nothing to begin with: none.
    """
    first_ns = log.survey.topics[topic].first_ns if topic in log.survey.topics else before_ns
    reach_ns = _FIRST_REACH_NS
    while True:
        start_ns = max(before_ns - reach_ns, first_ns)
        messages = list(log.messages(Query(frozenset([topic]), start_ns, before_ns)))
        key = _last_key(messages, before_ns, decode)
        if key is not None:
            at, has_parameters = key
            kept = messages[at:]
            return kept if has_parameters else [*_first_parameters(log, topic, kept[0], decode), *kept]
        if start_ns <= first_ns:
            return []
        reach_ns *= 4


def _last_key(
    messages: list[Message], before_ns: int, decode: Callable[[Message], Decoded]
) -> tuple[int, bool] | None:
    """Return where the last key frame is, and whether its parameter sets are with it or right before it."""
    for at in range(len(messages) - 1, -1, -1):
        packet = decode(messages[at])
        if not isinstance(packet, VideoPacket):
            continue
        header = read_packet(packet.codec, bytes(packet.data))
        if header.key and (not packet.reorder or packet.stamp_ns <= before_ns):
            return at, bool(header.parameters) or packet.codec not in ("h264", "h265")
    return None


def _first_parameters(
    log: Log, topic: str, key: Message, decode: Callable[[Message], Decoded]
) -> list[Message]:
    """Return the last packet before a key frame that has parameter sets, looking from the beginning."""
    found: list[Message] = []
    for message in log.messages(Query(frozenset([topic]), None, key.log_time_ns)):
        packet = decode(message)
        if isinstance(packet, VideoPacket) and read_packet(packet.codec, bytes(packet.data)).parameters:
            found = [message]
    return found


def decoded_camera(log: Log, topic: str, start_ns: int, end_ns: int) -> Iterator[Decoded]:
    """Yield the messages of a camera that arrive in a part of a log, decoded; of a video, its pictures."""
    stage = VideoStage({topic: "camera"})
    stream = log.messages(Query(frozenset({topic}), start_ns, end_ns))
    first = next(iter(stream), None)
    if first is None:
        return
    before = packets_before(log, topic, start_ns, decode) if isinstance(decode(first), VideoPacket) else []
    for item in stage.pictures(chain(before, [first], stream)):
        if item.log_time_ns >= start_ns:
            yield decode(item, "camera") if isinstance(item, Message) else item
