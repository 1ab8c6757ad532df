"""Samples through a plugin into sinks. It knows neither logs nor models: `replay` brings the log."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from perception.align.ledger import Ledger
from perception.align.truth import TruthJoiner
from perception.pipeline.carry import Carrier, Frame, Group, in_one_line
from perception.pipeline.pace import Pace
from perception.pipeline.source import WHOLE, Span
from perception.pipeline.summary import Warned
from perception.pipeline.times import Spent, StageTimes
from perception.pipeline.workers import Workers
from perception.plugin import Plugin, Prepared
from perception.plugin.output_rules import output_violations
from perception.sinks import Sink
from perception.types import SENSORS, Output, Reset, Sample, TruthFrame, invalid_output

OnError = Literal["stop", "skip"]


class PluginStoppedError(Exception):
    """The plugin failed and the user asked to stop at that."""


@dataclass(slots=True)
class Tally:
    """What a run has come to so far."""

    frames: int = 0
    substitutes: int = 0
    errors: int = 0
    first_error: str = ""
    outputs: dict[str, dict[str, int]] = field(default_factory=dict)
    inputs: dict[str, dict[str, int]] = field(default_factory=dict)
    warnings: dict[str, Warned] = field(default_factory=dict)
    first_ns: int | None = None
    last_ns: int | None = None

    def add(self, sample: Sample, output: Output) -> None:
        """Count one emitted sample."""
        self.frames += 1
        self.substitutes += sample.tick.kind == "substitute"
        for head, valid in output.validity().items():
            counts = self.outputs.setdefault(head, {"valid": 0, "invalid": 0})
            counts["valid" if valid else "invalid"] += 1
        for name, given in zip(SENSORS, sample.inputs, strict=True):
            counts = self.inputs.setdefault(name, {"present": 0, "absent": 0})
            counts["present" if given.present else "absent"] += 1
        for code, text in output.warnings.items():
            self.warn(code, text)
        self.first_ns = sample.tick.log_time_ns if self.first_ns is None else self.first_ns
        self.last_ns = sample.tick.log_time_ns

    def warn(self, code: str, text: str) -> None:
        """Note a warning; the text is that of the first."""
        had = self.warnings.get(code)
        self.warnings[code] = Warned(code, had.text if had else text, had.count + 1 if had else 1)


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a run stands: what a progress bar shows."""

    frames: int
    log_time_ns: int
    latency_ms: float  # of the last sample, without reading and aligning
    answer_ms: float  # of that, once it was prepared


class Observer(Protocol):
    """Watches a run. Both methods may raise KeyboardInterrupt to end it."""

    def before(self, sample: Sample) -> None:
        """A sample is about to be prepared."""

    def after(self, progress: Progress) -> None:
        """A sample went to the sinks."""


