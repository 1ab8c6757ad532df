"""`perception replay LOG...`: recorded logs through a plugin, to output logs, a video and a summary."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from perception_tools.replay.job import ReplayJob, run_job

if TYPE_CHECKING:
    from perception.pipeline import Summary

ENGINE = "Engine: the same outputs within stated tolerances, at another speed"
MANY = "Several logs"


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
    logs: Annotated[
        list[Path], typer.Argument(metavar="LOG...", help="The log, an MCAP file.", show_default=False)
    ],
    plugin: Annotated[str | None, typer.Option(help="The plugin to run.", show_default="fusion")] = None,
    checkpoint: Annotated[Path | None, typer.Option(help="Weights; default: the plugin's own.")] = None,
    config: Annotated[
        Path | None, typer.Option(help="YAML; without one, sensors are found by schema (see `info`).")
    ] = None,
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
        Path | None,
        typer.Option(
            help="The output log; another suffix chooses another sink.",
            show_default="LOG's name + .outputs.mcap, here",
        ),
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
    device: Annotated[Device, typer.Option(help="Where to compute.", rich_help_panel=ENGINE)] = Device.auto,
    backend: Annotated[
        str | None, typer.Option(help="What computes.", show_default="auto", rich_help_panel=ENGINE)
    ] = None,
    precision: Annotated[
        str | None, typer.Option(help="In which numbers.", show_default="auto", rich_help_panel=ENGINE)
    ] = None,
    batch: Annotated[
        int | None, typer.Option(min=1, help="Samples at once.", show_default="1", rich_help_panel=ENGINE)
    ] = None,
    check: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="First compare N samples' answers with fp32 eager torch's; other answers: exit code 4.",
            rich_help_panel=ENGINE,
        ),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Threads that carry frames.",
            show_default="the cores, up to 8",
            rich_help_panel=ENGINE,
        ),
    ] = None,
    output_dir: Annotated[
        Path | None,
        typer.Option(help="Where their outputs go; what is done there is skipped.", rich_help_panel=MANY),
    ] = None,
    jobs: Annotated[int, typer.Option(min=1, help="How many at a time.", rich_help_panel=MANY)] = 1,
) -> None:
    """Replay logs through a plugin: boxes, distances, control, and an account of every message."""
    from perception.autoconfig import Overrides

    speed = _rate(rate, live_drop, step)
    engine = engine_options({"backend": backend, "precision": precision, "batch": batch, "workers": workers})
    engine |= {"workers": 1} if step else {}
    files = {"--output": output, "--render": render, "--jsonl": jsonl, "--ledger": ledger}
    job = ReplayJob(
        log=logs[0],
        output=None if no_output else output or Path(f"{logs[0].stem}.outputs.mcap"),
        render=render,
        jsonl=jsonl,
        ledger=ledger,
        with_inputs=with_inputs,
        config=config,
        overrides=Overrides(plugin, checkpoint, engine, faults=tuple(fault or ())),
        device=device.value,
        rate=speed,
        live_drop=live_drop,
        start=start,
        end=end,
        loops=loop,
        on_error=on_error.value,
    )
    if len(logs) > 1 or output_dir is not None:
        from perception_tools.replay.many import replay_many

        alone = [option for option, path in files.items() if path is not None]
        alone += [
            option
            for option, given in (("--step", step), ("--no-output", no_output), ("--check", check))
            if given
        ]
        if alone:
            raise typer.BadParameter(f"{', '.join(alone)}: for one log alone; several go to --output-dir")
        raise typer.Exit(replay_many(job, logs, output_dir or Path(), jobs, as_json))
    if check is not None:
        from perception_tools.replay.engine_check import check_engine

        check_engine(job, check)
    from perception_tools.replay.watch import watcher

    summary = run_job(job, lambda log, span: watcher(log, span, step))
    _print(summary, as_json, job.written)
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


def engine_options(options: dict[str, Any]) -> dict[str, Any]:
    """What was said of the engine, checked as the configuration would be."""
    given = {key: value for key, value in options.items() if value is not None}
    if given:
        from pydantic import ValidationError

        from perception.config import EngineConfig

        try:
            EngineConfig(**given)
        except ValidationError as error:
            fault = error.errors()[0]
            name, text = fault["loc"][0], fault["msg"].replace("Input should", "should")
            raise typer.BadParameter(f"--{name} {given[str(name)]}: {text}") from None
    return given


def _print(summary: Summary, as_json: bool, written: list[Path]) -> None:
    if as_json:
        print(
            json.dumps(
                {**summary.to_json(), "written": [str(p) for p in written]}, indent=2, ensure_ascii=False
            )
        )
    else:
        from perception_tools.replay.text import show

        show(summary, written)
