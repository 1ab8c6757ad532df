"""What a run tells whoever watches it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class StepReport:
    """One step done."""

    step: int  # how many are done
    steps: int
    losses: Mapping[str, float]  # by head; heads without truth in the batch are missing
    lr: float
    samples_per_s: float
    weights: Mapping[str, float]  # that balancing gave the heads, where it gives any


class Watcher(Protocol):
    """Sees a run; each method may do nothing."""

    def cached(self, what: str, done: int, total: int) -> None:
        """Something is made once and kept: `decoding yard.mcap`, and how many of its samples are done."""

    def said(self, text: str) -> None:
        """Something a user should read: an account, a warning."""

    def stepped(self, report: StepReport) -> None:
        """A step is done."""

    def validated(self, step: int, scores: Mapping[str, float], best: bool) -> None:
        """The validation samples are scored."""


class Silent:
    """Watches nothing."""

    def cached(self, what: str, done: int, total: int) -> None:
        pass

    def said(self, text: str) -> None:
        pass

    def stepped(self, report: StepReport) -> None:
        pass

    def validated(self, step: int, scores: Mapping[str, float], best: bool) -> None:
        pass
