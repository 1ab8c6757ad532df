"""The speed of a replay with a viewer and without: a Rerun recording, and a server that nobody watches.

Each is compared with the same replay without it, in turn, from the first message to the closed files.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from perception.autoconfig import Overrides
from perception.diagnosis.monitor import MonitorSink
from perception.pipeline.replay_job import ReplayJob, run_job
from perception.pipeline.viewers import Serving, load_viewer
from perception.plugin import Plugin
from perception.sinks import RunInfo
from perception.types import Output, Sample, TruthFrame

COMPARED = {"rerun": "output", "serve": "nothing"}
"""The kind of replay that each viewer is compared with. A server writes no output log."""


@dataclass(frozen=True, slots=True)
class ViewerCost:
    """Frames a second with and without viewers: medians of the rounds.

    Attributes:
        frames: Frames of one replay.
        rates_hz: Of a replay into an output log (`output`), with a Rerun recording beside it (`rerun`), into
            nothing (`nothing`), and by a server without a client (`serve`).
        shares: `rerun` and `serve` -> the median of what is left of the rate without it, in each round.
        cpu_ms: Processor time of a frame, of all threads.
    """

    frames: int
    rates_hz: Mapping[str, float]
    shares: Mapping[str, float]
    cpu_ms: Mapping[str, float]

    def to_json(self) -> dict[str, Any]:
        """Return plain values for `--json`."""
        return {"schema": "perception.bench.viewers/1", "status": "clean", **asdict(self)}


def viewer_cost(
    path: Path,
    config: Path | None = None,
    overrides: Overrides | None = None,
    device: str = "auto",
    repeat: int = 3,
    progress: Callable[[str], None] = lambda text: None,
) -> ViewerCost:
    """Measure what viewers cost a replay of a log, with its monitor, as `perception replay` runs it.

    Args:
        path: The log.
        config, overrides, device: As for `perception replay`.
        repeat: Rounds; all is measured in turn in each.
        progress: Called with a text for each step.

    Raises:
        PerceptionError: As `replay` does.
        MissingExtraError: The extra `rerun` or `foxglove` is not installed.
    """
    seconds: dict[str, list[float]] = {name: [] for pair in COMPARED.items() for name in pair}
    cpu_s: dict[str, list[float]] = {name: [] for name in seconds}
    frames = 0
    with tempfile.TemporaryDirectory() as folder:
        job = ReplayJob(path, config=config, overrides=overrides or Overrides(), device=device, force=True)
        runs = _runs(job, Path(folder))
        for number in range(repeat + 1):  # the first round warms up
            progress(f"round {number} of {repeat}")
            for name, run in runs.items():
                clock = _RunClock()
                if not run(clock):
                    raise KeyboardInterrupt
                frames = clock.frames
                if number:
                    seconds[name].append(clock.seconds)
                    cpu_s[name].append(clock.cpu_s)
    rates = {name: frames / median(values) for name, values in seconds.items()}
    shares = {
        name: median(a / b for a, b in zip(seconds[other], seconds[name], strict=True))
        for name, other in COMPARED.items()
    }
    cpu_ms = {name: median(values) / frames * 1e3 for name, values in cpu_s.items()}
    return ViewerCost(frames, rates, shares, cpu_ms)


def _runs(job: ReplayJob, folder: Path) -> dict[str, Callable[[_RunClock], bool]]:
    """Return the functions that run a job in each way; each returns whether the run came to its end."""
    written = replace(job, output=folder / "out.mcap")
    recorded = replace(written, rerun=folder / "out.rrd")
    serve = load_viewer("foxglove").serve_replay
    serving = Serving(port=0, waits=False, stays=False)

    def replayed(job: ReplayJob, clock: _RunClock) -> bool:
        return run_job(replace(job, monitor=clock.monitor)).status != "interrupted"

    return {
        "output": partial(replayed, written),
        "rerun": partial(replayed, recorded),
        "nothing": partial(replayed, job),
        "serve": lambda clock: serve(replace(job, monitor=clock.monitor), serving).ends > 0,
    }


class _RunClock:
    """Times a run from the opening of its sinks to the closing of the last."""

    def __init__(self) -> None:
        self.frames, self.seconds, self.cpu_s = 0, 0.0, 0.0
        self._began = self._cpu_s = 0.0

    def start(self) -> None:
        """Begin to count."""
        self._began, self._cpu_s = time.perf_counter(), time.process_time()

    def stop(self) -> None:
        """Keep what has passed since `start`."""
        self.seconds = time.perf_counter() - self._began
        self.cpu_s = time.process_time() - self._cpu_s

    @property
    def monitor(self) -> Callable[..., MonitorSink]:
        return partial(_TimedMonitor, self)


class _TimedMonitor(MonitorSink):
    """A monitor that is opened and closed after all other sinks, and tells a clock."""

    def __init__(self, clock: _RunClock, plugin: Plugin, **how: Any) -> None:
        super().__init__(plugin, **how)
        self._clock = clock

    def open(self, run: RunInfo) -> None:
        super().open(run)
        self._clock.start()

    def write(
        self,
        sample: Sample,
        output: Output,
        truth: TruthFrame | None = None,
        timing_ms: Mapping[str, float] | None = None,
    ) -> None:
        super().write(sample, output, truth, timing_ms)
        self._clock.frames += 1

    def close(self) -> None:
        super().close()
        self._clock.stop()
