"""Logs scored one after the other: replayed, from stored outputs, or from tables."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from perception.config import Config
from perception.evaluation.ablation.sensor_subsets import SUBSETS, SubsetSink, SubsetsPlugin, leave_one_out
from perception.evaluation.metric_sink import record_times, score_stored, show_worst_moments
from perception.evaluation.score_warnings import other_log
from perception.evaluation.scored_logs import ScoredLogs
from perception.evaluation.scored_source import source_of, source_of_tables
from perception.evaluation.stored_outputs import stored_pairs, stored_times
from perception.logs import Log
from perception.logs.joined_path import named_log
from perception.pipeline import Observer, Span, Summary, replay, resolve_device
from perception.pipeline.batch.spans import joined_account
from perception.pipeline.log_source import WHOLE
from perception.pipeline.tables import committed, with_tables
from perception.pipeline.workers import default_workers
from perception.plugin import Plugin
from perception.sinks import RunInfo, ScoredMcapSink, Sink, read_run
from perception.sinks.protocol import to_values
from perception.sinks.tables import TablesSink
from perception.sinks.tables.stored import StoredRecording
from perception.types.status import worst


class Evaluation(ScoredLogs):
    """An evaluation: scores logs, one after the other. Arguments as for `ScoredLogs`."""

    def replay(
        self,
        log: Log,
        config: Config,
        load: Callable[[], Plugin],
        output: str | Path | None = None,
        observer: Observer | None = None,
        beside: Sequence[Sink] = (),
        span: Span | None = None,
        tables: TablesSink | None = None,
    ) -> Summary:
        """Replay a log once through a plugin and score its outputs.

        Args:
            log: The log, open.
            config: A complete configuration.
            load: Returns the plugin, not opened.
            output: Write the outputs to this file, with the errors of each frame beside them.
            observer: Watches the run.
            beside: Further sinks for the outputs.
            span: The part of this log; None: that of the options.
            tables: Also write the outputs as tables.

        Raises:
            PerceptionError: The plugin cannot be opened, or the output cannot be written.
        """
        sinks: list[Sink] = [*beside, *([] if output is None else [ScoredMcapSink(output)])]
        latency = None if self._subsets else self._latency
        source = source_of(log, config)
        scorer = self.sink(source, latency, to_values(sinks))
        show_worst_moments(sinks, scorer, self.options.moments)
        sinks.append(scorer)
        plugin = self._plugin(load, config, sinks)
        given = self.options.replay
        device = resolve_device(given.device, config.engine.backend)
        options = replace(given, device=device, observer=observer or given.observer, span=span or given.span)
        if tables is not None:
            sinks, options = [*sinks, tables], with_tables(options, tables)
        summary = replay(log, config, plugin, sinks, options)
        if tables is not None:
            summary = committed(tables, summary, config, options.rate)
        self._status = worst(self._status, summary.status)
        if options.rate is None:
            engine, backend = config.engine, summary.run.get("backend", "")
            self._workers = engine.workers or default_workers(device, engine.threads, backend)
        for warned in summary.warnings:
            self.warn(warned.code, warned.text, source.name, warned.count)
        account, run = summary.to_json("replay"), {**summary.run, **_part(options.span)}
        self.add(source, scorer, summary.frames, run=run, account=account)
        return summary

    def score(
        self,
        stored: Log,
        log: Log,
        config: Config,
        span: Span = WHOLE,
        account: Mapping[str, Any] | None = None,
    ) -> None:
        """Score stored outputs, without a replay.

        Args:
            stored: The output log, open.
            log: The log it was made from, open; holds the truth.
            config: Names the truth and rig topics of `log`.
            span: The part of the log whose outputs are scored.
            account: The document of the replay that made them; None: it is not known.

        Raises:
            LogError: The stored log holds no outputs, or its metadata are damaged.
        """
        run, frames, last = read_run(stored), 0, -1
        if text := other_log(run, log):
            self.warn("other_log", text, named_log(log.path))
        source = source_of(log, config)
        scorer = self.sink(source)
        scorer.open(run or RunInfo())
        for output, truth in stored_pairs(stored, log, config, span):
            scorer.score(output, truth)
            frames += output.tick.index != last  # several cameras answer one tick
            last = output.tick.index
        warnings = list(scorer.missing.warnings())
        metadata = (run.to_metadata() if run is not None else {}) | _part(span)
        if account is not None:  # it has the same warnings
            warnings = [(row["code"], row["text"], row["count"]) for row in account["warnings"]]
            metadata = {**account["run"], **_part(span)}
            self._status = worst(self._status, account["status"])
        for code, warning, count in warnings:
            self.warn(code, warning, source.name, count)
        for stages_ms in stored_times(stored, span):
            record_times(self._latency, stages_ms)
        whole = None if account is None else dict(account)
        self.add(source, scorer, frames, run=metadata, outputs=str(stored.path), account=whole)

    def score_tables(self, spans: Sequence[StoredRecording], span: Span = WHOLE) -> None:
        """Score a recording from its tables, as the replay that made them would have been scored.

        Args:
            spans: The recording, or the spans it was replayed in, one after the other.
            span: The part that is scored.

        Raises:
            LogError: A table cannot be read.
        """
        recording, run = spans[0], spans[0].run
        summary = joined_account([each.summary for each in spans])
        source = source_of_tables(spans, recording.config)
        scorer = self.sink(source, self._latency)
        scorer.open(run)
        frames = sum(score_stored(scorer, each, span) for each in spans)
        self._status = worst(self._status, summary["status"])
        self._workers = recording.row["workers"]
        for warned in summary["warnings"]:
            self.warn(warned["code"], warned["text"], source.name, warned["count"])
        whole = Span(run.start_ns, spans[-1].run.end_ns)
        record = {**summary["run"], **_part(whole), **_part(span)}
        self.add(source, scorer, frames, run=record, outputs=str(recording.folder), account=summary)

    def _plugin(self, load: Callable[[], Plugin], config: Config, sinks: list[Sink]) -> Plugin:
        """Return the plugin to replay; with an ablation, one that a further sink asks for every subset."""
        if not self._subsets:
            return load()
        each = self.options.ablate == "each"
        subsets = SubsetsPlugin(load, leave_one_out(config.sensors.named) if each else SUBSETS)
        sinks.append(SubsetSink(subsets, self._suites.of_subset, config.control_camera))
        return subsets


def _part(span: Span) -> dict[str, str]:
    """Return the entries of a run's record that say which part of the log was scored."""
    times = {"start_ns": span.start_ns, "end_ns": span.end_ns}
    return {key: str(time_ns) for key, time_ns in times.items() if time_ns is not None}
