"""The outcomes of the samples of a host: outputs published, latencies, deadlines, errors, absences."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import NamedTuple

from perception.config import Config
from perception.diagnosis.monitor import MonitorSink
from perception.pipeline.runner import Progress
from perception.pipeline.stage_times import DurationHistogram
from perception.pipeline.tally import Tally
from perception.plugin.failures import failure_text
from perception.sinks import OutputSink
from perception.types import Output, Sample, TruthFrame
from perception_plugins.hosts.arrivals import WINDOW_S


class HostFrame(NamedTuple):
    """One output as replay's sinks get it.

    Attributes:
        sample: What it is of; what the plugin found unusable is absent.
        output: The answers; of a plugin that failed: each head invalid, with the error.
        timing_ms: Wall clock by stage.
        latency_ms: From the arrival of the reference message to here; None at substitute ticks.
    """

    sample: Sample
    output: Output
    timing_ms: Mapping[str, float]
    latency_ms: float | None


class Outcomes(OutputSink):
    """The first sink of the loop, which publishes, and the observer of its runner. Read from any thread.

    Args:
        config: Complete.
        came_s: Returns when the reference message of a tick came (`time.monotonic`).
        publish: Called with each output.
        monitor: A later sink, whose doubts are noted after each sample.

    Attributes:
        tally: Of the runner; set by the loop.
        present: Sensor -> why the newest sample lacks it; empty: it has it.
        busy_since_s: When the newest sample began (`time.monotonic`); None: none is under way.
        error, error_s: What the plugin, or `publish`, did wrong last, and when.
    """

    def __init__(
        self,
        config: Config,
        came_s: Callable[[int], float | None],
        publish: Callable[[HostFrame], None],
        monitor: MonitorSink,
    ) -> None:
        assert config.reference_rate_hz is not None  # the aligner has said so otherwise
        self.deadline_ms = 1e3 / config.reference_rate_hz + config.wait_ms
        self._came_s = came_s
        self._publish = publish
        self._monitor = monitor
        self.tally = Tally()
        self.latency = DurationHistogram()
        self.published = self.missed = self.unpublished = self._errors = 0
        self.present: dict[str, str] = {}
        self.busy_since_s: float | None = None
        self.times_s: deque[float] = deque(maxlen=1024)
        self.missed_s: float | None = None
        self.error, self.error_s = "", 0.0
        self.doubts: dict[str, tuple[str, ...]] = {}

    def before(self, sample: Sample) -> None:
        """Note that a sample begins."""
        self.busy_since_s = time.monotonic()

    def after(self, progress: Progress) -> None:
        """Note that a sample has gone to every sink."""
        self.busy_since_s = None
        health = self._monitor.monitor.health
        self.doubts = {head: tuple(entry.reasons) for head, entry in health.items() if not entry.believed}
        if self.tally.errors > self._errors and progress.output is not None:
            self._errors = self.tally.errors
            self._note_error("; ".join(sorted({head.error for head in progress.output.heads().values()})))

    def write(
        self,
        sample: Sample,
        output: Output,
        truth: TruthFrame | None = None,
        timing_ms: Mapping[str, float] | None = None,
    ) -> None:
        """Publish an output."""
        came_s = self._came_s(output.tick.log_time_ns)
        latency_ms = None if came_s is None else (time.monotonic() - came_s) * 1e3
        try:
            self._publish(HostFrame(sample, output, timing_ms or {}, latency_ms))
        except Exception as error:
            self.unpublished += 1
            self._note_error(f"an output was not published: {failure_text(error)}")
        now_s = time.monotonic()
        self.published += 1
        self.times_s.append(now_s)
        if came_s is not None:
            latency_ms = (now_s - came_s) * 1e3
            self.latency.add(latency_ms)
            if latency_ms > self.deadline_ms:
                self.missed += 1
                self.missed_s = now_s
        self.present = {source.name: source.reason for source in sample.sensors if source.configured}

    def rate_hz(self, now_s: float) -> float:
        """Return the rate of the outputs over the last seconds."""
        times = tuple(self.times_s)
        if not times:
            return 0.0
        recent = sum(now_s - time_s <= WINDOW_S for time_s in times)
        return recent / max(min(WINDOW_S, now_s - times[0]), 1e-3)

    def _note_error(self, text: str) -> None:
        self.error, self.error_s = text, time.monotonic()
