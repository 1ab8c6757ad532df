"""Samples through a plugin into sinks. It knows neither logs nor models: `replay` brings the log."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from perception.contract import output_faults
from perception.ledger import Ledger
from perception.messages import SENSORS, Reset, Sample, TruthFrame
from perception.outputs import Output, invalid_output
from perception.pipeline.pace import Pace
from perception.pipeline.source import WHOLE, Span
from perception.pipeline.summary import Warned
from perception.pipeline.times import StageTimes
from perception.plugin import Plugin, Prepared
from perception.sinks.base import Sink
from perception.truth import TruthJoiner

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


class Observer(Protocol):
    """Watches a run. Both methods may raise KeyboardInterrupt to end it."""

    def before(self, sample: Sample) -> None:
        """A sample is about to be prepared."""

    def after(self, progress: Progress) -> None:
        """A sample went to the sinks."""


class Runner:
    """Runs samples through one opened plugin into opened sinks.

    Args:
        plugin: Open.
        sinks: Open.
        ledger: Told what became of every sample.
        span: Samples outside it are not emitted.
        warm_from_ns: From when on samples before the span go through the plugin; None: all of them.
        batch: How many samples go into one `step`.
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
        self._waiting: list[tuple[Prepared, str, dict[str, float]]] = []
        self._missed_reset: Reset | None = None
        self.tally = Tally()

    def run(self, samples: Iterable[Sample]) -> None:
        """Run all samples. Whatever ends it, what was computed goes to the sinks before."""
        try:
            for sample in self._pace.through(self._wanted(samples)):
                self._take(sample)
        finally:
            self._step()
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
                self._warm(sample)
            else:
                self._done(sample, "preroll_only")

    def _warm(self, sample: Sample) -> None:
        """A sample before the start: the plugin sees it, the sinks do not."""
        if sample.reset is not None:
            self._step()
            self._plugin.reset(sample.reset)
        try:
            self._plugin.step([self._plugin.prepare(sample)])
        except Exception as error:
            self._failed(error)
        self._times.take()
        self._done(sample, "preroll_only")

    def _take(self, sample: Sample) -> None:
        if self._observer is not None:
            self._observer.before(sample)
        reset, self._missed_reset = sample.reset or self._missed_reset, None
        if reset is not None:
            self._step()
            self._plugin.reset(reset)
            self.tally.warn("reset", reset.reason)
        began, error = time.perf_counter(), ""
        try:
            prepared = self._plugin.prepare(sample)
            if not isinstance(prepared, Prepared):
                raise TypeError(f"prepare returned {type(prepared).__name__}, expected Prepared")
        except Exception as raised:
            prepared, error = Prepared(sample), _line(raised)
        self._times.spend("prepare", time.perf_counter() - began)
        self._waiting.append((prepared, error, self._times.take()))
        if len(self._waiting) >= self._batch:
            self._step()

    def _step(self) -> None:
        """Run what waits as one batch, and hand the outputs on in order."""
        waiting, self._waiting = self._waiting, []
        if not waiting:
            return
        ready = [prepared for prepared, error, _ in waiting if not error]
        began, failure = time.perf_counter(), ""
        outputs: list[Output] = []
        try:
            outputs = list(self._plugin.step(ready)) if ready else []
            if len(outputs) != len(ready):
                failure = f"step returned {len(outputs)} outputs for {len(ready)} samples"
        except Exception as raised:
            failure = _line(raised)
        share = (time.perf_counter() - began) / len(waiting)
        given = iter(outputs)
        for prepared, error, spent_ms in waiting:
            spent_ms["step"] += share * 1e3
            problem = error or failure
            output = None if problem else next(given)
            self._emit(prepared.sample, output, problem, spent_ms)

    def _emit(self, sample: Sample, output: Output | None, problem: str, spent_ms: dict[str, float]) -> None:
        manifest = self._plugin.manifest
        if output is not None:
            problem = "; ".join(output_faults(output, sample, manifest)[:3])
        if problem or output is None:
            output = invalid_output(sample.tick, manifest.heads, problem)
            self._count_error(problem)
        if self._joiner is None:
            self._write(sample, output, None, spent_ms)
        else:
            self._write_joined(self._joiner.add(sample, (output, spent_ms)))
        if problem and self._on_error == "stop":
            self._waiting.clear()
            raise PluginStoppedError(problem)

    def _write_joined(
        self, joined: Iterable[tuple[Sample, TruthFrame, tuple[Output, dict[str, float]]]]
    ) -> None:
        for sample, truth, (output, spent_ms) in joined:
            self._write(sample, output, truth, spent_ms)

    def _write(
        self, sample: Sample, output: Output, truth: TruthFrame | None, spent_ms: dict[str, float]
    ) -> None:
        began = time.perf_counter()
        timing: Mapping[str, float] = dict(spent_ms)
        for sink in self._sinks:
            sink.write(sample, output, truth, timing)
        spent_ms["sink"] += (time.perf_counter() - began) * 1e3
        self._times.finish(spent_ms)
        self.tally.add(sample, output)
        self._done(sample, "used")
        if self._observer is not None:
            latency_ms = spent_ms["prepare"] + spent_ms["step"]
            self._observer.after(Progress(self.tally.frames, sample.tick.log_time_ns, latency_ms))

    def _done(
        self, sample: Sample, outcome: Literal["used", "preroll_only", "outside_range", "dropped_live"]
    ) -> None:
        if self._ledger is not None:
            self._ledger.sample_done(sample, outcome)

    def _failed(self, error: Exception) -> None:
        self._count_error(_line(error))
        if self._on_error == "stop":
            raise PluginStoppedError(_line(error)) from error

    def _count_error(self, problem: str) -> None:
        self.tally.errors += 1
        self.tally.first_error = self.tally.first_error or problem


def _line(error: Exception) -> str:
    """An exception on one line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}"[:500]
