"""The options of commands that work on many recordings, and what they choose."""

from __future__ import annotations

import os
from collections.abc import Generator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Protocol

import typer

from perception.remote import log_path
from perception_tools.printing import say

if TYPE_CHECKING:
    from perception.pipeline.batch import BatchResult, JobEvent, ReplayRecording
    from perception.pipeline.batch.receipts import RecordingTask
    from perception.pipeline.batch.recording_job import RecordingJob
    from perception.pipeline.replay_job import ReplayJob

MANY = "Many recordings"

OutputDir = Annotated[
    Path | None,
    typer.Option(
        parser=log_path,
        metavar="DIR|URL",
        help="The folder for the results of many recordings, each with a receipt; those done are skipped.",
        rich_help_panel=MANY,
    ),
]
Jobs = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="How many recordings at a time, each in a process.",
        show_default="1; on Ray what the cluster has room for",
        rich_help_panel=MANY,
    ),
]
On = Annotated[
    str | None,
    typer.Option(
        metavar="ray[://HOST[:PORT]]",
        help="Process the recordings on a Ray cluster (extra `ray`), one task each. `ray`: that of "
        "RAY_ADDRESS or of this machine, else one is started here.",
        show_default="this machine",
        rich_help_panel=MANY,
    ),
]
ShardText = Annotated[
    str | None,
    typer.Option(
        "--shard",
        metavar="I/N",
        help="Only every N-th recording, from the I-th on (from 0). /N takes I from the environment.",
        show_default="that of a Kubernetes indexed job or a Slurm array",
        rich_help_panel=MANY,
    ),
]
SplitText = Annotated[
    str | None,
    typer.Option(
        "--split",
        metavar="10min",
        help="Replay long recordings in spans of this length; together their outputs are those of the whole.",
        rich_help_panel=MANY,
    ),
]


class BatchArguments(Protocol):
    """The values of these options."""

    output_dir: Path | None
    jobs: int | None
    on: str | None
    shard: str | None
    force: bool


def is_batch(logs: Sequence[Path], arguments: BatchArguments, as_one: bool = False) -> bool:
    """Return whether the logs are done as a batch."""
    return arguments.output_dir is not None or (len(logs) > 1 and not as_one)


class ReplayBatchArguments(BatchArguments, Protocol):
    """The same for commands that replay."""

    split: str | None


def batch_options_in(arguments: BatchArguments) -> list[str]:
    """Return the names of the options that are given and concern a batch alone."""
    names = ("jobs", "on", "shard", "split")
    return [f"--{name}" for name in names if getattr(arguments, name, None) is not None]


def refuse_batch_options(arguments: BatchArguments) -> None:
    """Raise BadParameter if an option concerns a batch alone, for a command that is none."""
    if names := batch_options_in(arguments):
        raise typer.BadParameter(f"{', '.join(names)}: for many recordings; add --output-dir")


def find_recordings(paths: Sequence[Path], output_dir: Path | None, as_one: bool) -> list[Path]:
    """Return the logs that paths and patterns name; with `as_one` the drive that they are together.

    Raises:
        LogError: A pattern matches nothing.
    """
    from perception.logs.joined_path import as_one as one_drive
    from perception.logs.log_patterns import find_logs

    return [one_drive(paths)] if as_one else find_logs(paths, output_dir)


def run_many(jobs: Sequence[RecordingJob], arguments: BatchArguments, gpus: int = 0) -> BatchResult:
    """Do jobs as the options say, under one display of their progress.

    Args:
        jobs: One for each recording.
        arguments: The options.
        gpus: The GPUs that a task of Ray asks for.

    Raises:
        PerceptionError: As `run_batch` does.
    """
    from perception.pipeline.batch import parse_shard, ray_address, run_batch, run_in_processes, run_on_ray
    from perception_tools.batch_progress import BatchProgress

    def execute(tasks: Sequence[RecordingTask]) -> Generator[JobEvent]:
        if address is not None:
            return run_on_ray(tasks, address, arguments.jobs, gpus)
        return run_in_processes(tasks, arguments.jobs or 1)

    address = None if arguments.on is None else ray_address(arguments.on)
    shard = parse_shard(arguments.shard, os.environ)
    if shard.count > 1:
        say(f"{shard}: {len(shard.of(jobs))} of {len(jobs)} recordings", stderr=True)
    with BatchProgress() as progress:
        return run_batch(
            jobs,
            arguments.output_dir or Path(),
            execute,
            shard=shard,
            force=arguments.force,
            on_event=progress.update,
            on_start=progress.start,
        )


def replay_jobs(
    like: ReplayJob, logs: Sequence[Path], arguments: ReplayBatchArguments
) -> list[ReplayRecording]:
    """Return the replay of each log, or of each span of it.

    Those that share this machine share its cores; a task of Ray has one.
    """
    from perception.pipeline.batch import in_spans, parse_length, replay_recordings

    length_s = None if arguments.split is None else parse_length(arguments.split)
    if arguments.on is None:
        recordings = replay_recordings(like, logs, arguments.jobs or 1)
    else:
        engine = {"workers": 1, **like.overrides.engine}
        job = replace(like, overrides=replace(like.overrides, engine=engine))
        recordings = replay_recordings(job, logs)
    return recordings if length_s is None else in_spans(recordings, length_s)
