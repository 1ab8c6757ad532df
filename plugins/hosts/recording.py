"""The recording of a host: a disk that is full ends the recording, never the host."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from perception.errors import OutputError
from perception.sinks import RunInfo
from perception.sinks.host_recording import HostRecordingSink
from perception.types import Message, Output, Sample, TruthFrame


def free_path(path: Path) -> Path:
    """Return the path, or where it exists the first free one (`drive.2.mcap`): a host that is started again
    replaces no recording."""
    number, free = 1, path
    while free.exists():
        number += 1
        free = path.with_name(f"{path.stem}.{number}{path.suffix}")
    return free


class HostRecording:
    """A recording as a sink of the loop. Raises only where it cannot be opened.

    Attributes:
        path: The file.
        problem: Why the recording has ended; empty: it goes on.

    Args:
        path: The file; one that exists is kept, and another name is taken.
        host: The name of the host.
    """

    def __init__(self, path: Path, host: str) -> None:
        self.path = free_path(path)
        self.problem = ""
        self._sink = HostRecordingSink(self.path, host)

    def open(self, run: RunInfo) -> None:
        self._sink.open(run)

    def copy(self, message: Message) -> None:
        """Write an input message."""
        self._try(lambda: self._sink.copy(message))

    def write(
        self,
        sample: Sample,
        output: Output,
        truth: TruthFrame | None = None,
        timing_ms: Mapping[str, float] | None = None,
    ) -> None:
        self._try(lambda: self._sink.write(sample, output, truth, timing_ms))

    def add_values(self, topic: str, output: Output, rows: Sequence[tuple[str, str, float]]) -> None:
        """Write named values beside an output."""
        self._try(lambda: self._sink.add_values(topic, output, rows))

    def end(self, clock_ns: int) -> None:
        """Note the last reading of the arrival clock."""
        self._try(lambda: self._sink.end(clock_ns))

    def sign(self, receipt: Mapping[str, str]) -> None:
        """Write the receipt of the run."""
        self._try(lambda: self._sink.sign(receipt))

    def close(self) -> None:
        self._try(self._sink.close)

    def _try(self, action: Callable[[], None]) -> None:
        if self.problem:
            return
        try:
            action()
        except OutputError as error:
            self.problem = str(error)
