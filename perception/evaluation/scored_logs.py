"""The scores of logs, collected into one report."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from perception.evaluation.ablation.sensor_subsets import subset_name
from perception.evaluation.evaluate_options import EvaluateOptions
from perception.evaluation.frame_contents import FrameContents
from perception.evaluation.intervals import with_intervals
from perception.evaluation.log_record import LogRecord
from perception.evaluation.metric_sink import MetricSink, Suites
from perception.evaluation.metrics import ControlErrors, Latency, Result, Rules, Suite
from perception.evaluation.metrics.latency import TOTAL
from perception.evaluation.plot_series import figures
from perception.evaluation.report.drawing_schema import MomentReport, moment_report
from perception.evaluation.report.schema import EvaluationReport, LogReport
from perception.evaluation.report.value_schema import SliceReport, by_head, rules_report
from perception.evaluation.resampling import Resampler, Resampling, Scored
from perception.evaluation.score_warnings import (
    MissingTruth,
    foreign_words,
    incomplete_words,
    with_missing_truth,
)
from perception.evaluation.scored_source import ScoredSource
from perception.evaluation.slices.frame_conditions import FrameConditions
from perception.evaluation.slices.slice_comparison import slices
from perception.evaluation.worst_frames import Moment, best_cut
from perception.pipeline.replay_summary import RunStatus
from perception.sinks import RunInfo


class _ScoredLog(NamedTuple):
    """A scored log: its entry in the report, and the data that the report is computed from."""

    report: LogReport
    record: LogRecord
    contents: FrameContents
    conditions: FrameConditions | None


class ScoredLogs:
    """The scores of logs with one set of metrics, and their report.

    Args:
        options: How to evaluate; those of scoring are used.
        command: Returns the command that replays a moment.
    """

    def __init__(
        self, options: EvaluateOptions | None = None, command: Callable[[Moment], str] = lambda moment: ""
    ) -> None:
        self.options = options or EvaluateOptions()
        self._subsets = self.options.ablate in ("sensors", "each")
        self._command = command
        self._began = time.monotonic()
        self._suites = Suites(self.options.rules, self.options.guests or (lambda rules: []))
        self._latency = Latency(self.options.rules, self.options.rate_hz)
        self._logs: list[_ScoredLog] = []
        self._warnings: list[dict[str, Any]] = []
        self._missing = MissingTruth()
        self._run: dict[str, str] = {}
        self._workers = 0  # frames that were computed at a time; 0: one, or unknown
        self._status: RunStatus = "clean"

    def sink(
        self,
        source: ScoredSource,
        latency: Latency | None = None,
        publish: Callable[..., None] | None = None,
    ) -> MetricSink:
        """Return a sink that scores the outputs of a recording; pass it to `add` afterwards."""
        record, contents = LogRecord(source.name, source.start_ns), FrameContents(source.camera)
        return MetricSink(self._suites.of, latency, publish, record, contents)

    def add(
        self,
        source: ScoredSource,
        scorer: MetricSink,
        frames: int,
        run: Mapping[str, str] | None = None,
        outputs: str | None = None,
        account: dict[str, Any] | None = None,
    ) -> None:
        """Add a log whose outputs a sink of this evaluation has scored.

        Args:
            scorer: The sink that `sink` returned.
            frames: The number of outputs.
            run: The metadata of what made the outputs; None: as the sink was opened.
            outputs: The file of the outputs, if they were stored.
            account: The summary of their replay, if there was one.
        """
        assert scorer.record is not None
        assert scorer.contents is not None
        conditions = None
        if self.options.slices:
            images = "light" in self.options.slices
            conditions = source.conditions(scorer.record.stamps_ns, images)
        report = LogReport(log=source.name, outputs=outputs, frames=frames, replay=account)
        copied = [scored.report.log for scored in self._logs if scorer.record.repeats(scored.record)]
        if copied:
            text = f"its frames and their scores are those of {copied[0]}: a copy counts twice; name it once"
            self.warn("copy", text, source.name)
        self._logs.append(_ScoredLog(report, scorer.record, scorer.contents, conditions))
        self._run = self._run or dict(scorer.run.to_metadata() if run is None else run)
        self._run.pop("config", None)
        self._missing.merge(scorer.missing)
        if text := foreign_words(scorer.run.classes, scorer.true_labels - {*source.incomplete}):
            self.warn("class_words", text, source.name)
        if text := incomplete_words(source.incomplete, scorer.run.classes):
            self.warn("incomplete_classes", text, source.name)

    def warn(self, code: str, text: str, log: str, count: int = 1) -> None:
        """Add a warning about a log to the report."""
        self._warnings.append({"code": code, "text": text, "count": count, "log": log})

    def rules_of(self, run: RunInfo) -> Rules:
        """Return the rules, with the classes and family of the first run, or of this one."""
        return self._suites.of(run).rules

    @property
    def suite(self) -> Suite:
        """Return the metrics over all logs so far."""
        return self._suites.of_all

    @property
    def records(self) -> list[LogRecord]:
        """Return the record of each log so far."""
        return [scored.record for scored in self._logs]

    @property
    def scored(self) -> Scored:
        """Return the metrics and records for resampling."""
        return Scored(self.suite, self.records)

    def report(self) -> EvaluationReport:
        """Return the report over all logs so far."""
        *results, joint = self.suite.compute()
        timing = [] if self._subsets else [self._timing()]
        heads = by_head([*results, *timing, joint])
        resampler, cut = None, best_cut(results)
        if self.options.resampling is not None and self._logs:
            resampler = Resampler([self.scored], self.options.resampling)
            heads = with_intervals(heads, self.scored, resampler)
        ablation = None
        if self._subsets:
            ablation = {subset_name(s): by_head(suite.compute()) for s, suite in self._suites.subsets.items()}
        return EvaluationReport(
            status=self._status,
            rules=rules_report(self._suites.rules),
            logs=[scored.report for scored in self._logs],
            heads=heads,
            resampling=resampler.report() if resampler is not None else None,
            ablation=ablation,
            slices=self._slices(resampler, cut) if self.options.slices and self._logs else [],
            figures=figures(self.suite, self.records, cut) if self._logs else None,
            moments=self._moments(),
            run=self._run,
            warnings=with_missing_truth(self._warnings, [*results, joint], self._missing),
            faults=self.suite.errors,
            seconds=round(time.monotonic() - self._began, 3),
        )

    def _timing(self) -> Result:
        """Return the durations, with what was timed among the details."""
        result, run = self._latency.compute(), self._run
        stages = ", ".join(stage for stage in self._latency.stages if stage != TOTAL)
        names = [run.get(key, "") for key in ("plugin", "backend", "precision", "device")]
        timed = f"{stages} of each frame: {' '.join(filter(None, names))}, batch {run.get('batch', 1)}"
        if self._workers:
            timed += f", as soon as possible, {self._workers} at a time"
        return replace(result, details={**result.details, "timed": timed if stages else "nothing"})

    def _moments(self) -> list[MomentReport]:
        count = self.options.moments
        worst = [(moment, log.contents) for log in self._logs for moment in log.record.worst(count)]
        worst.sort(key=lambda pair: -pair[0].error)
        return [
            moment_report(moment, self._command(moment), contents.at(moment.log_time_ns, moment.stamp_ns))
            for moment, contents in worst[:count]
        ]

    def _slices(self, resampler: Resampler | None, cut: float) -> list[SliceReport]:
        units = next((m.units for m in self.suite.metrics if isinstance(m, ControlErrors)), {})
        return slices(
            resampler or Resampler([self.scored], Resampling()),
            self.records,
            [scored.conditions for scored in self._logs if scored.conditions is not None],
            self.options.slices,
            cut,
            units,
            self._suites.rules.min_support,
        )
