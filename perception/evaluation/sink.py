"""Metrics as a sink of a run: outputs and their truth go in, nothing is kept but what metrics remember."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from perception.evaluation.metrics import Latency, Suite
from perception.evaluation.metrics.latency import TOTAL
from perception.evaluation.moments import Moments, Row, box_rows, control_rows
from perception.evaluation.record import LogRecord
from perception.evaluation.scenes import Scenes
from perception.sinks.base import RunInfo
from perception.types import Output, Sample, TruthFrame

METRICS = "/perception/metrics/"
"""Where errors of each frame go in an output log: `boxes`, `control`."""


class MetricSink:
    """Scores outputs as a run makes them.

    Args:
        suite: What to compute; the caller's, shared between the logs of one evaluation. Or what makes it,
            once it is known what makes the outputs.
        latency: Gets the wall-clock times of each stage that come with the outputs.
        moments: Gets the errors of each frame.
        publish: Called for each frame with a topic and rows to write beside the outputs.
        record: Remembers each frame and object.
        scenes: Remembers what each frame looked like.
    """

    def __init__(
        self,
        suite: Suite | Callable[[RunInfo], Suite],
        latency: Latency | None = None,
        moments: Moments | None = None,
        publish: Callable[[str, Output, list[Row]], None] | None = None,
        record: LogRecord | None = None,
        scenes: Scenes | None = None,
    ) -> None:
        self._suite = suite
        self.record = record
        self._scenes = scenes
        self.latency = latency
        self.moments = moments
        self.run = RunInfo()
        self.true_labels: set[str] = set()
        self._publish = publish

    def open(self, run: RunInfo) -> None:
        self.run = run
        if not isinstance(self._suite, Suite):
            self._suite = self._suite(run)

    @property
    def suite(self) -> Suite:
        assert isinstance(self._suite, Suite), "the sink is not open"
        return self._suite

    def write(
        self,
        sample: Sample,
        output: Output,
        truth: TruthFrame | None = None,
        timing_ms: Mapping[str, float] | None = None,
    ) -> None:
        self.score(output, truth if truth is not None else TruthFrame(output.tick.stamp_ns), timing_ms)

    def score(self, output: Output, truth: TruthFrame, timing_ms: Mapping[str, float] | None = None) -> None:
        """Take in one output with its truth."""
        frame = self.suite.update(output, truth)
        self.true_labels.update(box.label for box in truth.boxes or ())
        if self.latency is not None and timing_ms:
            record_times(self.latency, timing_ms)
        if self._scenes is not None:
            self._scenes.add(output, truth, frame)
        if self.moments is None and self._publish is None and self.record is None:
            return
        boxes, control = box_rows(frame), control_rows(output, truth)
        if self.moments is not None:
            self.moments.add(output, boxes, control)
        if self.record is not None:
            self.record.add(output, truth, frame, boxes, control)
        if self._publish is not None:
            for name, rows in (("boxes", boxes), ("control", control)):
                if rows:
                    self._publish(METRICS + name, output, rows)

    def close(self) -> None:
        """Nothing is held open."""


def record_times(latency: Latency, stages_ms: Mapping[str, float]) -> None:
    """Record the stages of one frame and their total, without `sink`, whose time is known only afterwards."""
    known = {stage: ms for stage, ms in stages_ms.items() if stage not in ("sink", TOTAL)}
    latency.record({**known, TOTAL: sum(known.values())})
