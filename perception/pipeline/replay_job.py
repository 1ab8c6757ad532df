"""One replay as plain values, from the log's path to the files written: it can be sent to another process."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any, Literal, Protocol

from perception.align.ledger import Ledger
from perception.autoconfig import Overrides, complete_config
from perception.config import Config
from perception.errors import ConfigError
from perception.logs import Log, open_log
from perception.logs.drive import DriveLog
from perception.path_guard import Write, check_paths
from perception.pipeline.files_read import files_read
from perception.pipeline.ledger_file import LedgerFile
from perception.pipeline.log_source import LogSource, Span
from perception.pipeline.opened_plugin import open_plugin, resolve_device
from perception.pipeline.replay import replay
from perception.pipeline.replay_options import ReplayOptions
from perception.pipeline.replay_summary import Summary, Warned, add_choice, add_warnings
from perception.pipeline.replay_words import replay_words
from perception.pipeline.runner import Observer
from perception.pipeline.span import parse_span
from perception.pipeline.tables import TablesPlace, check_tables, committed, tables_sink, with_tables
from perception.plugin import load_plugin
from perception.plugin.failures import plugin_code
from perception.sinks import ShowsOneCamera, Sink, TakesInputs, make_sink, own_files
from perception.sinks.jsonl_sink import JsonlSink
from perception.sinks.protocol import to_remarks, to_values

Observe = Callable[[Log, Span], AbstractContextManager[Observer | None]]
"""Returns the observer of a run, called once its log is open and its span known."""

EVERY = 5
"""`check_backend` takes samples this far apart: neighbours are alike."""


class RunMonitor(Sink, Protocol):
    """A sink that watches the outputs of a plugin, as `perception.diagnosis.monitor.MonitorSink` does.

    Attributes:
        problem: Why the statistics of the plugin's weights are unusable; empty: they are used, or absent.
    """

    problem: str

    def to_json(self) -> Mapping[str, Any]:
        """Return the report for `Summary.monitor`."""
        ...


@dataclass(frozen=True, slots=True)
class ReplayJob:
    """A replay as plain values: the log, the settings, and the files to write.

    Attributes:
        log: The log.
        output, render, jsonl, ledger, rerun, layout: The files to write: output log, video, JSON lines, a
            line for each message, a Rerun recording, and a layout for Foxglove; None: do not write it.
        render_camera: The camera whose pictures the video shows; None: the reference camera.
        with_inputs: Copy the input messages into the output log.
        config: The file of the configuration; None: it is derived from the log.
        overrides: Values that replace those of the configuration.
        device: `auto`, `cpu` or `cuda`.
        rate: As a multiple of the recording's; None: as soon as possible.
        start, end: The part of the log, as `parse_span` reads them; None: all.
        force: Replace existing files that are no earlier outputs; never one that the job reads.
        tables: Where the outputs also go as tables; None: nowhere.
        monitor: Makes a monitor from the plugin, and by keyword `publish`, which writes values beside an
            output, and `remark`, which shows texts (None where no sink takes them). It must pickle if the
            job is to run in another process.
        sinks: Further sinks, of this process.
        keeps_summary: Somebody reads the summary (`--json`), whatever becomes of an output.
    """

    log: Path
    output: Path | None = None
    render: Path | None = None
    render_camera: str | None = None
    jsonl: Path | None = None
    ledger: Path | None = None
    rerun: Path | None = None
    layout: Path | None = None
    with_inputs: bool = False
    config: Path | None = None
    overrides: Overrides = field(default_factory=Overrides)
    device: str = "auto"
    rate: float | None = None
    live_drop: bool = False
    start: str | None = None
    end: str | None = None
    loops: int = 1
    on_error: Literal["stop", "skip"] = "skip"
    force: bool = False
    tables: TablesPlace | None = None
    monitor: Callable[..., RunMonitor] | None = None
    sinks: tuple[Sink, ...] = ()
    keeps_summary: bool = False

    @property
    def written(self) -> list[Path]:
        """Return the files that the job writes."""
        paths = (self.output, self.render, self.jsonl, self.ledger, self.rerun, self.layout)
        return [path for path in paths if path is not None]

    @property
    def writes_several(self) -> bool:
        """Return whether a run is of use also where one of its outputs is not read to the end."""
        return len(self.written) > 1 or self.tables is not None or bool(self.sinks) or self.keeps_summary


def run_job(job: ReplayJob, observe: Observe = lambda log, span: nullcontext()) -> Summary:
    """Replay the log of a job into its files.

    Raises:
        ConfigError: The configuration or the job does not fit the log, or two files of the job are one.
        OutputError: A file to write is one that is read, or is not an earlier output.
        PerceptionError: As `replay` does, or the log cannot be opened.
    """
    with ExitStack() as stack:
        log = stack.enter_context(open_log(job.log))
        choice = complete_config(log, job.config, job.overrides)
        span = parse_span(log, choice.config, job.start, job.end)
        check_files(job, choice.config)
        sinks, copy = _sinks(job, choice.config)
        sinks += job.sinks
        listener = None if job.ledger is None else stack.enter_context(_ledger_file(job, job.ledger, log))
        plugin = load_plugin(choice.config.plugin.name)
        monitor = (
            job.monitor(plugin, publish=to_values(sinks), remark=to_remarks(sinks))
            if job.monitor is not None
            else None
        )
        options = ReplayOptions(
            device=resolve_device(job.device, choice.config.engine.backend),
            rate=job.rate,
            live_drop=job.live_drop,
            span=span,
            loops=job.loops,
            on_error=job.on_error,
            ledger_listener=listener,
            on_message=copy,
            observer=stack.enter_context(observe(log, span)),
        )
        tables = None
        if job.tables is not None:
            words = replay_words(job.config, job.overrides)
            tables = stack.enter_context(tables_sink(job.tables, log, choice.config, options, words))
            sinks, options = [*sinks, tables], with_tables(options, tables)
        summary = replay(log, choice.config, plugin, [*sinks, *([monitor] if monitor else [])], options)
        problems = [Warned("log", text) for text in log.survey.notes]
        if monitor is not None:
            summary = replace(summary, monitor={"start_ns": log.survey.start_ns, **monitor.to_json()})
            if monitor.problem:
                text = f"the checkpoint's output statistics are unusable: {monitor.problem}"
                problems.append(Warned("config", text))
        if listener is not None:
            listener.add_unread(summary.ledger)
        summary = add_choice(add_warnings(summary, problems), choice)
        return summary if tables is None else committed(tables, summary, choice.config, job.rate)


def check_backend(job: ReplayJob, count: int) -> tuple[Any, Mapping[str, str]]:
    """Compare the answers of the job's backend with eager float32 on samples of its log.

    Args:
        count: Number of samples.

    Returns:
        The result of the plugin's `check` (`passed`: whether the answers agree; its text: how closely), and
        the plugin's description of itself.

    Raises:
        ConfigError: The plugin has no such check.
        PerceptionError: The log or the plugin cannot be opened.
    """
    with open_log(job.log) as log:
        config = complete_config(log, job.config, job.overrides).config
        check_files(job, config)
        plugin: Any = load_plugin(config.plugin.name)
        if not hasattr(plugin, "check"):
            raise ConfigError([f"--check: plugin '{config.plugin.name}' cannot check its engine"])
        failure = f"--check: plugin '{config.plugin.name}' failed"
        with open_plugin(plugin, config, device=job.device), plugin_code(failure):
            samples = islice(LogSource(log, config, Ledger()).samples(), 0, None, EVERY)
            verdict = plugin.check([plugin.prepare(sample) for sample in islice(samples, count)])
            return verdict, plugin.describe()


def check_files(job: ReplayJob, config: Config) -> None:
    """Check the files of a job before it writes anything; see `perception.path_guard.check_paths`.

    Args:
        config: The complete configuration of the job.

    Raises:
        ConfigError, OutputError: A file to write is read, or is named twice, or would be lost.
    """
    sinks = [
        ("--output", job.output, None),
        ("--render", job.render, "mp4"),
        ("--jsonl", job.jsonl, "jsonl"),
        ("--rerun", job.rerun, "rrd"),
        ("--layout", job.layout, "foxglove-layout"),
    ]
    writes = [
        Write(option, path, own_files(make_sink(path, suffix)))
        for option, path, suffix in sinks
        if path is not None
    ]
    if job.ledger is not None:
        writes.append(Write("--ledger", job.ledger, LedgerFile.is_ours))
    reads = files_read([job.log], config, job.config)
    check_paths(reads, writes, force=job.force)
    check_tables(job.tables.place if job.tables is not None else None, reads)


def _ledger_file(job: ReplayJob, path: Path, log: Log) -> LedgerFile:
    file_of = log.file_of if isinstance(log, DriveLog) else None
    return LedgerFile(path, file_of, drop_unread=job.writes_several)


def _sinks(job: ReplayJob, config: Config) -> tuple[list[Sink], Any]:
    """Return the sinks of the files, and what copies input messages."""
    sinks = [make_sink(job.output)] if job.output is not None else []
    copy = None
    if job.with_inputs:
        if not sinks:
            raise ConfigError(["--with-inputs needs an output log; leave out --no-output"])
        if not isinstance(sinks[0], TakesInputs):
            raise ConfigError([f"--with-inputs needs an output log (.mcap), found {job.output}"])
        copy = sinks[0].copy
    if job.render_camera is not None and job.render_camera not in config.sensors.cameras:
        cameras = ", ".join(config.sensors.cameras) or "none is configured"
        raise ConfigError([f"--render-camera: {job.render_camera} is no camera; expected one of: {cameras}"])
    if job.render is not None:
        video = make_sink(job.render, "mp4")
        if job.render_camera is not None and isinstance(video, ShowsOneCamera):
            video.show_camera(job.render_camera)
        sinks.append(video)
    if job.jsonl is not None:
        sinks.append(lines := make_sink(job.jsonl, "jsonl"))
        if isinstance(lines, JsonlSink):
            lines.drop_unread = job.writes_several
    sinks += [make_sink(job.rerun, "rrd")] if job.rerun is not None else []
    sinks += [make_sink(job.layout, "foxglove-layout")] if job.layout is not None else []
    return sinks, copy
