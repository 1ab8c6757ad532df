"""What a user sets to evaluate."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from perception.evaluation.metrics import Metric, Rules
from perception.evaluation.resampling import Resampling
from perception.pipeline import ReplayOptions


@dataclass(frozen=True, slots=True)
class EvaluateOptions:
    """How to evaluate.

    Attributes:
        rules: The ground rules. `family` and `classes` are those of the run where it says so.
        rate_hz: The rate at which a frame has its deadline.
        ablate: Score every subset of the sensors too.
        moments: How many of the worst moments to name.
        guests: Makes the metrics of other packages.
        replay: How to replay.
        resampling: How intervals are drawn; None: values without intervals.
        slices: Which parts of the data are held against the rest, as `slices.parse_slices` gives them.
    """

    rules: Rules = field(default_factory=Rules)
    rate_hz: float = 10.0
    ablate: bool = False
    moments: int = 10
    guests: Callable[[Rules], list[Metric]] = lambda rules: []
    replay: ReplayOptions = field(default_factory=ReplayOptions)
    resampling: Resampling | None = None
    slices: tuple[str, ...] = ()
