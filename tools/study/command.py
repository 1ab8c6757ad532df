"""`perception study CONFIG`: measures interference between tasks by many short runs of one configuration."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from perception_tools.exit_codes import with_exit_code
from perception_tools.printing import say
from perception_tools.standard_output import answering, print_json
from perception_tools.train.options import (
    Config,
    Json,
    NewRunForce,
    Set,
    Threads,
    Train,
    Validate,
    check_files,
    load_changed,
)

if TYPE_CHECKING:
    from perception.types import Status


def study(
    config: Config,
    logs: Train = None,
    validate: Validate = None,
    out: Annotated[
        Path, typer.Option("--out", "-o", help="The folder of the study; results in it are kept.")
    ] = Path("runs/study"),
    steps: Annotated[int, typer.Option(help="Number of steps of each run.", min=2)] = 100,
    seeds: Annotated[int, typer.Option(help="Number of seeds; one is too few for a verdict.", min=1)] = 3,
    only: Annotated[
        str | None,
        typer.Option(help="Some of heads,gradients,balancing,pareto.", show_default="all"),
    ] = None,
    threads: Threads = None,
    change: Set = None,
    as_json: Json = False,
    force: NewRunForce = False,
) -> None:
    """Find out which task harms which: heads alone and together, their gradients, balancing methods.

    Many short runs: 43 with the recipe newcomer, which take half an hour of CPU time.

    The same command resumes a study that was interrupted.
    """
    from perception.training.ablation import SECTIONS, StudyOptions, summary
    from perception_tools.train.command import stoppable
    from perception_tools.train.progress import watcher

    sections = SECTIONS if only is None else tuple(part.strip() for part in only.split(",") if part.strip())
    options = StudyOptions(out, steps, seeds, sections)
    changes = {"data.train": logs, "data.validate": validate, "run.threads": threads}
    resolved = load_changed(config, change, changes)
    from perception.path_guard import Write
    from perception.training.ablation import study as run  # imports torch
    from perception.training.ablation.study_run import FILES, is_study_file

    writes = [Write(f"--out ({name})", out / name, is_study_file) for name in FILES]
    check_files(config, resolved, writes if out.is_dir() else [], force)
    with watcher() as seen, stoppable() as stop:
        done = run(resolved, options, seen, stop)
    status: Status = "interrupted" if done.reason == "interrupted" else "clean"
    with answering(status):
        if as_json:
            print_json({**with_exit_code(done.report, status), "folder": str(done.folder)})
        else:
            say(*summary(done.report).splitlines())
            say("", f"report: {done.folder / 'study.md'}, {done.folder / 'study.json'} and plots beside them")
            if status == "interrupted":
                say("interrupted; the same command resumes it")
