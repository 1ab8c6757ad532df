"""The runner: samples through an open plugin into sinks, in order."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from perception.align.ledger import Ledger, Outcome
from perception.align.truth import TruthJoiner
from perception.pipeline.log_source import WHOLE, Span
from perception.pipeline.pace import Pace
from perception.pipeline.stage_times import Spent, StageTimes
from perception.pipeline.tally import Tally
from perception.pipeline.worker_task import BatchTask, SampleTask, TaskWorker, TickTask, rows_of
from perception.pipeline.workers import Workers
from perception.plugin import Plugin
from perception.plugin.failures import failure_text
from perception.plugin.output_rules import output_violations
from perception.sinks import Sink
from perception.types import Output, Reset, Sample, TruthFrame, invalid_output
from perception.types.views import joined_output, joined_sample, named_output

OnError = Literal["stop", "skip"]


class PluginStoppedError(Exception):
    """The plugin failed, and the run is configured to stop on errors."""


@dataclass(frozen=True, slots=True)
class Progress:
    """The progress of a run, for a progress bar."""

    frames: int
    log_time_ns: int
    latency_ms: float  # of the last sample, without reading and aligning
    answer_ms: float  # the part of it after `prepare`
    output: Output | None = None


class Observer(Protocol):
    """Called for each sample of a run. Both methods may raise KeyboardInterrupt to end it."""

    def before(self, sample: Sample) -> None:
        """Called before a sample is prepared."""

    def after(self, progress: Progress) -> None:
        """Called when a sample has gone to the sinks."""


class Runner:
    """Runs samples through one opened plugin into opened sinks.

    The calling thread reads and aligns (the samples are made lazily), steps the plugin and writes the
    outputs, in order. In between, workers prepare the samples of one batch each and compute their answers,
    where the plugin offers `Infers`. A reset is a barrier: the outputs before it are written first. A reset
    that fails is tried again with each sample, and the samples until it succeeds are errors.

    Args:
        plugin: Open.
        sinks: Open.
        ledger: Gets the outcome of every sample.
        span: Samples outside it do not go to the sinks.
        warm_from_ns: Log time from which samples before the span go through the plugin; None: all of them.
        batch: Number of samples in one `infer` and one `step`.
        workers: Number of threads that prepare and infer; the calling thread is one while it would wait.
        pace: Decides when samples run.
        on_error: Whether an error of the plugin ends the run.
        joiner: Joins truth to the samples that go to the sinks.
        times: Collects the durations of stages.
        observer: Called for each sample.
        control_camera: The camera that gives control, of several; None: the reference camera.
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
        control_camera: str | None = None,
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
        self._control_camera = control_camera
        self._workers = Workers(workers, TaskWorker(plugin).run)
        self._gathered = BatchTask()
        self._missed_reset: Reset | None = None
        self.tally = Tally()

    def run(self, samples: Iterable[Sample]) -> None:
        """Run all samples, once. Samples that were begun go to the sinks also when an error ends the run."""
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
        """Skip a sample because a newer one is due. Its reset is done with the next one."""
        self._missed_reset = sample.reset or self._missed_reset
        self._done(sample, "dropped_live")

    def _wanted(self, samples: Iterable[Sample]) -> Iterable[Sample]:
        """Yield the samples in the span; those before it may warm up the plugin, others are counted only."""
        for sample in samples:
            arrival_ns = sample.tick.log_time_ns
            if self._span.holds(arrival_ns):
                yield sample
            elif self._span.end_ns is not None and arrival_ns >= self._span.end_ns:
                self._done(sample, "outside_range")
            elif self._warm_from_ns is None or arrival_ns >= self._warm_from_ns:
                self._begin(sample, warm=True)
            else:
                self._done(sample, "preroll_only")

    def _take(self, sample: Sample) -> None:
        if self._observer is not None:
            self._observer.before(sample)
        if reset := sample.reset or self._missed_reset:
            self.tally.warn("reset", reset.reason)
        self._begin(sample, warm=False)

    def _begin(self, sample: Sample, warm: bool) -> None:
        """Begin a sample. With `warm`, before the span, the plugin sees it and the sinks do not."""
        problem = self._reset(sample.reset or self._missed_reset)
        if warm != self._gathered.warm:
            self._send()
            self._gathered.warm = warm
        for row in rows_of(sample, self._times.take(), problem):
            self._gathered.samples.append(row)
            if len(self._gathered.samples) >= self._batch:
                self._send()
        while self._workers.due:
            self._finish(self._workers.fetch())

    def _reset(self, reset: Reset | None) -> str:
        """Reset the plugin, if there is a reason to; return why that failed, else an empty text."""
        if reset is None:
            return ""
        self._drain()
        try:
            self._plugin.reset(reset)
        except BaseException as error:
            self._missed_reset = reset
            return f"reset failed: {failure_text(error)}"
        self._missed_reset = None
        return ""

    def _send(self) -> None:
        """Give the gathered samples to the workers."""
        if self._gathered.samples:
            batch, self._gathered = self._gathered, BatchTask(self._gathered.warm)
            self._workers.submit(batch)

    def _drain(self) -> None:
        """Finish every sample that was begun."""
        self._send()
        while self._workers.busy:
            self._finish(self._workers.fetch())

    def _finish(self, batch: BatchTask) -> None:
        """Make the outputs of a batch, and write them."""
        try:
            outputs = self._step(batch)
            for row, output in zip(batch.samples, outputs, strict=True):
                tick = row.tick
                tick.spent.add(row.spent)
                tick.rows.append((row, output))
                if len(tick.rows) < tick.waiting:
                    continue
                if batch.warm:
                    self._finish_warm(tick)
                else:
                    self._emit(tick)
        except BaseException:
            self._workers.forget()  # outputs after a failure are not written
            raise

    def _step(self, batch: BatchTask) -> list[Output | None]:
        """Return one output for each sample; None where there is an error."""
        ready = batch.ready
        outputs: Iterator[Output] = iter(())
        if ready:
            spent, problem = ready[0].spent.fresh(), ""
            with spent.on("step"):
                try:
                    stepped = list(self._plugin.step([task.prepared for task in ready]))
                    if len(stepped) != len(ready):
                        problem = f"step returned {len(stepped)} outputs for {len(ready)} samples"
                    outputs = iter(stepped)
                except BaseException as error:
                    problem = failure_text(error)
            for task in ready:
                task.spent.add(spent, 1 / len(ready))
                task.problem = problem
        return [None if task.problem else next(outputs) for task in batch.samples]

    def _finish_warm(self, tick: TickTask) -> None:
        self._times.count(tick.spent)
        problems = [row.problem for row, _ in tick.rows if row.problem]
        for problem in problems:
            self._count_error(problem)
        if problems and self._on_error == "stop":
            raise PluginStoppedError(problems[0])
        self._done(_sample_of(tick), "preroll_only")

    def _emit(self, tick: TickTask) -> None:
        """Check the outputs of all rows of a sample, join them, and write the output of the tick."""
        first_problem = ""
        outputs: dict[str, Output] = {}
        for camera, (row, output) in zip(tick.sample.cameras, tick.rows, strict=True):
            outputs[camera], problem = self._checked(row, output)
            if problem:
                self._count_error(problem)
            first_problem = first_problem or problem
        joined = joined_output(tick.sample, outputs, self._control_camera)
        sample = _sample_of(tick)
        self._pace.answered()
        if self._joiner is None:
            self._write(sample, joined, None, tick.spent)
        else:
            self._write_joined(self._joiner.add(sample, (joined, tick.spent)))
        if first_problem and self._on_error == "stop":
            raise PluginStoppedError(first_problem)

    def _checked(self, row: SampleTask, output: Output | None) -> tuple[Output, str]:
        """Return the output of a row, invalid where it breaks the contract, and what is wrong with it."""
        manifest, problem, view = self._plugin.manifest, row.problem, row.prepared.sample
        if not problem:
            problem = "; ".join(output_violations(output, view, manifest)[:3])
        if problem or output is None:
            return invalid_output(view.tick, manifest.heads, problem), problem
        return named_output(output, view), ""

    def _write_joined(self, joined: Iterable[tuple[Sample, TruthFrame, tuple[Output, Spent]]]) -> None:
        for sample, truth, (output, spent) in joined:
            self._write(sample, output, truth, spent)

    def _write(self, sample: Sample, output: Output, truth: TruthFrame | None, spent: Spent) -> None:
        timing = dict(spent.wall_ms)
        with spent.on("sink"):
            for sink in self._sinks:
                sink.write(sample, output, truth, timing)
        self._times.finish(spent)
        self.tally.add(sample, output, truth)
        self._done(sample, "used")
        if self._observer is not None:
            answer_ms = spent.wall_ms["infer"] + spent.wall_ms["step"]
            latency_ms = spent.wall_ms["prepare"] + answer_ms
            arrival_ns = sample.tick.log_time_ns
            self._observer.after(Progress(self.tally.frames, arrival_ns, latency_ms, answer_ms, output))

    def _done(self, sample: Sample, outcome: Outcome) -> None:
        if self._ledger is not None:
            self._ledger.sample_done(sample, outcome)

    def _count_error(self, problem: str) -> None:
        self.tally.errors += 1
        self.tally.first_error = self.tally.first_error or problem


def _sample_of(tick: TickTask) -> Sample:
    """Return the sample of a tick; what its rows found unusable is absent."""
    return joined_sample(tick.sample, [row.prepared.sample for row, _ in tick.rows])
