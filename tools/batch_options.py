"""The options of commands that work on many recordings, and what they choose."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Protocol

import typer

from perception.remote import log_path
from perception_tools.printing import say

if TYPE_CHECKING:
    from perception.pipeline.batch import BatchResult

MANY = "Many recordings"

OutputDir = Annotated[
    Path | None,
    typer.Option(
        parser=log_path,
        metavar="DIR|URL",
        help="Where their results go, each with a receipt; what is done there is skipped.",
        rich_help_panel=MANY,
    ),
]
Jobs = Annotated[int, typer.Option(min=1, help="How many at a time.", rich_help_panel=MANY)]
ShardText = Annotated[
    str | None,
    typer.Option(
        "--shard",
        metavar="I/N",
        help="Only every N-th, from the I-th on (from 0). /N takes I from the environment.",
        show_default="that of a Kubernetes indexed job or a Slurm array",
        rich_help_panel=MANY,
    ),
]


class BatchArguments(Protocol):
    """What these options say."""

    output_dir: Path | None
    jobs: int
    shard: str | None
    force: bool


def is_batch(logs: Sequence[Path], arguments: BatchArguments, as_one: bool = False) -> bool:
    """Return whether the logs are done as a batch."""
    return arguments.output_dir is not None or (len(logs) > 1 and not as_one)


def find_recordings(paths: Sequence[Path], output_dir: Path | None, as_one: bool) -> list[Path]:
    """Return the logs that paths and patterns name; with `as_one` the drive that they are together.

    Raises:
        LogError: A pattern matches nothing.
    """
    from perception.logs.joined_path import as_one as one_drive
    from perception.logs.log_patterns import find_logs

    return [one_drive(paths)] if as_one else find_logs(paths, output_dir)


def run_many(jobs: Sequence[Any], arguments: BatchArguments) -> BatchResult:
    """Do jobs as the options say, under one display of their progress.

    Raises:
        PerceptionError: As `run_batch` does.
    """
    from perception.pipeline.batch import parse_shard, run_batch, run_in_processes
    from perception_tools.batch_progress import BatchProgress

    shard = parse_shard(arguments.shard, os.environ)
    if shard.count > 1:
        say(f"{shard}: {len(shard.of(jobs))} of {len(jobs)} recordings", stderr=True)
    with BatchProgress() as progress:
        return run_batch(
            jobs,
            arguments.output_dir or Path(),
            lambda tasks: run_in_processes(tasks, arguments.jobs),
            shard=shard,
            force=arguments.force,
            on_event=progress.update,
            on_start=progress.start,
        )
