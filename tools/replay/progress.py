"""The progress display of a replay: a bar, or one tick per key press."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer

from perception.types import Sample
from perception_tools.printing import make_console, say
from perception_tools.replay.answer_text import answer_lines

if TYPE_CHECKING:
    from perception.logs import Log
    from perception.pipeline import Observer, Progress, Span


@contextmanager
def observer(log: Log, span: Span, step: bool) -> Iterator[Observer | None]:
    """Yield the observer of a run: keys with `--step`, a bar in a terminal, else none."""
    if step:
        with _raw_keys():
            yield Steps()
    elif sys.stderr.isatty():
        with _bar(log, span) as bar:
            yield bar
    else:
        yield None


class Steps:
    """An observer that waits for a key before each tick, and prints its latency and its answer."""

    def before(self, sample: Sample) -> None:
        inputs = ", ".join(
            f"{entry.name} {'yes' if entry.present else entry.reason}" for entry in sample.sensors
        )
        say(
            f"tick {sample.tick.index} ({sample.tick.kind}): {inputs}  [any key: run it, q: end]",
            stderr=True,
        )
        if os.read(sys.stdin.fileno(), 1) in (b"q", b"Q", b"\x03", b""):
            raise KeyboardInterrupt

    def after(self, progress: Progress) -> None:
        say(f"  frame {progress.frames}: {progress.latency_ms:.1f} ms", stderr=True)
        if progress.output is not None:
            say(*(f"    {line}" for line in answer_lines(progress.output)), stderr=True)


@contextmanager
def _raw_keys() -> Iterator[None]:
    """Read keys without waiting for a line end. Requires a terminal."""
    if not sys.stdin.isatty():
        raise typer.BadParameter("--step needs a terminal to read keys from")
    import termios
    import tty

    before = termios.tcgetattr(sys.stdin)
    tty.setcbreak(sys.stdin, termios.TCSADRAIN)
    try:
        yield
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)


@contextmanager
def _bar(log: Log, span: Span) -> Iterator[Observer]:
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    first = span.start_ns or log.survey.start_ns or 0
    last = min(span.end_ns or sys.maxsize, log.survey.end_ns or first)
    columns = (
        BarColumn(bar_width=24),
        TextColumn("{task.percentage:>3.0f} %"),
        TextColumn("{task.fields[frames]} frames"),
        TextColumn("{task.fields[speed]}"),
        TimeRemainingColumn(),
    )
    with Progress(
        *columns, console=make_console(stderr=True), transient=True, refresh_per_second=5
    ) as progress:
        task = progress.add_task("replay", total=max(last - first, 1), frames=0, speed="starting")
        yield Bar(
            lambda done, frames, speed: progress.update(task, completed=done, frames=frames, speed=speed),
            first,
        )


class Bar:
    """An observer that updates a bar: frames, frames per second, and latency."""

    def __init__(self, show: object, first_ns: int) -> None:
        self._show = show
        self._first_ns = first_ns
        self._since = time.monotonic()
        self._frames = 0
        self._speed = "starting"

    def before(self, sample: Sample) -> None:
        """Do nothing."""

    def after(self, progress: Progress) -> None:
        now = time.monotonic()
        if now - self._since >= 0.5:
            rate = (progress.frames - self._frames) / (now - self._since)
            self._since, self._frames = now, progress.frames
            self._speed = f"{rate:.1f} frames/s, {progress.latency_ms:.0f} ms"
        assert callable(self._show)
        self._show(progress.log_time_ns - self._first_ns, progress.frames, self._speed)
