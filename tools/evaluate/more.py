"""What `perception evaluate` does beside the ordinary scores: faults, and scores that count the latency."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from perception.errors import ConfigError
from perception.evaluation.ablation.fault_ablation import FaultAblation, parse_fault_names
from perception.evaluation.ablation.memoised_plugin import MemoisedPlugin
from perception.evaluation.streaming_scores import CURVE_MS, Streaming, without_details
from perception.sinks.base import Sink
from perception.sinks.stored import read_outputs, read_run

if TYPE_CHECKING:
    from perception.config import Config
    from perception.evaluation import Evaluation, EvaluationReport
    from perception.logs import Log
    from perception.pipeline import Observer, ReplayOptions
    from perception.plugin import Plugin

MEASURED = "measured"


class More:
    """Runs beside an evaluation, log by log, and adds what it found to the report.

    Args:
        faults: Whether to replay under faults; `names` and `severities` as on the command line.
        latencies: As on the command line; None: no streaming scores.

    Raises:
        ConfigError: A name, severity or latency is none.
    """

    def __init__(
        self,
        evaluation: Evaluation,
        faults: bool,
        names: str | None,
        severities: str,
        latencies: str | None,
        options: ReplayOptions,
    ) -> None:
        if names is not None and not faults:
            raise ConfigError(["--faults: says which faults `--ablate faults` replays; add that"])
        self._evaluation = evaluation
        self._latencies = _latencies(latencies)
        self._streaming = Streaming() if self._latencies else None
        self._batch = 1
        self._ablation: FaultAblation | None = None
        self._plugin: MemoisedPlugin | None = None
        if faults:
            self._ablation = FaultAblation(
                evaluation.rules_of, parse_fault_names(names), _severities(severities), options=options
            )

    def before(
        self, log: Log, config: Config, load: Callable[[], Plugin]
    ) -> tuple[Callable[[], Plugin], Sequence[Sink]]:
        """What the replay of a log shall run, and the sinks that it shall feed beside its own."""
        self._batch = config.engine.batch
        if self._ablation is not None:
            if self._plugin is not None:
                self._plugin.release()
            plugin = self._plugin = MemoisedPlugin(load)
            load = lambda: plugin  # noqa: E731
        return load, [] if self._streaming is None else [self._streaming.of(log, config)]

    def after(self, log: Log, config: Config, observer: Observer | None) -> bool:
        """The log was replayed without faults; now with each. False: interrupted."""
        if self._ablation is None or self._plugin is None:
            return True
        told = _tell if sys.stderr.isatty() else lambda fault: None
        try:
            return self._ablation.run(log, config, self._plugin, observer, told)
        finally:
            self._plugin.release()

    def add_stored(self, stored: Log, log: Log, config: Config) -> None:
        """Outputs that were stored were scored; they stream as well."""
        run = read_run(stored)
        self._batch = run.batch if run is not None else 1
        if self._streaming is not None:
            self._streaming.add(log, config, (item.output for item in read_outputs(stored)))

    def finish(self, report: EvaluationReport) -> EvaluationReport:
        """The report with what was found."""
        if self._ablation is not None:
            report = report.model_copy(update={"fault_ablation": self._ablation.report(report)})
        if self._streaming is not None:
            report = self._streamed(report, self._streaming)
            self._streaming.close()
        return report

    def _streamed(self, report: EvaluationReport, streaming: Streaming) -> EvaluationReport:
        from perception.sinks.base import RunInfo

        rules = self._evaluation.rules_of(RunInfo())
        found = []
        for latency in self._latencies:
            if latency != MEASURED:
                found.append(streaming.report(float(latency), rules))
                continue
            median = _median_ms(report)
            if median is None or self._batch != 1:
                why = "times of batch 1 are needed" if self._batch != 1 else "too few frames were timed"
                warning = {"code": "no_latency", "text": f"no measured latency: {why}", "count": 1, "log": ""}
                report = report.model_copy(update={"warnings": [*report.warnings, warning]})
            else:
                found.append(streaming.report(median, rules, measured=True))
        found.sort(key=lambda one: one.latency_ms)
        if len(found) > 1:
            found = [without_details(one) for one in found]
        return report.model_copy(update={"streaming": found})


def _median_ms(report: EvaluationReport) -> float | None:
    """What a frame took, as the evaluation measured it."""
    latency = report.heads.get("timing", {}).get("latency")
    value = latency.values.get("p50/total") if latency is not None else None
    return None if value is None else value.value


def _latencies(text: str | None) -> tuple[str, ...]:
    if text is None:
        return ()
    if text == "curve":
        return tuple(str(ms) for ms in CURVE_MS)
    found = tuple(part.strip() for part in text.split(","))
    for part in found:
        try:
            good = part == MEASURED or 0 <= float(part) < 60_000
        except ValueError:
            good = False
        if not good:
            raise ConfigError([f"--latency-ms: expected milliseconds, 'measured' or 'curve', found '{part}'"])
    return found


def _severities(text: str) -> tuple[float, ...]:
    try:
        found = tuple(float(part) for part in text.split(","))
    except ValueError:
        found = ()
    if not found or not all(0 < severity <= 1 for severity in found) or len(set(found)) != len(found):
        raise ConfigError([f"--severities: expected different numbers above 0 up to 1, found '{text}'"])
    return found


def _tell(fault: str) -> None:
    print(f"  {fault}", file=sys.stderr)
