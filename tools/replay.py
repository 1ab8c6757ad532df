"""`perception replay LOG`: a recorded log through a plugin, to an output log, a video and a summary."""

from __future__ import annotations

import json
from contextlib import ExitStack
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from perception.config import Config
    from perception.logs import Log
    from perception.pipeline import Span, Summary
    from perception.sinks.base import Sink


class Device(StrEnum):
    """Where to compute."""

    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"


class OnError(StrEnum):
    """What to do when the plugin fails on a sample."""

    stop = "stop"
    skip = "skip"


def replay(
    log: Annotated[Path, typer.Argument(help="The log, an MCAP file.", show_default=False)],
    plugin: Annotated[str | None, typer.Option(help="The plugin to run.", show_default="fusion")] = None,
    checkpoint: Annotated[Path | None, typer.Option(help="Weights; default: the plugin's own.")] = None,
    config: Annotated[
        Path | None, typer.Option(help="YAML; without one, sensors are found by schema (see `info`).")
    ] = None,
    device: Annotated[Device, typer.Option(help="Where to compute.")] = Device.auto,
    rate: Annotated[
        str, typer.Option(metavar="asap|FLOAT", help="As soon as possible, or paced: 1 is as recorded.")
    ] = "asap",
    live_drop: Annotated[
        bool, typer.Option("--live-drop", help="With a rate: skip samples that newer ones have overtaken.")
    ] = False,
    start: Annotated[
        str | None, typer.Option(metavar="TIME", help="Seconds from the log's beginning, or its nanoseconds.")
    ] = None,
    end: Annotated[str | None, typer.Option(metavar="TIME", help="Likewise; exclusive.")] = None,
    loop: Annotated[int, typer.Option(min=1, help="Replay so often; each pass must give the same.")] = 1,
    step: Annotated[bool, typer.Option("--step", help="One tick for each key; q ends.")] = False,
    output: Annotated[
        Path | None, typer.Option(help="The output log.", show_default="LOG's name + .outputs.mcap, here")
    ] = None,
    no_output: Annotated[bool, typer.Option("--no-output", help="Write no output log.")] = False,
    with_inputs: Annotated[
        bool, typer.Option("--with-inputs", help="Copy the input messages into the output log.")
    ] = False,
    render: Annotated[Path | None, typer.Option(help="Draw the outputs on the frames: an .mp4 file.")] = None,
    jsonl: Annotated[Path | None, typer.Option(help="The outputs as JSON lines.")] = None,
    ledger: Annotated[Path | None, typer.Option(help="What became of each message: a CSV file.")] = None,
    fault: Annotated[
        list[str] | None,
        typer.Option(metavar="SENSOR.KIND=SEVERITY[,seed=N]", help="Put a fault into the log; repeatable."),
    ] = None,
    on_error: Annotated[OnError, typer.Option(help="When the plugin fails on a sample.")] = OnError.skip,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as one JSON object.")] = False,
) -> None:
    """Replay a log through a plugin: boxes, distances, control, and an account of every message."""
    from perception.logs import open_log
    from perception.pipeline import add_warnings, replay, resolve_device
    from perception.pipeline.replay import ReplayOptions
    from perception.pipeline.summary import Warned
    from perception.plugin import load_plugin
    from perception_tools.ledger_file import LedgerFile
    from perception_tools.watch import watcher

    speed = _rate(rate, live_drop, step)
    with ExitStack() as stack:
        opened = stack.enter_context(open_log(log))
        setup, warnings = _configure(opened, config, plugin, checkpoint)
        setup = with_faults(setup, fault or [])
        span = _span(opened, start, end)
        target = None if no_output else output or Path(f"{log.stem}.outputs.mcap")
        written = _distinct({"--output": target, "--render": render, "--jsonl": jsonl, "--ledger": ledger})
        sinks, copy = _sinks(target, with_inputs, render, jsonl)
        listener = stack.enter_context(LedgerFile(ledger, log)) if ledger is not None else None
        options = ReplayOptions(
            device=resolve_device(device.value),
            rate=speed,
            live_drop=live_drop,
            span=span,
            loops=loop,
            on_error=on_error.value,
            ledger_listener=listener,
            on_message=copy,
            observer=stack.enter_context(watcher(opened, span, step)),
        )
        summary = replay(opened, setup, load_plugin(setup.plugin.name), sinks, options)
        if listener is not None:
            listener.add_unread(summary.ledger)
    summary = add_warnings(summary, [Warned("config", text) for text in warnings])
    _print(summary, as_json, written)
    raise typer.Exit(summary.exit_code)


