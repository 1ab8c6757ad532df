"""Stored outputs of a replay, joined with the truth of their log."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import NamedTuple

from perception.align.truth import TruthJoiner
from perception.config import Config
from perception.logs import Log, Query, decode
from perception.logs.perception_proto import decode_status
from perception.sinks import read_outputs
from perception.sinks.mcap_sink import TIMING
from perception.types import (
    CameraInfo,
    FrameTransforms,
    Message,
    Output,
    Rig,
    RigMessage,
    TruthFrame,
    absent_sample,
)

PLAYED = ("calibration", "transforms", "truth_boxes", "truth_control")


class OutputWithTruth(NamedTuple):
    """A stored output and the truth at its stamp."""

    output: Output
    truth: TruthFrame


def stored_pairs(stored: Log, log: Log, config: Config) -> Iterator[OutputWithTruth]:
    """Yield each stored output with its truth, in order. Neither images nor ranges are read.

    Args:
        stored: A log that `replay --output` made.
        log: The log it was made from, or any log of the same clock that holds the truth.
        config: Names the truth and rig topics of `log`.

    Raises:
        LogError: `stored` holds no outputs, or bytes that are not what their schema says.
    """
    joiner = TruthJoiner(config.truth)
    roles = config.roles()
    topics = frozenset(topic for topic, role in roles.items() if role in PLAYED)
    messages = iter(log.messages(Query(topics)) if topics else ())
    waiting = next(messages, None)
    rig = Rig()

    def told(message: Message, rig: Rig) -> Rig:
        decoded = decode(message, roles[message.topic])
        joiner.push(decoded)
        return known_rig(rig, decoded) if isinstance(decoded, CameraInfo | FrameTransforms) else rig

    for item in read_outputs(stored):
        tick = item.output.tick
        while waiting is not None and waiting.log_time_ns <= tick.log_time_ns:
            rig = told(waiting, rig)
            waiting = next(messages, None)
        sample = replace(absent_sample(tick, "a stored output"), rig=rig)
        for joined in joiner.add(sample, item.output):
            yield OutputWithTruth(joined.payload, joined.truth)
    while waiting is not None:
        rig = told(waiting, rig)
        for joined in joiner.ready():
            yield OutputWithTruth(joined.payload, joined.truth)
        waiting = next(messages, None)
    for joined in joiner.flush():
        yield OutputWithTruth(joined.payload, joined.truth)


def stored_times(stored: Log) -> Iterator[Mapping[str, float]]:
    """Yield the wall-clock milliseconds by stage of each output, if they were stored."""
    if TIMING in stored.channels:
        for message in stored.messages(Query(frozenset({TIMING}))):
            _, rows = decode_status(message.data)
            yield {name: value for name, _, value in rows}


def known_rig(rig: Rig, message: RigMessage) -> Rig:
    """Return the rig with one more message."""
    if isinstance(message, CameraInfo):
        return replace(rig, calibration=message)
    return replace(rig, transforms=rig.transforms.updated(message.edges))
