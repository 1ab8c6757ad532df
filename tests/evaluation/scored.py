"""Scored frames without a log: what an evaluation has in hand when the logs are closed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np

from perception.evaluation import MetricSink
from perception.evaluation.log_record import LogRecord
from perception.evaluation.metrics import Rules, Suite
from perception.evaluation.resampling import Scored
from perception.types import Control, ControlChannel, Output, TruthFrame
from tests.evaluation.metrics.build import CLASSES, Pair, random_frames

RULES = Rules(min_support=5, classes=CLASSES)


def scored(logs: Sequence[Iterable[Pair]]) -> Scored:
    """The metrics and records of logs of frames."""
    suite, records = Suite(RULES), []
    for number, frames in enumerate(logs):
        record = LogRecord(f"{number}.mcap")
        sink = MetricSink(suite, record=record)
        for output, truth in frames:
            sink.score(output, truth)
        sink.close()
        records.append(record)
    return Scored(suite, records)


def drive(
    seed: int, count: int, off: float = 1.0, change: Callable[[Pair], Pair] = lambda pair: pair
) -> list[Pair]:
    """Frames with boxes, and a command that is off by so much."""
    rng = np.random.default_rng(seed)
    frames = []
    for output, truth in random_frames(rng, count):
        predicted, true = off * rng.normal(), 0.0
        control = Control(True, channels=(ControlChannel("curvature", "1/m", predicted, 1.0),))
        known = TruthFrame(truth.stamp_ns, truth.boxes, {"curvature": true + rng.normal()}, None)
        frames.append(change((Output(output.tick, output.detections, control), known)))
    return frames
