"""One replay of one log as the options describe it. It can be handed to another process."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import typer

if TYPE_CHECKING:
    from perception.autoconfig import Overrides
    from perception.logs import Log
    from perception.pipeline import Observer, Span, Summary
    from perception.sinks import Sink

Watch = Callable[["Log", "Span"], AbstractContextManager["Observer | None"]]
"""Makes what watches a run."""


@dataclass(frozen=True, slots=True)
class ReplayJob:
    """What to replay, how, and where to.

    Attributes:
        log: The log.
        output, render, jsonl, ledger: The files to write; None: not that one.
        config: The file of the configuration; None: all is found in the log.
        overrides: Values that replace those of the configuration.
        device: `auto`, `cpu` or `cuda`.
        rate: None: as soon as possible.
        start, end: As texts: their meaning depends on the log.
    """

    log: Path
    output: Path | None = None
    render: Path | None = None
    jsonl: Path | None = None
    ledger: Path | None = None
    with_inputs: bool = False
    config: Path | None = None
    overrides: Overrides | None = None
    device: str = "auto"
    rate: float | None = None
    live_drop: bool = False
    start: str | None = None
    end: str | None = None
    loops: int = 1
    on_error: Literal["stop", "skip"] = "skip"

    @property
    def written(self) -> list[Path]:
        """The files that it writes."""
        return [path for path in (self.output, self.render, self.jsonl, self.ledger) if path is not None]


def run_job(job: ReplayJob, watch: Watch) -> Summary:
    """Replay the log.

    Raises:
        PerceptionError: As `replay` does, or the log cannot be opened.
        BadParameter: An option does not fit the log or the others.
    """
    from perception.autoconfig import complete
    from perception.diagnosis.monitor import MonitorSink
    from perception.logs import open_log
    from perception.pipeline import add_warnings, replay, resolve_device
    from perception.pipeline.options import ReplayOptions
    from perception.pipeline.summary import Warned
    from perception.plugin import load_plugin
    from perception.sinks import McapSink
    from perception_tools.replay.ledger_file import LedgerFile

    with ExitStack() as stack:
        opened = stack.enter_context(open_log(job.log))
        choice = complete(opened, job.config, job.overrides)
        setup, warnings = choice.config, choice.warnings
        span = _span(opened, job.start, job.end)
        _distinct(job)
        sinks, copy = _sinks(job)
        listener = stack.enter_context(LedgerFile(job.ledger, job.log)) if job.ledger is not None else None
        options = ReplayOptions(
            device=resolve_device(job.device, setup.engine.backend),
            rate=job.rate,
            live_drop=job.live_drop,
            span=span,
            loops=job.loops,
            on_error=job.on_error,
            ledger_listener=listener,
            on_message=copy,
            observer=stack.enter_context(watch(opened, span)),
        )
        plugin = load_plugin(setup.plugin.name)
        publish = next((sink.add_values for sink in sinks if isinstance(sink, McapSink)), None)
        watching = MonitorSink(plugin, publish)
        summary = replay(opened, setup, plugin, [*sinks, watching], options)
        found = {"start_ns": opened.survey.start_ns, **watching.monitor.to_json()}
        summary = replace(summary, monitor=found)
        if watching.problem:
            warnings = (*warnings, f"the checkpoint's output statistics are unusable: {watching.problem}")
        if listener is not None:
            listener.add_unread(summary.ledger)
    return add_warnings(summary, [Warned("config", text) for text in warnings])


def _span(log: Log, start: str | None, end: str | None) -> Span:
    """The part of the log. Seconds count from its first message; whole numbers from 1e12 are nanoseconds."""
    from perception.pipeline import Span

    times: list[int | None] = []
    for option, text in (("--start", start), ("--end", end)):
        try:
            times.append(None if text is None else _time_ns(text, log.survey.start_ns or 0))
        except (ValueError, OverflowError):
            raise typer.BadParameter(
                f"{option}: expected seconds from the log's beginning (12.5) or nanoseconds, found '{text}'"
            ) from None
    first, last = times
    if first is not None and last is not None and first >= last:
        raise typer.BadParameter(f"--start {start} does not come before --end {end}")
    return Span(first, last)


def _time_ns(text: str, begin_ns: int) -> int:
    if text.isdecimal() and int(text) >= 10**12:
        return int(text)
    seconds = float(text)
    if seconds < 0:
        raise ValueError
    return begin_ns + round(seconds * 1e9)


def _distinct(job: ReplayJob) -> None:
    """Two options may not name the same file, for each would spoil the other's."""
    options = {"--output": job.output, "--render": job.render, "--jsonl": job.jsonl, "--ledger": job.ledger}
    named: dict[Path, str] = {}
    for option, path in options.items():
        if path is not None:
            other = named.setdefault(path.resolve(), option)
            if other != option and not path.is_char_device():  # /dev/null takes any number
                raise typer.BadParameter(f"{other} and {option} name the same file, name another: {path}")


def _sinks(job: ReplayJob) -> tuple[list[Sink], Any]:
    """Return the sinks of the outputs, and the function that copies input messages."""
    from perception.sinks import TakesInputs, make_sink

    sinks: list[Sink] = []
    copy = None
    if job.output is not None:
        sinks.append(make_sink(job.output))
        if job.with_inputs:
            if not isinstance(sinks[0], TakesInputs):
                raise typer.BadParameter(f"--with-inputs needs an output log (.mcap), found {job.output}")
            copy = sinks[0].copy
    elif job.with_inputs:
        raise typer.BadParameter("--with-inputs needs an output log; leave out --no-output")
    if job.render is not None:
        sinks.append(make_sink(job.render, "mp4"))
    if job.jsonl is not None:
        sinks.append(make_sink(job.jsonl, "jsonl"))
    return sinks, copy
