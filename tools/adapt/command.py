"""`perception adapt LOG...`: adapts a checkpoint to a new robot's logs, without labels."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from perception_tools.command_arguments import takes
from perception_tools.exit_codes import with_exit_code
from perception_tools.standard_output import answering, print_json
from perception_tools.train.options import Json, NewRunForce, Threads, fraction, log_reads


@dataclass
class AdaptArguments:
    """The arguments and options of `perception adapt`."""

    logs: Annotated[
        list[str] | None,
        typer.Argument(metavar="LOG...", help="Logs, folders or patterns.", show_default=False),
    ] = None
    out: Annotated[Path, typer.Option("--out", "-o", help="The folder of the run.")] = Path("runs/adapt")
    checkpoint: Annotated[
        str | None,
        typer.Option(help="The weights to start from.", show_default="street; fusion for simulated logs"),
    ] = None
    config: Annotated[
        Path | None, typer.Option("--config", "-c", help="How the logs are read.", show_default="by schema")
    ] = None
    validate: Annotated[
        list[str] | None,
        typer.Option(help="Logs with truth, for the verdict alone.", show_default="the last part of LOG"),
    ] = None
    minutes: Annotated[float, typer.Option(help="CPU time of all rounds together.", min=0.1)] = 10.0
    rounds: Annotated[int, typer.Option(help="How often the log is labelled anew.", min=1)] = 3
    steps: Annotated[
        int | None, typer.Option(help="Steps of a round.", min=2, show_default="four passes, 60 to 400")
    ] = None
    hold_out: Annotated[
        str, typer.Option(help="The last part of the time of each log, kept to judge the result on.")
    ] = "25%"
    seed: Annotated[int, typer.Option(help="The seed of order and augmentation.", min=0)] = 0
    threads: Threads = None
    as_json: Json = False
    force: NewRunForce = False


@takes(AdaptArguments)
def adapt(given: AdaptArguments) -> None:
    """Adapt weights to a new robot's logs without labels; refuse the result where it got worse.

    Agreement of mirrored and enlarged views and of neighbouring ticks teaches boxes, range returns teach
    distance; truth in the log is used for the verdict alone.
    """
    from perception.training.adaptation import AdaptOptions

    options = AdaptOptions(
        tuple(given.logs or ()),
        given.out,
        given.checkpoint,
        given.config,
        tuple(given.validate or ()),
        given.minutes,
        given.rounds,
        given.steps,
        fraction(given.hold_out),
        seed=given.seed,
        threads=given.threads,
    )
    _check_files(given)
    from perception.training.adaptation.adapt_run import adapt as run  # imports torch
    from perception_tools.adapt.text import show
    from perception_tools.train.allocator import keep_freed_memory
    from perception_tools.train.command import stoppable
    from perception_tools.train.progress import watcher

    keep_freed_memory()
    with watcher() as seen, stoppable() as stop:
        report = run(options, seen, stop)
    with answering(report.status):
        if given.as_json:
            print_json(with_exit_code(report.to_json(), report.status))
        else:
            show(report)


def _check_files(given: AdaptArguments) -> None:
    """Check that no file that is read would be replaced, and none of the user."""
    from perception.path_guard import Read, Write, check_paths

    reads = log_reads({"train": given.logs or [], "validate": given.validate or []})
    reads += [Read("the configuration", given.config)] if given.config is not None else []
    weights = given.checkpoint  # a file, a folder, or the name of a plugin
    reads += [Read("a checkpoint", Path(weights))] if weights and Path(weights).is_file() else []
    writes = [Write(f"--out ({name})", given.out / name) for name in ("adapted.safetensors", "adapt.json")]
    check_paths(reads, writes if given.out.is_dir() else [], force=given.force)
