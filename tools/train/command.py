"""`perception train CONFIG`: from logs with truth to a checkpoint."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from perception_tools.exit_codes import leave, with_exit_code

if TYPE_CHECKING:
    from perception.training import Finished
    from perception.types import Status


def train(
    config: Annotated[
        str,
        typer.Argument(
            help="A YAML file, or a recipe by name: newcomer, finetune, default.", show_default=False
        ),
    ],
    logs: Annotated[
        list[str] | None,
        typer.Option(
            "--train", help="Logs, folders or patterns to learn from.", show_default="as configured"
        ),
    ] = None,
    validate: Annotated[
        list[str] | None, typer.Option(help="Logs to score on.", show_default="as configured")
    ] = None,
    calibrate: Annotated[
        list[str] | None, typer.Option(help="Logs to calibrate confidence on.", show_default="as configured")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="The folder of the run.", show_default="as configured")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Of weights, order and chance.", min=0)] = None,
    steps: Annotated[int | None, typer.Option(help="How many steps.", min=1)] = None,
    threads: Annotated[int | None, typer.Option(help="Threads that compute.", min=1)] = None,
    change: Annotated[
        list[str] | None,
        typer.Option("--set", help="Change one value: optimiser.lr=0.001 (YAML).", show_default=False),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in its folder.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Train the fusion model on logs with truth, and evaluate it."""
    from perception.training import load_train_config

    laid_over = changes(
        change or [],
        {
            "data.train": logs,
            "data.validate": validate,
            "data.calibrate": calibrate,
            "run.out": out,
            "run.seed": seed,
            "run.threads": threads,
            "schedule.steps": steps,
        },
    )
    resolved = load_train_config(config, laid_over)
    from perception.training import train as run  # imports torch
    from perception_tools.train.allocator import keep_freed_memory
    from perception_tools.train.watch import watcher

    keep_freed_memory()
    with watcher() as seen, stoppable() as stop:
        finished = run(resolved, resume, seen, stop)
    if as_json:
        print(json.dumps(_report(finished), indent=2))
    else:
        _show(finished)
    leave(_status(finished))


def changes(assignments: list[str], options: dict[str, Any]) -> dict[str, Any]:
    """Dotted path -> value, from `--set` and from the options that were given."""
    from perception.config.safe_yaml import parse_yaml
    from perception.errors import ConfigError

    found: dict[str, Any] = {}
    faults = []
    for text in assignments:
        path, equals, value = text.partition("=")
        if not equals or not path:
            faults.append(f"--set: expected PATH=VALUE, found {text!r}")
            continue
        try:
            found[path] = parse_yaml(value)
        except ValueError as error:
            faults.append(f"--set {path}: {error}")
    if faults:
        raise ConfigError(faults)
    given = {path: value for path, value in options.items() if value not in (None, [])}
    return found | {path: str(value) if isinstance(value, Path) else value for path, value in given.items()}


@contextmanager
def stoppable() -> Iterator[Callable[[], bool]]:
    """The first interrupt lets the step end and the state be saved; a second one stops at once."""
    asked: list[int] = []

    def ask(number: int, frame: object) -> None:
        if asked:
            raise KeyboardInterrupt
        asked.append(number)

    signals = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, ask) for number in signals]
    try:
        yield lambda: bool(asked)
    finally:
        for number, handler in zip(signals, before, strict=True):
            signal.signal(number, handler)


def _report(finished: Finished) -> dict[str, Any]:
    interrupted = finished.reason == "interrupted"
    document = {
        "schema": "perception.train/1",
        "status": _status(finished),
        "reason": finished.reason,
        "folder": str(finished.folder),
        "checkpoint": str(finished.folder / ("last.safetensors" if interrupted else "best.safetensors")),
        "steps": finished.steps,
        "best_step": finished.best_step,
        "cpu_s": round(finished.cpu_s, 1),
        "scores": dict(finished.scores),
    }
    return with_exit_code(document, _status(finished))


def _status(finished: Finished) -> Status:
    return "interrupted" if finished.reason == "interrupted" else "clean"


def _show(finished: Finished) -> None:
    if finished.reason == "interrupted":
        print(f"interrupted after {finished.steps} steps; go on with --resume; weights so far: "
              f"{finished.folder / 'last.safetensors'}")  # fmt: skip
        return
    why = {"done": "done", "early_stop": "stopped early", "max_cpu": "CPU time is up"}[finished.reason]
    spent = f"{finished.steps} steps, {finished.cpu_s:.0f} s of CPU"
    print(f"{why} after {spent}; best at step {finished.best_step}")
    for name, value in finished.scores.items():
        print(f"  {name:28} {value:.4g}")
    print(f"weights: {finished.folder / 'best.safetensors'}")
