"""The options of an adaptation. No torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

FOLDER = Path("runs/adapt")
ROUNDS = "rounds"
"""The folder of the rounds, in that of the run."""


@dataclass(frozen=True, slots=True)
class AdaptOptions:
    """How to adapt a checkpoint to logs without labels.

    Attributes:
        logs: The logs to learn from; truth in them is never learned from.
        out: The folder of the run.
        checkpoint: The weights to start from: a file, a folder or the name of a plugin, for its own; None:
            those of `street`, which saw real pictures, or where all logs are simulated, of `fusion`.
        config: How the logs are read; None: chosen by schema for each log.
        validate: Logs with truth on which the result must not be surely worse; empty: the last part of
            `logs`, where it has truth.
        minutes: CPU time for all rounds together. Where it ends first, the steps done depend on the machine.
        rounds: How often the samples are labelled anew.
        steps: Of each round; None: four passes over the samples, 60 to 400.
        hold_out: The last part of the time of each log, which is not learned from.
        most: Samples that are learned from, at most, in evenly spaced pieces.
        lr: Learning rate.
        seed: Of order and augmentation.
        threads: That compute; None: as many as there are idle cores.
        device: `auto`, `cpu` or `cuda`.
        cache: The folder of decoded logs; None: in the user's cache.
    """

    logs: tuple[str, ...]
    out: Path = FOLDER
    checkpoint: str | None = None
    config: Path | None = None
    validate: tuple[str, ...] = ()
    minutes: float = 10.0
    rounds: int = 3
    steps: int | None = None
    hold_out: float = 0.25
    most: int = 600
    lr: float = 3e-4
    seed: int = 0
    threads: int | None = None
    device: str = "auto"
    cache: Path | None = None

    def errors(self) -> list[str]:
        """Return one line for each option that is wrong, by its name in the command line."""
        errors = []
        if not self.logs:
            errors.append("LOG: missing; name at least one log to adapt to")
        if not self.minutes > 0:
            errors.append(f"--minutes: expected more than 0, found {self.minutes}")
        if not 0 < self.hold_out < 1:
            errors.append(f"--hold-out: expected a part between 0 and 1, found {self.hold_out}")
        if self.rounds < 1:
            errors.append(f"--rounds: expected 1 or more, found {self.rounds}")
        if self.steps is not None and self.steps < 2:
            errors.append(f"--steps: expected 2 or more, found {self.steps}")
        if self.out.exists() and not self.out.is_dir():
            errors.append(f"--out: expected a folder, or a name for a new one, found a file: {self.out}")
        if (self.out / ROUNDS).exists():
            errors.append(f"--out: {self.out} holds an adaptation already; name another folder")
        return errors