class Runner:
    """Runs samples through one opened plugin into opened sinks.

    The calling thread reads and aligns (the samples come lazily), makes the outputs and writes them, in
    order. Between these, workers carry frames: each prepares the frames of one batch and computes their
    answers, as far as the plugin offers `Infers`. A reset is a barrier: what came before it is written first.

    Args:
        plugin: Open.
        sinks: Open.
        ledger: Told what became of every sample.
        span: Samples outside it are not emitted.
        warm_from_ns: From when on samples before the span go through the plugin; None: all of them.
        batch: How many samples go into one `infer` and one `step`.
        workers: How many threads carry frames, the calling one among them, which does so where it would wait.
        pace: When samples run.
        on_error: Whether a failing plugin ends the run.
        joiner: Joins truth to what goes to the sinks.
        times: Where stages are timed.
        observer: Watches.
    """

    def __init__(
        self,
        plugin: Plugin,
        sinks: Sequence[Sink] = (),
        *,
        ledger: Ledger | None = None,
        span: Span = WHOLE,
        warm_from_ns: int | None = None,
        batch: int = 1,
        workers: int = 1,
        pace: Pace | None = None,
        on_error: OnError = "skip",
        joiner: TruthJoiner | None = None,
        times: StageTimes | None = None,
        observer: Observer | None = None,
    ) -> None:
        self._plugin = plugin
        self._sinks = sinks
        self._ledger = ledger
        self._span = span
        self._warm_from_ns = warm_from_ns
        self._batch = batch
        self._pace = pace or Pace()
        self._on_error = on_error
        self._joiner = joiner
        self._times = times or StageTimes()
        self._observer = observer
        self._carrier = Carrier(plugin)
        self._workers = Workers(workers, self._carrier.carry)
        self._group = Group()
        self._missed_reset: Reset | None = None
        self.tally = Tally()

    def run(self, samples: Iterable[Sample]) -> None:
        """Run all samples, once. Whatever ends it, what was begun goes to the sinks before."""
        try:
            with self._workers:
                try:
                    for sample in self._pace.through(self._wanted(samples)):
                        self._take(sample)
                finally:
                    self._drain()
        finally:
            if self._joiner is not None:
                self._write_joined(self._joiner.flush())

    def drop(self, sample: Sample) -> None:
        """A sample is skipped because a newer one is due. A break in time is told with the next one."""
        self._missed_reset = sample.reset or self._missed_reset
        self._done(sample, "dropped_live")

    def _wanted(self, samples: Iterable[Sample]) -> Iterable[Sample]:
        """Pass over what lies outside the span and warms nothing."""
        for sample in samples:
            arrival_ns = sample.tick.log_time_ns
            if self._span.holds(arrival_ns):
                yield sample
            elif self._span.end_ns is not None and arrival_ns >= self._span.end_ns:
                self._done(sample, "outside_range")
            elif self._warm_from_ns is None or arrival_ns >= self._warm_from_ns:
                self._begin(sample, sample.reset, warm=True)
            else:
                self._done(sample, "preroll_only")

    def _take(self, sample: Sample) -> None:
        if self._observer is not None:
            self._observer.before(sample)
        reset, self._missed_reset = sample.reset or self._missed_reset, None
        if reset is not None:
            self.tally.warn("reset", reset.reason)
        self._begin(sample, reset, warm=False)

    def _begin(self, sample: Sample, reset: Reset | None, warm: bool) -> None:
        """A sample sets out. Before the start of the span (`warm`) the plugin sees it, the sinks do not."""
        if reset is not None:
            self._drain()
            self._plugin.reset(reset)
        if warm != self._group.warm:
            self._send()
            self._group.warm = warm
        self._group.frames.append(Frame(Prepared(sample), self._times.take()))
        if len(self._group.frames) >= self._batch:
            self._send()
        while self._workers.due:
            self._finish(self._workers.fetch())

    def _send(self) -> None:
        """Hand the group that was gathered to the workers."""
        if self._group.frames:
            group, self._group = self._group, Group(self._group.warm)
            self._workers.submit(group)

    def _drain(self) -> None:
        """Wait for everything that was begun."""
        self._send()
        while self._workers.busy:
            self._finish(self._workers.fetch())

    def _finish(self, group: Group) -> None:
        """Make the outputs of the next group in order, and hand them on."""
        try:
            outputs = self._step(group)
            for frame, output in zip(group.frames, outputs, strict=True):
                if group.warm:
                    self._warmed(frame)
                else:
                    self._emit(frame, output)
        except BaseException:
            self._workers.forget()  # what comes after a failure is not written
            raise

    def _step(self, group: Group) -> list[Output | None]:
        """One output for each frame; none where there is a problem."""
        ready = group.ready
        if ready:
            whole, failure = ready[0].spent.fresh(), ""
            outputs: list[Output] = []
            with whole.on("step"):
                try:
                    outputs = list(self._plugin.step([frame.prepared for frame in ready]))
                    if len(outputs) != len(ready):
                        failure = f"step returned {len(outputs)} outputs for {len(ready)} samples"
                except Exception as raised:
                    failure = in_one_line(raised)
            for frame in ready:
                frame.spent.add(whole, 1 / len(ready))
                frame.problem = failure
        given = iter(outputs if ready else ())
        return [None if frame.problem else next(given) for frame in group.frames]

    def _warmed(self, frame: Frame) -> None:
        self._times.count(frame.spent)
        if frame.problem:
            self._count_error(frame.problem)
            if self._on_error == "stop":
                raise PluginStoppedError(frame.problem)
        self._done(frame.prepared.sample, "preroll_only")

    def _emit(self, frame: Frame, output: Output | None) -> None:
        manifest, problem, sample = self._plugin.manifest, frame.problem, frame.prepared.sample
        if output is not None:
            problem = "; ".join(output_violations(output, sample, manifest)[:3])
        if problem or output is None:
            output = invalid_output(sample.tick, manifest.heads, problem)
            self._count_error(problem)
        self._pace.answered()
        if self._joiner is None:
            self._write(sample, output, None, frame.spent)
        else:
            self._write_joined(self._joiner.add(sample, (output, frame.spent)))
        if problem and self._on_error == "stop":
            raise PluginStoppedError(problem)

    def _write_joined(self, joined: Iterable[tuple[Sample, TruthFrame, tuple[Output, Spent]]]) -> None:
        for sample, truth, (output, spent) in joined:
            self._write(sample, output, truth, spent)

    def _write(self, sample: Sample, output: Output, truth: TruthFrame | None, spent: Spent) -> None:
        timing = dict(spent.wall_ms)
        with spent.on("sink"):
            for sink in self._sinks:
                sink.write(sample, output, truth, timing)
        self._times.finish(spent)
        self.tally.add(sample, output)
        self._done(sample, "used")
        if self._observer is not None:
            answer_ms = spent.wall_ms["infer"] + spent.wall_ms["step"]
            latency_ms = spent.wall_ms["prepare"] + answer_ms
            arrival_ns = sample.tick.log_time_ns
            self._observer.after(Progress(self.tally.frames, arrival_ns, latency_ms, answer_ms))

    def _done(
        self, sample: Sample, outcome: Literal["used", "preroll_only", "outside_range", "dropped_live"]
    ) -> None:
        if self._ledger is not None:
            self._ledger.sample_done(sample, outcome)

    def _count_error(self, problem: str) -> None:
        self.tally.errors += 1
        self.tally.first_error = self.tally.first_error or problem
