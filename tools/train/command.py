"""`perception train CONFIG`: trains a checkpoint on logs with truth."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from perception.interrupts import ENDING_SIGNALS, Interrupted
from perception_tools.exit_codes import note_signal, with_exit_code
from perception_tools.printing import say
from perception_tools.standard_output import answering, print_json
from perception_tools.train.options import (
    Calibrate,
    End,
    Json,
    NewRunForce,
    On,
    OptionalConfig,
    Out,
    Resume,
    Set,
    Start,
    Threads,
    Train,
    Validate,
    ValidateLast,
    check_run_folder,
    fraction,
    load_changed,
    resumed_config,
)

if TYPE_CHECKING:
    from perception.training import Finished, TrainConfig
    from perception.types import Status


def train(
    config: OptionalConfig = None,
    logs: Train = None,
    validate: Validate = None,
    calibrate: Calibrate = None,
    validate_last: ValidateLast = None,
    start: Start = None,
    end: End = None,
    out: Out = None,
    seed: Annotated[int | None, typer.Option(help="Seed of weights, order and augmentation.", min=0)] = None,
    steps: Annotated[int | None, typer.Option(help="Number of steps.", min=1)] = None,
    threads: Threads = None,
    change: Set = None,
    resume: Resume = False,
    on: On = None,
    processes: Annotated[
        int | None,
        typer.Option(min=1, help="With --on: how many.", show_default="the cluster's GPUs, else its nodes"),
    ] = None,
    as_json: Json = False,
    force: NewRunForce = False,
) -> None:
    """Train the fusion model on logs with truth, and evaluate it.

    Example: perception train finetune --train mine.mcap --validate-last 20% --out runs/mine
    """
    options = {
        "data.train": logs,
        "data.validate": validate,
        "data.calibrate": calibrate,
        "data.validate_last": None if validate_last is None else fraction(validate_last),
        "data.start_s": start,
        "data.end_s": end,
        "run.out": out,
        "run.seed": seed,
        "run.threads": threads,
        "schedule.steps": steps,
    }
    if processes is not None and on is None:
        raise typer.BadParameter("--processes: for --on ray; without it torchrun starts several processes")
    source = resumed_config(config, out, resume)
    resolved = load_changed(source, change, options)
    if not resume:
        check_run_folder(source, resolved, force)
    finished = _run(resolved, resume, on, processes)
    with answering(_status(finished)):
        if as_json and finished.first:
            print_json(_report(finished))
        elif finished.first:  # of several processes one answers
            _show(finished)


def _run(config: TrainConfig, resume: bool, on: str | None, processes: int | None) -> Finished:
    """Train in this process, as one of those that torchrun started, or on a Ray cluster."""
    from perception.training import train as run  # imports torch
    from perception_tools.train.allocator import keep_freed_memory
    from perception_tools.train.progress import watcher

    keep_freed_memory()
    with watcher() as seen, stoppable() as stop:
        if on is None:
            return run(config, resume, seen, stop)
        from perception.pipeline.batch import ray_address
        from perception.training.ray_training import train_on_ray

        return train_on_ray(config, ray_address(on), processes, resume, seen, stop)


@contextmanager
def stoppable() -> Iterator[Callable[[], bool]]:
    """Yield a function that returns whether a signal asked to end; a second signal ends at once."""
    asked: list[int] = []

    def ask(number: int, frame: object) -> None:
        note_signal(number)
        if asked:
            raise Interrupted(number)
        asked.append(number)

    ignored = signal.SIG_IGN  # SIGHUP under nohup
    before = {
        number: signal.signal(number, ask)
        for number in ENDING_SIGNALS
        if signal.getsignal(number) is not ignored
    }
    try:
        yield lambda: bool(asked)
    finally:
        for number, handler in before.items():
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
        say(f"interrupted after {finished.steps} steps; go on with --resume; weights so far: "
              f"{finished.folder / 'last.safetensors'}")  # fmt: skip
        return
    why = {"done": "done", "early_stop": "stopped early", "max_cpu": "CPU time is up"}[finished.reason]
    spent = f"{finished.steps} steps, {finished.cpu_s:.0f} s of CPU"
    say(f"{why} after {spent}; best at step {finished.best_step}")
    for name, value in finished.scores.items():
        say(f"  {name:28} {value:.4g}")
    say(f"weights: {finished.folder / 'best.safetensors'}")
