"""One evaluation: logs go in, replayed or with stored outputs; one report comes out."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from perception.config import Config
from perception.evaluation.ablation.sensor_subsets import SubsetSink, SubsetsPlugin, subset_name
from perception.evaluation.evaluate_options import EvaluateOptions
from perception.evaluation.frame_contents import FrameContents
from perception.evaluation.intervals import with_intervals
from perception.evaluation.log_record import LogRecord
from perception.evaluation.metric_sink import MetricSink, Suites, record_times
from perception.evaluation.metrics import ControlErrors, Latency, Result, Rules, Suite
from perception.evaluation.plot_series import figures
from perception.evaluation.report.schema import (
    EvaluationReport,
    LogReport,
    SceneReport,
    SliceReport,
    by_head,
    moment_reports,
    rules_report,
)
from perception.evaluation.resampling import Resampler, Resampling, Scored
from perception.evaluation.score_warnings import foreign_words, other_log, without_truth
from perception.evaluation.slices.frame_conditions import FrameConditions, frame_conditions
from perception.evaluation.slices.slice_comparison import slices
from perception.evaluation.stored_outputs import stored_pairs, stored_times
from perception.evaluation.worst_frames import CUT, FrameErrors, Moment, worst_of
from perception.logs import Log
from perception.pipeline import EXIT_CODES, Observer, Summary, replay
from perception.pipeline.summary import Status
from perception.plugin import Plugin
from perception.sinks import McapSink, Sink
from perception.sinks.base import RunInfo
from perception.sinks.stored import read_run

_WORST: tuple[Status, ...] = ("clean", "loss", "failed", "interrupted")


class Evaluation:
    """Collects logs into one set of metrics.

    Args:
        options: How.
        command: Gives the command that replays a moment of a log.
    """

    def __init__(
        self, options: EvaluateOptions | None = None, command: Callable[[Moment], str] = lambda moment: ""
    ) -> None:
        self.options = options or EvaluateOptions()
        self._command = command
        self._began = time.monotonic()
        self._suites = Suites(self.options.rules, self.options.guests)
        self._latency = Latency(self.options.rules, self.options.rate_hz)
        self._moments: list[FrameErrors] = []
        self._scenes: list[FrameContents | None] = []
        self.records: list[LogRecord] = []
        self._around: list[FrameConditions] = []
        self._logs: list[LogReport] = []
        self._warnings: list[dict[str, Any]] = []
        self._run: dict[str, str] = {}
        self._status: Status = "clean"

    def replay(
        self,
        log: Log,
        config: Config,
        load: Callable[[], Plugin],
        output: str | Path | None = None,
        observer: Observer | None = None,
        beside: Sequence[Sink] = (),
    ) -> Summary:
        """Replay a log once through a plugin and score what it says.

        Args:
            log: Open.
            config: Complete, as `autoconfig.choose` leaves it.
            load: Makes the plugin, not opened.
            output: Keep the outputs in this file, with the errors of each frame beside them.
            observer: Watches the run.
            beside: More sinks for the outputs.

        Raises:
            PerceptionError: The plugin cannot be opened, or the output cannot be written.
        """
        sinks: list[Sink] = [*beside]
        publish = None
        if output is not None:
            kept = McapSink(output)
            sinks.append(kept)
            publish = kept.add_values
        moments = FrameErrors(str(log.path), log.survey.start_ns or 0)
        latency = None if self.options.ablate else self._latency
        record = LogRecord(str(log.path), log.survey.start_ns or 0)
        scenes = _scenes_of(config)
        scorer = MetricSink(self._suites.of, latency, moments, publish, record, scenes)
        plugin: Plugin
        if self.options.ablate:
            plugin = wrapped = SubsetsPlugin(load)
            sinks += [scorer, SubsetSink(wrapped, self._suites.of_subset)]
        else:
            plugin = load()
            sinks.append(scorer)
        options = replace(self.options.replay, observer=observer)
        summary = replay(log, config, plugin, sinks, options)
        self._take(log, None, summary.frames, summary, moments, record, scenes)
        self._look_around(log, config, record)
        self._run = self._run or dict(summary.run)
        self._warn_of_words(log, scorer)
        return summary

    def listener(self, log: Log) -> tuple[MetricSink, Callable[[Config, int], None]]:
        """A sink that scores outputs of a log which somebody else replays, and what to call when that is done
        with the configuration and the number of frames."""
        name, start_ns = str(log.path), log.survey.start_ns or 0
        record, moments = LogRecord(name, start_ns), FrameErrors(name, start_ns)
        sink = MetricSink(self._suites.of, None, moments, record=record)

        def done(config: Config, frames: int) -> None:
            self._take(log, None, frames, None, moments, record)
            self._look_around(log, config, record)
            self._run = self._run or sink.run.to_metadata()
            self._run.pop("config", None)
            self._warn_of_words(log, sink)

        return sink, done

    def score(self, stored: Log, log: Log, config: Config) -> None:
        """Score the outputs that a replay stored, without replaying.

        Args:
            stored: The output log, open.
            log: The log it was made from, open; holds the truth.
            config: Names the truth and rig topics of `log`.

        Raises:
            LogError: The stored log holds no outputs, or is damaged where it says what it holds.
        """
        run = read_run(stored)
        if text := other_log(run, log):
            self.warn("other_log", text, log)
        moments, frames = FrameErrors(str(log.path), log.survey.start_ns or 0), 0
        record = LogRecord(str(log.path), log.survey.start_ns or 0)
        scenes = _scenes_of(config)
        scorer = MetricSink(self._suites.of, None, moments, record=record, scenes=scenes)
        scorer.open(run or RunInfo())
        for output, truth in stored_pairs(stored, log, config):
            scorer.score(output, truth)
            frames += 1
        for stages_ms in stored_times(stored):
            record_times(self._latency, stages_ms)
        self._take(log, str(stored.path), frames, None, moments, record, scenes)
        self._look_around(log, config, record)
        self._run = self._run or (run.to_metadata() if run is not None else {})
        self._run.pop("config", None)
        self._warn_of_words(log, scorer)

    def warn(self, code: str, text: str, log: Log, count: int = 1) -> None:
        """Note something that a reader of the report should know."""
        self._warnings.append({"code": code, "text": text, "count": count, "log": str(log.path)})

    def rules_of(self, run: RunInfo) -> Rules:
        """The rules of this evaluation: under the words and the family of the first run, else of this one."""
        return self._suites.of(run).rules

    @property
    def suite(self) -> Suite:
        """The metrics over all logs so far."""
        return self._suites.whole

    @property
    def scored(self) -> Scored:
        """What can be drawn again."""
        return Scored(self.suite, self.records)

    def report(self) -> EvaluationReport:
        """All that was found so far."""
        suite = self.suite
        results = suite.compute()
        warnings = [*self._warnings, *without_truth(results)]
        joint = results.pop()
        timing = [] if self.options.ablate else [self._latency.compute()]
        worst = worst_of(self._moments, self.options.moments)
        ablation = None
        if self.options.ablate:
            ablation = {subset_name(s): by_head(suite.compute()) for s, suite in self._suites.subsets.items()}
        heads = by_head([*results, *timing, joint])
        resampler = None
        if self.options.resampling is not None and self.records:
            resampler = Resampler([self.scored], self.options.resampling)
            heads = with_intervals(heads, self.scored, resampler)
        compared = self._slices(resampler, _cut(results)) if self.options.slices and self.records else []
        return EvaluationReport(
            status=self._status,
            exit_code=EXIT_CODES[self._status],
            rules=rules_report(self._suites.rules),
            logs=self._logs,
            heads=heads,
            resampling=resampler.report() if resampler is not None else None,
            ablation=ablation,
            slices=compared,
            figures=figures(suite, self.records, _cut(results)) if self.records else None,
            moments=moment_reports(
                (moment for moment, _ in worst),
                {moment: self._command(moment) for moment, _ in worst},
                {moment: self._scene(moment, number) for moment, number in worst},
            ),
            run=self._run,
            warnings=warnings,
            faults=suite.errors,
            seconds=round(time.monotonic() - self._began, 3),
        )

    def _scene(self, moment: Moment, log: int) -> SceneReport | None:
        """What was to be seen at a moment of the log of that number."""
        scenes = self._scenes[log]
        return None if scenes is None else scenes.at(moment.log_time_ns, moment.stamp_ns)

    def _look_around(self, log: Log, config: Config, record: LogRecord) -> None:
        if self.options.slices:
            images = "light" in self.options.slices
            self._around.append(frame_conditions(log, config, record.stamps_ns, images))

    def _slices(self, resampler: Resampler | None, cut: float) -> list[SliceReport]:
        suite = self.suite
        units = next((m.units for m in suite.metrics if isinstance(m, ControlErrors)), {})
        return slices(
            resampler or Resampler([self.scored], Resampling()),
            self.records,
            self._around,
            self.options.slices,
            cut,
            units,
            self._suites.rules.min_support,
        )

    def _take(
        self,
        log: Log,
        outputs: str | None,
        frames: int,
        summary: Summary | None,
        moments: FrameErrors,
        record: LogRecord,
        scenes: FrameContents | None = None,
    ) -> None:
        self._scenes.append(scenes)
        self.records.append(record)
        account = None if summary is None else summary.to_json("replay")
        self._logs.append(LogReport(log=str(log.path), outputs=outputs, frames=frames, replay=account))
        self._moments.append(moments)
        if summary is not None:
            self._status = max(self._status, summary.status, key=_WORST.index)
            for warned in summary.warnings:
                self.warn(warned.code, warned.text, log, warned.count)

    def _warn_of_words(self, log: Log, scorer: MetricSink) -> None:
        if text := foreign_words(scorer.run.classes, scorer.true_labels):
            self.warn("class_words", text, log)


def _scenes_of(config: Config) -> FrameContents:
    camera = config.sensors.camera
    return FrameContents(camera.topic if camera is not None else "")


def _cut(results: Sequence[Result]) -> float:
    """The score from which detections count."""
    found = next((r.values["F1_score"].value for r in results if "F1_score" in r.values), None)
    return CUT if found is None else found
