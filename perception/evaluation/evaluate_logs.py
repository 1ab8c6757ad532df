"""The evaluation of logs in one report: scores, ablations, streaming scores, references and gates."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from perception.autoconfig import ConfigChoice, GivenConfig, Overrides, as_config, complete_config
from perception.autoconfig.log_times import sensor_start_ns
from perception.config import Config
from perception.config.fault_plan import parse_plan
from perception.config.schema import PluginConfig
from perception.errors import ConfigError
from perception.evaluation.ablation.fault_ablation import FaultAblation
from perception.evaluation.ablation.memoised_plugin import MemoisedPlugin
from perception.evaluation.agreement.recorded_run import config_of
from perception.evaluation.agreement.reference import Reference
from perception.evaluation.evaluate_options import EvaluateOptions
from perception.evaluation.evaluation import Evaluation
from perception.evaluation.gate_names import GateClasses, check_classes
from perception.evaluation.gates import judge
from perception.evaluation.match_rows import MatchRows
from perception.evaluation.report.schema import EvaluationReport
from perception.evaluation.slices.frame_conditions import status_fields
from perception.evaluation.slices.slice_definitions import STATUS, check_status_fields
from perception.evaluation.streaming import Streaming, add_streaming_scores
from perception.evaluation.worst_frames import Moment, replay_command
from perception.logs import Log, open_log
from perception.logs.joined_path import named_log
from perception.pipeline import Observer, Span, resolve_device
from perception.pipeline.replay_job import Observe
from perception.pipeline.replay_words import replay_words
from perception.pipeline.tables import TablesPlace, tables_sink
from perception.plugin import load_plugin
from perception.sinks import RunInfo, Sink, read_outputs, read_run
from perception.sinks.tables import TablesSink
from perception.types import Output


def evaluate_logs(
    logs: Sequence[str | Path],
    config: GivenConfig | None = None,
    options: EvaluateOptions | None = None,
    *,
    watch: Observe = lambda log, span: nullcontext(),
    on_fault: Callable[[str], None] = lambda fault: None,
) -> EvaluationReport:
    """Replay logs and score every head against their truth; or score stored outputs.

    Args:
        logs: Files with truth; each is opened once, in order.
        config: A configuration or the file that holds it; None: sensors are found in each log.
        options: What to evaluate, and how.
        watch: Returns the observer of the replays of a part of a log.
        on_fault: Called with each `sensor.kind=severity` before the fault ablation replays it.

    Raises:
        ConfigError: The options do not fit each other, a log is named twice, or the configuration does not
            fit a log.
        PerceptionError: A log, a plugin or a file cannot be opened, or the output cannot be written.
    """
    options = options or EvaluateOptions()
    if errors := options.errors(logs):
        raise ConfigError(errors)
    base, source, options = given_config(config, options)
    _check_slices(logs, base, source, options)
    run = _EvaluationRun(options, replay_words(source, options.overrides), on_fault)
    for index, path in enumerate(logs):
        with ExitStack() as stack:
            log = stack.enter_context(open_log(path))
            if not run.add(stack, index, log, complete_config(log, base, options.overrides, source), watch):
                break
    return run.report()


def _check_slices(
    logs: Sequence[str | Path], base: Config | None, source: Path | None, options: EvaluateOptions
) -> None:
    """Raise before any replay if no log has a status field that slices name."""
    if not any(kind.startswith(STATUS) for kind in options.slices):
        return
    fields: set[str] = set()
    for path in logs:
        with open_log(path) as log:
            fields |= status_fields(log, complete_config(log, base, options.overrides, source).config)
    check_status_fields(options.slices, sorted(fields))


def words_of_run(run: RunInfo, config: Config) -> list[str]:
    """Return the options of a replay for what made outputs and is not configured: the plugin, the faults.

    Args:
        run: The record in a log of outputs.
        config: The configuration that the replay has beside them.
    """
    try:
        made_by = config_of(run).plugin
    except ConfigError:
        made_by = PluginConfig(name=run.plugin or config.plugin.name)
    configured = parse_plan(config.faults, sensors=config.sensor_kinds()).texts()
    made = Overrides(faults=tuple(fault for fault in run.faults if fault not in configured))
    if made_by != config.plugin:
        made = replace(made, plugin=made_by.name, checkpoint=made_by.checkpoint, options=made_by.options)
    return replay_words(None, made)


class _EvaluationRun:
    """An evaluation under way.

    Args:
        options: What to evaluate, and how.
        replay_words: The options of the command that replays a moment.
        on_fault: As `evaluate_logs` takes it.
    """

    def __init__(
        self, options: EvaluateOptions, replay_words: Sequence[str], on_fault: Callable[[str], None]
    ) -> None:
        self._options, self._words = options, replay_words
        self._words_of: dict[str, list[str]] = {}  # of logs whose outputs are stored
        self._evaluation = Evaluation(options, self._command)
        self._streaming = Streaming() if options.latencies_ms else None
        self._batch = 1
        self._gate_names = [gate.name for gate in options.gates]
        self._references: list[Reference] = []
        self._on_fault = on_fault
        self._ablation: FaultAblation | None = None
        if options.ablate == "faults":
            rules = self._evaluation.rules_of
            self._ablation = FaultAblation(rules, options.faults, options.severities, options=options.replay)

    def add(
        self,
        stack: ExitStack,
        index: int,
        log: Log,
        choice: ConfigChoice,
        watch: Observe,
    ) -> bool:
        """Evaluate one log. Return False if it was interrupted."""
        config, options = choice.config, self._options
        span = options.span(partial(sensor_start_ns, log, config))
        for text in choice.warnings:
            self._evaluation.warn("config", text, named_log(log.path))
        references = []
        if options.references:
            stored = stack.enter_context(open_log(options.references[index]))
            start_ns = sensor_start_ns(log, config)
            references = [Reference(stored, log, options.tolerances, start_ns, span)]
            self._references += references
        if options.outputs:
            stored = stack.enter_context(open_log(options.outputs[index]))
            account = options.accounts[index] if options.accounts else None
            self._score(stored, log, config, references, span, account)
            return True
        return self._replay(stack, log, choice, references, stack.enter_context(watch(log, span)), span)

    def _command(self, moment: Moment) -> str:
        """Return the command that replays a moment as its outputs were made."""
        return replay_command(moment, self._words_of.get(moment.log, self._words))

    def _score(
        self,
        stored: Log,
        log: Log,
        config: Config,
        references: Sequence[Reference],
        span: Span,
        account: Mapping[str, Any] | None,
    ) -> None:
        run = read_run(stored)
        if run is not None:
            self._words_of[named_log(log.path)] = [*self._words, *words_of_run(run, config)]
            check_classes(self._gate_names, run.classes, config.truth.classes.values())
        self._evaluation.score(stored, log, config, span, account)
        self._batch = run.batch if run is not None else 1
        if self._streaming is not None:
            self._streaming.add(log, config, _outputs_in(stored, span), span)
        for reference in references:
            reference.open(RunInfo())
            for output in _outputs_in(stored, span):
                reference.add(output)
            reference.close()

    def _replay(
        self,
        stack: ExitStack,
        log: Log,
        choice: ConfigChoice,
        references: Sequence[Reference],
        observer: Observer | None,
        span: Span,
    ) -> bool:
        config = choice.config
        load = partial(load_plugin, config.plugin.name)
        sinks: list[Sink] = [GateClasses(self._gate_names, config.truth.classes.values()), *references]
        self._batch = config.engine.batch
        if self._streaming is not None:
            sinks.append(self._streaming.collector(log, config, span))
        sinks += self._options.sinks(log)
        replay, output = self._evaluation.replay, self._options.output
        tables = self._tables(stack, log, config, span)
        run = partial(replay, output=output, observer=observer, beside=sinks, span=span, tables=tables)
        if self._ablation is None:
            return run(log, config, load).status != "interrupted"
        plugin = MemoisedPlugin(load)
        try:
            if run(log, config, lambda: plugin).status == "interrupted":
                return False
            return self._ablation.run(log, config, plugin, observer, self._on_fault, span)
        finally:
            plugin.release()

    def _tables(self, stack: ExitStack, log: Log, config: Config, span: Span) -> TablesSink | None:
        place = self._options.tables
        if place is None:
            return None
        options, where = replace(self._options.replay, span=span), TablesPlace(place, matches=MatchRows)
        return stack.enter_context(tables_sink(where, log, config, options, self._words))

    def report(self) -> EvaluationReport:
        """Return the report over all logs so far. Streaming scores cannot be computed after it."""
        report = self._evaluation.report()
        if self._ablation is not None:
            report = report.model_copy(update={"fault_ablation": self._ablation.report(report)})
        if self._streaming is not None:
            rules, latencies = self._evaluation.rules_of(RunInfo()), self._options.latencies_ms
            report = add_streaming_scores(report, self._streaming, latencies, rules, self._batch)
            self._streaming.close()
        rows = [row for reference in self._references for row in reference.report(self._command)]
        report = report.model_copy(update={"reference": rows})
        return judge(report, self._options.gates, self._options.strict)


def _outputs_in(stored: Log, span: Span) -> Iterator[Output]:
    """Yield the stored outputs of a part of a log."""
    outputs = (item.output for item in read_outputs(stored))
    return (output for output in outputs if span.holds(output.tick.log_time_ns))


def given_config(
    config: GivenConfig | None, options: EvaluateOptions
) -> tuple[Config | None, Path | None, EvaluateOptions]:
    """Return the configuration, its file, and the options with the device resolved."""
    base, source = as_config(config)
    configured = "auto" if base is None else base.engine.backend
    device = resolve_device(options.replay.device, options.overrides.engine.get("backend", configured))
    return base, source, replace(options, replay=replace(options.replay, device=device))
