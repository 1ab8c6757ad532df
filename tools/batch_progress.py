"""The progress of a batch: one line for all logs and one for each running one, in a terminal."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Self

from perception_tools.printing import make_console

if TYPE_CHECKING:
    from perception.pipeline.batch import JobEvent


class BatchProgress:
    """A display of one line for all logs and one for each running replay, in a terminal; else nothing."""

    def __init__(self) -> None:
        self._display: Any = None
        self._fractions: dict[str, float] = {}
        self._lines: dict[str, Any] = {}
        self._count = self._skipped = 0

    def __enter__(self) -> Self:
        if sys.stderr.isatty():
            from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

            columns = (
                TextColumn("{task.description}", markup=False),
                BarColumn(bar_width=20),
                TextColumn("{task.percentage:>3.0f} %"),
                TextColumn("{task.fields[note]}", markup=False),
                TimeRemainingColumn(),
            )
            console = make_console(stderr=True)
            self._display = Progress(*columns, console=console, transient=True, refresh_per_second=5)
            self._display.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._display is not None:
            self._display.stop()

    def start(self, count: int, skipped: int) -> None:
        """Show the number of logs, and how many of them are skipped."""
        self._count, self._skipped = count, skipped
        if self._display is not None:
            note = f"{skipped} of {count}"
            self._all = self._display.add_task("all logs", total=count, completed=skipped, note=note)

    def update(self, event: JobEvent) -> None:
        """Show the progress that a job reports."""
        if self._display is None:
            return
        name = event.recording
        if name not in self._lines:
            self._lines[name] = self._display.add_task(name[:24], total=1.0, note="")
        if event.status is None:
            self._fractions[name] = event.fraction
            note = f"{event.frames} frames"
            self._display.update(self._lines[name], completed=event.fraction, note=note)
        else:
            self._fractions[name] = 1.0
            self._display.remove_task(self._lines[name])
        done = self._skipped + sum(fraction == 1.0 for fraction in self._fractions.values())
        completed = self._skipped + sum(self._fractions.values())
        self._display.update(self._all, completed=completed, note=f"{done} of {self._count}")
