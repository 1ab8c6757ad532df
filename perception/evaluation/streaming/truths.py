"""The truth of a log at its own stamps, whatever ticks there are."""

from __future__ import annotations

from collections.abc import Iterator

from perception.align.truth import TruthJoiner
from perception.config import Config
from perception.evaluation.stored_outputs import played_topics
from perception.logs import Log, Query, decoder
from perception.pipeline.log_source import WHOLE, Span
from perception.types import Tick, TruthFrame, absent_sample


def truths_of(log: Log, config: Config, span: Span = WHOLE) -> Iterator[TruthFrame]:
    """Yield the truth at the stamp of each box truth message, or of control truth in a log without boxes.

    Of several cameras with topics of their own, the stamps are those of the reference camera's.

    Args:
        log: The log, open.
        config: Names its truth and rig topics.
        span: Truth that arrived in this part of the log is wanted.
    """
    truth, decode = config.truth, decoder(config)
    counts = {topic: survey.count for topic, survey in log.survey.topics.items()}
    cameras = cameras_of(config)
    of_cameras = [truth.camera_boxes[name] for name in cameras if name in truth.camera_boxes]
    candidates = (truth.boxes, *of_cameras, truth.control)
    named = [topic for topic in candidates if topic is not None and counts.get(topic)]
    if not named:
        return
    joiner, last_ns = TruthJoiner(truth, config.sensors), None
    for message in log.messages(Query(played_topics(config))):
        decoded = decode(message)
        joiner.push(decoded)  # also outside the span: transforms hold on, truth is interpolated
        wanted = message.topic == named[0] and span.holds(message.log_time_ns)
        if wanted and decoded.stamp_ns != last_ns:
            last_ns = decoded.stamp_ns
            tick = Tick(0, "reference", decoded.stamp_ns, message.log_time_ns)
            sample = absent_sample(tick, "truth", cameras=cameras if len(cameras) > 1 else ())
            yield from (joined.truth for joined in joiner.add(sample))
        yield from (joined.truth for joined in joiner.ready())
    yield from (joined.truth for joined in joiner.flush())


def cameras_of(config: Config) -> tuple[str, ...]:
    """Return the names of the cameras, that of the reference camera first."""
    names = dict.fromkeys([config.reference_camera or "", *config.sensors.cameras])
    return tuple(name for name in names if name)
