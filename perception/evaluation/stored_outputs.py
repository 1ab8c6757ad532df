"""Stored outputs of a replay, joined with the truth of their log."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from perception.align.truth import Joined, TruthJoiner
from perception.config import Config
from perception.logs import Log, Query, decoder
from perception.logs.perception_proto import decode_status
from perception.pipeline.log_source import WHOLE, Span
from perception.sinks import read_outputs
from perception.sinks.mcap_sink import TIMING
from perception.types import Output, TruthFrame, absent_sample, camera_views


class OutputWithTruth(NamedTuple):
    """A stored output and the truth at its stamp."""

    output: Output
    truth: TruthFrame


def stored_pairs(stored: Log, log: Log, config: Config, span: Span = WHOLE) -> Iterator[OutputWithTruth]:
    """Yield each stored output with its truth, in order; of several cameras one by one.

    Ranges are not read, of images the header alone.

    Args:
        stored: A log that `replay --output` made.
        log: The log it was made from, or any log of the same clock that holds the truth.
        config: Names the truth and rig topics of `log`.
        span: The part of the log whose outputs are wanted.

    Raises:
        LogError: `stored` holds no outputs, or bytes that are not what their schema says.
    """
    joiner = TruthJoiner(config.truth, config.sensors)
    decode = decoder(config)
    topics = played_topics(config)
    messages = iter(log.messages(Query(topics)) if topics else ())
    waiting = next(messages, None)
    for item in read_outputs(stored):
        tick = item.output.tick
        while waiting is not None and waiting.log_time_ns <= tick.log_time_ns:
            joiner.push(decode(waiting))
            waiting = next(messages, None)
        if not span.holds(tick.log_time_ns):
            continue
        names = [config.reference_camera or "", *item.output.cameras] if item.output.cameras else []
        sample = absent_sample(tick, "a stored output", cameras=tuple(dict.fromkeys(names)))
        yield from _rows(joiner.add(sample, item.output))
    while waiting is not None:
        joiner.push(decode(waiting))
        yield from _rows(joiner.ready())
        waiting = next(messages, None)
    yield from _rows(joiner.flush())


def _rows(joined: Iterable[Joined]) -> Iterator[OutputWithTruth]:
    """Yield the output of each camera with its truth."""
    for sample, truth, output in joined:
        for row in camera_views(sample, output, truth):
            yield OutputWithTruth(row.output, row.truth if row.truth is not None else truth)


def stored_times(stored: Log, span: Span = WHOLE) -> Iterator[Mapping[str, float]]:
    """Yield the wall-clock milliseconds by stage of each output in a span, if they were stored."""
    if TIMING in stored.channels:
        for message in stored.messages(Query(frozenset({TIMING}))):
            if span.holds(message.log_time_ns):
                _, rows = decode_status(message.data)
                yield {name: value for name, _, value in rows}


def played_topics(config: Config) -> frozenset[str]:
    """Return the topics from which truth is joined: those of truth and of the rig.

    The images are among them where there is a camera info: pixels are those of the image that was recorded.
    """
    cameras = config.sensors.cameras.values()
    shapes = {camera.topic for camera in cameras if camera.calibration is not None}
    placing = {topic for topic, role in config.roles().items() if role in ("calibration", "transforms")}
    return frozenset(placing | shapes | set(config.truth.topics))
