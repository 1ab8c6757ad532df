"""A replay that viewers drive: `perception replay LOG --serve`.

Every seek is a replay from there, with the samples before it that the plugin needs: its outputs are those
of a replay of the whole log. The plugin stays open in between.
"""

from __future__ import annotations

from contextlib import ExitStack, suppress
from dataclasses import dataclass

from perception.align.ledger import Ledger
from perception.autoconfig import ConfigChoice, complete_config
from perception.config import Config
from perception.errors import ConfigError
from perception.logs import Log, open_log
from perception.pipeline.log_source import LogSource, Span
from perception.pipeline.opened_plugin import (
    close_plugin,
    context_of,
    describe_plugin,
    resolve_device,
    start_plugin,
)
from perception.pipeline.remarks import RunRemarks
from perception.pipeline.replay_job import ReplayJob, check_files
from perception.pipeline.replay_options import ReplayOptions
from perception.pipeline.run_record import run_info
from perception.pipeline.runner import PluginStoppedError, Runner
from perception.pipeline.span import parse_span
from perception.pipeline.stage_times import StageTimes
from perception.pipeline.tally import Tally
from perception.pipeline.viewers import ServedRun, Serving
from perception.pipeline.workers import default_workers
from perception.plugin import Plugin, load_plugin
from perception.plugin.failures import plugin_code
from perception.sinks import RunInfo, Sink
from perception.types import Reset
from perception_plugins.viewers.foxglove_layout import LayoutSink
from perception_plugins.viewers.foxglove_server import PlaybackServer
from perception_plugins.viewers.foxglove_sink import FoxgloveSink, advertise_all
from perception_plugins.viewers.playback import ControlledPace, Playback, PlaybackLeftError, SeekAskedError


def serve_replay(job: ReplayJob, serving: Serving) -> ServedRun:
    """Replay a log under the control of viewers, until interrupted (or its end, without `stays`).

    Args:
        job: The log and the settings; `rate` None: as soon as possible. Only its `layout` is written.

    Raises:
        LogError, ConfigError, PerceptionError: As `replay` does.
        OutputError: The server cannot listen.
    """
    account = ServedRun()
    with ExitStack() as stack:
        log = stack.enter_context(open_log(job.log))
        choice = complete_config(log, job.config, job.overrides)
        config = choice.config
        span = parse_span(log, config, job.start, job.end)
        check_files(job, config)
        device = resolve_device(job.device, config.engine.backend)
        plugin = load_plugin(config.plugin.name)
        stack.callback(close_plugin, plugin)
        start_plugin(plugin, context_of(config, device))
        description = describe_plugin(plugin)
        run = run_info(log, config, plugin, description, ReplayOptions(device=device, span=span))
        playback = Playback(*_range(log, span), job.rate, serving.waits)
        server = stack.enter_context(
            PlaybackServer(playback, log.path.name, serving.host, serving.port, serving.refused)
        )
        advertise_all(server.writer, log, config, plugin.manifest)
        account.warnings += _warnings(log, choice)
        for text in account.warnings:
            server.note("warning", text)
        serving.started(server)
        passes = _Passes(log, config, plugin, run, playback, server, job, account)
        passes.backend, passes.device = description.get("backend", ""), device
        with suppress(KeyboardInterrupt, PlaybackLeftError):
            passes.run(span, serving)
        account.seeks = playback.seeks
    return account


@dataclass(slots=True)
class _Passes:
    """Passes through the log, from one seek to the next."""

    log: Log
    config: Config
    plugin: Plugin
    run_info: RunInfo
    playback: Playback
    server: PlaybackServer
    job: ReplayJob
    account: ServedRun
    backend: str = ""
    device: str = ""

    def run(self, span: Span, serving: Serving) -> None:
        """Play the part of the log, and every part that viewers ask for."""
        while True:
            try:
                tally = self._pass(span)
            except SeekAskedError:
                pass
            else:
                self.playback.finish()
                self.server.tell_state()
                self.account.ends += 1
                serving.ended(tally.frames)
                if not serving.stays:
                    return
                self.playback.wait_for_target()
            span = Span(self.playback.take_target(), span.end_ns)
            with plugin_code(f"plugin '{self.plugin.manifest.name}' did not reset"):
                self.plugin.reset(Reset("seek"))
            self.server.tell_state()

    def _pass(self, span: Span) -> Tally:
        """Play from the start of a span; raise `SeekAskedError` where it does not come to the end."""
        playback, server, config, plugin = self.playback, self.server, self.config, self.plugin
        sink = FoxgloveSink(server.writer, lambda: server.is_watched and not playback.is_sought)
        monitor = (
            None
            if self.job.monitor is None
            else self.job.monitor(plugin, publish=sink.add_values, remark=sink.add_remark)
        )
        sinks: list[Sink] = [sink, *([monitor] if monitor is not None else [])]
        if self.job.layout is not None:
            sinks.append(LayoutSink(self.job.layout, live=True))
        remarks, times = RunRemarks([sink]), StageTimes()
        ledger = Ledger(span.start_ns, span.end_ns, remarks.listening(None))
        source = LogSource(
            self.log,
            config,
            ledger,
            span,
            plugin.manifest.preroll_s,
            on_message=sink.copy,
            times=times,
        )
        runner = Runner(
            plugin,
            sinks,
            ledger=ledger,
            span=span,
            warm_from_ns=source.warm_from_ns,
            workers=self._workers(),
            pace=ControlledPace(playback, server.shown),
            on_error=self.job.on_error,
            times=times,
            control_camera=config.control_camera,
        )
        for each in sinks:
            each.open(self.run_info)
        try:
            runner.run(source.samples())
            ledger.finish()
        except PluginStoppedError:
            pass
        finally:
            for each in sinks:
                each.close()
            self._count(runner.tally)
        return runner.tally

    def _workers(self) -> int:
        """Return the number of workers: 1 where samples come one at a time."""
        engine = self.config.engine
        if self.playback.speed is not None:
            return 1
        return engine.workers or default_workers(self.device, engine.threads, self.backend)

    def _count(self, tally: Tally) -> None:
        account = self.account
        account.outputs += tally.frames
        account.errors += tally.errors
        account.first_error = account.first_error or tally.first_error
        known = set(account.warnings)
        for warning in tally.warnings.values():
            text = f"{warning.code}: {warning.text}"
            if text not in known:
                account.warnings.append(text)
                self.server.note("warning", text)


def _range(log: Log, span: Span) -> tuple[int, int]:
    """Return the part of the arrival clock that can be played."""
    first_ns, last_ns = log.survey.start_ns, log.survey.end_ns
    if first_ns is None or last_ns is None:
        raise ConfigError([f"--serve: the log holds no message: {log.path}"])
    start_ns = first_ns if span.start_ns is None else max(span.start_ns, first_ns)
    return start_ns, max(start_ns, last_ns if span.end_ns is None else min(span.end_ns - 1, last_ns))


def _warnings(log: Log, choice: ConfigChoice) -> list[str]:
    unused = [f"not used: {topic.topic}: {topic.reason}" for topic in choice.unused]
    return [*log.survey.notes, *choice.warnings, *unused]
