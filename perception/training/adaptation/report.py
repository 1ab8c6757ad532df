"""The report of an adaptation, under the schema `perception.adapt/1`. No torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

AdaptStatus = Literal["clean", "gate_failed", "interrupted"]


@dataclass(frozen=True, slots=True)
class StatsChange:
    """Mean and standard deviation of one input channel: in the checkpoint, in the log, and as used now."""

    group: str
    channel: str
    old: tuple[float, float]
    log: tuple[float, float]
    new: tuple[float, float]


@dataclass(frozen=True, slots=True)
class ClassLabels:
    """The labels of one class in a round.

    Attributes:
        label: The class.
        score: From this on a box is a label; None: no score is certain enough, the class is left as it is.
        confirmed: The share of the boxes from that score on (or from the least, where None) that views and
            neighbouring ticks confirm.
        labels: Number of boxes learned.
        doubts: Boxes that are neither learned nor punished.
        distances: Labels whose distance the returns say.
    """

    label: str
    score: float | None
    confirmed: float | None
    labels: int
    doubts: int
    distances: int


@dataclass(frozen=True, slots=True)
class RoundReport:
    """One round of labelling and training."""

    classes: tuple[ClassLabels, ...]
    steps: int
    reason: str  # why training ended: `done`, `max_cpu`, `interrupted`; or `no_labels`: there was none
    cpu_s: float


@dataclass(frozen=True, slots=True)
class SelfCheck:
    """How a model does on the held-out part, without truth.

    Attributes:
        agreement: The share of boxes that the mirror image has, too; None: there are no boxes. After the
            adaptation, of the surest boxes alone, as many as there were before.
        boxes: Per picture.
        distance_error: Median of |predicted - by returns| / by returns, of boxes with returns; None: too few.
        distances: The number of such boxes.
        agreement_error: The standard error of the agreement.
    """

    agreement: float | None
    boxes: float
    distance_error: float | None
    distances: int
    agreement_error: float = 0.0


@dataclass(frozen=True, slots=True)
class ScoreChange:
    """A score on the part with truth, before and after."""

    name: str
    before: float | None
    after: float | None
    verdict: str  # of the paired bootstrap: `better`, `worse`, `cannot tell`


@dataclass(frozen=True, slots=True)
class Truthful:
    """The comparison on the part with truth.

    Attributes:
        source: What it was.
        scores: Of the main metrics.
        no_verdict: Why the bootstrap cannot tell; empty: it can.
        warnings: Of the comparison, as of class words of the truth that the weights do not know.
    """

    source: str
    scores: tuple[ScoreChange, ...]
    no_verdict: str = ""
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CalibrationChange:
    """The mean of a calibration constant, before and after."""

    name: str
    old: float
    new: float
    rests_on: int  # detections or matches


@dataclass(frozen=True, slots=True)
class AdaptReport:
    """The whole of an adaptation.

    Attributes:
        status: `gate_failed`: the result is refused, and no weights are written.
        refused: Why; empty: it is not.
        checkpoint: The adapted weights, or those it started from where they stay.
        started_from: The weights it started from.
        logs: Names of the logs.
        samples, held_out: Number of samples that were learned from and held out.
        stats: Statistics of inputs, those that differ between log and checkpoint.
        stats_kept: Why the statistics stayed; empty: they were renewed.
        rounds: Of labelling and training.
        before, after: On the held-out part, without truth.
        truth: On the part with truth; None: there is none.
        calibration: Renewed constants.
        calibrated_with: The sensors with which they hold: those that most held-out samples have.
        notes: What the user should know.
        seconds: CPU time.
    """

    status: AdaptStatus
    refused: tuple[str, ...]
    checkpoint: str
    started_from: str
    logs: tuple[str, ...]
    samples: int
    held_out: int
    stats: tuple[StatsChange, ...] = ()
    stats_kept: str = ""
    rounds: tuple[RoundReport, ...] = ()
    before: SelfCheck | None = None
    after: SelfCheck | None = None
    truth: Truthful | None = None
    calibration: tuple[CalibrationChange, ...] = ()
    calibrated_with: tuple[str, ...] = ()
    notes: tuple[str, ...] = field(default=())
    seconds: float = 0.0

    def to_json(self) -> Mapping[str, Any]:
        """Return the report as values for `json.dumps`."""
        return {"schema": "perception.adapt/1", **asdict(self)}


def notes_of(rounds: Sequence[RoundReport]) -> tuple[str, ...]:
    """Return the notes on the rounds for the user."""
    notes = [
        f"round {number} ended after {done.steps} steps, as the time was up: --steps {done.steps} repeats "
        "it, more --minutes let it finish"
        for number, done in enumerate(rounds, 1)
        if done.reason == "max_cpu"
    ]
    if rounds and not any(row.labels for row in rounds[-1].classes):
        notes.append(
            "no box was certain enough to be learned from. Adaptation needs weights that see some of the "
            "objects; label some pictures and use perception train finetune"
        )
    elif rounds and not any(row.distances for row in rounds[-1].classes):
        notes.append("no returns lie in the labelled boxes, so that distances were not learned")
    return tuple(notes)
