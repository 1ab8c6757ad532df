"""The work on one recording of a batch as plain values, which can be sent to another process or machine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol

from perception.path_guard import Read
from perception.pipeline.replay_job import Observe
from perception.types import Status


@dataclass(frozen=True, slots=True)
class ResultPlace:
    """Where a job leaves its results until all are finished.

    Attributes:
        folder: A local folder. What lies there when the job has ended, in folders too, is moved to the folder
            of the batch under the same name.
        recording: The name of the recording there: no other has it.
        receipt: The identity of the work: equal for equal input, weights, configuration and version.
    """

    folder: Path
    recording: str
    receipt: str


@dataclass(frozen=True, slots=True)
class JobEnd:
    """How a job ended.

    Attributes:
        status: `clean` and `loss` get a receipt.
        document: The JSON document of the command for this recording.
        frames: Outputs, or messages.
    """

    status: Status
    document: Mapping[str, Any]
    frames: int = 0


class RecordingJob(Protocol):
    """The work on one recording. It pickles.

    Attributes:
        log: The recording.
        suffix: What follows the recording's name in that of its main result.
        part: What follows the log's name in that of the recording: which span of it this is; empty: all.
    """

    suffix: ClassVar[str]

    @property
    def part(self) -> str: ...

    @property
    def log(self) -> Path: ...

    def settings(self) -> Mapping[str, Any]:
        """Return all that determines the results beside the log: options, code, weights, versions."""

    def reads(self, logs: Sequence[Path]) -> list[Read]:
        """Return the files that this work on several logs reads."""

    def is_ours(self, path: Path) -> bool:
        """Return whether an existing file is a main result of an earlier job."""

    def has_tables(self, recording: str) -> bool:
        """Return whether the results that the work puts elsewhere than in its folder are there."""

    def run(self, place: ResultPlace, observe: Observe) -> JobEnd:
        """Do the work, and leave its results in a folder.

        Raises:
            PerceptionError, OSError: It cannot be done.
        """


def keeps_unfinished(name: str) -> bool:
    """Return whether a result is kept though its job was interrupted: an output log says so itself."""
    return name.endswith(".outputs.mcap")
