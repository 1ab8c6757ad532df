"""The paired evaluation of two sides on the same logs."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from perception.autoconfig import Overrides
from perception.config import Config
from perception.evaluation.comparison.compared_values import compared, joint_parts
from perception.evaluation.comparison.comparison_report import CompareReport, SideReport
from perception.evaluation.comparison.largest_differences import most_apart
from perception.evaluation.comparison.paired_plugins import PairPlugin, PairSink
from perception.evaluation.evaluate_options import EvaluateOptions
from perception.evaluation.evaluation import Evaluation
from perception.evaluation.report.schema import EvaluationReport
from perception.evaluation.resampling import Resampler, Scored
from perception.evaluation.scored_source import source_of
from perception.evaluation.worst_frames import Moment
from perception.logs import Log
from perception.logs.joined_path import named_log
from perception.pipeline import Observer, Span, replay
from perception.pipeline.log_source import WHOLE
from perception.pipeline.replay_summary import RunStatus
from perception.plugin import Plugin
from perception.sinks import Sink
from perception.types.status import worst


@dataclass(frozen=True, slots=True)
class Side:
    """One side of a comparison.

    Attributes:
        name: The name given by the user.
        kind: A `checkpoint` for the configured plugin, a `plugin` with its own weights, or `stored` outputs.
        load: Returns the plugin, not opened; None for stored outputs.
        checkpoint: Its weights; None: as configured.
        configured: Whether it is the plugin that the configuration names, with its options.
        precision: The numbers it computes in; None: as configured.
        plugin: The name of the plugin; empty: the configured one.
    """

    name: str
    kind: Literal["checkpoint", "plugin", "stored"]
    load: Callable[[], Plugin] | None = None
    checkpoint: Path | None = None
    configured: bool = True
    precision: str | None = None
    plugin: str = ""

    def overrides(self, given: Overrides) -> Overrides:
        """Return what replaces the values of a configuration where this side runs alone.

        Args:
            given: What replaces them for both sides.
        """
        own = given if self.configured else replace(given, plugin=self.plugin, checkpoint=None, options={})
        return own if self.checkpoint is None else replace(own, checkpoint=self.checkpoint)


class PairedEvaluation:
    """A paired evaluation of two sides, log by log.

    Args:
        sides: A and B.
        options: How to evaluate; without ablation. Its `resampling` None: values without verdicts.
        command: Returns the command that replays a moment for A (0) or B (1).
    """

    def __init__(
        self,
        sides: tuple[Side, Side],
        options: EvaluateOptions,
        command: Callable[[Moment, int], str] = lambda moment, side: "",
    ) -> None:
        self.sides = sides
        self.options = replace(options, ablate=None, slices=())
        self._command = command
        self._began = time.monotonic()
        plain = replace(self.options, resampling=None)
        self.evaluations = (Evaluation(plain), Evaluation(plain))
        self._logs: list[str] = []
        self._errors = [0, 0]
        self._shared = 0
        self._status: RunStatus = "clean"
        self._warnings: list[dict[str, Any]] = []

    def add(
        self,
        log: Log,
        config: Config,
        stored: tuple[Log | None, Log | None] = (None, None),
        observer: Observer | None = None,
        span: Span = WHOLE,
        configs: tuple[Config, Config] | None = None,
    ) -> bool:
        """Evaluate both sides on one log. Return False if it was interrupted.

        Args:
            log: The log, open; it is read once.
            config: A complete configuration, by which it is read.
            stored: The stored outputs of a side of that kind.
            observer: Watches the replay.
            span: The part of the log.
            configs: The configuration that each side has where it runs alone; None: that with its plugin.

        Raises:
            PerceptionError: A plugin cannot be opened, or a stored log holds no outputs.
        """
        live = [number for number, side in enumerate(self.sides) if side.load is not None]
        status: RunStatus = "clean"
        if len(live) == 2:
            status = self._replay_both(log, config, observer, span, configs)
        elif live:
            one = live[0]
            own = self.sides[one].overrides(Overrides()).apply(config) if configs is None else configs[one]
            status = self._replay_one(one, log, own, observer, span)
        for number, outputs in enumerate(stored):
            if outputs is not None:
                self.evaluations[number].score(outputs, log, config, span)
        self._logs.append(named_log(log.path))
        return status != "interrupted"

    def _replay_both(
        self,
        log: Log,
        config: Config,
        observer: Observer | None,
        span: Span,
        configs: tuple[Config, Config] | None,
    ) -> RunStatus:
        a, b = self.sides
        assert a.load is not None
        assert b.load is not None
        checkpoints, configured = (a.checkpoint, b.checkpoint), (a.configured, b.configured)
        limits_m = (None, None) if configs is None else (_limit_m(configs[0]), _limit_m(configs[1]))
        pair = PairPlugin(a.load(), b.load(), checkpoints, configured, (a.precision, b.precision), limits_m)
        scorers = [evaluation.sink(source_of(log, config)) for evaluation in self.evaluations]
        sinks: list[Sink] = [scorers[0], PairSink(pair, scorers[1], config.control_camera)]
        given = self.options.replay
        options = replace(given, observer=observer or given.observer, span=span)
        summary = replay(log, config, pair, sinks, options)
        for evaluation, scorer in zip(self.evaluations, scorers, strict=True):
            evaluation.add(source_of(log, config), scorer, summary.frames)
        for number, side in enumerate(self.sides):
            errors = [text for text, failing in pair.errors if failing == number]
            self._errors[number] += len(errors)
            if errors:
                text = f"{side.name} failed in {len(errors)} frames, first: {errors[0]}"
                self.warn("plugin_error", text, log)
        self._shared += pair.shared
        self._add_status("loss" if pair.errors and summary.status == "clean" else summary.status)
        return summary.status

    def _replay_one(
        self, number: int, log: Log, config: Config, observer: Observer | None, span: Span
    ) -> RunStatus:
        side = self.sides[number]
        assert side.load is not None
        summary = self.evaluations[number].replay(log, config, side.load, observer=observer, span=span)
        self._add_status(summary.status)
        return summary.status

    def _add_status(self, status: RunStatus) -> None:
        self._status = worst(self._status, status)

    def warn(self, code: str, text: str, log: Log | None = None) -> None:
        """Add a warning to the report."""
        self._warnings.append(
            {"code": code, "text": text, "count": 1, "log": "" if log is None else named_log(log.path)}
        )

    def report(self, largest: int = 10) -> CompareReport:
        """Return the report, with the given number of moments in which the two sides differ most."""
        reports = [evaluation.report() for evaluation in self.evaluations]
        scored = [evaluation.scored for evaluation in self.evaluations]
        resampler = None
        if self.options.resampling is not None and self._logs:
            resampler = Resampler(scored, self.options.resampling)
        sides = [self._side_report(number, report) for number, report in enumerate(reports)]
        self._warn_of_unlike(sides, scored)
        drawn = [None, None] if resampler is None else [resampler.redrawn(side) for side in scored]
        warnings = [warning for report in reports for warning in report.warnings]
        warnings = [warning for place, warning in enumerate(warnings) if warning not in warnings[:place]]
        return CompareReport(
            status=self._status,
            logs=self._logs,
            a=sides[0],
            b=sides[1],
            metrics=compared(sides, drawn, resampler),
            apart=most_apart(scored[0].records, scored[1].records, largest, self._command),
            resampling=None if resampler is None else resampler.report(),
            prepared_once=self._shared,
            warnings=[*warnings, *self._warnings],
            seconds=round(time.monotonic() - self._began, 3),
        )

    def _warn_of_unlike(self, sides: Sequence[SideReport], scored: Sequence[Scored]) -> None:
        """Warn of sides whose values are not of the same moments, or whose joint score is of other parts."""
        pairs = zip(*(side.records for side in scored), strict=True)
        alone = sum(len(np.setxor1d(a.stamps_ns, b.stamps_ns)) for a, b in pairs)
        if alone or sides[0].frames != sides[1].frames:
            text = (
                f"A answered {sides[0].frames} frames, B {sides[1].frames}; {alone} moments were answered by "
                "one of them alone, so the values are not of the same moments"
            )
            self.warn("other_frames", text)
        parts = [", ".join(joint_parts(side)) or "nothing" for side in sides]
        if parts[0] != parts[1]:
            text = f"the joint score of A is of {parts[0]}, that of B of {parts[1]}: they are not compared"
            self.warn("other_parts", text)

    def _side_report(self, number: int, report: EvaluationReport) -> SideReport:
        side = self.sides[number]
        return SideReport(
            name=side.name,
            kind=side.kind,
            frames=sum(len(record.frames) for record in self.evaluations[number].records),
            invalid=self._errors[number],
            run=report.run,
            heads={head: metrics for head, metrics in report.heads.items() if head != "timing"},
        )


def _limit_m(config: Config) -> float | None:
    """Return how far a plugin of this configuration uses returns; None: it has no range sensor."""
    return max((section.max_range_m for section in config.sensors.ranges.values()), default=None)
