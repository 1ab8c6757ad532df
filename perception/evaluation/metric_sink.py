"""The sink that scores the outputs of a run, and the metrics that it updates."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial

from perception.evaluation.ablation.sensor_subsets import Subset
from perception.evaluation.frame_contents import FrameContents
from perception.evaluation.log_record import LogRecord
from perception.evaluation.metrics import Latency, Metric, Rules, ScoredFrames, Suite
from perception.evaluation.metrics.latency import TOTAL
from perception.evaluation.score_warnings import MissingTruth
from perception.evaluation.stored_columns import StoredPart, stored_parts
from perception.evaluation.worst_frames import Row, box_frame_errors, box_rows, control_rows
from perception.pipeline import Span
from perception.sinks import OutputSink, RunInfo, Sink
from perception.sinks.mcap_sink import camera_topic
from perception.sinks.protocol import ShowsMoments
from perception.sinks.tables.stored import StoredRecording
from perception.types import Output, Sample, TruthFrame, camera_views

FRAMES = 32
"""Frames that are scored at a time where nothing is shown of each."""

METRICS = "/perception/metrics/"
"""Prefix of the topics that hold the errors of each frame in an output log: `boxes`, `control`."""


class MetricSink(OutputSink):
    """A sink that scores the outputs of a run.

    Args:
        suite: The metrics, shared between the logs of one evaluation; or a function that gives them for a
            run.
        latency: Receives the wall-clock times of each stage that come with the outputs.
        publish: Called for each frame with a topic and the rows to write beside the outputs.
        record: Receives each frame with its errors and objects.
        contents: Receives the boxes and commands of each frame.
    """

    def __init__(
        self,
        suite: Suite | Callable[[RunInfo], Suite],
        latency: Latency | None = None,
        publish: Callable[[str, Output, list[Row]], None] | None = None,
        record: LogRecord | None = None,
        contents: FrameContents | None = None,
    ) -> None:
        self._suite = suite
        self._latency = latency
        self._publish = publish
        self._record, self._contents = record, contents
        self._waiting: list[tuple[Output, TruthFrame]] = []
        self._shown: list[bool] = []  # of those that wait
        self.run = RunInfo()
        self.true_labels: set[str] = set()
        self.missing = MissingTruth()

    def open(self, run: RunInfo) -> None:
        self.run = run
        if not isinstance(self._suite, Suite):
            self._suite = self._suite(run)

    def close(self) -> None:
        self._flush()

    @property
    def suite(self) -> Suite:
        """Return the metrics; available after `open`."""
        self._flush()
        return self._open_suite

    @property
    def record(self) -> LogRecord | None:
        """Return the record of all frames so far."""
        self._flush()
        return self._record

    @property
    def contents(self) -> FrameContents | None:
        """Return the boxes and commands of all frames so far."""
        self._flush()
        return self._contents

    @property
    def _open_suite(self) -> Suite:
        assert isinstance(self._suite, Suite), "the sink is not open"
        return self._suite

    def write(
        self,
        sample: Sample,
        output: Output,
        truth: TruthFrame | None = None,
        timing_ms: Mapping[str, float] | None = None,
    ) -> None:
        for row in camera_views(sample, output, truth):
            known = row.truth if row.truth is not None else TruthFrame(output.tick.stamp_ns)
            self.missing.fit.add(known, row.sample.camera.value)
            camera = row.camera if output.cameras else ""
            self.score(row.output, known, timing_ms, camera, row.camera == sample.camera.name)
            timing_ms = None  # the times are those of the tick

    def score(
        self,
        output: Output,
        truth: TruthFrame,
        timing_ms: Mapping[str, float] | None = None,
        camera: str = "",
        shown: bool = True,
    ) -> None:
        """Score one output against its truth; with several cameras, that of one of them, and whether its
        pictures are those that are drawn."""
        self.missing.add(truth)
        self.true_labels.update(box.label for box in truth.boxes or () if box.label)
        if self._latency is not None and timing_ms:
            record_times(self._latency, timing_ms)
        if self._publish is None:
            self._waiting.append((output, truth))
            self._shown.append(shown)
            if len(self._waiting) >= FRAMES:
                self._flush()
            return
        frame = self._open_suite.update(output, truth)
        self._keep(frame, [shown])
        for name, rows in (("boxes", box_rows(frame)), ("control", control_rows(output, truth))):
            if rows:
                self._publish(camera_topic(METRICS, camera) + name, output, rows)

    def _flush(self) -> None:
        """Score the frames that wait: many at once take a quarter of the time."""
        waiting, self._waiting = self._waiting, []
        shown, self._shown = self._shown, []
        if waiting:
            self._keep(self._open_suite.update_all(waiting), shown)

    def _keep(self, frames: ScoredFrames, shown: Sequence[bool]) -> None:
        if self._contents is not None:
            self._contents.add(frames, shown)
        if self._record is not None:
            self._record.add(frames, box_frame_errors(frames))

    def score_part(self, part: StoredPart) -> None:
        """Score frames that were read from tables."""
        suite = self.suite
        frames = ScoredFrames(part.columns, suite.rules)
        suite.add(frames)
        self._keep(frames, part.of_reference)
        for head, issue, count in part.missing:
            self.missing.count(head, issue, count)
        self.missing.count_boxes(part.box_frames, part.boxes)
        self.true_labels.update(part.true_labels)
        if self._latency is not None:
            self._latency.record_frames(part.stages_ms)


def record_times(latency: Latency, stages_ms: Mapping[str, float]) -> None:
    """Record the stages of one frame and their total, without `sink`, which is still running."""
    known = {stage: ms for stage, ms in stages_ms.items() if stage not in ("sink", TOTAL)}
    latency.record({**known, TOTAL: sum(known.values())})


class Suites:
    """The metrics of an evaluation: one suite over all logs, and one for each subset of the sensors.

    They are made at the first run, with its classes and its family.

    Args:
        rules: The ground rules. `family` and `classes` are those of the run where it states them.
        guests: Makes the metrics of other packages.
    """

    def __init__(self, rules: Rules, guests: Callable[[Rules], list[Metric]]) -> None:
        self.rules = rules
        self._guests = guests
        self._of_all: Suite | None = None
        self.subsets: dict[Subset, Suite] = {}

    @property
    def of_all(self) -> Suite:
        """Return the suite over all logs so far."""
        return self._of_all if self._of_all is not None else Suite(self.rules)

    def of(self, run: RunInfo) -> Suite:
        """Return the suite over all logs; create it on the first run."""
        if self._of_all is None:
            family = run.extra.get("loss_family", "")
            self.rules = replace(
                self.rules,
                classes=self.rules.classes or run.classes,
                family="gaussian" if family == "gaussian" else self.rules.family,
            )
            self._of_all = Suite(self.rules, guests=self._guests(self.rules))
        return self._of_all

    def of_subset(self, run: RunInfo, subset: Subset) -> Suite:
        """Return the suite of a subset, under the same rules."""
        rules = self.of(run).rules
        return self.subsets.setdefault(subset, Suite(rules, guests=self._guests(rules)))


def score_stored(scorer: MetricSink, recording: StoredRecording, span: Span) -> int:
    """Score the frames of a recording in its tables; return how many ticks they are of."""
    ticks = 0
    if scorer.suite.takes_columns:
        for part in stored_parts(recording, span):
            scorer.score_part(part)
            ticks += part.ticks
        return ticks
    for stored in recording.frames():
        if span.holds(stored.output.tick.log_time_ns):
            scorer.score(stored.output, stored.truth, stored.timing_ms, shown=stored.of_reference)
            ticks += stored.of_reference
    return ticks


def show_worst_moments(sinks: Sequence[Sink], scorer: MetricSink, count: int) -> None:
    """Give the worst moments of a log to the sinks that begin there."""
    for sink in sinks:
        if isinstance(sink, ShowsMoments):
            sink.show_moments(partial(_moments, scorer, count))


def _moments(scorer: MetricSink, count: int) -> list[tuple[int, int, str]]:
    """Return the worst moments of a log, worst first: log time, stamp, and a text."""
    worst = scorer.record.worst(count) if scorer.record is not None else []
    return [(moment.log_time_ns, moment.stamp_ns, moment.what or "no words") for moment in worst]
