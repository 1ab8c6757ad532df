"""The progress display of a training run on stderr: a bar with losses in a terminal, else plain lines."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from perception_tools.printing import make_console, say

if TYPE_CHECKING:
    from perception.training import StepReport, Watcher

EVERY_S = 10.0
"""Seconds between two plain lines."""

_SCORES = ("joint", "mAP50", "mAP", "distance_rel", "D-ECE")


@contextmanager
def watcher() -> Iterator[Watcher]:
    """Yield a watcher that draws a bar in a terminal, and prints lines elsewhere."""
    if not sys.stderr.isatty():
        yield Lines()
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(None),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[losses]}", markup=False),
    )
    with Progress(*columns, console=make_console(stderr=True)) as bar:
        yield Bars(bar)


class Lines:
    """A watcher that prints a line every `EVERY_S`, and that of the first step at once."""

    def __init__(self) -> None:
        self._next = 0.0
        self._what = ""

    def cached(self, what: str, done: int, total: int) -> None:
        now = time.monotonic()
        if what != self._what:
            self._what = what
            self.message(what)
        elif now >= self._next:
            self.message(f"{what}: {done} of {total or '?'}")
        else:
            return
        self._next = now + EVERY_S

    def message(self, text: str) -> None:
        say(text, stderr=True)

    def stepped(self, report: StepReport) -> None:
        now, begins = time.monotonic(), self._what != "steps"
        self._what = "steps"
        if begins or now >= self._next or report.step == report.steps:
            self._next = now + EVERY_S
            self.message(f"step {report.step}/{report.steps}  {losses(report)}  lr {report.lr:.2g}  "
                      f"{report.samples_per_s:.1f} samples/s")  # fmt: skip

    def validated(self, step: int, scores: Mapping[str, float], best: bool) -> None:
        if scores:
            self.message(f"step {step} validated: {scores_text(scores)}{'  (best)' if best else ''}")


class Bars(Lines):
    """A watcher that draws a bar for decoding and one for training, with scores as lines above."""

    def __init__(self, bar: Any) -> None:
        super().__init__()
        self._bar = bar
        self._decoding: Any = None
        self._training: Any = None

    def cached(self, what: str, done: int, total: int) -> None:
        if self._decoding is None:
            self._decoding = self._bar.add_task("decoding", losses="")
        self._bar.update(self._decoding, description=what, completed=done, total=total or None)

    def message(self, text: str) -> None:
        self._bar.console.print(text, highlight=False, markup=False)

    def stepped(self, report: StepReport) -> None:
        if self._training is None:
            if self._decoding is not None:
                self._bar.update(self._decoding, visible=False)
            self._training = self._bar.add_task("training", total=report.steps, losses="")
        self._bar.update(self._training, completed=report.step, losses=losses(report))


def losses(report: StepReport) -> str:
    """Return the loss of each head as text."""
    return "  ".join(f"{head} {value:.3f}" for head, value in report.losses.items()) or "batch left out"


def scores_text(scores: Mapping[str, float]) -> str:
    """Return the main scores as one line."""
    shown = [f"{name} {scores[name]:.3f}" for name in _SCORES if name in scores]
    for name, value in scores.items():
        persistence = scores.get(name.replace("MAE/", "MAE_persistence/"))
        if name.startswith("MAE/"):
            of = f" ({value / persistence:.2f} of persistence)" if persistence else ""
            shown.append(f"{name.removeprefix('MAE/')} {value:.3g}{of}")
    return "  ".join(shown)
