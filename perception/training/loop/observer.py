"""Observers of a run: `Watcher` for users, and `RunObserver`, which the training loop reports to."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from perception.models import FusionModel
from perception.text import listed
from perception.training.loop.journal import Journal

NOTE_EVERY = 10
"""Steps between two lines of the journal."""


@dataclass(frozen=True, slots=True)
class StepReport:
    """One step that is done.

    Attributes:
        step: Number of steps done.
        steps: Of the whole run.
        losses: By head; heads without truth in the batch are missing.
        lr: Learning rate.
        samples_per_s: Since the run was started or resumed.
        weights: Of the heads, where the balancing method sets any.
    """

    step: int
    steps: int
    losses: Mapping[str, float]
    lr: float
    samples_per_s: float
    weights: Mapping[str, float]


class Watcher(Protocol):
    """A listener for the progress of a run; each method may do nothing."""

    def cached(self, what: str, done: int, total: int) -> None:
        """Report progress of something that is cached: `decoding yard.mcap`, samples done and in total."""

    def message(self, text: str) -> None:
        """Report something that a user should read, such as a warning."""

    def stepped(self, report: StepReport) -> None:
        """Report that a step is done."""

    def validated(self, step: int, scores: Mapping[str, float], best: bool) -> None:
        """Report the scores of the validation samples."""


class Silent:
    """A watcher that does nothing."""

    def cached(self, what: str, done: int, total: int) -> None:
        pass

    def message(self, text: str) -> None:
        pass

    def stepped(self, report: StepReport) -> None:
        pass

    def validated(self, step: int, scores: Mapping[str, float], best: bool) -> None:
        pass


Save = Callable[[FusionModel, Mapping[str, Any], bool], None]
"""Keeps the averaged model and the trainer's state; called with whether the average is the best so far."""


@dataclass(frozen=True, slots=True)
class RunObserver:
    """The object that the training loop reports to, and asks whether to stop.

    Attributes:
        watcher: Hears about progress.
        journal: Gets lines of metrics; None in all processes but the first.
        save: Keeps weights and state.
        stop: Asked after each step.
    """

    watcher: Watcher
    journal: Journal | None
    save: Save
    stop: Callable[[], bool]

    def stepped(self, report: StepReport) -> None:
        """Report that a step is done."""
        self.watcher.stepped(report)
        if report.step % NOTE_EVERY == 0 or report.step == report.steps:
            losses = {f"loss/{head}": value for head, value in report.losses.items()}
            weights = {f"weight/{head}": value for head, value in report.weights.items()}
            speed = {"samples_per_s": round(report.samples_per_s, 3)}
            self.note("train", report.step, {**losses, **weights, "lr": report.lr, **speed})

    def skipped(self, step: int, heads: Sequence[str], samples: Sequence[str]) -> str:
        """Record a batch without a finite loss; return a sentence about it."""
        self.note("skipped", step, {"heads": heads, "samples": samples})
        names = " and ".join(
            f"the loss of {head}" if head != "gradient" else "the gradient" for head in heads
        )
        return f"{names} is not a finite number in step {step}: {listed(samples)}"

    def validated(self, step: int, scores: Mapping[str, float], best: bool) -> None:
        """Report the scores of the validation samples."""
        self.note("validate", step, {**scores, "best": best})
        self.watcher.validated(step, scores, best)

    def note(self, kind: str, step: int, values: Mapping[str, object]) -> None:
        """Write a line of the journal, where this process keeps one."""
        if self.journal is not None:
            self.journal.note(kind, step, values)
