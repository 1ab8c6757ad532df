"""The report of a benchmark: rates, stages, the bottleneck, and the ideal rate of the machine."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

import numpy as np

from perception.diagnosis.bench.measured_setup import MeasuredRun
from perception.diagnosis.bench.startup import StartUp

CARRIED = ("prepare", "infer")
"""Stages that workers run in parallel; each other stage runs in one thread."""


@dataclass(frozen=True, slots=True)
class Rate:
    """Frames a second over several runs, and the time of the processor and of a GPU for a frame, in ms."""

    frames_per_s: float
    least: float
    most: float
    cpu_ms: float
    others: float  # cores that other programs took
    runs: int
    device_ms: float = 0.0

    @classmethod
    def of(cls, runs: Sequence[MeasuredRun]) -> Rate:
        rates = [run.rate for run in runs]
        cpu_ms, others = median(run.cpu_ms for run in runs), median(run.others for run in runs)
        device_ms = median(run.device_ms for run in runs)
        return cls(median(rates), min(rates), max(rates), cpu_ms, others, len(runs), device_ms)

    @property
    def busy_cores(self) -> float:
        """Return the number of cores kept busy."""
        return self.frames_per_s * self.cpu_ms / 1e3

    @property
    def device_busy(self) -> float:
        """Return the fraction of the time that a GPU computes."""
        return self.frames_per_s * self.device_ms / 1e3


@dataclass(frozen=True, slots=True)
class Variant:
    """The measurements of one variant: a backend, batch size and number of jobs.

    Attributes:
        name: Backend, batch and jobs as they were asked for.
        description: The plugin's description of itself.
        full: As `replay` runs it.
        stage_ms: Stage -> processor time of a frame, in ms, medians.
        latency_ms: p50, p95, p99 and max from sample to output at batch 1, medians over the runs.
        answer_ms: Likewise from the prepared sample.
        cores, workers: Cores of the machine; worker threads.
        start: None: not measured.
        base_mib, peak_mib: Memory after the first inference, and its peak.
    """

    name: str
    description: Mapping[str, str]
    full: Rate
    stage_ms: Mapping[str, float]
    latency_ms: Mapping[str, float]
    answer_ms: Mapping[str, float]
    cores: int
    workers: int
    start: StartUp | None
    base_mib: float
    peak_mib: float

    @property
    def ideal_per_s(self) -> float:
        """Return the ideal frames per second, limited by a stage, by all cores, or by a GPU."""
        return 1e3 / max(self._on_cpu_ms, self.full.device_ms)

    @property
    def of_ideal(self) -> float:
        """Return the measured rate over the ideal one."""
        return self.full.frames_per_s / self.ideal_per_s

    @property
    def bottleneck(self) -> str:
        """Return the stage that takes the most work; `gpu` where that takes longer than all of them."""
        if self.full.device_ms > self._on_cpu_ms:
            return "gpu"
        return max(self.stage_ms, key=self.stage_ms.__getitem__)

    @property
    def _on_cpu_ms(self) -> float:
        """Return the least time of a frame on the CPU, in ms."""
        return max(sum(self.stage_ms.values()) / self.cores, *map(self.alone_ms, self.stage_ms))

    @property
    def p99_over_p50(self) -> float:
        """Return the ratio of the latency's 99th percentile to its median."""
        return self.latency_ms["p99"] / self.latency_ms["p50"]

    def alone_ms(self, stage: str) -> float:
        """Return the least time of a frame in ms if all threads that may run this stage do nothing else."""
        threads = min(self.workers, self.cores) if stage in CARRIED else 1
        return self.stage_ms[stage] / threads

    def share(self, stage: str) -> float:
        """Return the fraction of all cores' time that the stage takes while the log is replayed."""
        return self.stage_ms[stage] * self.full.frames_per_s / 1e3 / self.cores

    def to_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "run": dict(self.description),
            "frames_per_s": _rate(self.full),
            "stages": {
                stage: {"cpu_ms": round(ms, 4), "busy_share": round(self.share(stage), 4)}
                for stage, ms in self.stage_ms.items()
            },
            "gpu": {"ms": round(self.full.device_ms, 4), "busy_share": round(self.full.device_busy, 4)},
            "bottleneck": self.bottleneck,
            "ideal_frames_per_s": round(self.ideal_per_s, 3),
            "of_ideal": round(self.of_ideal, 4),
            "latency_ms": {key: round(value, 4) for key, value in self.latency_ms.items()},
            "answer_ms": {key: round(value, 4) for key, value in self.answer_ms.items()},
            "p99_over_p50": round(self.p99_over_p50, 4),
            "cores": self.cores,
            "workers": self.workers,
            "memory_mib": {"base": round(self.base_mib, 1), "peak": round(self.peak_mib, 1)},
            "start_s": None if self.start is None else _start(self.start),
        }


@dataclass(frozen=True, slots=True)
class BenchReport:
    """The result of a benchmark: all variants, and the naive loop.

    Attributes:
        naive: Threads -> its rate; empty where it does not apply.
        jobs: Number of logs at once -> their total rate.
    """

    log: str
    frames: int
    variants: Sequence[Variant]
    naive: Mapping[int, Rate]
    jobs: Mapping[int, Rate]

    @property
    def best_naive(self) -> Rate | None:
        return max(self.naive.values(), key=lambda rate: rate.frames_per_s, default=None)

    def over_naive(self, variant: Variant) -> float | None:
        """Return the rate over that of the fastest naive loop."""
        best = self.best_naive
        return None if best is None else variant.full.frames_per_s / best.frames_per_s

    def to_json(self) -> dict[str, Any]:
        """Return the report under the schema `perception.bench/1`."""
        variants = []
        for variant in self.variants:
            over = self.over_naive(variant)
            variants.append({**variant.to_json(), "over_naive": None if over is None else round(over, 3)})
        return {
            "schema": "perception.bench/1",
            "status": "clean",
            "log": self.log,
            "frames": self.frames,
            "variants": variants,
            "naive": {str(threads): _rate(rate) for threads, rate in self.naive.items()},
            "jobs": {str(jobs): _rate(rate) for jobs, rate in self.jobs.items()},
        }


def latencies(runs: Iterable[Sequence[float]]) -> dict[str, float]:
    """Return the medians over the runs of the quantiles of each run, its first frame left out."""
    rows = [np.quantile(run[1:] or [np.nan], [0.5, 0.95, 0.99, 1.0]) for run in runs]
    medians = np.median(rows, axis=0)
    return dict(zip(("p50", "p95", "p99", "max"), map(float, medians), strict=True))


def stages(runs: Sequence[MeasuredRun]) -> dict[str, float]:
    """Return stage -> median time of a frame in ms."""
    return {stage: median(run.stage_ms[stage] for run in runs) for stage in runs[0].stage_ms}


def _rate(rate: Rate) -> dict[str, float]:
    return {
        "median": round(rate.frames_per_s, 3),
        "least": round(rate.least, 3),
        "most": round(rate.most, 3),
        "cpu_ms": round(rate.cpu_ms, 4),
        "others_cores": round(rate.others, 3),
        "runs": rate.runs,
    }


def _start(start: StartUp) -> dict[str, float | bool]:
    parts = ("python", "imports", "load", "compile", "first_output", "total")
    return {**{part: round(getattr(start, part), 4) for part in parts}, "torch": start.torch}
