"""The fault ablation: the scores of each head under each injected fault, with one replay per fault."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from perception.config import Config
from perception.errors import ConfigError
from perception.evaluation.ablation.memoised_plugin import MemoisedPlugin
from perception.evaluation.head_scores import SCORES, Scores, frames_of, scores_of
from perception.evaluation.metric_sink import MetricSink
from perception.evaluation.metrics import Rules, Suite
from perception.evaluation.report.schema import EvaluationReport
from perception.evaluation.report.stress_schema import (
    FaultCurveReport,
    FaultPointReport,
    FaultsReport,
    WorstFaultReport,
)
from perception.evaluation.report.value_schema import by_head
from perception.logs import Log
from perception.pipeline import Observer, ReplayOptions, Span, replay
from perception.pipeline.faults import KINDS, fault_names, parse_plan
from perception.sinks import RunInfo

SEVERITIES = (0.2, 0.5, 0.8)


def parse_fault_names(text: str | None) -> tuple[str, ...]:
    """Return the faults of a comma-separated list; a sensor's name selects all its faults, None selects all.

    Raises:
        ConfigError: A name is unknown; the error names the nearest.
    """
    if text is None:
        return tuple(fault_names())
    names: list[str] = []
    for word in filter(None, (part.strip() for part in text.split(","))):
        if word in KINDS:
            names += [f"{word}.{kind}" for kind in KINDS[word]]
        else:
            names += [fault.name for fault in parse_plan([f"{word}=1"], "--faults").faults]
    if not names:
        raise ConfigError(["--faults: expected names such as camera.blackout,range; found none"])
    return tuple(dict.fromkeys(names))


def parse_severities(text: str) -> tuple[float, ...]:
    """Return the severities of a comma-separated list.

    Raises:
        ConfigError: A severity is not a number above 0 and at most 1, or is repeated.
    """
    try:
        severities = tuple(float(part) for part in text.split(","))
    except ValueError:
        severities = ()
    good = all(0 < severity <= 1 for severity in severities)
    if not severities or not good or len(set(severities)) != len(severities):
        raise ConfigError([f"--severities: expected different numbers above 0 up to 1, found '{text}'"])
    return severities


class FaultAblation:
    """A fault ablation: replays each log once per fault and severity, and scores each replay.

    Args:
        rules: Returns the rules of the clean evaluation, once its run has begun.
        faults: Names as `sensor.kind`; empty: all.
        severities: From 0 to 1.
        seed: The seed of all faults.
        options: How to replay.
    """

    def __init__(
        self,
        rules: Callable[[RunInfo], Rules],
        faults: Sequence[str],
        severities: Sequence[float] = SEVERITIES,
        seed: int = 0,
        options: ReplayOptions | None = None,
    ) -> None:
        self._rules = rules
        self.faults = tuple(faults) or tuple(fault_names())
        self.severities = tuple(sorted(severities))
        self.seed = seed
        self._options = options or ReplayOptions()
        self._suites: dict[tuple[str, float], Suite] = {}
        self._seconds = 0.0
        self._replays = self._asked = self._recalled = 0

    def run(
        self,
        log: Log,
        config: Config,
        plugin: MemoisedPlugin,
        observer: Observer | None = None,
        progress: Callable[[str], None] = lambda fault: None,
        span: Span | None = None,
    ) -> bool:
        """Replay a log once for each fault and severity. False: interrupted; scores so far are kept.

        Args:
            plugin: The one that the clean replay of this log ran through: what it predicted there of samples
                that a fault leaves alone is not computed again.
            progress: Called with each fault before its replay.
            span: The part of this log; None: that of the options.
        """
        given = self._options
        options = replace(given, observer=observer or given.observer, span=span or given.span)
        began, asked, recalled = time.monotonic(), plugin.asked, plugin.recalled
        try:
            for name in self.faults:
                if name.partition(".")[0] not in config.sensors.kinds:
                    continue
                for severity in self.severities:
                    progress(f"{name}={severity:g}")
                    if not self._one(log, config, plugin, name, severity, options):
                        return False
        finally:
            self._seconds += time.monotonic() - began
            self._asked += plugin.asked - asked
            self._recalled += plugin.recalled - recalled
        return True

    def _one(
        self,
        log: Log,
        config: Config,
        plugin: MemoisedPlugin,
        name: str,
        severity: float,
        options: ReplayOptions,
    ) -> bool:
        own = [
            str(f) for f in parse_plan(config.faults, sensors=config.sensor_kinds()).faults if f.name != name
        ]
        faulted = config.model_copy(update={"faults": (*own, f"{name}={severity!r},seed={self.seed}")})
        sink = MetricSink(lambda run: self._suite(run, name, severity))
        summary = replay(log, faulted, plugin, [sink], options)
        self._replays += 1
        return summary.status != "interrupted"

    def _suite(self, run: RunInfo, name: str, severity: float) -> Suite:
        return self._suites.setdefault((name, severity), Suite(self._rules(run)))

    def report(self, clean: EvaluationReport) -> FaultsReport:
        """Return the score curve of each fault, relative to the clean evaluation of the same logs."""
        sound, frames = scores_of(clean.heads), frames_of(clean.heads)
        curves = []
        for name in self.faults:
            points = [
                _point(severity, self._suites[name, severity], sound, frames)
                for severity in self.severities
                if (name, severity) in self._suites
            ]
            if points:
                sensor, _, kind = name.partition(".")
                meaning = KINDS[sensor][kind]
                curves.append(
                    FaultCurveReport(fault=name, sensor=sensor, kind=kind, meaning=meaning, points=points)
                )
        return FaultsReport(
            clean=sound,
            severities=list(self.severities),
            seed=self.seed,
            curves=curves,
            worst={head: worst for head in SCORES if (worst := _worst(head, curves)) is not None},
            replays=self._replays,
            asked=self._asked,
            recalled=self._recalled,
            seconds=round(self._seconds, 3),
        )


def _point(severity: float, suite: Suite, clean: Scores, frames: Mapping[str, int]) -> FaultPointReport:
    scores = scores_of(by_head(suite.compute()), frames)
    kept: Scores = {}
    for head, before in clean.items():
        after = scores[head]
        # A score that a fault leaves without data counts as 0.
        kept[head] = None if not before else (after or 0.0) / before
    return FaultPointReport(severity=severity, scores=scores, kept=kept)


def _worst(head: str, curves: Sequence[FaultCurveReport]) -> WorstFaultReport | None:
    """Return the fault with the lowest relative score of a head, averaged over the severities."""
    means = []
    for curve in curves:
        kept = [left for point in curve.points if (left := point.kept[head]) is not None]
        if kept:
            means.append((sum(kept) / len(kept), curve.fault))
    if not means:
        return None
    mean, fault = min(means)
    return WorstFaultReport(fault=fault, kept=mean)
