"""`perception compare A B LOG...`: which of two is better on the same logs, and where they differ."""

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
from perception_tools.evaluate.command import AROUND_S, REFERENCE_ENGINE
from perception_tools.replay.command import Device

if TYPE_CHECKING:
    from perception.config import Config
    from perception.evaluation import Moment
    from perception.evaluation.comparison.paired_evaluation import Side
    from perception.logs import Log

_WHAT = (
    "A checkpoint (.safetensors), a plugin's name, PLUGIN:CHECKPOINT, or stored outputs (.mcap; a folder)."
)


def compare(
    a: Annotated[str | None, typer.Argument(metavar="A", help=_WHAT, show_default=False)] = None,
    b: Annotated[str | None, typer.Argument(metavar="B", help="Likewise.", show_default=False)] = None,
    logs: opt.Logs = None,
    config: opt.Config_ = None,
    precision: opt.Precision_ = None,
    device: Annotated[
        Device, typer.Option(help="Where to compute.", rich_help_panel=opt.MAKES)
    ] = Device.auto,
    min_height: opt.MinHeight = 12.0,
    min_visible: opt.MinVisible = 0.3,
    min_support: opt.MinSupport = 10,
    draws: opt.Draws = 1000,
    seed: opt.Seed = 0,
    apart: Annotated[
        int,
        typer.Option(
            min=0, help="How many of the moments where they differ most.", rich_help_panel=opt.SHOWN
        ),
    ] = 10,
    as_json: opt.AsJson = False,
    schema: opt.Schema_ = False,
) -> None:
    """Run two on the same logs, read once, and say of each metric whether B is better or worse than A."""
    from perception.errors import ConfigError

    if schema:
        from perception.evaluation.comparison.comparison_report import compare_schema

        print(json.dumps(compare_schema(), indent=2))
        raise typer.Exit(0)
    paths = logs or []
    faults = ["A, B: missing; name two"] if a is None or b is None else []
    faults += [] if paths else ["LOG: missing; name at least one log"]
    faults += [f"--draws: expected 0, or 100 and more, found {draws}"] if 0 < draws < 100 else []
    if faults or a is None or b is None:
        raise ConfigError(faults)

    from perception.autoconfig import Overrides, complete
    from perception.config import load_config
    from perception.evaluation import EvaluateOptions, Resampling
    from perception.evaluation.comparison.paired_evaluation import PairedEvaluation
    from perception.evaluation.metrics import Rules
    from perception.logs import open_log
    from perception.pipeline import ReplayOptions, Span, resolve_device
    from perception_tools.replay.watch import watcher

    base = load_config(config) if config is not None else None
    backend = "auto" if base is None else base.engine.backend
    options = EvaluateOptions(
        rules=Rules(min_height_px=min_height, min_visible=min_visible, min_support=min_support),
        replay=ReplayOptions(device=resolve_device(device.value, backend)),
        resampling=Resampling(draws, seed) if draws else None,
    )
    overrides = Overrides(engine={"precision": precision} if precision else {}, auto=REFERENCE_ENGINE)
    kept = [_stored_files(side, paths) for side in (a, b)]
    comparison: PairedEvaluation | None = None
    for index, path in enumerate(paths):
        with ExitStack() as stack:
            log = stack.enter_context(open_log(path))
            choice = complete(log, base, overrides, config)
            if comparison is None:
                sides = (_side(a, kept[0], choice.config), _side(b, kept[1], choice.config))
                comparison = PairedEvaluation(sides, options, _command(config, sides))
            for text in choice.warnings:
                comparison.warn("config", text, log)
            observer = stack.enter_context(watcher(log, Span(), step=False))
            stored = (_open(stack, kept[0], index), _open(stack, kept[1], index))
            if not comparison.add(log, choice.config, stored, observer):
                break
    assert comparison is not None
    report = comparison.report(apart)
    if as_json:
        print(json.dumps(report.to_json(), indent=2, ensure_ascii=False))
    else:
        from perception_tools.compare.text import show

        show(report)
    raise typer.Exit(report.exit_code)


def _stored_files(text: str, logs: list[Path]) -> list[Path]:
    """The output logs that a side names, one for each log; none where it is no stored output.

    Raises:
        ConfigError: They are not one for each log.
    """
    from perception.errors import ConfigError

    path = Path(text)
    if path.is_dir():
        found = [path / f"{log.stem}.outputs.mcap" for log in logs]
        missing = [str(one) for one in found if not one.is_file()]
        if missing:
            raise ConfigError([f"{text}: expected stored outputs there, found no {', '.join(missing)}"])
        return found
    if not text.endswith(".mcap"):
        return []
    parts = [Path(part.strip()) for part in text.split(",")]
    if len(parts) != len(logs):
        expected = f"one for each log, {len(logs)}, with commas, or a folder of LOG.outputs.mcap"
        raise ConfigError([f"{text}: expected {expected}, found {len(parts)}"])
    return parts


def _side(text: str, stored: list[Path], config: Config) -> Side:
    """What a word of the command line names."""
    from perception.errors import ConfigError
    from perception.evaluation.comparison.paired_evaluation import Side
    from perception.plugin import load_plugin

    if stored:
        return Side(text, "stored")
    plugin, colon, weights = text.partition(":")
    if text.endswith(".safetensors") and not (colon and weights):
        plugin, weights = config.plugin.name, text
    if weights and not Path(weights).is_file():
        raise ConfigError([f"{text}: expected a checkpoint, found no file {weights}"])
    load = partial(load_plugin, plugin)
    load()  # so that a name that is none is said before anything runs
    return Side(text, "checkpoint" if weights else "plugin", load, Path(weights) if weights else None)


def _open(stack: ExitStack, files: list[Path], index: int) -> Log | None:
    from perception.logs import open_log

    return stack.enter_context(open_log(files[index])) if files else None


def _command(config: Path | None, sides: tuple[Side, Side]) -> Callable[[Moment, int], str]:
    """What replays a moment as one side saw it; of stored outputs nothing is known but the log."""

    def command(moment: Moment, number: int) -> str:
        side = sides[number]
        words = [] if config is None else ["--config", str(config)]
        if side.checkpoint is not None:
            words += ["--checkpoint", str(side.checkpoint)]
            plugin = side.name.removesuffix(f":{side.checkpoint}")
            words += ["--plugin", plugin] if plugin != side.name else []
        elif side.kind == "plugin":
            words += ["--plugin", side.name]
        start, end = max(moment.at_s - AROUND_S, 0.0), moment.at_s + AROUND_S
        return shlex.join(
            ["perception", "replay", moment.log, *words, "--start", f"{start:.3f}", "--end", f"{end:.3f}"]
        )

    return command
