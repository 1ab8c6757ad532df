"""Replay: a recorded log through a plugin into sinks, with an account of every message."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial

from perception.align.ledger import Ledger
from perception.align.truth import TruthJoiner
from perception.config import Config
from perception.config.fault_plan import parse_plan
from perception.logs import Damage, Log
from perception.pipeline.absence_warnings import absence_warnings
from perception.pipeline.digest import ContentDigest, OutputDigest
from perception.pipeline.log_source import LogSource
from perception.pipeline.opened_plugin import (
    close_plugin,
    context_of,
    describe_plugin,
    resolve_device,
    start_plugin,
)
from perception.pipeline.pace import Pace
from perception.pipeline.remarks import RunRemarks
from perception.pipeline.replay_options import ReplayOptions
from perception.pipeline.replay_summary import LOSS_ROWS, RunStatus, Summary
from perception.pipeline.run_record import receipt_of, remote_record, run_info, run_record
from perception.pipeline.runner import PluginStoppedError, Runner
from perception.pipeline.stage_times import StageTimes, quantiles
from perception.pipeline.tally import Tally
from perception.pipeline.weights_caution import weights_caution
from perception.pipeline.workers import default_workers
from perception.plugin import Plugin
from perception.plugin.failures import plugin_code
from perception.sinks import RunInfo, Sink, TakesReceipt, ignores_truth
from perception.types import Reset


def replay(
    log: Log,
    config: Config,
    plugin: Plugin,
    sinks: Sequence[Sink] = (),
    options: ReplayOptions | None = None,
) -> Summary:
    """Replay a log and account for every message.

    The plugin and the sinks are opened here, and closed whatever happens. KeyboardInterrupt ends the run:
    the status of its summary is `interrupted`.

    Args:
        log: An open log.
        config: A complete configuration, as `autoconfig.complete_config` returns it.
        plugin: A plugin that is not open.
        sinks: Sinks that are not open.

    Raises:
        ConfigError: The device is not there.
        PerceptionError: The plugin cannot be opened, or a sink cannot write.
    """
    return _Replay(log, config, plugin, sinks, options or ReplayOptions()).run()


class _Replay:
    def __init__(
        self, log: Log, config: Config, plugin: Plugin, sinks: Sequence[Sink], options: ReplayOptions
    ) -> None:
        self._log = log
        self._config = config
        self._plugin = plugin
        self._sinks = sinks
        options = replace(options, device=resolve_device(options.device, config.engine.backend))
        self._options = options
        span = options.span
        self._remarks = RunRemarks(sinks)
        listener = self._remarks.listening(options.ledger_listener)
        self._ledger = Ledger(span.start_ns, span.end_ns, listener)
        self._times = options.times or StageTimes()
        rate_hz = config.reference_rate_hz
        period_s = 1 / rate_hz if rate_hz is not None else None
        self._pace = Pace(options.rate, options.live_drop, period_s=period_s)
        self._tally = Tally()
        self._description: dict[str, str] = {}
        self._damage: Sequence[Damage] = ()
        self._digests: list[str] = []
        self._content: ContentDigest | None = None

    def run(self) -> Summary:
        began = time.monotonic()
        opened: list[Sink] = []
        try:
            status = self._run_into(opened)
            summary = self._summary(status)
            self._remarks.end(summary, self._tally.last_ns or 0)
        finally:
            _close_all([*(sink.close for sink in opened), partial(close_plugin, self._plugin)])
        return replace(summary, seconds=time.monotonic() - began)

    def _run_into(self, opened: list[Sink]) -> RunStatus:
        """Open the sinks, run, and sign the outputs."""
        status: RunStatus = "clean"
        info: RunInfo | None = None
        try:
            start_plugin(self._plugin, context_of(self._config, self._options.device))
            self._description = describe_plugin(self._plugin)
            info = run_info(self._log, self._config, self._plugin, self._description, self._options)
            for sink in self._sinks:
                opened.append(sink)
                sink.open(info)
            for number in range(self._options.loops):
                self._pass(number)
        except KeyboardInterrupt:
            status = "interrupted"
        except PluginStoppedError:
            status = "failed"
        if self._content is not None and info is not None:  # the sinks are open, and got outputs
            self._sign(info, status)
        return status

    def _sign(self, run: RunInfo, status: RunStatus) -> None:
        ended, outputs = ("whole" if status == "clean" else status), (*self._digests, "")[0]
        tally = self._tally
        receipt = receipt_of(
            run,
            self._options,
            self._config.engine.seed,
            ended,
            self._content,
            outputs,
            tally.frames,
            tally.errors,
            self._ledger.rows(),
        )
        for sink in self._sinks:
            if isinstance(sink, TakesReceipt):
                sink.sign(receipt)

    def _pass(self, number: int) -> None:
        """Run the log once. The first pass feeds the sinks; each later one checks that it gives the same."""
        first = number == 0
        if not first:
            with plugin_code(f"plugin '{self._plugin.manifest.name}' did not reset"):
                self._plugin.reset(Reset("loop"))
        options, digest = self._options, OutputDigest()
        joiner = self._joiner() if first and self._config.truth.configured else None
        ledger = self._ledger if first else Ledger(options.span.start_ns, options.span.end_ns)
        times = self._times if first else StageTimes()
        source = LogSource(
            self._log,
            self._config,
            ledger,
            options.span,
            self._plugin.manifest.preroll_s,
            every_message=first and options.ledger_listener is not None,
            on_message=options.on_message if first else None,
            on_decoded=joiner.push if joiner else None,
            on_recalled=joiner.recall if joiner else None,
            times=times,
        )
        runner = Runner(
            self._plugin,
            [*self._sinks, digest] if first else [digest],
            ledger=ledger,
            span=options.span,
            warm_from_ns=source.warm_from_ns,
            batch=self._config.engine.batch if options.rate is None else 1,
            workers=self._workers(),
            pace=self._pace if first else None,
            on_error=options.on_error,
            joiner=joiner,
            times=times,
            observer=options.observer,
            control_camera=self._config.control_camera,
        )
        self._pace.on_drop = runner.drop
        try:
            runner.run(source.samples())
        finally:
            if source.stream is not None:
                self._damage = source.stream.damage
            if first:
                self._tally, self._content = runner.tally, source.content
                self._ledger.finish()
                self._warn_of_losses(source, joiner)
        self._digests.append(digest.hexdigest())
        if self._digests[-1] != self._digests[0]:
            self._tally.warn("loop_differs", f"pass {number + 1} gave other outputs than the first")

    def _joiner(self) -> TruthJoiner:
        read = not all(map(ignores_truth, self._sinks))
        return TruthJoiner(self._config.truth, self._config.sensors, places_boxes=read)

    def _warn_of_losses(self, source: LogSource, joiner: TruthJoiner | None) -> None:
        """Count the ticks whose truth came too late, and the pictures that each video has lost."""
        for topic, text, count in joiner.late.texts() if joiner is not None else ():
            self._tally.warn(f"truth_late ({topic})", text, count)
        several = len(self._config.sensors.cameras) > 1
        for (topic, code), (count, text) in source.video.losses.items():
            about = f" ({topic})" if several else ""
            self._tally.warn(f"video_{code}{about}", f"{topic}: {text}", count)

    def _workers(self) -> int:
        """Return the number of workers; 1 for a paced run, whose samples come one at a time."""
        if self._options.rate is not None:
            return 1
        engine = self._config.engine
        backend = self._description.get("backend", "")
        return engine.workers or default_workers(self._options.device, engine.threads, backend)

    def _warn_of_idle_faults(self) -> None:
        sensors = {*self._config.sensors.named, *self._config.sensors.kinds}
        for fault in parse_plan(self._config.faults, sensors=self._config.sensor_kinds()).faults:
            if fault.sensor not in sensors:
                text = f"fault {fault.name} does nothing: no {fault.sensor} is configured"
                self._tally.warn("idle_fault", text)

    def _summary(self, status: RunStatus) -> Summary:
        damage, tally, ledger = tuple(self._damage), self._tally, self._ledger.rows()
        # Damage that cost no message (disorder, unreadable bytes between records) is no loss.
        lost = any(d.messages != 0 for d in damage)
        lost = lost or any(rows.get(row) for rows in ledger.values() for row in LOSS_ROWS)
        if status == "clean" and (lost or tally.errors):
            status = "loss"
        covered_ns = (tally.last_ns or 0) - (tally.first_ns or 0)
        if not tally.frames and status in ("clean", "loss"):
            tally.warn("no_frames", "no sample was made: " + self._why_empty())
            if not self._pace.dropped:
                status = (
                    "failed"  # a caller that reads the outputs must not take an empty set for a complete one
                )
        self._warn_of_idle_faults()
        if ignored := self._ledger.ignored:
            tally.warn("ignored_elements", _ignored_text(ignored), sum(n for n, _ in ignored.values()))
        if caution := weights_caution(self._log, self._config, self._plugin.manifest):
            tally.warn(caution.code, caution.text)
        for absent in absence_warnings(self._log, self._config, self._options.span, tally):
            tally.warn(absent.code, absent.text)
        return Summary(
            status=status,
            frames=tally.frames,
            substitutes=tally.substitutes,
            dropped=self._pace.dropped,
            errors=tally.errors,
            first_error=tally.first_error,
            outputs=tally.outputs,
            first_invalid=tally.first_invalid,
            inputs=tally.inputs,
            absences=tally.absences,
            latency_ms={stage: quantiles(each) for stage, each in self._times.histograms.items()},
            lateness_ms=quantiles(self._pace.lateness) if self._options.rate is not None else {},
            deadline=self._deadline(),
            ledger=ledger,
            damage=damage,
            warnings=tuple(tally.warnings.values()),
            run={
                **remote_record(self._log.path),
                **run_record(self._config, self._plugin, self._description, self._options),
                "outputs_sha256": self._digests[0] if self._digests else "",
                "messages": str(self._content.messages) if self._content is not None else "",
                "messages_sha256": self._content.hexdigest() if self._content is not None else "",
            },
            log_seconds=covered_ns / 1e9,
        )

    def _deadline(self) -> dict[str, float]:
        period_s = self._pace.period_s
        if period_s is None:
            return {}
        return {"period_ms": round(period_s * 1e3, 4), "misses": self._pace.misses}

    def _why_empty(self) -> str:
        span = self._options.span
        if span.start_ns is not None or span.end_ns is not None:
            return "nothing lies in the part of the log that was asked for"
        return "none of the configured topics has a usable message"


def _ignored_text(ignored: Mapping[str, tuple[int, str]]) -> str:
    """Return what is ignored of messages that are used without it, by topic."""
    return "; ".join(f"{topic}: {count} ignored alone ({why})" for topic, (count, why) in ignored.items())


def _close_all(closers: Sequence[Callable[[], None]]) -> None:
    """Call each, also when another fails; the first failure is raised at the end."""
    first: BaseException | None = None
    for close in closers:
        try:
            close()
        except BaseException as error:
            first = first or error
    if first is not None:
        raise first