def _rate(text: str, live_drop: bool, step: bool) -> float | None:
    """The rate; None for as soon as possible."""
    if step and text != "asap":
        raise typer.BadParameter("--step goes by keys; leave out --rate")
    if text == "asap":
        if live_drop:
            raise typer.BadParameter("--live-drop needs a --rate: without one nothing is ever too late")
        return None
    try:
        rate = float(text)
    except ValueError:
        rate = float("nan")
    if not 0 < rate < float("inf"):
        raise typer.BadParameter(f"--rate: expected 'asap' or a number above 0, found '{text}'")
    return rate


def _configure(
    log: Log, path: Path | None, plugin: str | None, checkpoint: Path | None
) -> tuple[Config, tuple[str, ...]]:
    """The configuration of the run: the file's or the log's, with what the command line says."""
    from perception.autoconfig import choose
    from perception.config import load_config

    choice = choose(log, load_config(path) if path is not None else None)
    changes: dict[str, Any] = {}
    if plugin is not None:
        changes["name"] = plugin
    if checkpoint is not None:
        changes["checkpoint"] = checkpoint
    chosen = choice.config.model_copy(update={"plugin": choice.config.plugin.model_copy(update=changes)})
    return chosen, choice.warnings


def with_faults(config: Config, texts: list[str]) -> Config:
    """The configuration with the faults of the command line beside its own."""
    if not texts:
        return config
    from perception.faults import parse_plan

    parse_plan(texts, "--fault")
    faults = (*config.faults, *texts)
    parse_plan(faults)
    return config.model_copy(update={"faults": faults})


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


def _distinct(options: dict[str, Path | None]) -> list[Path]:
    """The files that are written; two options may not name the same one, for each would spoil the other's."""
    named: dict[Path, str] = {}
    for option, path in options.items():
        if path is not None:
            other = named.setdefault(path.resolve(), option)
            if other != option and not path.is_char_device():  # /dev/null takes any number
                raise typer.BadParameter(f"{other} and {option} name the same file, name another: {path}")
    return [path for path in options.values() if path is not None]


def _sinks(
    target: Path | None, with_inputs: bool, render: Path | None, jsonl: Path | None
) -> tuple[list[Sink], Any]:
    """Where the outputs go, and what copies input messages."""
    sinks: list[Sink] = []
    copy = None
    if target is not None:
        from perception.sinks.mcap_sink import McapSink

        log_sink = McapSink(target)
        sinks.append(log_sink)
        copy = log_sink.copy if with_inputs else None
    elif with_inputs:
        raise typer.BadParameter("--with-inputs needs an output log; leave out --no-output")
    if render is not None:
        from perception.sinks.video import VideoSink

        sinks.append(VideoSink(render))
    if jsonl is not None:
        from perception.sinks.jsonl_sink import JsonlSink

        sinks.append(JsonlSink(jsonl))
    return sinks, copy


def _print(summary: Summary, as_json: bool, written: list[Path]) -> None:
    if as_json:
        print(
            json.dumps(
                {**summary.to_json(), "written": [str(p) for p in written]}, indent=2, ensure_ascii=False
            )
        )
    else:
        from perception_tools.summary_text import show

        show(summary, written)
