"""Metrics as a sink of a run: outputs and their truth go in, nothing is kept but what metrics remember."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from perception.evaluation.ablation.sensor_subsets import Subset
from perception.evaluation.frame_contents import FrameContents
from perception.evaluation.log_record import LogRecord
from perception.evaluation.metrics import Latency, Metric, Rules, Suite
from perception.evaluation.metrics.latency import TOTAL
from perception.evaluation.worst_frames import FrameErrors, Row, box_rows, control_rows
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
        moments: FrameErrors | None = None,
        publish: Callable[[str, Output, list[Row]], None] | None = None,
        record: LogRecord | None = None,
        scenes: FrameContents | None = None,
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


class Suites:
    """Made at the first run, under its words and its family.

    Args:
        rules: The ground rules. `family` and `classes` are those of the run where it says so.
        guests: Makes the metrics of other packages.
    """

    def __init__(self, rules: Rules, guests: Callable[[Rules], list[Metric]]) -> None:
        self.rules = rules
        self._guests = guests
        self._whole: Suite | None = None
        self.subsets: dict[Subset, Suite] = {}

    @property
    def whole(self) -> Suite:
        """That over all logs so far."""
        return self._whole if self._whole is not None else Suite(self.rules)

    def of(self, run: RunInfo) -> Suite:
        """The one over all logs, made now if this run is the first."""
        if self._whole is None:
            family = run.extra.get("loss_family", "")
            self.rules = replace(
                self.rules,
                classes=self.rules.classes or run.classes,
                family="gaussian" if family == "gaussian" else self.rules.family,
            )
            self._whole = Suite(self.rules, guests=self._guests(self.rules))
        return self._whole

    def of_subset(self, run: RunInfo, subset: Subset) -> Suite:
        """That of a subset, under the same rules."""
        rules = self.of(run).rules
        return self.subsets.setdefault(subset, Suite(rules, guests=self._guests(rules)))
