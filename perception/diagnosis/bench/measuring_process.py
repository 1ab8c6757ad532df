"""A child process that measures one setup, once for each request."""

from __future__ import annotations

import multiprocessing
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path

from perception.autoconfig.log_times import sensor_start_ns
from perception.diagnosis.bench.kept_plugins import kept
from perception.diagnosis.bench.machine_load import OtherPrograms, memory_mib
from perception.diagnosis.bench.measured_setup import MeasuredRun, MeasuredSetup
from perception.errors import PerceptionError, PluginError
from perception.interrupts import raise_on_signals
from perception.logs import open_log
from perception.pipeline import Progress, ReplayOptions, Span, replay
from perception.pipeline.stage_times import STAGES, StageTimes
from perception.plugin import load_plugin
from perception.plugin.failures import failure_text
from perception.sinks import McapSink
from perception.types import Sample

WARM_S = 0.5
"""Seconds from the first sensor message that are replayed to warm up."""


class MeasuringProcess:
    """The parent's handle of a measuring process. It must be closed.

    Raises:
        PerceptionError: From `warm` and `run`: the error raised in the process.
    """

    def __init__(self, setup: MeasuredSetup) -> None:
        context = multiprocessing.get_context("spawn")
        self._line, other = context.Pipe()
        self._process = context.Process(target=_serve, args=(other, setup), daemon=True)
        self._process.start()
        other.close()
        self.setup = setup

    def warm(self) -> None:
        """Load, compile, and replay `WARM_S` of the log."""
        self.begin("warm")
        self.end()

    def run(self) -> MeasuredRun:
        """Measure one run and return it."""
        self.begin("run")
        return self.end()

    def begin(self, what: str) -> None:
        """Send a request, `warm` or `run`, without waiting for its result."""
        with suppress(OSError):
            self._line.send(what)

    def end(self) -> MeasuredRun:
        """Wait for the pending request and return its result."""
        try:
            result = self._line.recv()
        except (EOFError, OSError):
            self._process.join(5)
            raise PluginError(f"the measuring process ended with {self._process.exitcode}") from None
        if isinstance(result, MeasuredRun):
            return result
        raise result

    def close(self) -> None:
        self._line.close()
        self._process.join(10)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()


def _serve(line: Connection, setup: MeasuredSetup) -> None:
    measure: Callable[[bool], MeasuredRun] | None = None
    raise_on_signals()
    while True:
        try:
            request = line.recv()
        except (EOFError, OSError, KeyboardInterrupt):
            return
        try:
            if measure is None:
                measure = _measure_of(setup)
            result: MeasuredRun | Exception = measure(request == "warm")
        except PerceptionError as error:
            result = error
        except KeyboardInterrupt:
            return
        except BaseException as error:
            result = PluginError(failure_text(error))
        with suppress(OSError):
            line.send(result)


def _measure_of(setup: MeasuredSetup) -> Callable[[bool], MeasuredRun]:
    if setup.kind != "naive":
        return Replays(setup).run
    from perception.diagnosis.bench.naive_loop import NaiveLoop, PlainPluginLoop

    return (NaiveLoop if setup.config.plugin.name == "fusion" else PlainPluginLoop)(setup).run


class Replays:
    """Runs of `replay` over one log, with the plugin kept open between them."""

    def __init__(self, setup: MeasuredSetup) -> None:
        self._setup = setup
        self._plugin = kept(load_plugin(setup.config.plugin.name), setup.constant)
        self._base_mib = float("nan")

    def run(self, warm: bool = False) -> MeasuredRun:
        setup, alone = self._setup, self._setup.kind == "stages"
        config = setup.config
        if alone:
            engine = config.engine.model_copy(update={"workers": 1})
            config = config.model_copy(update={"engine": engine})
        times = StageTimes(time.process_time if alone else time.thread_time)
        clock = _Clock()
        with open_log(setup.log) as log, tempfile.TemporaryDirectory() as folder:
            start_ns = sensor_start_ns(log, config)
            span = Span(None, start_ns + round(WARM_S * 1e9)) if warm else Span()
            options = ReplayOptions(device=setup.device, span=span, observer=clock, times=times)
            before_s = self._plugin.device_s()
            summary = replay(log, config, self._plugin, [McapSink(Path(folder) / "out.mcap")], options)
        if summary.status == "failed" or summary.errors:
            raise PluginError(f"the plugin failed: {summary.first_error}")
        if warm:
            self._base_mib = memory_mib()[0]
        device_s = self._plugin.device_s() - before_s
        return self._found(clock, times, alone, dict(summary.run), device_s)

    def _found(
        self, clock: _Clock, times: StageTimes, alone: bool, description: dict[str, str], device_s: float
    ) -> MeasuredRun:
        measured = MeasuredRun(clock.frames, clock.seconds, clock.cpu_s, clock.others, device_s)
        measured = replace(
            measured, base_mib=self._base_mib, peak_mib=memory_mib()[1], description=description
        )
        if not alone:
            return measured
        count = max(clock.frames, 1)
        stages = {stage: times.cpu_s[stage] / count * 1e3 for stage in STAGES}
        latency_ms, answer_ms = tuple(clock.latency_ms), tuple(clock.answer_ms)
        return replace(measured, stage_ms=stages, latency_ms=latency_ms, answer_ms=answer_ms)


class _Clock:
    """An observer that times a run from the start of its first frame to the writing of its last."""

    def __init__(self) -> None:
        self.frames = 0
        self.seconds = self.cpu_s = 0.0
        self.latency_ms: list[float] = []
        self.answer_ms: list[float] = []
        self._began = self._cpu = 0.0
        self._others: OtherPrograms | None = None

    @property
    def others(self) -> float:
        return self._others.cores() if self._others is not None else float("nan")

    def before(self, sample: Sample) -> None:
        if self._others is None:
            self._began, self._cpu, self._others = time.perf_counter(), time.process_time(), OtherPrograms()

    def after(self, progress: Progress) -> None:
        self.frames += 1
        self.latency_ms.append(progress.latency_ms)
        self.answer_ms.append(progress.answer_ms)
        self.seconds, self.cpu_s = time.perf_counter() - self._began, time.process_time() - self._cpu
