"""`perception study CONFIG`: which task harms which, from many short runs of one training configuration."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from perception_tools.exit_codes import leave, with_exit_code

if TYPE_CHECKING:
    from perception.types import Status


def study(
    config: Annotated[
        str, typer.Argument(help="A YAML file, or a recipe by name: newcomer.", show_default=False)
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
    out: Annotated[
        Path, typer.Option("--out", "-o", help="The folder of the study; results in it are kept.")
    ] = Path("runs/study"),
    steps: Annotated[int, typer.Option(help="Of each run.", min=2)] = 100,
    seeds: Annotated[int, typer.Option(help="How many; with one nothing can be told apart.", min=1)] = 3,
    only: Annotated[
        str | None,
        typer.Option(help="Some of heads,gradients,balancing,pareto.", show_default="all"),
    ] = None,
    threads: Annotated[int | None, typer.Option(help="Threads that compute.", min=1)] = None,
    change: Annotated[
        list[str] | None,
        typer.Option("--set", help="Change one value: optimiser.lr=0.001 (YAML).", show_default=False),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Find out which task harms which: heads alone and together, their gradients, methods of balancing.

    Many short runs: with the recipe newcomer 43, half an hour of CPU.

    The same command goes on with a study that was interrupted.
    """
    from perception.training import load_train_config
    from perception.training.ablation import SECTIONS, StudyOptions, summary
    from perception_tools.train.command import changes, stoppable
    from perception_tools.train.watch import watcher

    sections = SECTIONS if only is None else tuple(part.strip() for part in only.split(",") if part.strip())
    options = StudyOptions(out, steps, seeds, sections)
    given = {"data.train": logs, "data.validate": validate, "run.threads": threads}
    resolved = load_train_config(config, changes(change or [], given))
    from perception.training.ablation import study as run  # imports torch

    with watcher() as seen, stoppable() as stop:
        done = run(resolved, options, seen, stop)
    status: Status = "interrupted" if done.reason == "interrupted" else "clean"
    if as_json:
        print(json.dumps({**with_exit_code(done.report, status), "folder": str(done.folder)}, indent=2))
    else:
        print(summary(done.report))
        print(f"\nreport: {done.folder / 'study.md'}, {done.folder / 'study.json'} and plots beside them")
        if status == "interrupted":
            print("interrupted; the same command goes on")
    leave(status)
