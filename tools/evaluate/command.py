"""`perception evaluate LOG...`: what a plugin's answers are worth, by head and by sensor."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from perception_tools.evaluate import options as opt
from perception_tools.replay.command import Device

if TYPE_CHECKING:
    from perception.config import Config
    from perception.evaluation import Evaluation, Moment
    from perception.logs import Log
    from perception.plugin import Plugin

AROUND_S = 1.0
"""How much of the log around a bad moment its command replays, to either side."""

REFERENCE_ENGINE = {"precision": "fp32", "backend": "torch"}
"""The engine that scores are computed with where the configuration leaves it open."""


def evaluate(
    logs: opt.Logs = None,
    # --- what makes the outputs
    plugin: Annotated[
        str | None, typer.Option(help="The plugin's name. Default: as configured.", rich_help_panel=opt.MAKES)
    ] = None,
    checkpoint: Annotated[
        Path | None, typer.Option(help="Weights. Default: as configured.", rich_help_panel=opt.MAKES)
    ] = None,
    config: opt.Config_ = None,
    outputs: Annotated[
        list[Path] | None,
        typer.Option(
            help="Score these stored outputs instead of replaying; one for each log, in order.",
            rich_help_panel=opt.MAKES,
        ),
    ] = None,
    precision: opt.Precision_ = None,
    device: Annotated[
        Device, typer.Option(help="Where to compute.", rich_help_panel=opt.MAKES)
    ] = Device.auto,
    # --- what counts
    min_height: opt.MinHeight = 12.0,
    min_visible: opt.MinVisible = 0.3,
    min_support: opt.MinSupport = 10,
    deadline_hz: Annotated[
        float,
        typer.Option(
            help="A frame that takes longer than one period of it is late.", rich_help_panel=opt.RULES
        ),
    ] = 10.0,
    # --- how sure
    draws: opt.Draws = 1000,
    seed: opt.Seed = 0,
    slices: opt.Slices = None,
    # --- gates
    require: opt.Require = None,
    strict: opt.Strict = False,
    junit: opt.Junit = None,
    reference: opt.Reference_ = None,
    tolerance: opt.Tolerance = None,
    # --- under stress
    ablate: opt.Ablate = None,
    faults: opt.Faults = None,
    severities: opt.Severities = "0.2,0.5,0.8",
    fault: opt.Fault = None,
    latency_ms: opt.LatencyMs = None,
    # --- what is shown
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="Keep outputs and errors by frame in this MCAP file.",
            rich_help_panel=opt.SHOWN,
        ),
    ] = None,
    moments: Annotated[
        int, typer.Option(min=0, help="How many of the worst moments to name.", rich_help_panel=opt.SHOWN)
    ] = 10,
    reports: opt.Reports = None,
    as_json: opt.AsJson = False,
    schema: opt.Schema_ = False,
) -> None:
    """Replay logs once and score every head against their truth; or score outputs that were stored."""
    from perception.errors import ConfigError

    if schema:
        from perception.evaluation import json_schema

        print(json.dumps(json_schema(), indent=2))
        raise typer.Exit(0)
    paths, stored = logs or [], outputs or []
    wrong = _usage_faults(paths, stored, output, ablate, deadline_hz)
    wrong += ["--fault: needs a replay; leave out --outputs"] if stored and fault else []
    wrong += _gate_faults(paths, require, strict, draws, junit, reference, tolerance)
    wrong += [f"--draws: expected 0, or 100 and more, found {draws}"] if 0 < draws < 100 else []
    if wrong:
        raise ConfigError(wrong)

    from perception.autoconfig import Overrides, complete
    from perception.config import load_config
    from perception.evaluation import EvaluateOptions, Evaluation, Resampling, parse_slices
    from perception.evaluation.metrics import Rules, installed_metrics
    from perception.logs import open_log
    from perception.pipeline import ReplayOptions, Span, resolve_device
    from perception.plugin import load_plugin
    from perception_tools.evaluate.gates import Checks
    from perception_tools.evaluate.more import More
    from perception_tools.evaluate.report import check_reports, write_reports
    from perception_tools.replay.watch import watcher

    check_reports(reports or [])
    checks = Checks(require or [], strict, junit, reference or [], tolerance)
    base = load_config(config) if config is not None else None
    backend = "auto" if base is None else base.engine.backend
    options = EvaluateOptions(
        rules=Rules(min_height_px=min_height, min_visible=min_visible, min_support=min_support),
        rate_hz=deadline_hz,
        ablate=ablate == "sensors",
        moments=moments,
        guests=installed_metrics,
        replay=ReplayOptions(device=resolve_device(device.value, backend)),
        resampling=Resampling(draws, seed) if draws else None,
        slices=parse_slices(slices) if slices else (),
    )
    engine = {"precision": precision} if precision else {}
    overrides = Overrides(plugin, checkpoint, engine, REFERENCE_ENGINE, tuple(fault or ()))
    command = _command(config, plugin, checkpoint, fault or [])
    evaluation = Evaluation(options, command)
    more = More(evaluation, ablate == "faults", faults, severities, latency_ms, options.replay)
    for index, path in enumerate(paths):
        with ExitStack() as stack:
            log = stack.enter_context(open_log(path))
            choice = complete(log, base, overrides, config)
            for text in choice.warnings:
                evaluation.warn("config", text, log)
            beside = checks.beside(stack, index, log)
            if stored:
                kept = _score(stack, evaluation, stored[index], log, choice.config)
                more.add_stored(kept, log, choice.config)
                checks.add_stored(kept)
                continue
            load: Callable[[], Plugin] = partial(load_plugin, choice.config.plugin.name)
            observer = stack.enter_context(watcher(log, Span(), step=False))
            load, others = more.before(log, choice.config, load)
            summary = evaluation.replay(log, choice.config, load, output, observer, [*beside, *others])
            if summary.status == "interrupted" or not more.after(log, choice.config, observer):
                break
    report = checks.judge(more.finish(evaluation.report()), command)
    write_reports(reports or [], report)
    if as_json:
        print(json.dumps(report.to_json(), indent=2, ensure_ascii=False))
    else:
        from perception_tools.evaluate.text import show

        show(report)
    raise typer.Exit(report.exit_code)


def _usage_faults(
    logs: list[Path], stored: list[Path], output: Path | None, ablate: str | None, deadline_hz: float
) -> list[str]:
    """What is wrong with the options, all of it."""
    faults = []
    if not logs:
        faults.append("LOG: missing; name at least one log")
    if stored and len(stored) != len(logs):
        faults.append(f"--outputs: expected one for each log, {len(logs)}, found {len(stored)}")
    if ablate not in (None, "sensors", "faults"):
        faults.append(f"--ablate: expected sensors or faults, found {ablate!r}")
    if stored and ablate:
        faults.append("--ablate: needs a replay; leave out --outputs")
    if stored and output is not None:
        faults.append("--output: needs a replay; leave out --outputs")
    if output is not None and len(logs) > 1:
        faults.append(f"--output: holds the outputs of one log, found {len(logs)} logs")
    if not deadline_hz > 0:
        faults.append(f"--deadline-hz: expected more than 0, found {deadline_hz}")
    return faults


def _gate_faults(
    logs: list[Path],
    require: list[str] | None,
    strict: bool,
    draws: int,
    junit: Path | None,
    reference: list[Path] | None,
    tolerance: str | None,
) -> list[str]:
    faults = []
    if strict and not require:
        faults.append("--strict: says how to judge `--require`; add one")
    if strict and not draws:
        faults.append("--strict: needs intervals; leave out --draws 0")
    if junit is not None and not require and not reference:
        faults.append("--junit: holds gates; add --require or --reference")
    if reference and len(reference) != len(logs):
        faults.append(f"--reference: expected one for each log, {len(logs)}, found {len(reference)}")
    if tolerance is not None and not reference:
        faults.append("--tolerance: says how far from `--reference`; add that")
    return faults


def _score(stack: ExitStack, evaluation: Evaluation, stored: Path, log: Log, config: Config) -> Log:
    from perception.logs import open_log

    opened = stack.enter_context(open_log(stored))
    evaluation.score(opened, log, config)
    return opened


def _command(
    config: Path | None, plugin: str | None, checkpoint: Path | None, faults: list[str]
) -> Callable[[Moment], str]:
    """What replays a moment: the same plugin, weights and configuration, on a part of the log."""
    told = [("--config", config), ("--plugin", plugin), ("--checkpoint", checkpoint)]
    words = [word for option, value in told if value is not None for word in (option, str(value))]
    words += [word for text in faults for word in ("--fault", text)]

    def command(moment: Moment) -> str:
        start, end = max(moment.at_s - AROUND_S, 0.0), moment.at_s + AROUND_S
        return shlex.join(
            ["perception", "replay", moment.log, *words, "--start", f"{start:.3f}", "--end", f"{end:.3f}"]
        )

    return command
