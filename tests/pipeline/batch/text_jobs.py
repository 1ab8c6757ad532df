"""Work on recordings that needs no model: it counts the bytes of a text and can be killed on the way."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from perception.path_guard import Read, marked
from perception.pipeline.batch.recording_job import JobEnd, ResultPlace
from perception.pipeline.replay_job import Observe
from perception.types import Status


@dataclass(frozen=True, slots=True)
class CountJob:
    """Write the number of bytes of a log, and the identity of the work, into two files.

    Attributes:
        log: Any file.
        version: A setting.
        status: How it ends.
        kill: A file: the process kills itself half-way, as often as the file holds a byte for.
        pause_s: How long it takes.
        parts: How many files it writes beside the main one.
    """

    log: Path
    version: str = "1"
    status: Status = "clean"
    kill: Path | None = None
    pause_s: float = 0.0
    parts: int = 1
    suffix: ClassVar[str] = ".txt"
    part: ClassVar[str] = ""

    def settings(self) -> Mapping[str, Any]:
        return {"version": self.version}

    def reads(self, logs: Sequence[Path]) -> list[Read]:
        return [Read("the log", log) for log in logs]

    def is_ours(self, path: Path) -> bool:
        return marked(b"count ")(path)

    def has_tables(self, recording: str) -> bool:
        return True

    def run(self, place: ResultPlace, observe: Observe) -> JobEnd:
        main = place.folder / f"{place.recording}{self.suffix}"
        main.write_text("count ")
        if self.kill is not None and (left := self.kill.read_bytes()):
            self.kill.write_bytes(left[1:])
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(self.pause_s)
        with self.log.open("rb") as file:
            count = len(file.read())
        main.write_text(f"count {count}")
        for number in range(self.parts):
            part = place.folder / "tables" / f"recording={place.recording}" / f"{number}.csv"
            part.parent.mkdir(parents=True, exist_ok=True)
            part.write_text(f"{place.receipt},{count}\n")
        document = {"status": self.status, "count": count, "run": {"messages_sha256": "abc"}}
        return JobEnd(self.status, document, count)
