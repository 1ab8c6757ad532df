"""The measurement: every setup is warmed up in its own process; then all are measured in turn, repeatedly."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from pathlib import Path

from perception.config import Config
from perception.diagnosis.bench.bench_report import BenchReport, Rate, Variant, latencies, stages
from perception.diagnosis.bench.measured_setup import MeasuredRun, MeasuredSetup
from perception.diagnosis.bench.measuring_process import MeasuringProcess
from perception.diagnosis.bench.startup import StartUp, start_up
from perception.engines.processor import usable_cores
from perception.pipeline import resolve_device
from perception.pipeline.workers import default_workers


@dataclass(frozen=True, slots=True)
class BenchOptions:
    """The options of a benchmark.

    Attributes:
        backends, batches: Each backend with each batch is one variant.
        jobs: Numbers of copies of the log to replay at once, each in its own process, with the first variant;
            1 is always measured.
        repeat: Rounds. In each, everything is measured once, in turn.
        constant: The model is replaced by a constant.
        naive: Measure the naive loop too, at each of these numbers of threads.
        naive_frames: Most frames of the naive loop in a round.
        weights: The checkpoint that the naive loop loads; None: an untrained model.
        start: Measure the start too.
        progress: Called with a text for each step.
    """

    backends: Sequence[str] = ("auto",)
    batches: Sequence[int] = (1,)
    jobs: Sequence[int] = (1,)
    repeat: int = 3
    constant: bool = False
    naive: Sequence[int] = (1, 2)
    naive_frames: int = 60
    weights: Path | None = None
    start: bool = True
    progress: Callable[[str], None] = lambda text: None


def bench(log: Path, config: Config, device: str = "cpu", options: BenchOptions | None = None) -> BenchReport:
    """Measure the replay of a log.

    Args:
        device: `cpu`, `cuda` or `auto`: each backend where it computes.

    Raises:
        PerceptionError: A setup does not run.
    """
    return _Bench(log, config, device, options or BenchOptions()).run()


class _Bench:
    def __init__(self, log: Path, config: Config, device: str, options: BenchOptions) -> None:
        self._log, self._config, self._device, self._options = log, config, device, options
        self._stack = ExitStack()

    def run(self) -> BenchReport:
        options = self._options
        with self._stack:
            setups = self._setups()
            series = {name: self._open(name, setup) for name, setup in setups.items()}
            crowds = {jobs: self._crowd(jobs) for jobs in options.jobs if jobs > 1}
            runs_by_setup: dict[str, list[MeasuredRun]] = {name: [] for name in setups}
            together: dict[int, list[MeasuredRun]] = {jobs: [] for jobs in crowds}
            for number in range(options.repeat):
                for name, process in series.items():
                    options.progress(f"round {number + 1} of {options.repeat}: {name}")
                    runs_by_setup[name].append(process.run())
                for jobs, crowd in crowds.items():
                    options.progress(f"round {number + 1} of {options.repeat}: {jobs} logs at once")
                    together[jobs].append(_all(crowd))
        starts = self._starts()
        return self._report(runs_by_setup, together, starts)

    def _variants(self) -> dict[str, Config]:
        """Return name -> configuration of each variant."""
        variants = {}
        for backend in self._options.backends:
            for batch in self._options.batches:
                engine = self._config.engine.model_copy(update={"backend": backend, "batch": batch})
                variants[f"{backend}, batch {batch}"] = self._config.model_copy(update={"engine": engine})
        return variants

    def _setups(self) -> dict[str, MeasuredSetup]:
        """Return the setups that are measured in turn, by name."""
        options, setups = self._options, {}
        beside = self._device_of(next(iter(self._variants().values())))
        for name, config in self._variants().items():
            full = MeasuredSetup("full", self._log, config, self._device_of(config), options.constant)
            setups[name] = full
            setups[f"{name}, stages"] = replace(full, kind="stages")
            if config.engine.batch > 1:
                setups[f"{name}, latency"] = replace(full, kind="stages", config=_at_batch_1(config))
        for threads in options.naive:
            naive = MeasuredSetup("naive", self._log, self._config, beside, threads=threads)
            naive = replace(naive, weights=options.weights, most=options.naive_frames)
            setups[f"naive, {threads} threads"] = naive
        return setups

    def _open(self, name: str, setup: MeasuredSetup) -> MeasuringProcess:
        self._options.progress(f"warming up: {name}")
        series = self._stack.enter_context(closing(MeasuringProcess(setup)))
        series.warm()
        return series

    def _crowd(self, jobs: int) -> list[MeasuringProcess]:
        config = next(iter(self._variants().values()))
        workers = max(1, self._workers(config, config.engine.backend) // jobs)
        engine = config.engine.model_copy(update={"workers": workers})
        config = config.model_copy(update={"engine": engine})
        setup = MeasuredSetup("full", self._log, config, self._device_of(config), self._options.constant)
        return [self._open(f"{jobs} logs at once", setup) for _ in range(jobs)]

    def _workers(self, config: Config, backend: str) -> int:
        device = self._device_of(config)
        return config.engine.workers or default_workers(device, config.engine.threads, backend)

    def _device_of(self, config: Config) -> str:
        return resolve_device(self._device, config.engine.backend)

    def _starts(self) -> dict[str, StartUp | None]:
        """Return the fastest of several starts of each variant: interference only slows a start."""
        starts: dict[str, StartUp | None] = dict.fromkeys(self._variants())
        if not self._options.start:
            return starts
        for number in range(self._options.repeat):
            for name, config in self._variants().items():
                self._options.progress(f"start {number + 1} of {self._options.repeat}: {name}")
                device, weights = self._device_of(config), self._options.weights
                setup = MeasuredSetup("full", self._log, config, device, weights=weights)
                best, start = starts[name], start_up(setup)
                starts[name] = start if best is None or start.total < best.total else best
        return starts

    def _report(
        self,
        runs_by_setup: Mapping[str, Sequence[MeasuredRun]],
        together: Mapping[int, Sequence[MeasuredRun]],
        starts: Mapping[str, StartUp | None],
    ) -> BenchReport:
        variants = []
        for name, config in self._variants().items():
            runs, alone = runs_by_setup[name], runs_by_setup[f"{name}, stages"]
            single = runs_by_setup.get(f"{name}, latency", alone)  # at batch 1
            variants.append(
                Variant(
                    name=name,
                    description=runs[0].description,
                    full=Rate.of(runs),
                    stage_ms=stages(alone),
                    latency_ms=latencies(run.latency_ms for run in single),
                    answer_ms=latencies(run.answer_ms for run in single),
                    cores=usable_cores(),
                    workers=self._workers(config, runs[0].description.get("backend", "")),
                    start=starts[name],
                    base_mib=runs[0].base_mib,
                    peak_mib=max(run.peak_mib for run in runs),
                )
            )
        naive = {
            threads: Rate.of(runs_by_setup[f"naive, {threads} threads"]) for threads in self._options.naive
        }
        first = variants[0]
        jobs = {1: first.full, **{count: Rate.of(runs) for count, runs in together.items()}}
        frames = runs_by_setup[first.name][0].frames
        return BenchReport(str(self._log), frames, variants, naive, jobs if together else {})


def _at_batch_1(config: Config) -> Config:
    return config.model_copy(update={"engine": config.engine.model_copy(update={"batch": 1})})


def _all(crowd: Sequence[MeasuringProcess]) -> MeasuredRun:
    """Run all processes at once; return their sum as one run, with the time of the slowest."""
    for process in crowd:
        process.begin("run")
    runs = [process.end() for process in crowd]
    others = max(0.0, runs[0].others - sum(run.cpu_s / run.seconds for run in runs[1:]))
    seconds = max(run.seconds for run in runs)
    return MeasuredRun(sum(run.frames for run in runs), seconds, sum(run.cpu_s for run in runs), others)
