"""One evaluation: logs go in, replayed or with stored outputs; one report comes out."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from perception.config import Config
from perception.evaluation.figures import figures
from perception.evaluation.intervals import with_intervals
from perception.evaluation.moments import CUT, Moment, Moments
from perception.evaluation.record import LogRecord
from perception.evaluation.report import (
    LogReport,
    Report,
    SceneReport,
    SliceReport,
    by_head,
    moment_reports,
    rules_report,
)
from perception.evaluation.resampling import Resampler, Resampling, Scored
from perception.evaluation.scenes import Scenes
from perception.evaluation.sink import MetricSink, record_times
from perception.evaluation.slices import slices
from perception.evaluation.stored import stored_pairs, stored_times
from perception.evaluation.subsets import Subset, SubsetSink, SubsetsPlugin, subset_name
from perception.evaluation.surroundings import Surroundings, surroundings
from perception.logs import Log
from perception.metrics import ControlErrors, Latency, Metric, Result, Rules, Suite
from perception.metrics.marks import Marks
from perception.pipeline import EXIT_CODES, Observer, ReplayOptions, Summary, replay
from perception.pipeline.summary import Status
from perception.plugin import Plugin
from perception.sinks import McapSink, Sink
from perception.sinks.base import RunInfo
from perception.sinks.stored import read_run

_WORST: tuple[Status, ...] = ("clean", "loss", "failed", "interrupted")


@dataclass(frozen=True, slots=True)
class EvaluateOptions:
    """How to evaluate.

    Attributes:
        rules: The ground rules. `family` and `classes` are those of the run where it says so.
        rate_hz: The rate at which a frame has its deadline.
        ablate: Score every subset of the sensors too.
        moments: How many of the worst moments to name.
        guests: Makes the metrics of other packages.
        replay: How to replay.
        resampling: How intervals are drawn; None: values without intervals.
        slices: Which parts of the data are held against the rest, as `slices.chosen_slices` gives them.
    """

    rules: Rules = field(default_factory=Rules)
    rate_hz: float = 10.0
    ablate: bool = False
    moments: int = 10
    guests: Callable[[Rules], list[Metric]] = lambda rules: []
    replay: ReplayOptions = field(default_factory=ReplayOptions)
    resampling: Resampling | None = None
    slices: tuple[str, ...] = ()


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
        self._rules = self.options.rules
        self._suite: Suite | None = None
        self._subsets: dict[Subset, Suite] = {}
        self._latency = Latency(self._rules, self.options.rate_hz)
        self._moments: list[Moments] = []
        self._scenes: list[Scenes | None] = []
        self.records: list[LogRecord] = []
        self.marks = Marks()
        self._around: list[Surroundings] = []
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
        moments = Moments(str(log.path), log.survey.start_ns or 0)
        latency = None if self.options.ablate else self._latency
        record = LogRecord(str(log.path), log.survey.start_ns or 0)
        scenes = _scenes_of(config)
        scorer = MetricSink(self._suite_of, latency, moments, publish, record, scenes)
        plugin: Plugin
        if self.options.ablate:
            plugin = wrapped = SubsetsPlugin(load)
            sinks += [scorer, SubsetSink(wrapped, self._subset_suite)]
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
        record, moments = LogRecord(name, start_ns), Moments(name, start_ns)
        sink = MetricSink(self._suite_of, None, moments, record=record)

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
        self._check_origin(run, log)
        moments, frames = Moments(str(log.path), log.survey.start_ns or 0), 0
        record = LogRecord(str(log.path), log.survey.start_ns or 0)
        scenes = _scenes_of(config)
        scorer = MetricSink(self._suite_of, None, moments, record=record, scenes=scenes)
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
        return self._suite_of(run).rules

    @property
    def suite(self) -> Suite:
        """The metrics over all logs so far."""
        return self._suite if self._suite is not None else Suite(self._rules)

    @property
    def scored(self) -> Scored:
        """What can be drawn again."""
        return Scored(self.suite, self.marks, self.records)

    def report(self) -> Report:
        """All that was found so far."""
        suite = self.suite
        results = suite.compute()
        warnings = [*self._warnings, *_without_truth(results)]
        joint = results.pop()
        timing = [] if self.options.ablate else [self._latency.compute()]
        worst = sorted(
            (
                (moment, number)
                for number, log in enumerate(self._moments)
                for moment in log.worst(self.options.moments)
            ),
            key=lambda pair: -pair[0].error,
        )[: self.options.moments]
        ablation = None
        if self.options.ablate:
            ablation = {subset_name(s): by_head(suite.compute()) for s, suite in self._subsets.items()}
        heads = by_head([*results, *timing, joint])
        resampler = None
        if self.options.resampling is not None and self.records:
            resampler = Resampler([self.scored], self.options.resampling)
            heads = with_intervals(heads, self.scored, resampler)
        compared = self._slices(resampler, _cut(results)) if self.options.slices and self.records else []
        return Report(
            status=self._status,
            exit_code=EXIT_CODES[self._status],
            rules=rules_report(self._rules),
            logs=self._logs,
            heads=heads,
            resampling=resampler.report() if resampler is not None else None,
            ablation=ablation,
            slices=compared,
            figures=figures(suite, self.marks, self.records, _cut(results)) if self.records else None,
            moments=moment_reports(
                (moment for moment, _ in worst),
                {moment: self._command(moment) for moment, _ in worst},
                {moment: self._scene(moment, number) for moment, number in worst},
            ),
            run=self._run,
            warnings=warnings,
            faults=suite.faults,
            seconds=round(time.monotonic() - self._began, 3),
        )

    def _scene(self, moment: Moment, log: int) -> SceneReport | None:
        """What was to be seen at a moment of the log of that number."""
        scenes = self._scenes[log]
        return None if scenes is None else scenes.at(moment.log_time_ns, moment.stamp_ns)

    def _look_around(self, log: Log, config: Config, record: LogRecord) -> None:
        if self.options.slices:
            images = "light" in self.options.slices
            self._around.append(surroundings(log, config, record.stamps_ns, images))

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
            self._rules.min_support,
        )

    def _suite_of(self, run: RunInfo) -> Suite:
        """The one suite, made under the words and the family of the first run."""
        if self._suite is None:
            family = run.extra.get("loss_family", "")
            self._rules = replace(
                self._rules,
                classes=self._rules.classes or run.classes,
                family="gaussian" if family == "gaussian" else self._rules.family,
            )
            self._suite = Suite(self._rules, guests=self.options.guests(self._rules))
        return self._suite

    def _subset_suite(self, run: RunInfo, subset: Subset) -> Suite:
        rules = self._suite_of(run).rules
        return self._subsets.setdefault(subset, Suite(rules, guests=self.options.guests(rules)))

    def _take(
        self,
        log: Log,
        outputs: str | None,
        frames: int,
        summary: Summary | None,
        moments: Moments,
        record: LogRecord,
        scenes: Scenes | None = None,
    ) -> None:
        self._scenes.append(scenes)
        self.records.append(record)
        self.marks.add(self.suite)
        account = None if summary is None else summary.to_json("replay")
        self._logs.append(LogReport(log=str(log.path), outputs=outputs, frames=frames, replay=account))
        self._moments.append(moments)
        if summary is not None:
            self._status = max(self._status, summary.status, key=_WORST.index)
            for warned in summary.warnings:
                self.warn(warned.code, warned.text, log, warned.count)

    def _check_origin(self, run: RunInfo | None, log: Log) -> None:
        """Outputs of another log would be scored against truth that is not theirs."""
        size = log.path.stat().st_size
        if run is None or run.input is None or run.input_bytes in (None, size):
            return
        text = (
            f"the stored outputs were made from {run.input.name} of {run.input_bytes} bytes, and are scored "
            f"with the truth of {log.path.name} of {size} bytes"
        )
        self.warn("other_log", text, log)

    def _warn_of_words(self, log: Log, scorer: MetricSink) -> None:
        """Truth may use words that the plugin does not have: no detection can ever match them."""
        said, true = scorer.run.classes, scorer.true_labels
        foreign = sorted(true - set(said))
        if said and foreign:
            text = (
                f"truth says {', '.join(foreign)}; the plugin knows only {', '.join(said)}: those boxes are "
                "all missed. Say in the configuration what is what (words that are not listed are dropped), "
                f"under truth: classes: {{{foreign[0]}: {said[0]}, ...}}"
            )
            self.warn("class_words", text, log)


def _scenes_of(config: Config) -> Scenes:
    camera = config.sensors.camera
    return Scenes(camera.topic if camera is not None else "")


def _cut(results: Sequence[Result]) -> float:
    """The score from which detections count."""
    found = next((r.values["F1_score"].value for r in results if "F1_score" in r.values), None)
    return CUT if found is None else found


def _without_truth(results: Sequence[Result]) -> list[dict[str, Any]]:
    """A warning for each kind of truth that no frame had."""
    found = []
    for metric, what, option in (
        ("mean_average_precision", "boxes", "truth.boxes"),
        ("control_errors", "control", "truth.control"),
    ):
        frames = next((dict(result.frames) for result in results if result.metric == metric), {})
        if frames.get("no_truth") and not frames.get("scored") and not frames.get("invalid"):
            text = f"no frame has truth of {what}, so it is not scored; configure it in {option}"
            found.append({"code": "no_truth", "text": text, "count": frames["no_truth"], "log": ""})
    return found
